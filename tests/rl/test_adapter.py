"""Gymnasium's environments through the adapter: what is remembered, resumed, evaluated, refused and left behind."""

import gc
import io
import re
import subprocess
import sys
import weakref
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, OneOf, Sequence, Text, Tuple
from gymnasium.vector import AutoresetMode

from companion import rl
from companion.members import Streams
from companion.rl.environments import TensorWorld, make_world
from companion.rl.environments.adapter import GymnasiumWorld, quietly
from companion.rl.loop import Loop
from tests.helpers import assert_same_run
from tests.rl.populations import drive

CPU = torch.device("cpu")
MUJOCO = ["HalfCheetah-v5", "Hopper-v5", "Walker2d-v5"]


class Diary(gymnasium.Env):
    """Shows which episode it is, and which step of it; rewards with 10 · episode + step.

    Episodes 1, 3, 5, … end by their own rules after 3 steps. The others would go on for ever.
    """

    observation_space = Box(-np.inf, np.inf, (2,))
    action_space = Box(-1, 1, (1,))

    def __init__(self):
        self.episode = -1

    def seen(self):
        return np.array([self.episode, self.moment], dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.episode, self.moment = self.episode + 1, 0
        return self.seen(), {}

    def step(self, action):
        self.moment += 1
        return self.seen(), 10.0 * self.episode + self.moment, bool(self.episode % 2 and self.moment == 3), False, {}


class Constant(gymnasium.Env):
    """A reward of 1 at every step, whatever is done, and nothing to see but the steps where it has an end."""

    observation_space = Box(0, 10, (1,))
    action_space = Discrete(2)

    def __init__(self, end=None):
        self.end = end

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.moment = 0
        return np.zeros(1, dtype=np.float32), {}

    def step(self, action):
        self.moment += 1
        shown = np.full(1, self.moment if self.end else 0, dtype=np.float32)
        return shown, 1.0, self.moment == self.end, False, {}


class Echo(gymnasium.Env):
    """Shows the action it was given last. Its reward is random beyond its seed where ``honest`` is false."""

    observation_space = Box(-10, 10, (2,), dtype=np.float64)
    action_space = Box(np.float32([-1, 0]), np.float32([3, 0.5]))

    def __init__(self, honest=True, action_space=None, observation_space=None):
        self.honest, self.closed = honest, False
        self.action_space = action_space or self.action_space
        self.observation_space = observation_space or self.observation_space

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(2) if isinstance(self.observation_space, Box) else {"a": np.zeros(2)}, {}

    def step(self, action):
        assert self.action_space.contains(action.astype(np.float32) if isinstance(action, np.ndarray) else action)
        shown = np.zeros(2) + action
        return shown if self.honest else np.random.default_rng().random(2), 0.0, False, False, {}

    def close(self):
        self.closed = True


for name, entry, limit, arguments in (
    ("Diary-v0", Diary, 5, {}),
    ("Constant-v0", Constant, 10, {}),
    ("ConstantEnds-v0", Constant, 10, {"end": 2}),
    ("Echo-v0", Echo, 50, {}),
    ("Dishonest-v0", Echo, 50, {"honest": False}),
    ("Unlimited-v0", Echo, None, {}),
    ("Unbounded-v0", Echo, 50, {"action_space": Box(-np.inf, np.inf, (2,))}),
    ("NoVector-v0", Echo, 50, {"observation_space": Dict(a=Box(-1, 1, (2,)))}),
    ("FromThree-v0", Echo, 50, {"action_space": Discrete(2, start=3)}),
):
    gymnasium.register(name, entry, max_episode_steps=limit, kwargs=arguments)


def drawn(seeds, steps: int, width: int, purpose: str) -> torch.Tensor:
    """Uniform numbers ``(step, member, width)`` from the members' own streams."""
    return torch.from_numpy(Streams(seeds, purpose).uniform(steps, width)).transpose(0, 1)


def live(world, steps: int, *, begin: int = 0, after: int = 1000) -> list:
    """Random actions; the transitions, and what is seen after them."""
    actions = 2 * drawn(world.seeds, after, world.action_size, "explore") - 1
    if world.actions:
        actions = (actions[..., 0] > 0).long()
    resets = drawn(world.seeds, after, world.reset_width, "reset")
    return [(*world.step(actions[t], resets[t])[:3], world.observation.clone()) for t in range(begin, begin + steps)]


def assert_same(some: list, others: list, rows=slice(None)) -> None:
    for one, other in zip(some, others, strict=True):
        for a, b in zip(one, other, strict=True):
            assert torch.equal(a[rows], b[rows])


@pytest.mark.parametrize("mode", AutoresetMode)
def test_what_is_remembered_was_really_seen(mode, make_loop):
    """In each mode the replay ends up with every episode, step by step, and with nothing else."""
    world = GymnasiumWorld("Diary-v0", [0, 1], CPU, autoreset_mode=mode)
    loop = make_loop(world, algorithm="td3", steps=60)
    loop.noise.refill()
    for _ in range(60):
        loop.collect()
    # Episode 0 is cut after 5 steps, episode 1 ends after 3, episode 2 is cut after 5, …
    expected = [
        ([episode, step], 10.0 * episode + step + 1, [episode, step + 1], float(episode % 2 and step == 2))
        for episode in range(16)
        for step in range(3 if episode % 2 else 5)
    ]
    count = 48 if mode is AutoresetMode.NEXT_STEP else 60  # two of ten steps are resets there
    assert loop.replay.count.tolist() == [count, count]
    for rows in loop.replay.rows.view(2, 60, -1):
        observation, _, reward, seen, terminated = rows[:count].split(loop.replay.fields, dim=-1)
        stored = zip(observation.tolist(), reward[:, 0].tolist(), seen.tolist(), terminated[:, 0].tolist(), strict=True)
        assert list(stored) == expected[:count]
        assert (rows[count:] == 0).all()


def test_time_running_out_is_bootstrapped_and_an_end_is_not(make_loop):
    """A reward of 1 for ever is worth 1 / (1 − γ) though every episode is cut; two of them and the end, 1 + γ."""
    for name, worth in {"Constant-v0": 1 / (1 - 0.9), "ConstantEnds-v0": 1 + 0.9}.items():
        world = GymnasiumWorld(name, [0, 1], CPU)
        settings = {"gamma": 0.9, "tau": 0.3, "learning_rate": 1e-2, "learning_starts": 40}
        loop = make_loop(world, steps=500, hidden=(16,), batch_size=16, **settings)
        drive(loop, 0, 500)
        np.testing.assert_allclose(loop.agents.predict(torch.zeros(2, 1, 1)), worth, rtol=0.02)


def test_an_episode_begins_with_the_seed_that_the_stream_gives():
    world = GymnasiumWorld("CartPole-v1", [3, 5], CPU)
    gym = gymnasium.make("CartPole-v1")
    (high, low), _ = Streams([3, 5], "start").uniform(2)
    seed = int(high * 2.0**24) * 2**24 + int(low * 2.0**24)
    observation, _ = gym.reset(seed=seed)
    assert world.observation[0].tolist() == observation.tolist()
    resets = drawn([3, 5], 1000, 2, "reset")
    ended = 0
    for t in range(100):
        seen = world.step(torch.tensor([1, 0]), resets[t]).next_observation
        observation, _, terminated, _, _ = gym.step(1)
        assert seen[0].tolist() == observation.tolist()
        if terminated:
            ended += 1
            high, low = resets[t, 0].tolist()
            observation, _ = gym.reset(seed=int(high * 2.0**24) * 2**24 + int(low * 2.0**24))
        assert world.observation[0].tolist() == observation.tolist()
    assert ended > 2


@pytest.mark.parametrize("name", ["Hopper-v5", "CartPole-v1"])
def test_a_member_is_the_same_whichever_others_live_beside_it(name):
    alone = live(GymnasiumWorld(name, [5], CPU), 150)
    beside = live(GymnasiumWorld(name, [2, 5, 9], CPU), 150)
    assert_same(alone, [[tensor[1:2] for tensor in moment] for moment in beside])
    assert sum(terminated.item() for _, _, terminated, _ in alone) > 2, "several episodes are compared"


@pytest.mark.parametrize("name", MUJOCO)
def test_mujoco_resumes_bit_for_bit(name):
    world = GymnasiumWorld(name, [0, 1, 2], CPU)
    live(world, 130)
    file = io.BytesIO()
    torch.save(world.state_dict(), file)
    expected = live(world, 100, begin=130)

    file.seek(0)
    other = GymnasiumWorld(name, [0, 1, 2], CPU)
    live(other, 17)
    other.load_state_dict(torch.load(file, weights_only=True))
    assert_same(live(other, 100, begin=130), expected)


def test_training_in_mujoco_resumes_bit_for_bit(make_loop):
    def fresh() -> Loop:
        world = GymnasiumWorld("Hopper-v5", [0, 1], CPU)
        return make_loop(world, algorithm="td3", steps=150, hidden=(16,), batch_size=8, learning_starts=40)

    loop, other = fresh(), fresh()
    drive(loop, 0, 90)
    file = io.BytesIO()
    torch.save(loop.state_dict(), file)
    drive(loop, 90, 150)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    drive(other, 90, 150)
    assert torch.equal(loop.replay.rows, other.replay.rows)
    assert torch.equal(loop.agents.actor_weights, other.agents.actor_weights)
    assert (loop.replay.rows[:, -1] == 1).sum() > 2, "some episodes ended"


def test_any_moment_can_be_resumed():
    """Also one at which some episodes have just begun, and others not."""
    world, other = (GymnasiumWorld("CartPole-v1", [0, 1, 2, 3], CPU) for _ in range(2))
    begun = set()
    for t in range(60):
        state = {name: tensor.clone() for name, tensor in world.state_dict().items()}
        begun.add((state["elapsed"] == 0).sum().item())
        other.load_state_dict(state)
        assert_same(live(other, 30, begin=t), live(world, 30, begin=t))
        world.load_state_dict(state)
        live(world, 1, begin=t)
    assert {0, 1, 4} <= begun


def test_what_cannot_be_resumed_says_so():
    world = GymnasiumWorld("Dishonest-v0", [0, 1], CPU)
    live(world, 10)
    with pytest.raises(RuntimeError, match="'Dishonest-v0' cannot be resumed here: the same seed"):
        world.load_state_dict({name: tensor.clone() for name, tensor in world.state_dict().items()})
    for mode in (AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP):
        with pytest.raises(ValueError, match=r"needs AutoresetMode\.DISABLED"):
            GymnasiumWorld("Diary-v0", [0], CPU, autoreset_mode=mode).state_dict()


def test_actions_are_scaled_to_the_box_and_clipped():
    world = GymnasiumWorld("Echo-v0", [0, 1, 2, 3], CPU)
    action = torch.tensor([[-1.0, -1.0], [0.0, 0.0], [0.5, 1.0], [7.0, -torch.inf]])
    seen = world.step(action, torch.zeros(4, 2)).next_observation
    assert seen.tolist() == [[-1, 0], [1, 0.25], [2, 0.5], [3, 0]]
    discrete = GymnasiumWorld("FromThree-v0", [0, 1], CPU)
    assert (discrete.actions, discrete.action_size) == (2, 1)
    assert discrete.step(torch.tensor([0, 1]), torch.zeros(2, 2)).next_observation.tolist() == [[3, 3], [4, 4]]


def test_sizes_are_gymnasiums_and_actions_go_through_as_they_are():
    for name in MUJOCO:
        world = GymnasiumWorld(name, [0], CPU)
        with quietly():
            gym = gymnasium.make(name)
        assert gym.observation_space.shape == (world.observation_size,)
        assert gym.action_space.shape == (world.action_size,)
        assert (world.actions, world.time_limit) == (None, 1000)
        action = gym.action_space.sample()[None]
        assert np.array_equal(world.sent(action), action)


def test_a_member_that_is_not_a_number_disturbs_nobody():
    """Zeros go in its place; the others' transitions are the same bit for bit."""
    action = 2 * drawn([0, 1, 2], 60, 3, "explore") - 1
    resets = drawn([0, 1, 2], 60, 2, "reset")
    worlds = [GymnasiumWorld("Hopper-v5", [0, 1, 2], CPU) for _ in range(2)]
    for t in range(60):
        broken, zeroed = action[t].clone(), action[t].clone()
        broken[1, 2], zeroed[1, 2] = torch.nan, 0
        pair = [world.step(a, resets[t]) for world, a in zip(worlds, (broken, zeroed), strict=True)]
        assert_same([pair[0][:3]], [pair[1][:3]])
        assert torch.equal(worlds[0].observation, worlds[1].observation)
    worlds[1].load_state_dict(worlds[0].state_dict())


def policy_of(world, seed: int = 0):
    """Agents whose action is a fixed function of what is seen, and who expect the first number that they see."""
    members = len(world.seeds)
    weights = torch.from_numpy(Streams(world.seeds, "policy").uniform(world.observation_size, world.action_size)) - 0.5

    def policy(observation):
        assert observation.shape == (members, 1, world.observation_size)
        action = observation @ weights
        return (action > 0).long().squeeze(-1) if world.actions else action.tanh()

    return SimpleNamespace(policy=policy, predict=lambda observation: observation[..., 0])


@pytest.mark.parametrize("name", ["Hopper-v5", "CartPole-v1"])
def test_evaluation_is_gymnasiums_own_episodes(name):
    """Against a plain loop: returns within the time limit, discounted ones up to the horizon, means over episodes."""
    world = GymnasiumWorld(name, [4, 7], CPU)
    agents, gamma = policy_of(world), torch.tensor([0.9, 0.99])
    measured = world.play(agents, gamma, episodes=3, horizon=20)
    seeds = Streams([4, 7], "evaluation").uniform(3, 2).astype(np.float64) * 2**24
    gym = gymnasium.make(name)
    lengths = set()
    for m in range(2):
        returns, discounted, first = [], [], []
        for high, low in seeds[m]:
            observation, _ = gym.reset(seed=int(high) * 2**24 + int(low))
            rewards, over = [], False
            first.append(np.float32(observation[0]))
            while not over:
                seen = torch.from_numpy(observation.astype(np.float32)).expand(2, 1, -1)
                action = agents.policy(seen)[m, 0].numpy()
                observation, reward, terminated, truncated, _ = gym.step(action)
                rewards.append(reward)
                over = terminated or truncated
            lengths.add(len(rewards))
            returns.append(sum(rewards))
            discounted.append(sum(float(gamma[m]) ** t * r for t, r in enumerate(rewards[:20])))
        np.testing.assert_allclose(measured["return"][m], np.mean(returns), rtol=1e-6)
        np.testing.assert_allclose(measured["discounted_return"][m], np.mean(discounted), rtol=1e-6)
        np.testing.assert_allclose(measured["predicted"][m], np.mean(first), rtol=1e-6)
    assert len(lengths) > 2, "episodes of different lengths are compared"


def test_evaluation_goes_on_past_the_time_limit_to_the_horizon():
    """Ten steps count for the return; the discounted return of a reward of 1 for ever comes near 1 / (1 − γ)."""
    world = GymnasiumWorld("Constant-v0", [0], CPU)
    measured = world.play(policy_of(world), torch.tensor([0.9]), episodes=2, horizon=200)
    assert measured["return"].tolist() == [10]
    np.testing.assert_allclose(measured["discounted_return"], 10, rtol=1e-6)
    measured = world.play(policy_of(world), torch.tensor([0.9]), episodes=2, horizon=3)
    np.testing.assert_allclose(measured["discounted_return"], 1 + 0.9 + 0.81, rtol=1e-6)
    assert measured["return"].tolist() == [10]


def test_evaluation_leaves_training_alone_and_repeats_itself():
    world, undisturbed = (GymnasiumWorld("Hopper-v5", [0, 1], CPU) for _ in range(2))
    agents, gamma = policy_of(world), torch.tensor([0.9, 0.99])
    live(world, 10)
    live(undisturbed, 10)
    first = world.play(agents, gamma, episodes=2, horizon=5)
    again = world.play(agents, gamma, episodes=2, horizon=5)
    assert_same(live(world, 50, begin=10), live(undisturbed, 50, begin=10))
    for name, array in first.items():
        assert np.array_equal(array, again[name])
        assert array.dtype == np.float32
    alone = GymnasiumWorld("Hopper-v5", [1], CPU)
    part = alone.play(policy_of(alone), gamma[1:], episodes=2, horizon=5)
    for name, array in part.items():
        np.testing.assert_allclose(array, first[name][1:], rtol=1e-5)


def test_a_film_is_one_episode_and_nothing_after_it():
    world = GymnasiumWorld("CartPole-v1", [0, 1], CPU)
    film = world.play(policy_of(world), torch.tensor([0.9, 0.9]), episodes=1, horizon=5, film=True)
    assert film["episode"].shape == (2, 501, 4)
    for episode, total in zip(film["episode"], film["return"], strict=True):
        shown = ~np.isnan(episode[:, 0])
        steps = int(total)
        assert shown.tolist() == [True] * (steps + 1) + [False] * (500 - steps)
        assert abs(episode[steps, 2]) > np.radians(12) or abs(episode[steps, 0]) > 2.4
    assert np.abs(film["episode"][:, 0]).max() <= 0.05


def test_the_return_of_a_member_that_is_not_a_number_is_none():
    world = GymnasiumWorld("Hopper-v5", [0, 1, 2], CPU)
    agents, gamma = policy_of(world), torch.full((3,), 0.9)
    sound = world.play(agents, gamma, episodes=2, horizon=5)
    policy = agents.policy
    agents.policy = lambda seen: torch.where(torch.tensor([False, True, False])[:, None, None], torch.nan, policy(seen))
    measured = world.play(agents, gamma, episodes=2, horizon=5)
    for name in ("return", "discounted_return"):
        assert np.isnan(measured[name]).tolist() == [False, True, False]
        assert measured[name][[0, 2]].tolist() == sound[name][[0, 2]].tolist()


def test_one_call_trains_in_mujoco():
    arguments = {"steps": 120, "learning_starts": 100, "evaluation_episodes": 1, "hidden": (16,), "progress": False}
    run = rl.train("td3", "Hopper-v5", tau=[1.0, 0.01], seeds=2, evaluate_every=60, **arguments)
    assert run["return"].shape == (2, 2, 2)
    assert np.isfinite(run["return"]).all()
    with pytest.raises(ValueError, match="'Hopper-v5' has continuous actions"):
        rl.train("dqn", "Hopper-v5", progress=False)


def test_tensor_programs_come_first():
    assert isinstance(make_world("Pendulum-v1", [0, 1], CPU), TensorWorld)
    assert isinstance(make_world("Acrobot-v1", [0, 1], CPU), GymnasiumWorld)


@pytest.mark.parametrize(("asked", "nearest"), [("Hoper-v5", "Hopper-v5"), ("CartPole", "CartPole-v1")])
def test_an_unknown_name_is_refused_with_the_nearest(asked, nearest):
    with pytest.raises(ValueError, match=f"unknown environment '{asked}': did you mean '{nearest}'"):
        make_world(asked, [0], CPU)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("LunarLander-v2", "did you mean 'LunarLander-v3'?"),  # of which gymnasium has dropped the very name
        ("HalfChetah-v2", "did you mean 'HalfCheetah-v5'?"),
        ("phys2d/CartPole-v9", "did you mean 'phys2d/CartPole-v1'?"),
        ("ALE/Pong-v5", "nothing is known as 'ALE/'; one of a package is 'package:ALE/Pong-v5'"),
        ("Mine-v0", "one of a package is 'package:Mine-v0'"),
        ("json:Mine-v0", "importing 'json' registered no such name"),
        ("json:Hoper-v5", "did you mean 'Hopper-v5'?"),
    ],
)
def test_an_unknown_name_is_answered_with_what_it_may_mean(asked, answer):
    with pytest.raises(ValueError, match=f"unknown environment '{asked}': .*{re.escape(answer)}"):
        make_world(asked, [0], CPU)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("HalfCheetah-v2", r"moved to the gymnasium-robotics project \(https.*\); or take 'HalfCheetah-v5'$"),
        ("Reacher-v2", "or take 'Reacher-v5'$"),
        ("GymV21Environment-v0", r"run `pip install \"shimmy\[gym-v21\]\"`"),
        ("nowhere_at_all:Mine-v0", "module 'nowhere_at_all' cannot be imported .*; install the package that has it"),
        (":CartPole-v1", r"module '' cannot be imported \(Empty module name\)"),
    ],
)
def test_what_is_not_there_is_answered_with_where_it_is(name, answer):
    with pytest.raises(ImportError, match=f"environment='{name}'.*{answer}"):
        make_world(name, [0], CPU)


