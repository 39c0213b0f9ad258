"""What DDPG, TD3 and SAC share: slow copies with clocks of their own, agents that are their own, actions in range."""

import math

import pytest
import torch

from companion import rl
from companion.rl.environments import Environment
from tests.rl.populations import ACTION, CONTINUOUS, OBSERVATION, drive, population, update_once
from tests.rl.test_train import assert_same

algorithms = pytest.mark.parametrize("algorithm", CONTINUOUS)


def learn(agents, update: int) -> None:
    update_once(agents, update, len(agents.actor_weights))


@algorithms
def test_slow_copies_begin_as_exact_copies_and_take_no_gradients(algorithm):
    agents = population(algorithm, 3)
    for online, target in ((agents.actor, agents.target_actor), (agents.critic, agents.target_critic)):
        for p, p_target in zip(online.parameters(), target.parameters(), strict=True):
            assert torch.equal(p, p_target)
            assert p.untyped_storage().data_ptr() != p_target.untyped_storage().data_ptr()
            assert p.requires_grad
            assert not p_target.requires_grad
    learn(agents, 0)
    assert not any(p.requires_grad or p.grad is not None for p in agents.target_actor.parameters())
    assert not any(p.requires_grad or p.grad is not None for p in agents.target_critic.parameters())


@algorithms
def test_first_weights_are_a_members_own_and_every_network_has_others(algorithm):
    agents, other = population(algorithm, 3), population(algorithm, 2)
    assert torch.equal(agents.actor_weights[:2], other.actor_weights)
    assert torch.equal(agents.critic_weights[:2], other.critic_weights)
    first = agents.critic.weights[0].detach()
    assert len(first) == 3 * agents.critic.copies
    assert len({tuple(row.flatten().tolist()) for row in first}) == len(first)
    assert not torch.equal(agents.actor.weights[1][0], agents.critic.weights[1][0])


@algorithms
def test_each_member_has_its_own_tau_and_its_own_period_or_none(algorithm):
    """No target network, a hard update, a soft one, a soft one now and then, and a copy that never moves."""
    tau, period = [1.0, 1.0, 0.1, 0.3, 0.0], [1, 4, 1, 3, 1]
    every_update = {"policy_delay": 1} if algorithm == "td3" else {}  # so that every network moves at every update
    agents = population(algorithm, 5, tau=tau, period=period, target_actor=True, **every_update)
    pairs = (
        (agents.actor_weights, agents.target_actor_weights),
        (agents.critic_weights, agents.target_critic_weights),
    )
    for update in range(12):
        before = [target.clone() for _, target in pairs]
        learn(agents, update)
        for (online, target), old in zip(pairs, before, strict=True):
            for m in range(5):
                if (update + 1) % period[m] or tau[m] == 0:
                    assert torch.equal(target[m], old[m])
                elif tau[m] == 1:
                    assert torch.equal(target[m], online[m])
                else:
                    blend = tau[m] * online[m].double() + (1 - tau[m]) * old[m].double()
                    torch.testing.assert_close(target[m].double(), blend, rtol=1e-6, atol=1e-7)
                    assert not torch.equal(target[m], old[m])
    assert all(not torch.equal(online[4], target[4]) for online, target in pairs)


def test_sac_has_no_slow_actor_unless_it_is_asked_for():
    agents = population("sac", 3, tau=0.5)
    before = agents.target_actor_weights.clone()
    learn(agents, 0)
    assert torch.equal(agents.target_actor_weights, before)
    agents.target_actor_weights.fill_(torch.nan)  # nor does anything look at it
    learn(agents, 1)
    assert agents.actor_weights.isfinite().all()
    assert agents.critic_weights.isfinite().all()


@algorithms
def test_a_member_that_diverges_touches_no_other(algorithm):
    calm = population(algorithm, 3, tau=0.5)
    wild = population(algorithm, 3, tau=0.5, critic_learning_rate=[1e-3, 1e30, 1e-3])
    for update in range(6):
        learn(calm, update)
        learn(wild, update)
    assert not wild.critic_weights[1].isfinite().all()
    for name in ("actor_weights", "critic_weights", "target_actor_weights", "target_critic_weights"):
        assert torch.equal(getattr(wild, name)[[0, 2]], getattr(calm, name)[[0, 2]])


@algorithms
def test_actions_are_uniform_at_first_and_never_out_of_range(algorithm):
    agents = population(algorithm, 4, learning_starts=2, **({} if algorithm == "sac" else {"exploration_noise": 2.0}))
    observation = 100 * torch.randn(4, OBSERVATION, generator=torch.Generator().manual_seed(0))
    for step in range(40):
        explore = 3 * torch.randn(4, ACTION, generator=torch.Generator().manual_seed(step))
        noise = {"random": torch.full((4, ACTION), 0.25), "explore": explore}
        action = agents.act(observation, noise)
        assert action.shape == (4, ACTION)
        assert (action.abs() <= 1).all()
        assert (action == -0.5).all() == (step < 2)
    for extreme, drawn in ((-1.0, 0.0), (1.0, 1 - 2**-24)):  # the whole range is tried
        fresh = population(algorithm, 4)
        noise = {"random": torch.full((4, ACTION), drawn), "explore": torch.zeros(4, ACTION)}
        torch.testing.assert_close(fresh.act(observation, noise), torch.full((4, ACTION), extreme))


