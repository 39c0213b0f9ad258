"""One DQN update against the paper's equations in plain float64 NumPy, and what a target network is."""

import pytest
import torch

from companion.rl.environments import Environment
from tests.rl import reference
from tests.rl.populations import EXACTLY, assert_follows, drive, population, update_once

MEMBERS, ACTIONS = 6, 2


def learn(agents, update: int, members: int = MEMBERS) -> None:
    update_once(agents, update, members, actions=ACTIONS)


@pytest.mark.parametrize(("normalization", "dtype"), EXACTLY[:-1])
def test_updates_are_those_of_the_papers_equations(normalization, dtype):
    own = {
        "tau": [1.0, 0.01, 1.0, 0.2, 1.0, 0.005],
        "period": [1, 1, 3, 2, 5, 1],
        "learning_rate": [1e-3, 1e-2, 3e-3, 1e-3, 1e-3, 1e-3],
        "gamma": [0.99, 0.9, 0.99, 0.5, 0.99, 1.0],
        "double_q": [False, True, True, False, True, False],
        "error_clip": [1.0, 1.0, 0.3, 5.0, float("inf"), 1.0],
    }
    own["normalization"] = normalization
    assert_follows(reference.DQN, "dqn", own, (), dtype=dtype, actions=ACTIONS, names=("online", "target"))


def test_the_target_starts_as_an_exact_copy_and_takes_no_gradients(make_loop):
    agents = make_loop(seeds=3).agents
    assert torch.equal(agents.online_weights, agents.target_weights)
    assert agents.online_weights.data_ptr() != agents.target_weights.data_ptr()
    assert not any(p.requires_grad for p in agents.target.parameters())


def test_the_target_moves_every_period_updates_and_rests_between():
    agents = population("dqn", MEMBERS, period=4)
    for update in range(12):
        before = agents.target_weights.clone()
        learn(agents, update)
        if update % 4 == 3:
            assert torch.equal(agents.target_weights, agents.online_weights)
        else:
            assert torch.equal(agents.target_weights, before)


def test_tau_zero_never_moves_the_target():
    agents = population("dqn", MEMBERS, tau=0.0)
    before = agents.target_weights.clone()
    for update in range(5):
        learn(agents, update)
    assert torch.equal(agents.target_weights, before)


def test_a_member_that_diverges_touches_no_other():
    calm = population("dqn", 3, tau=1.0, learning_rate=1e-3)
    wild = population("dqn", 3, tau=1.0, learning_rate=[1e-3, 1e30, 1e-3])
    for update in range(5):
        learn(calm, update, 3)
        learn(wild, update, 3)
    assert not wild.online_weights[1].isfinite().all()
    assert torch.equal(wild.online_weights[[0, 2]], calm.online_weights[[0, 2]])
    assert torch.equal(wild.target_weights[[0, 2]], calm.target_weights[[0, 2]])


def test_exploration_is_annealed_from_start_to_end(make_loop):
    agents = make_loop(seeds=2, epsilon_start=0.8, epsilon_end=0.2, epsilon_steps=10).agents
    observation = torch.zeros(2, 4)
    best = agents.values(observation[:, None])[:, 0].argmax(-1)
    other = (1 - best + 0.5) / 2  # noise that draws the action which is not the best
    for step in range(20):
        epsilon = 0.8 + (0.2 - 0.8) * min(1, step / 10)
        coin = torch.tensor([epsilon - 1e-3, epsilon + 1e-3])  # the first member explores, the second does not
        action = agents.act(observation, {"explore": torch.stack([coin, other], dim=1)})
        assert action.tolist() == [1 - best[0], best[1]]


def endless(time_limit: int, *, terminates: bool) -> Environment:
    """A reward of 1 at every step, seen through a constant; over after a while by its rules or by the clock alone."""

    def step(state, action):
        after = state + 1
        return after, torch.ones_like(after[..., 0]), after[..., 0] >= (time_limit if terminates else torch.inf)

    return Environment(
        name="Endless",
        observation_size=1,
        state_size=1,
        actions=2,
        action_size=None,
        action_high=None,
        reset_width=1,
        time_limit=time_limit,
        reset=torch.zeros_like,
        observe=torch.ones_like,
        step=step,
    )


@pytest.mark.parametrize("terminates", [False, True])
def test_running_out_of_time_is_not_the_end_of_the_return(make_loop, terminates):
    gamma, limit = 0.8, 5
    loop = make_loop(
        endless(limit, terminates=terminates),
        seeds=2,
        steps=3_000,
        gamma=gamma,
        tau=0.05,
        hidden=(16,),
        batch_size=32,
        learning_rate=3e-3,
        epsilon_end=1.0,
        learning_starts=0,
        error_clip=float("inf"),  # the mean of the targets is asked for, and Huber's loss leans to their median
    )
    drive(loop, 0, 3_000)
    learnt = loop.agents.values(torch.ones(2, 1, 1))
    # Cut by the clock: every transition is followed by more of the same, and Q = 1/(1 − γ). Terminated, one in `limit`
    # is not: Q = 1 + γ (1 − 1/limit) Q.
    expected = 1 / (1 - gamma * (1 - 1 / limit)) if terminates else 1 / (1 - gamma)
    # Where one transition in five is the last, every batch differs, and the estimate trembles.
    torch.testing.assert_close(learnt, torch.full_like(learnt, expected), rtol=0.15 if terminates else 0.01, atol=0)
