"""The tensor programs against gymnasium's own environments, which are the reference."""

import math

import gymnasium
import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from companion.rl import environments
from companion.rl.environments import draw_cartpole, draw_pendulum

NAMES = ["CartPole-v1", "Pendulum-v1"]
TRANSITIONS = 10_000


def transitions(name, state, action):
    """Gymnasium's answers, one transition at a time: next states, observations, rewards, terminations."""
    gym = gymnasium.make(name).unwrapped
    answers = []
    for row, push in zip(state, action, strict=True):
        gym.reset()
        gym.state = row.astype(np.float64)
        observation, reward, terminated, truncated, _ = gym.step(push)
        assert not truncated
        answers.append((np.array(gym.state), observation, float(reward), terminated))
    return [np.stack(column) for column in zip(*answers, strict=True)]


def test_cartpole_matches_gymnasium_over_random_transitions():
    rng = np.random.default_rng(0)
    state = (rng.uniform(-1, 1, (TRANSITIONS, 4)) * [2.6, 3.0, 0.25, 4.0]).astype(np.float32)
    action = rng.integers(2, size=TRANSITIONS)
    after, observation, reward, terminated = transitions("CartPole-v1", state, action)
    env = environments.make("CartPole-v1")
    mine = env.step(torch.from_numpy(state), torch.from_numpy(action))
    assert mine[0].dtype == torch.float32
    np.testing.assert_allclose(mine[0], after, atol=1e-5, rtol=0)
    np.testing.assert_allclose(env.observe(mine[0]), observation, atol=1e-5, rtol=0)
    np.testing.assert_array_equal(mine[1], reward)
    np.testing.assert_array_equal(mine[2], terminated)
    assert 0.1 < terminated.mean() < 0.9, "both kinds of transition are compared"
    assert np.all(reward[terminated] == 1), "the last step is rewarded like any other"


def test_pendulum_matches_gymnasium_over_random_transitions():
    rng = np.random.default_rng(1)
    state = (rng.uniform(-1, 1, (TRANSITIONS, 2)) * [math.pi, 8.0]).astype(np.float32)
    action = rng.uniform(-3, 3, (TRANSITIONS, 1)).astype(np.float32)  # beyond the limits as well
    after, observation, reward, terminated = transitions("Pendulum-v1", state, action)
    env = environments.make("Pendulum-v1")
    mine = env.step(torch.from_numpy(state), torch.from_numpy(action))
    assert mine[0].dtype == torch.float32
    np.testing.assert_allclose(mine[0], after, atol=1e-5, rtol=0)
    np.testing.assert_allclose(env.observe(mine[0]), observation, atol=1e-5, rtol=0)
    np.testing.assert_allclose(mine[1], reward, atol=1e-5, rtol=0)
    assert not terminated.any()
    assert not mine[2].any()
    assert (np.abs(after[:, 1]) == 8).any(), "the speed limit is met"


def test_a_spinning_pendulum_is_seen_as_gymnasium_sees_it():
    """A whole episode at full torque, each step from the state of the program itself: the angle goes round."""
    env, gym = environments.make("Pendulum-v1"), gymnasium.make("Pendulum-v1").unwrapped
    gym.reset(seed=0)
    gym.state = np.array([0.5, 7.0])
    state = torch.tensor([0.5, 7.0], dtype=torch.float64)
    for _ in range(env.time_limit):
        state, reward, _ = env.step(state, torch.tensor([2.0], dtype=torch.float64))
        observation, expected, *_ = gym.step(np.array([2.0]))
        np.testing.assert_allclose(env.observe(state), observation, atol=1e-5, rtol=0)
        np.testing.assert_allclose(reward, expected, atol=1e-5, rtol=0)
    assert abs(gym.state[0]) > 2 * math.pi
    assert state[0].abs() < math.pi + 0.5