@pytest.mark.parametrize("algorithm", ["ddpg", "td3"])
def test_exploration_is_the_policy_with_each_members_noise(algorithm):
    agents = population(algorithm, 3, learning_starts=0, exploration_noise=[0.0, 0.1, 0.5])
    observation = torch.randn(3, OBSERVATION, generator=torch.Generator().manual_seed(1))
    greedy = agents.policy(observation[:, None])[:, 0]
    noise = {"random": torch.zeros(3, ACTION), "explore": torch.full((3, ACTION), 0.7)}
    shift = agents.act(observation, noise) - greedy
    torch.testing.assert_close(shift, torch.tensor([[0.0], [0.07], [0.35]]).expand(3, ACTION))


@algorithms
def test_what_is_evaluated_is_the_online_networks(algorithm):
    """The policy is tanh of the actor's first numbers, and what it expects is the first critic's value of that."""
    agents = population(algorithm, 3, tau=0.0)
    for update in range(4):
        learn(agents, update)  # so that online and slow copy differ
    observation = torch.randn(3, 5, OBSERVATION, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(agents.policy(observation), agents.actor(observation)[..., :ACTION].tanh().detach())
    values = agents.critic(torch.cat((observation, agents.policy(observation)), -1)).squeeze(-1)
    expected = values if agents.critic.copies == 1 else values[:, 0]
    torch.testing.assert_close(agents.predict(observation), expected.detach())


@pytest.mark.parametrize("threads", [1, 2])
@algorithms
def test_an_agent_is_the_same_whichever_others_train_beside_it(algorithm, threads):
    """Bit for bit, on one CPU thread or two: member 3 of 8, alone and in other company."""
    own = {"ddpg": "target_actor", "td3": "clipped_double_q", "sac": "learn_temperature"}[algorithm]

    def train(**settings):
        small = {"steps": 100, "learning_starts": 40, "evaluation_episodes": 2, "evaluate_every": 100}
        return rl.train(algorithm, "Pendulum-v1", hidden=(64, 64), batch_size=64, **small, **settings, progress=False)

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        crowd = train(tau=[1.0, 0.01], **{own: [False, True]}, seeds=2)
        alone = train(tau=0.01, **{own: True}, seeds=[1])
        company = train(tau=0.01, **{own: True}, critic_learning_rate=[1e-3, 1e-2], seeds=[7, 1, 4])
    finally:
        torch.set_num_threads(before)
    member = crowd.sel({"tau": 0.01, own: True, "seed": 1})
    assert member["loss"].notnull().any()
    assert_same(member, alone.sel(seed=1))
    assert_same(member, company.sel(critic_learning_rate=1e-3, seed=1))


def lever(time_limit: int) -> Environment:
    """A reward of (1 + a)/2 for pushing a, for ever, though the clock cuts it into episodes."""

    def step(state, action):
        return state, (1 + action[..., 0]) / 2, torch.zeros_like(state[..., 0], dtype=torch.bool)

    return Environment(
        name="Lever",
        observation_size=1,
        state_size=1,
        actions=None,
        action_size=1,
        action_high=1.0,
        reset_width=1,
        time_limit=time_limit,
        reset=torch.zeros_like,
        observe=torch.ones_like,
        step=step,
    )


@algorithms
def test_agents_learn_the_best_action_and_its_value_past_the_time_limit(make_loop, algorithm):
    """Each pushes as far as it can and values that at 1/(1 − γ): running out of time is not the end of the return."""
    gamma, steps = 0.8, 1_000
    settings = {"hidden": (16,), "batch_size": 32, "learning_starts": 100, "tau": 0.05, "period": 1}
    if algorithm == "sac":
        settings |= {"initial_temperature": 1e-3, "learn_temperature": False}  # next to nothing for entropy
    rates = {"actor_learning_rate": 3e-3, "critic_learning_rate": 3e-3}
    loop = make_loop(lever(5), algorithm=algorithm, seeds=3, steps=steps, gamma=gamma, **settings, **rates)
    drive(loop, 0, steps)
    seen = torch.ones(3, 1, 1)
    assert (loop.agents.policy(seen) > 0.95).all()
    # TD3 takes the next action to be smoothed: half of N(0, 0.2²) is cut off at the lever's end, and the other half
    # costs σ/√(2π) of the push on average, at a slope of ½.
    smoothing = 0.2 / math.sqrt(2 * math.pi) / 2 if algorithm == "td3" else 0.0
    value = (1 - gamma * smoothing) / (1 - gamma)
    torch.testing.assert_close(loop.agents.predict(seen), torch.full((3, 1), value), rtol=0.02, atol=0)
