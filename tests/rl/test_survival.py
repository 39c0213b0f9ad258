"""Training that survives: killed, interrupted, diverged or split over processes, a run keeps what it has."""

import copy
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from functools import partial
from io import StringIO
from types import SimpleNamespace

import gymnasium
import numpy as np
import pytest
import torch
import xarray as xr
from gymnasium.envs.registration import WrapperSpec

from companion import rl
from companion.members import MLP, Adam
from companion.rl import dqn
from companion.rl.algorithms import ALGORITHMS
from companion.rl.environments import TensorWorld
from companion.rl.environments.adapter import GymnasiumWorld
from companion.rl.loop import Loop
from tests.helpers import (
    assert_can_be_kept,
    assert_same_numbers,
    assert_same_run,
    child_environment,
    fail,
    in_call,
    killed_and_resumed,
    needs_cuda,
    press_ctrl_c,
    torchrun,
)
from tests.rl.populations import SMALL as SMALLEST

SMALL = {**SMALLEST, "evaluate_every": 15, "seeds": 2}


def train(algorithm="dqn", environment="CartPole-v1", **settings) -> xr.Dataset:
    return rl.train(algorithm, environment, **{**SMALL, **settings})


@pytest.fixture
def at(monkeypatch):
    """``at(n, do)``: do something within the n-th step of all from now on."""
    return partial(in_call, monkeypatch, Loop, "collect")


@pytest.mark.parametrize(("algorithm", "environment"), [("dqn", "CartPole-v1"), ("td3", "Pendulum-v1")])
def test_killed_at_random_moments_a_run_ends_with_the_same_bits(algorithm, environment, tmp_path):
    call = (
        f"companion.rl:train({algorithm!r}, {environment!r}, tau=[1.0, 0.1], period=[1, 3], seeds=2, steps=300, "
        "learning_starts=60, batch_size=8, hidden=(16,), evaluate_every=50, evaluation_episodes=1, buffer_size=100, "
        "progress=False)"
    )
    step = "companion.rl.loop:Loop.collect"
    results = killed_and_resumed(tmp_path / "run.pt", step, call, kills=8, latest=25, pause=0.004)
    assert set(results) >= {"return", "loss", "predicted"}
    assert np.isfinite(results["loss"][..., -1]).all()


def test_a_run_that_has_ended_is_returned_without_training(tmp_path, at):
    path = tmp_path / "run.pt"
    run = train(checkpoint=path, film=True)
    at(1, fail)
    again = train(checkpoint=str(path), film=True)
    xr.testing.assert_identical(run, again)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


@pytest.mark.parametrize(("failing", "every"), [(25, 0), (61, 60), (100, 60), (100, 0)])
def test_groups_that_train_one_after_another_are_resumed_where_it_broke(failing, every, tmp_path, at, monkeypatch):
    """Films too: two groups of 60 steps, broken off in the n-th step of all. A group that has ended is always kept."""
    settings = {"hidden": [(16,), (8, 8)], "film": True}
    whole = train(**settings)
    at(failing, fail)
    with pytest.raises(RuntimeError, match="power cut"):
        train(**settings, checkpoint=tmp_path / "run.pt", checkpoint_every=every)
    monkeypatch.undo()
    at(1 + 120 - (failing - 1 if every == 0 else 60), fail)  # would be one step more than are left
    assert_same_run(whole, train(**settings, checkpoint=tmp_path / "run.pt"))


@pytest.mark.parametrize("algorithm", ["ddpg", "td3", "sac"])
def test_every_algorithm_goes_on_from_its_checkpoint(algorithm, tmp_path, at, monkeypatch):
    """Over gymnasium's adapter, in the middle of an episode; TD3 updates its actor at every third update."""
    settings = {"environment": "MountainCarContinuous-v0", "horizon": 5, "evaluation_episodes": 1, "evaluate_every": 60}
    settings |= {"policy_delay": 3} if algorithm == "td3" else {}
    whole = train(algorithm, **settings)
    at(41, press_ctrl_c)
    assert train(algorithm, **settings, checkpoint=tmp_path / "run.pt").attrs["interrupted"] == "at step 41 of 60"
    monkeypatch.undo()
    assert_same_run(whole, train(algorithm, **settings, checkpoint=tmp_path / "run.pt"))