@pytest.mark.parametrize("name", NAMES)
def test_resets_fill_gymnasiums_range(name):
    env, gym = environments.make(name), gymnasium.make(name).unwrapped
    noise = torch.from_numpy(np.random.default_rng(2).random((TRANSITIONS, env.reset_width), dtype=np.float32))
    mine = env.reset(noise).numpy()
    theirs = []
    for seed in range(1_000):
        gym.reset(seed=seed)
        theirs.append(gym.state)
    bound = np.array({"CartPole-v1": [0.05] * 4, "Pendulum-v1": [math.pi, 1.0]}[name])
    assert mine.shape == (TRANSITIONS, env.state_size)
    assert mine.dtype == np.float32
    for start in (mine, np.stack(theirs)):
        assert np.all(np.abs(start) <= bound * (1 + 1e-6))
        np.testing.assert_allclose(start.max(0), bound, rtol=0.02)
        np.testing.assert_allclose(start.min(0), -bound, rtol=0.02)
        np.testing.assert_allclose(start.std(0), bound / math.sqrt(3), rtol=0.06)
    np.testing.assert_allclose(env.reset(torch.zeros(env.reset_width)), -bound, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_limits_are_gymnasiums(name):
    env, gym = environments.make(name), gymnasium.make(name)
    assert env.name == name
    assert env.time_limit == gym.spec.max_episode_steps
    assert gym.observation_space.shape == (env.observation_size,)
    if env.actions is None:
        assert gym.action_space.shape == (env.action_size,)
        assert np.all(gym.action_space.high == env.action_high)
        assert np.all(gym.action_space.low == -env.action_high)
    else:
        assert gym.action_space.n == env.actions
        assert (env.action_size, env.action_high) == (None, None)


def test_an_episode_of_cartpole_ends_where_gymnasiums_does():
    """Toppled (terminated) with a constant push; out of time (truncated, not terminated) when balanced."""
    env, gym = environments.make("CartPole-v1"), gymnasium.make("CartPole-v1")
    policies = {
        "terminated": lambda seen: 1,
        "truncated": lambda seen: int(seen @ np.array([0.05, 0.5, 2.0, 1.0]) > 0),
    }
    for ending, policy in policies.items():
        observation, _ = gym.reset(seed=3)
        state = torch.from_numpy(gym.unwrapped.state)
        steps, over = 0, False
        while not over:
            action = policy(observation)
            observation, _, terminated, truncated, _ = gym.step(action)
            state, _, mine = env.step(state, torch.tensor(action))
            steps += 1
            assert bool(mine) == terminated
            assert (steps == env.time_limit) == truncated
            over = terminated or truncated
        assert {"terminated": terminated, "truncated": truncated}[ending]
        np.testing.assert_allclose(env.observe(state), observation, atol=1e-5, rtol=0)


def test_pendulum_runs_until_its_limit():
    env, gym = environments.make("Pendulum-v1"), gymnasium.make("Pendulum-v1")
    gym.reset(seed=4)
    flags = [gym.step(np.array([0.0], dtype=np.float32))[2:4] for _ in range(env.time_limit)]
    assert flags == [(False, False)] * (env.time_limit - 1) + [(False, True)]


@pytest.mark.parametrize("name", NAMES)
def test_any_leading_axes_and_no_write_to_the_arguments(name):
    env = environments.make(name)
    noise = torch.rand(3, 5, env.reset_width, generator=torch.Generator().manual_seed(0))
    state = env.reset(noise)
    action = torch.ones(3, 5, dtype=torch.long) if env.actions else torch.full((3, 5, env.action_size), 0.7)
    before = noise.clone(), state.clone(), action.clone()
    after, reward, terminated = env.step(state, action)
    assert all(torch.equal(*pair) for pair in zip(before, (noise, state, action), strict=True))
    assert after.shape == (3, 5, env.state_size)
    assert reward.shape == terminated.shape == (3, 5)
    assert env.observe(state).shape == (3, 5, env.observation_size)
    alone = env.step(state[2, 4], action[2, 4])
    assert all(torch.equal(one, many[2, 4]) for one, many in zip(alone, (after, reward, terminated), strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_a_step_reads_nothing_on_the_host(name):
    """On fake tensors any branch on data, or `.item()`, raises: so the step can be captured as a CUDA graph."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    env = environments.make(name)
    with FakeTensorMode():
        state = env.reset(torch.empty(7, env.reset_width))
        action = torch.empty(7, dtype=torch.long) if env.actions else torch.empty(7, env.action_size)
        after, reward, terminated = env.step(state, action)
        assert env.observe(after).shape == (7, env.observation_size)
        assert (reward.dtype, terminated.dtype) == (torch.float32, torch.bool)


@pytest.mark.parametrize(("asked", "nearest"), [("CartPole-v0", "CartPole-v1"), ("pendulum", "Pendulum-v1")])
def test_an_unknown_name_is_refused_with_the_nearest(asked, nearest):
    with pytest.raises(ValueError, match=f"'{asked}'.*did you mean '{nearest}'"):
        environments.make(asked)


def test_the_drawing_moves_and_hides():
    ax = Figure().add_subplot()
    move = draw_cartpole(ax, [0.0, 0.0, 0.0, 0.0])
    pole, cart = ax.lines[0], ax.patches[0]
    np.testing.assert_allclose(np.array(pole.get_data()), [[0, 0], [0.3, 1.3]])
    move([1.0, 0.0, math.pi / 2, 0.0])
    np.testing.assert_allclose(np.array(pole.get_data()), [[1, 2], [0.3, 0.3]], atol=1e-12)
    assert cart.get_x() + cart.get_width() / 2 == pytest.approx(1.0)
    move([math.nan] * 4)
    assert not pole.get_visible()
    assert not cart.get_visible()


def test_the_pendulums_drawing_moves_and_hides():
    ax = Figure().add_subplot()
    move = draw_pendulum(ax, [1.0, 0.0, 0.0])
    rod, bob = ax.lines[0], ax.patches[1]
    np.testing.assert_allclose(np.array(rod.get_data()), [[0, 0], [0, 1]])
    angle = math.pi / 2
    move([math.cos(angle), math.sin(angle), 0.0])
    np.testing.assert_allclose(np.array(rod.get_data()), [[0, -1], [0, 0]], atol=1e-12)
    np.testing.assert_allclose(bob.get_center(), [-1, 0], atol=1e-12)
    move([math.nan] * 3)
    assert not rod.get_visible()
    assert not bob.get_visible()
