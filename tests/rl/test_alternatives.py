"""What may stand in for a slow copy, or beside it: normalised critics, resets, an average that is evaluated."""

import pytest
import torch

from companion import rl
from companion.averaging import soft_update
from companion.rl.continuous import value
from companion.rl.loop import Loop
from tests.helpers import assert_same_run, in_call, press_ctrl_c
from tests.rl.populations import (
    ACTION,
    CONTINUOUS,
    OBSERVATION,
    SMALL,
    population,
    random_batch,
    random_noise,
    update_once,
)
from tests.rl.test_train import assert_same

ALGORITHMS = ("dqn", *CONTINUOUS)
algorithms = pytest.mark.parametrize("algorithm", ALGORITHMS)
NORMALIZED = [("dqn", "fixed-layer"), *((algorithm, each) for algorithm in CONTINUOUS for each in ("layer", "batch"))]
normalizations = pytest.mark.parametrize(("algorithm", "normalization"), NORMALIZED)


def learn(agents, update: int) -> None:
    actions = ACTION if agents.DISCRETE else None
    update_once(agents, update, len(agents.settings.tau), actions=actions)


def weights(agents) -> dict[str, torch.Tensor]:
    """All that is learned and all slow copies, a row a member."""
    names = ("online", "target") if agents.DISCRETE else ("actor", "critic", "target_actor", "target_critic")
    return {name: getattr(agents, f"{name}_weights") for name in names}


def copied(agents) -> dict[str, torch.Tensor]:
    return {name: each.clone() for name, each in weights(agents).items()}


def train(algorithm: str, **settings):
    environment = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
    return rl.train(algorithm, environment, **{**SMALL, **settings})


@normalizations
def test_normalisation_is_swept_and_a_member_is_the_same_in_other_company(algorithm, normalization):
    large = {"hidden": (64, 64), "batch_size": 64}
    crowd = train(algorithm, tau=[1.0, 0.01], normalization=["none", normalization], seeds=2, **large)
    assert crowd.sizes["normalization"] == 2
    alone = train(algorithm, tau=0.01, normalization=normalization, seeds=[1], **large)
    company = train(algorithm, tau=0.01, normalization=normalization, gamma=[0.9, 0.99], seeds=[7, 1, 4], **large)
    member = crowd.sel(tau=0.01, normalization=normalization, seed=1)
    assert member["loss"].notnull().any()
    assert_same(member, alone.sel(seed=1))
    assert_same(member, company.sel(gamma=0.99, seed=1))
    assert (crowd["q_mean"].sel(normalization="none") != crowd["q_mean"].sel(normalization=normalization)).any()


@pytest.mark.parametrize("algorithm", CONTINUOUS)
def test_without_a_slow_copy_batch_normalisation_is_crossqs_single_pass(algorithm):
    """Both pairs go through the critic side by side, and the labels are of that very pass (Bhatt et al. 2024)."""
    members = 2
    own = {} if algorithm == "ddpg" else {"clipped_double_q": False}
    agents = population(algorithm, members, tau=1.0, period=1, normalization="batch", dtype=torch.float64, **own)
    learn_once = {"dtype": torch.float64}
    for update in range(3):
        batch, noise = random_batch(update, members, **learn_once), random_noise(agents, update, members, **learn_once)
        if algorithm == "sac":
            outputs = agents.actor(batch.next_observation)
            after, log_prob = rl.sac.squashed_gaussian(outputs, noise["next_action"].view_as(batch.action))
            bonus = -agents.log_temperature[0].exp() * log_prob
        else:
            after, bonus = agents.actor(batch.next_observation).tanh(), 0.0
            if algorithm == "td3":
                after = (after + (0.2 * noise["smoothing"]).clamp(-0.5, 0.5).view_as(after)).clamp(-1, 1)
        pairs = [torch.cat(pair, -1) for pair in ((batch.observation, batch.action), (batch.next_observation, after))]
        twice = torch.cat(pairs, 1).detach()
        values = agents.critic(twice, twice[:, :0]).detach().squeeze(-1)
        values = values if algorithm == "ddpg" else values.movedim(1, 0)
        first = values if algorithm == "ddpg" else values[0]
        now, then = first.chunk(2, -1)
        y = batch.reward + agents.settings.gamma[:, None] * (1 - batch.terminated) * (then + bonus)
        loss = (now - y).square().mean(-1)
        if algorithm != "ddpg":
            loss = loss + (values[1].chunk(2, -1)[0] - y).square().mean(-1)
        seen = agents.learn(batch, noise, update)
        torch.testing.assert_close(seen["loss"], loss.detach() * (0.5 if algorithm == "sac" else 1.0))