def test_ctrl_c_returns_what_was_trained_so_far(at):
    before = signal.getsignal(signal.SIGINT)
    whole = train()
    at(31, press_ctrl_c)
    run = train()
    assert run.attrs["interrupted"] == "at step 31 of 60"
    assert run.attrs["trained"] == pytest.approx(31 / 60)
    assert run["step"].values.tolist() == [15, 30, 45, 60]
    for name in run.data_vars:
        np.testing.assert_array_equal(run[name].isel(step=slice(2)), whole[name].isel(step=slice(2)))
        assert run[name].isel(step=slice(2, None)).isnull().all()
    assert signal.getsignal(signal.SIGINT) is before
    assert "interrupted" not in whole.attrs
    assert "trained" not in whole.attrs


def test_ctrl_c_at_the_very_first_step_gives_a_labelled_nothing_and_twice_ends_it_at_once(at):
    at(1, press_ctrl_c)
    run = train(tau=[1.0, 0.1], hidden=[(16,), (8,)], film=True)
    assert set(run["return"].dims) == {"tau", "hidden", "seed", "step"}
    assert all(run[name].isnull().all() for name in run.data_vars)
    assert run.attrs["interrupted"] == "between steps 0 and 1 of 60"
    at(1, lambda: (press_ctrl_c(), press_ctrl_c()))
    with pytest.raises(KeyboardInterrupt):
        train()


def test_a_run_stops_when_its_minutes_are_over_and_goes_on_when_called_again(tmp_path):
    """Each call takes a step at least, or makes up for the evaluation that the one before had no time for."""
    whole = train(film=True)
    path = tmp_path / "run.pt"
    for step in (n for mark in (15, 30, 45, 60) for n in (*range(mark - 14, mark), mark - 1, mark)):
        run = train(checkpoint=path, minutes=0, film=True)
        assert run.attrs.get("interrupted") == (f"at step {step} of 60" if step < 60 else None)
    assert_same_run(whole, run)


@pytest.fixture
def endless():
    """The name of an environment whose episodes go on for a million steps."""
    entry = "gymnasium.envs.classic_control.pendulum:PendulumEnv"
    gymnasium.register("Endless-v0", entry, max_episode_steps=1_000_000)
    yield "Endless-v0"
    gymnasium.registry.pop("Endless-v0")


def press_ctrl_c_in_play(monkeypatch, world: type, of_film: bool) -> None:
    """In the fourth step of an evaluation, or of the film; there may be no fifth."""
    play = world.play

    def watched(self, agents, *words, film=False, **more):
        steps = [0]

        def policy(observation):
            steps[0] += film == of_film
            assert steps[0] <= 4
            if steps[0] == 4:
                press_ctrl_c()
            return agents.policy(observation)

        return play(self, SimpleNamespace(policy=policy, predict=agents.predict), *words, film=film, **more)

    monkeypatch.setattr(world, "play", watched)