def test_a_known_one_whose_package_is_missing_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.box2d.lunar_lander", raising=False)
    with pytest.raises(ImportError, match=r"'LunarLander-v3' needs .*: .*pip install \"gymnasium\[box2d\]\""):
        make_world("LunarLander-v3", [0], CPU)
    monkeypatch.setitem(sys.modules, "jax", None)
    monkeypatch.delitem(sys.modules, "gymnasium.envs.tabular.blackjack", raising=False)
    with pytest.raises(ImportError, match=r"'tabular/Blackjack-v0' needs .*: .*jax"):  # and has no time limit
        make_world("tabular/Blackjack-v0", [0], CPU)


def test_a_module_before_the_name_is_imported_first(tmp_path, monkeypatch):
    """As gymnasium.make does; then it trains, and goes on from its checkpoint."""
    (tmp_path / "walkers.py").write_text(
        "import gymnasium\n"
        "acrobot = 'gymnasium.envs.classic_control.acrobot:AcrobotEnv'\n"
        "gymnasium.register('Walkers-v0', acrobot, max_episode_steps=30)\n"
        "gymnasium.register('of/Walkers-v3', acrobot, max_episode_steps=20)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    world = make_world("walkers:Walkers-v0", [0, 1], CPU)
    assert (world.time_limit, world.actions, world.observation.shape) == (30, 3, (2, 6))
    assert make_world("walkers:of/Walkers-v3", [0], CPU).time_limit == 20
    words = {"steps": 40, "learning_starts": 10, "seeds": 1, "progress": False, "checkpoint": tmp_path / "run.pt"}
    run = rl.train("dqn", "walkers:Walkers-v0", **words)
    assert run.attrs["environment"] == "walkers:Walkers-v0"
    assert np.isfinite(run["return"]).all()
    assert_same_run(rl.train("dqn", "walkers:Walkers-v0", **words), run)


@pytest.mark.parametrize(
    ("name", "message"),
    [("Unlimited-v0", "max_episode_steps"), ("Unbounded-v0", "with bounds"), ("NoVector-v0", "vectors only")],
)
def test_what_the_adapter_cannot_take_is_refused(name, message):
    with pytest.raises(ValueError, match=f"environment='{name}' .*{message}"):
        make_world(name, [0], CPU)


@pytest.fixture
def echoing():
    """``echoing(action_space=…)``: the name of an environment with these spaces, registered for this test."""

    def register(**spaces) -> str:
        gymnasium.register("Spacious-v0", Echo, max_episode_steps=5, kwargs=spaces)
        return "Spacious-v0"

    yield register
    gymnasium.registry.pop("Spacious-v0", None)


LARGEST = np.finfo(np.float32).max


@pytest.mark.parametrize(
    ("space", "message"),
    [
        (Box(-10, 10, (1,), np.int64), "whole numbers"),
        (Box(0, 255, (2,), np.uint8), "whole numbers"),
        (Box(0, 1, (2,), np.bool_), "whole numbers"),
        (Box(-1, 1, ()), "no vector"),
        (Box(-1, 1, (2, 2)), "no vector"),
        (Box(-1, 1, (0,)), "no vector"),
        (Box(np.float32([-1, -np.inf]), np.float32([1, 1])), "with bounds"),
        (Box(-1, np.inf, (1,)), "with bounds"),
        (Box(-LARGEST, LARGEST, (1,)), "with bounds"),
        (Box(np.float32([-1, 3]), np.float32([1, 3])), "low = high"),
        *((space, "neither discrete nor a box") for space in (MultiDiscrete([2, 3]), MultiBinary(2), Text(3))),
        (Dict(a=Discrete(2)), "neither discrete nor a box"),
        (Tuple((Discrete(2), Box(-1, 1, (1,)))), "neither discrete nor a box"),
        (Sequence(Discrete(2)), "neither discrete nor a box"),
        (OneOf((Discrete(2), Box(-1, 1, (1,)))), "neither discrete nor a box"),
    ],
    ids=str,
)
def test_actions_that_no_algorithm_can_choose_are_refused_before_training(space, message, echoing):
    name = echoing(action_space=space)
    for algorithm in ("dqn", "ddpg", "td3", "sac"):
        with pytest.raises(ValueError, match=f"(?s)environment='Spacious-v0' acts by .*{message}.*the adapter takes"):
            rl.train(algorithm, name, progress=False)


@pytest.mark.parametrize(
    "space",
    [Box(-1, 1, ()), Box(-1, 1, (0,)), Box(0, 255, (2, 2), np.uint8), Discrete(3), MultiBinary(2), Text(3)],
    ids=str,
)
def test_observations_that_are_no_vectors_are_refused_before_training(space, echoing):
    name = echoing(observation_space=space)
    with pytest.raises(ValueError, match=r"(?s)environment='Spacious-v0' shows .* vectors only"):
        rl.train("td3", name, progress=False)


@pytest.mark.parametrize(
    "space",
    [
        Box(np.float32([-0.1, -0.7]), np.float32([0.3, 0.9])),
        Box(np.array([-0.1, -0.7]), np.array([0.3, 0.9]), dtype=np.float64),
        Box(-60_000, 60_000, (2,), np.float16),
        Box(np.float16([-0.1, -0.7]), np.float16([0.3, 0.9]), dtype=np.float16),
        Discrete(3, start=-4, dtype=np.int32),
        Discrete(1),
    ],
    ids=str,
)
def test_what_is_sent_lies_in_the_space(space, echoing):
    """In its dtype too, and at its bounds, where a sum is rounded."""
    world = GymnasiumWorld(echoing(action_space=space), [0], CPU)
    if world.actions:
        given = torch.arange(world.actions)[:, None]
    else:
        given = torch.cat([torch.linspace(-1, 1, 101), torch.tensor([-9.0, 9.0, torch.nan, torch.inf])])
        given = given[:, None].expand(-1, 2)
    for sent in world.sent(given.float().numpy()):
        assert space.contains(sent), sent


def test_without_mujoco_the_remedy_is_named(monkeypatch):
    for module in [module for module in sys.modules if module.startswith("gymnasium.envs.mujoco")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "mujoco", None)
    with pytest.raises(ImportError, match=r"'Hopper-v5' needs .*: pip install \"slow-copy\[mujoco\]\""):
        make_world("Hopper-v5", [0], CPU)


def test_environments_are_closed_with_the_world():
    for drop in (True, False):
        world = GymnasiumWorld("Echo-v0", [0, 1], CPU)
        world.play(policy_of(world), torch.ones(2), episodes=1, horizon=1)
        made = [each.unwrapped for vector in world.environments.values() for each in vector.envs]
        gone = weakref.ref(world)
        assert len(made) == 4
        assert not any(each.closed for each in made)
        if drop:
            del world
            gc.collect()
            assert gone() is None
        else:
            world.close()
            world.close()
        assert all(each.closed for each in made)


def test_nothing_is_said_and_no_log_is_left(tmp_path):
    """MuJoCo 4 calls gymnasium's cheetah deprecated, on stderr and in a file, once an environment."""
    code = (
        "import torch; from companion.rl.environments import make_world;"
        "make_world('HalfCheetah-v5', [0, 1], torch.device('cpu'))"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"", b"")
    assert list(tmp_path.iterdir()) == []
