"""SAC's update against the paper's equations in plain float64 NumPy, and its policy's density."""

import pytest
import torch

from companion.rl.sac import squashed_gaussian
from tests.rl import reference
from tests.rl.populations import ACTION, EXACTLY, OBSERVATION, assert_follows, population, update_once


@pytest.mark.parametrize(("normalization", "dtype"), EXACTLY)
def test_updates_are_those_of_the_papers_equations(normalization, dtype):
    own = {
        "tau": [0.005, 1.0, 0.2, 1.0, 0.05, 0.0, 0.3, 0.01],
        "period": [1, 1, 2, 4, 3, 1, 5, 1],
        "actor_learning_rate": [1e-3, 3e-3, 1e-2, 1e-3, 1e-4, 1e-3, 1e-3, 1e-3],
        "critic_learning_rate": [1e-3, 1e-3, 3e-3, 1e-2, 1e-3, 1e-3, 1e-4, 1e-3],
        "temperature_learning_rate": [1e-3, 1e-2, 1e-1, 1e-3, 1e-4, 1e-3, 1e-3, 1e-3],
        "gamma": [0.99, 0.9, 1.0, 0.0, 0.95, 0.99, 0.5, 0.99],
        "initial_temperature": [1.0, 0.2, 5.0, 0.2, 1e-3, 0.5, 0.1, 1.0],
        "learn_temperature": [True, True, True, False, False, True, False, True],
        "target_entropy": [-1.0, -1.0, 0.5, -1.0, -1.0, -3.0, -1.0, 0.0],
        "clipped_double_q": [True, False, True, True, False, True, False, True],
        "target_actor": [False, False, True, False, True, False, True, True],
    }
    own["normalization"] = normalization
    assert_follows(reference.SAC, "sac", own, ("next_action", "new_action"), dtype=dtype)


def test_the_policys_density_is_that_of_a_squashed_gaussian():
    """Against PyTorch's transformed distribution, and against 1: it is a density on (−1, 1)."""
    noise = torch.linspace(-4, 4, 2001, dtype=torch.float64)[:, None]
    for mean, log_sd in ((0.0, 0.0), (1.5, -1.0), (-0.7, 1.0)):
        outputs = torch.tensor([mean, log_sd], dtype=torch.float64).expand(len(noise), 2)
        action, log_prob = squashed_gaussian(outputs, noise)
        gaussian = torch.distributions.Normal(mean, torch.tensor(log_sd, dtype=torch.float64).exp())
        squashed = torch.distributions.TransformedDistribution(
            gaussian, torch.distributions.TanhTransform(cache_size=1)
        )
        torch.testing.assert_close(action, (mean + gaussian.stddev * noise).tanh())
        expected = squashed.log_prob(squashed.transforms[0](mean + gaussian.stddev * noise)).squeeze(-1)
        torch.testing.assert_close(log_prob, expected, rtol=1e-9, atol=1e-9)
        total = torch.trapezoid(log_prob.exp(), action.squeeze(-1))
        assert total.item() == pytest.approx(1, abs=2e-3)  # 4 standard deviations hold all but 6e-5


def test_an_action_of_several_numbers_adds_their_log_probabilities():
    outputs, noise = torch.randn(5, 6, generator=torch.Generator().manual_seed(0)), torch.linspace(-2, 2, 15).view(5, 3)
    action, log_prob = squashed_gaussian(outputs, noise)
    parts = [squashed_gaussian(outputs[:, [i, 3 + i]], noise[:, [i]]) for i in range(3)]
    torch.testing.assert_close(action, torch.cat([a for a, _ in parts], -1))
    torch.testing.assert_close(log_prob, sum(part for _, part in parts))


@pytest.mark.parametrize("mean", [-300.0, 0.0, 300.0])
@pytest.mark.parametrize("log_sd", [-100.0, 0.0, 100.0])
def test_density_and_slopes_are_finite_where_tanh_is_one(mean, log_sd):
    """In float32, where 1 − tanh²(u) is 0 from u = 9 on."""
    outputs = torch.tensor([[mean, log_sd]], requires_grad=True)
    action, log_prob = squashed_gaussian(outputs, torch.tensor([[2.5]]))
    (slope,) = torch.autograd.grad(log_prob.sum() + action.sum(), outputs)
    assert action.abs().item() <= 1
    assert log_prob.isfinite().all()
    assert slope.isfinite().all()
    assert (slope[0, 1] == 0) == (abs(log_sd) == 100), "the standard deviation is kept between e⁻²⁰ and e²"


def test_the_temperature_moves_towards_the_entropy_asked_for():
    """Up where the policy's entropy is below it, down where it is above, nowhere where it is fixed."""
    agents = population("sac", 3, target_entropy=[10.0, -10.0, 10.0], learn_temperature=[True, True, False])
    for update in range(5):
        update_once(agents, update, 3)
    up, down, still = agents.log_temperature[0].detach()[:, 0]
    assert up > 0
    assert down < 0
    assert still == 0


def test_the_greedy_policy_is_the_gaussians_middle():
    agents = population("sac", 2, learning_starts=0)
    observation = torch.randn(2, OBSERVATION, generator=torch.Generator().manual_seed(3))
    noise = {"random": torch.zeros(2, ACTION), "explore": torch.zeros(2, ACTION)}
    torch.testing.assert_close(agents.act(observation, noise), agents.policy(observation[:, None])[:, 0])