@pytest.mark.parametrize("film", [False, True], ids=["evaluation", "film"])
@pytest.mark.parametrize(
    ("algorithm", "environment", "world"),
    [("dqn", "CartPole-v1", TensorWorld), ("td3", "Pendulum-v1", TensorWorld), ("dqn", "Acrobot-v1", GymnasiumWorld)],
)
def test_an_evaluation_is_broken_off_within_a_step_and_made_up_for(
    algorithm, environment, world, film, tmp_path, at, monkeypatch
):
    settings = {"evaluation_episodes": 1, "horizon": 5, "film": True, "evaluate_every": 30, "seeds": 1}
    whole = train(algorithm, environment, **settings)
    press_ctrl_c_in_play(monkeypatch, world, film)
    last = 60 if film else 30
    run = train(algorithm, environment, **settings, checkpoint=tmp_path / "run.pt")
    assert run.attrs["interrupted"] == f"at step {last - 1} of 60"
    assert run["return"].isel(step=last // 30 - 1).isnull().all()
    monkeypatch.undo()
    at(60 - last + 1, fail)  # the step itself is not taken again
    assert_same_run(whole, train(algorithm, environment, **settings, checkpoint=tmp_path / "run.pt"))


def test_minutes_and_memory_do_not_hang_on_the_time_limit(endless, tmp_path):
    """Evaluating a million steps takes minutes, and their actions fill megabytes."""
    settings = {"evaluate_every": 2, "film": True, "checkpoint": tmp_path / "run.pt"}
    run = train("td3", endless, **settings, minutes=0)
    assert run.attrs["interrupted"] == "at step 1 of 60"
    assert (tmp_path / "run.pt").stat().st_size < 1e6
    run = train("td3", endless, **settings, minutes=0)
    assert run.attrs["interrupted"] == "at step 1 of 60"
    assert run["return"].isnull().all()


_TOLD_TO_END = """
import os, signal, sys
from companion import rl
from companion.rl.loop import Loop
reading, writing = os.pipe()
os.set_blocking(writing, False)
signal.set_wakeup_fd(writing)
collect, steps = Loop.collect, [0]
def counted(loop):
    steps[0] += 1
    if steps[0] == 31:
        print("in step 31", flush=True)
        os.read(reading, 1)  # until the signal is there
    collect(loop)
Loop.collect = counted
run = rl.train("dqn", "CartPole-v1", **eval(sys.argv[1]), checkpoint=sys.argv[2])
print(run.attrs["interrupted"], signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
"""


def test_a_process_that_is_told_to_end_writes_its_checkpoint_and_ends(tmp_path):
    """SIGTERM, as a cluster sends it, to a real process; it goes on from there with the same bits."""
    words = [sys.executable, "-c", _TOLD_TO_END, repr(SMALL), str(tmp_path / "run.pt")]
    with subprocess.Popen(words, env=child_environment(), stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout.readline() == "in step 31\n"
        child.send_signal(signal.SIGTERM)
        said, _ = child.communicate(timeout=120)
    assert child.returncode == 0
    assert said == "at step 31 of 60 True\n"
    whole = train()
    assert_same_numbers(whole, train(checkpoint=tmp_path / "run.pt"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tau": 0.5}, "tau was 1.0 and is 0.5"),
        ({"seeds": [0, 2]}, "seeds was [0, 1] and is [0, 2]"),
        ({"steps": 61}, "steps was 60 and is 61"),
        ({"algorithm": "dqn", "hidden": (17,)}, "hidden was (16,) and is (17,)"),
    ],
)
def test_a_checkpoint_of_other_arguments_is_refused_before_training(changed, message, tmp_path, at):
    path = tmp_path / "run.pt"
    train(checkpoint=path)
    before = path.read_bytes()
    at(1, fail)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(**changed, checkpoint=path)
    assert path.read_bytes() == before


class Walk(gymnasium.Env):
    """Rewards with a scale."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Discrete(2)

    def __init__(self, scale=1.0, table=None, log=None):
        self.scale = scale

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return np.zeros(1, np.float32), {}

    def step(self, action):
        return np.zeros(1, np.float32), self.scale * (2.0 * action - 1), False, False, {}


class OtherWalk(Walk):
    """A class of another name."""


def walk_of(scale: float):
    return lambda **kwargs: Walk(scale, **kwargs)


def wrapped(name: str) -> tuple[WrapperSpec, ...]:
    return (WrapperSpec(name, f"gymnasium.wrappers:{name}", {"max_episode_steps": 5}),)


@pytest.fixture
def register(monkeypatch):
    """Register ``Walk-v0``, in the place of the one before."""
    monkeypatch.setattr(gymnasium.envs.registration, "registry", registry := dict(gymnasium.registry))
    monkeypatch.setattr(gymnasium, "registry", registry)

    def register(entry=Walk, limit=10, wrappers=(), **kwargs):
        registry.pop("Walk-v0", None)
        gymnasium.register("Walk-v0", entry, max_episode_steps=limit, kwargs=kwargs, additional_wrappers=wrappers)

    return register


TABLE = np.linspace(0, 1, 1_000)


@pytest.mark.parametrize(
    ("first", "then", "message"),
    [
        ({"scale": 1.0}, {"scale": 100.0}, "registered['kwargs']['scale'] was 1.0 and is 100.0"),
        ({}, {"scale": 1.0}, "registered['kwargs']['scale'] was not recorded and is 1.0"),
        ({"table": TABLE}, {"table": TABLE + 1e-9}, "registered['kwargs']['table'] was 'numpy:ndarray of float64"),
        ({"table": {"a": torch.ones(2)}}, {"table": {"a": torch.zeros(2)}}, "registered['kwargs']['table']['a'] was"),
        ({}, {"entry": OtherWalk}, f"registered['entry_point'] was '{__name__}:Walk' and is '{__name__}:OtherWalk'"),
        ({"entry": walk_of(1.0)}, {"entry": walk_of(2.0)}, "registered['entry_point'] was"),
        ({}, {"limit": 20}, "registered['max_episode_steps'] was 10 and is 20"),
        ({}, {"wrappers": wrapped("TimeLimit")}, "registered['additional_wrappers'] was () and is ("),
    ],
)
def test_a_checkpoint_of_the_same_name_registered_otherwise_is_refused(first, then, message, tmp_path, register):
    register(**first)
    run = train(environment="Walk-v0", horizon=5, checkpoint=tmp_path / "run.pt")
    register(**copy.deepcopy(first))
    assert_same_run(run, train(environment="Walk-v0", horizon=5, checkpoint=tmp_path / "run.pt"))
    assert_can_be_kept(run, tmp_path)
    register(**then)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(environment="Walk-v0", horizon=5, checkpoint=tmp_path / "run.pt")


class Log:
    """Can be copied, which gymnasium asks for, and not be written down."""

    def __init__(self):
        self.lock = threading.Lock()

    def __deepcopy__(self, memo):
        return self


def test_what_cannot_be_compared_is_refused_with_a_checkpoint_only(tmp_path, register, at):
    register(log=Log())
    run = train(environment="Walk-v0", horizon=5)
    assert "kwargs {'log': <" in run.attrs["registered"]
    at(1, fail)
    with pytest.raises(TypeError, match=r"argument registered\['kwargs'\]\['log'\] is a Log; a checkpoint holds plain"):
        train(environment="Walk-v0", horizon=5, checkpoint=tmp_path / "run.pt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"checkpoint": "nowhere/run.pt"}, "there is no folder"),
        ({"checkpoint": "."}, "is a folder"),
        ({"checkpoint_every": -1}, "checkpoint_every=-1 must be at least 0"),
    ],
)
def test_a_checkpoint_that_cannot_be_written_is_refused_before_training(arguments, message, at, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    at(1, fail)
    with pytest.raises(ValueError, match=message):
        train(**arguments)


def test_what_diverges_is_named_leaves_a_gap_and_touches_no_other(tmp_path, at, monkeypatch):
    run = train(learning_rate=[1e-3, 1e30])
    assert run.attrs["diverged"] == "learning_rate=1e+30, seed=0 at step 30; learning_rate=1e+30, seed=1 at step 30"
    gone = run.sel(learning_rate=1e30)
    for name in ("return", "discounted_return", "predicted"):
        assert gone[name].notnull().values.tolist() == [[True, False, False, False]] * 2
    assert run.sel(learning_rate=1e-3)["loss"].isel(step=slice(1, None)).notnull().all()
    tame = train(learning_rate=1e-3)
    assert "diverged" not in tame.attrs
    for name in tame.data_vars:
        np.testing.assert_array_equal(tame[name], run[name].sel(learning_rate=1e-3))
    at(50, press_ctrl_c)
    train(learning_rate=[1e-3, 1e30], checkpoint=tmp_path / "run.pt")
    monkeypatch.undo()
    assert_same_run(run, train(learning_rate=[1e-3, 1e30], checkpoint=tmp_path / "run.pt"))


@pytest.mark.parametrize(
    ("algorithm", "environment", "setting"),
    [
        ("td3", "Pendulum-v1", "critic_learning_rate"),
        ("sac", "Pendulum-v1", "actor_learning_rate"),
        ("ddpg", "MountainCarContinuous-v0", "actor_learning_rate"),
    ],
)
def test_agents_that_diverge_disturb_neither_world_nor_evaluation(algorithm, environment, setting):
    """Warnings are errors here."""
    more = {"evaluation_episodes": 1, "horizon": 5, "evaluate_every": 60}
    run = train(algorithm, environment, **{setting: [1e-3, 1e38]}, seeds=1, **more)
    tame = train(algorithm, environment, **{setting: 1e-3}, seeds=1, **more)
    assert run["return"].sel({setting: 1e38}).isel(step=-1).isnull().all()
    for name in tame.data_vars:
        np.testing.assert_allclose(tame[name], run[name].sel({setting: 1e-3}), rtol=1e-5)  # kernels may round otherwise


def test_two_processes_give_the_result_of_one(tmp_path):
    script = tmp_path / "trains.py"
    script.write_text(f"""
import sys
import numpy as np
from companion import rl
from companion.runs.processes import launched
rank = launched().rank
settings = {SMALL!r} | dict(tau=[1.0, 0.1, 0.01], hidden=[(16,), (32,)], seeds=3, learning_rate=[1e-3, 1e30], film=True)
for path in sys.argv[1:]:
    for _ in range(2):
        run = rl.train("dqn", "CartPole-v1", **settings, checkpoint=path)
    run.to_netcdf(f"{{path}}.{{rank}}.nc", engine="scipy")
    alone = rl.train("dqn", "CartPole-v1", **settings | dict(hidden=(16,), tau=1.0, learning_rate=1e-3, seeds=[7]))
    sys.stdout.write(f"{{alone.sizes['seed']}} {{bool(alone['return'].notnull().all())}}\\n")
""")
    ended = torchrun(script, str(tmp_path / "run.pt"))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["1 True"] * 2, "one member, and a process with none"
    assert {file.name for file in tmp_path.glob("*.pt")} == {"run.rank-0-of-2.pt", "run.rank-1-of-2.pt"}
    settings = {"hidden": [(16,), (32,)], "learning_rate": [1e-3, 1e30], "film": True}
    one = train(tau=[1.0, 0.1, 0.01], **settings | {"seeds": 3})
    assert "diverged" in one.attrs
    for rank in range(2):
        with xr.open_dataset(tmp_path / f"run.pt.{rank}.nc", engine="scipy") as both:
            xr.testing.assert_equal(one, both.load())
            assert both.attrs["diverged"] == one.attrs["diverged"]


class Wanderers(dqn.Agents):
    """A reader's agents: they stay with their last action now and then, by a state of their own."""

    def __init__(self, *arguments) -> None:
        super().__init__(*arguments)
        self.keep(torch.zeros_like(self.steps))

    def keep(self, state) -> None:
        self.register_buffer("own", state)

    def wander(self, action: torch.Tensor) -> None:
        self.own.add_(action.sum())

    def act(self, observation, noise):
        action = super().act(observation, noise)
        self.wander(action)
        return (action + self.drift()) % 2

    def drift(self) -> torch.Tensor | int:
        return self.own


class Rebinding(Wanderers):
    def wander(self, action):
        self.own = self.own + action.sum()


class InAModule(Wanderers):
    def keep(self, state):
        self.within = torch.nn.ModuleList([torch.nn.Linear(1, 1)])
        self.within[0].register_buffer("own", state)
        self.own = state


class Stateless(dqn.Agents):
    def act(self, observation, noise):
        return 1 - super().act(observation, noise)


def in_a_notebook() -> type:
    """Agents with a second head, of a class that was made in a notebook and so is of no package."""
    names = {"dqn": dqn, "torch": torch, "Adam": Adam, "MLP": MLP, "__name__": "__main__"}
    exec(
        """
class Bonus(torch.nn.Module):
    def __init__(self, agents, settings, seeds):
        super().__init__()
        self.network = MLP((4, 8, 1), seeds, purpose="bonus")
        self.optimizer = Adam(self.network, settings.learning_rate)

class Curious(dqn.Agents):
    def __init__(self, settings, observation_size, actions, seeds, device):
        super().__init__(settings, observation_size, actions, seeds, device)
        self.bonus = Bonus(self, settings, seeds)

    def learn(self, batch, noise, update):
        error = (self.bonus.network(batch.observation).squeeze(-1) - 1).square()
        self.bonus.optimizer.descend(error.mean(-1).sum())
        return super().learn(batch._replace(reward=batch.reward + error.detach()), noise, update)
""",
        names,
    )
    return names["Curious"]


@pytest.fixture
def entered(monkeypatch):
    """``entered(agents_type)``: the name of an algorithm with a reader's agents."""

    def enter(agents_type: type) -> str:
        monkeypatch.setitem(ALGORITHMS, "mine", (dqn.DQNSettings, agents_type))
        return "mine"

    return enter


@pytest.mark.parametrize("agents", [Wanderers, Rebinding, InAModule, Stateless, in_a_notebook()])
def test_a_readers_agents_go_on_from_their_checkpoint_with_the_same_bits(agents, entered, tmp_path):
    name = entered(agents)
    whole = train(name)
    run = train(name, checkpoint=tmp_path / "run.pt", minutes=0)
    while "interrupted" in run.attrs:
        run = train(name, checkpoint=tmp_path / "run.pt", minutes=0)
    assert_same_run(whole, run)


def with_state(make):
    methods = {"keep": lambda self, state: setattr(self, "own", make(self)), "act": dqn.Agents.act}
    return type("Mine", (Wanderers,), methods)


def closing_over(state):
    return lambda: state


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda self: torch.optim.SGD([torch.zeros(1, requires_grad=True)]), "agents.own is a torch.optim.sgd.SGD"),
        (lambda self: torch.optim.Adam(self.online.parameters()), "agents.own is a torch.optim.adam.Adam"),
        (lambda self: torch.Generator(), "agents.own is a torch._C.Generator"),
        (lambda self: np.random.default_rng(0), "agents.own is a numpy.random._generator.Generator"),
        (lambda self: np.zeros(3), "agents.own is a numpy.ndarray"),
        (lambda self: {"recent": [deque(maxlen=3)]}, "agents.own.recent.0 is a collections.deque"),
        (lambda self: closing_over(deque()), "agents.own.state is a collections.deque"),
        (lambda self: partial(print, file=StringIO()), "agents.own.keywords.file is a _io.StringIO"),
        (lambda self: deque().append, "agents.own.__self__ is a collections.deque"),
    ],
)
def test_a_state_that_no_checkpoint_holds_is_refused_by_name_before_training(make, message, entered, tmp_path, at):
    name = entered(with_state(make))
    assert "interrupted" not in train(name).attrs, "without a checkpoint there is nothing to refuse"
    at(1, fail)
    with pytest.raises(TypeError, match=f"{re.escape(message)}, whose state a checkpoint would not hold"):
        train(name, checkpoint=tmp_path / "run.pt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("make", "place"),
    [
        (lambda self: torch.zeros(2), "agents.own"),
        (lambda self: [torch.zeros(2)], "agents.own.0"),
        (lambda self: {"modules": [torch.nn.Linear(1, 1)]}, "agents.own.modules.0"),
    ],
)
def test_so_is_a_tensor_that_the_state_dict_does_not_hold(make, place, entered, tmp_path, at):
    name = entered(with_state(make))
    at(1, fail)
    with pytest.raises(ValueError, match=f"{re.escape(place)} is a (tensor|module) that its state_dict does not hold"):
        train(name, checkpoint=tmp_path / "run.pt")
    assert not list(tmp_path.iterdir())