@pytest.mark.parametrize("algorithm", CONTINUOUS)
def test_the_actor_climbs_and_is_judged_by_the_averages_of_the_statistics(algorithm):
    """Which are the online critics' own: those of the slow copies are looked at by nobody."""
    agents, other = (population(algorithm, 2, normalization="batch") for _ in range(2))
    for norm in other.target_critic.norms:
        norm.mean += 1e3
    for update in range(4):
        learn(agents, update)
        learn(other, update)
    assert torch.equal(agents.actor_weights, other.actor_weights)
    observation = torch.randn(2, 5, OBSERVATION, generator=torch.Generator().manual_seed(0))
    before = agents.predict(observation)
    torch.testing.assert_close(agents.predict(observation[:, :1]), before[:, :1])  # of each state by itself
    agents.critic.norms[1].mean += 1.0
    assert not torch.equal(agents.predict(observation), before)


@pytest.mark.parametrize("normalization", ["none", "layer", "fixed-layer"])
def test_other_critics_do_not_look_at_what_is_beside(normalization):
    agents = population("td3", 2, normalization=normalization)
    batch = random_batch(0, 2)
    nonsense = (torch.full_like(batch.next_observation, torch.nan), batch.action)
    plain = value(agents.critic, batch.observation, batch.action)
    assert torch.equal(value(agents.critic, batch.observation, batch.action, beside=nonsense), plain)


@algorithms
def test_a_reset_takes_networks_and_slow_copies_back_to_the_first_weights(algorithm):
    agents = population(algorithm, 4, tau=0.1, period=1, reset_every=[0, 3, 5, 1], average=0.5)
    never = population(algorithm, 4, tau=0.1, period=1, average=0.5)
    first = copied(agents)
    for update in range(10):
        learn(agents, update)
        learn(never, update)
        for name, now in weights(agents).items():
            assert torch.equal(now[0], weights(never)[name][0])
            for member, every in ((1, 3), (2, 5), (3, 1)):
                if (update + 1) % every == 0:
                    assert torch.equal(now[member], first[name][member])
                elif name in ("online", "critic"):
                    assert not torch.equal(now[member], first[name][member])


def test_so_it_takes_the_temperature_and_what_is_evaluated():
    agents = population("sac", 2, reset_every=[0, 4], average=0.3, initial_temperature=[0.5, 2.0])
    first = agents.log_temperature[0].detach().clone()
    for update in range(4):
        learn(agents, update)
    now = agents.log_temperature[0].detach()
    assert now[0] != first[0]
    assert now[1] == first[1]
    assert torch.equal(agents.evaluated.weights[0][1], agents.actor_weights[1])
    assert not torch.equal(agents.evaluated.weights[0][0], agents.actor_weights[0])


@algorithms
def test_what_is_evaluated_is_an_average_that_nothing_learns_from(algorithm):
    """Recomputed in float64; the agent learns and explores as it would without."""
    taus = [1.0, 0.1, 0.003]
    agents, plain = population(algorithm, 3, average=taus), population(algorithm, 3)
    name = "online" if agents.DISCRETE else "actor"
    average = weights(agents)[name].double()
    for update in range(8):
        learn(agents, update)
        learn(plain, update)
        tau = torch.tensor(taus, dtype=torch.float64)[:, None]
        average = tau * weights(agents)[name].double() + (1 - tau) * average
    torch.testing.assert_close(agents.evaluated.weights[0].double(), average, rtol=1e-5, atol=1e-7)
    for one, other in zip(weights(agents).values(), weights(plain).values(), strict=True):
        assert torch.equal(one, other)

    observation = torch.randn(3, OBSERVATION, generator=torch.Generator().manual_seed(0))
    noise = random_noise(agents, 0, 3)
    noise["explore"] = noise["explore"] + 1.0  # DQN's coin never falls on a random action
    assert torch.equal(agents.act(observation, noise), plain.act(observation, noise))
    states = observation[:, None].expand(3, 50, OBSERVATION)
    for asked in ("predict", "policy") if not agents.DISCRETE else ("predict", "values"):
        one, other = getattr(agents, asked)(states), getattr(plain, asked)(states)
        assert torch.equal(one[0], other[0])
        assert not torch.equal(one[1], other[1])
    reference = population(algorithm, 3)
    soft_update([agents.evaluated.weights[0]], [weights(reference)[name]], 1.0)
    assert torch.equal(agents.policy(states), reference.policy(states))


@normalizations
def test_all_of_it_goes_on_from_a_checkpoint_with_the_same_bits(algorithm, normalization, tmp_path, monkeypatch):
    settings = {"normalization": normalization, "reset_every": [0, 7], "average": 0.1, "evaluate_every": 15, "seeds": 2}
    whole = train(algorithm, **settings)
    in_call(monkeypatch, Loop, "collect", 41, press_ctrl_c)
    assert train(algorithm, **settings, checkpoint=tmp_path / "run.pt").attrs["interrupted"] == "at step 41 of 60"
    monkeypatch.undo()
    assert_same_run(whole, train(algorithm, **settings, checkpoint=tmp_path / "run.pt"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"normalization": "batch"}, "normalization='batch' is unknown; it must be 'none' or 'layer' or 'fixed-layer'"),
        ({"reset_every": -1}, "reset_every=-1 is out of range"),
        ({"average": 1.5}, "average=1.5 is out of range"),
    ],
)
def test_what_an_algorithm_has_not_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        train("dqn", **settings)