class Counting(Wanderers):
    def keep(self, state):
        self.own = 0

    def wander(self, action):
        self.own += 1


class Growing(Wanderers):
    def keep(self, state):
        self.own = None

    def wander(self, action):
        self.own = action if self.own is None else torch.cat([self.own, action])

    def drift(self):
        return 0


class Annealed(dqn.Agents):
    def act(self, observation, noise):
        self.settings.gamma.mul_(0.999)
        return super().act(observation, noise)


@pytest.mark.parametrize(
    ("agents", "message"),
    [
        (Counting, "agents.own was 0 and is 1, which a checkpoint does not hold"),
        (Growing, "agents.own is a tensor that its state_dict does not hold"),
        (Annealed, "agents.settings.gamma was"),
    ],
)
def test_what_lasts_elsewhere_than_in_the_state_dict_is_refused_by_name(agents, message, entered, tmp_path):
    name = entered(agents)
    with pytest.raises(ValueError, match=re.escape(message)):
        train(name, checkpoint=tmp_path / "run.pt", minutes=0)
    assert not list(tmp_path.iterdir())
    assert "interrupted" not in train(name).attrs
    assert train(name, minutes=0).attrs["interrupted"] == "at step 1 of 60", "nothing is kept, and nothing refused"


@pytest.mark.parametrize(
    ("draw", "whose"),
    [(lambda: torch.rand(1), "torch"), (lambda: np.random.rand(), "NumPy")],  # noqa: NPY002
)
def test_random_numbers_that_no_checkpoint_can_go_on_with_are_refused_by_name(draw, whose, entered, tmp_path):
    name = entered(type("Drawing", (Wanderers,), {"wander": lambda self, action: draw()}))
    with pytest.raises(ValueError, match=f"random numbers of {whose}'s global generator were used"):
        train(name, checkpoint=tmp_path / "run.pt", minutes=0)
    assert "interrupted" not in train(name).attrs


@needs_cuda
@pytest.mark.parametrize(("algorithm", "environment"), [("dqn", "CartPole-v1"), ("td3", "Pendulum-v1")])
def test_a_step_recorded_as_a_graph_is_the_step(algorithm, environment, monkeypatch):
    settings = {"device": "cuda", "tau": [1.0, 0.1], "evaluation_episodes": 1}
    recorded = train(algorithm, environment, **settings)
    monkeypatch.setattr("companion.rl.loop.Captured", lambda function, **more: function)
    assert_same_run(recorded, train(algorithm, environment, **settings))


@needs_cuda
def test_a_run_on_a_gpu_goes_on_from_its_checkpoint(tmp_path, at):
    settings = {"device": "cuda", "environment": "Pendulum-v1", "evaluation_episodes": 1}
    whole = train("td3", **settings)
    at(24, press_ctrl_c)  # in the fourth step that learns, the first that is recorded
    broken = train("td3", **settings, checkpoint=tmp_path / "run.pt")
    assert broken.attrs["interrupted"] == "at step 24 of 60"
    assert_same_run(whole, train("td3", **settings, checkpoint=tmp_path / "run.pt"))
