"""A run whose steps cannot be recorded says so once, by name, and has the same numbers; shown on a CPU, by recorders
that stand in for a GPU's."""

import warnings

import pytest

from companion import rl
from companion.rl.algorithms import ALGORITHMS
from companion.rl.loop import Loop
from companion.runs import capture
from tests.fake_device import Tracing
from tests.helpers import assert_same_numbers
from tests.rl.populations import CONTINUOUS, SMALL

GROUPS = {"hidden": [(16,), (8, 8)], "tau": [1.0, 0.1], "seeds": 2}


def train(algorithm: str, environment: str = "", **settings):
    environment = environment or ("Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1")
    return rl.train(algorithm, environment, **{**SMALL, "evaluate_every": 30, **GROUPS, **settings})


@pytest.fixture
def recorders(monkeypatch) -> list[Tracing]:
    """The CPU has recorders now; those that were made."""
    made: list[Tracing] = []

    def make(device):
        made.append(Tracing(device))
        return made[-1]

    monkeypatch.setitem(capture.RECORDERS, "cpu", make)
    return made


def look(monkeypatch, algorithm: str) -> None:
    """Let the agents look at data when they learn."""
    agents_type = ALGORITHMS[algorithm][1]
    learn = agents_type.learn

    def looking(agents, *arguments):
        seen = learn(agents, *arguments)
        assert bool(agents.steps > 0)
        return seen

    monkeypatch.setattr(agents_type, "learn", looking)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_algorithm_can_be_recorded(algorithm, recorders):
    with pytest.MonkeyPatch.context() as patch:
        patch.delitem(capture.RECORDERS, "cpu")
        plain = train(algorithm)
    assert not recorders
    assert_same_numbers(plain, train(algorithm))
    forms = 2 if algorithm == "td3" else 1  # every second update is with the actor
    assert [each.recorded for each in recorders] == [1] * (1 + forms) * len(GROUPS["hidden"])


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_one_that_cannot_says_so_once_and_has_the_same_numbers(algorithm, recorders, monkeypatch):
    plain = train(algorithm)
    look(monkeypatch, algorithm)
    recorders.clear()
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        run = train(algorithm)
    assert_same_numbers(plain, run)
    assert sum(each.recorded for each in recorders) == len(GROUPS["hidden"]), "what comes before learning starts is"
    (message,) = [str(warning.message) for warning in said]
    assert message.startswith(f"{algorithm} could not be recorded")
    assert "_local_scalar_dense" in message


def test_so_does_one_in_a_world_on_the_cpu(recorders, monkeypatch):
    plain = train("dqn", "MountainCar-v0", hidden=(8,), seeds=1)
    look(monkeypatch, "dqn")
    with pytest.warns(RuntimeWarning, match="dqn could not be recorded") as said:
        run = train("dqn", "MountainCar-v0", hidden=(8,), seeds=1)
    assert len(said) == 1
    assert_same_numbers(plain, run)


def test_and_every_run_says_it_anew(recorders, monkeypatch):
    look(monkeypatch, "dqn")
    for _ in range(2):
        with pytest.warns(RuntimeWarning, match="dqn could not be recorded"):
            train("dqn", hidden=(8,), seeds=1, tau=1.0)


def test_it_goes_on_from_a_checkpoint_that_came_before_the_recording(recorders, monkeypatch, tmp_path):
    look(monkeypatch, "td3")
    with pytest.warns(RuntimeWarning):
        whole = train("td3", hidden=(8,), seeds=1)
    step = Loop.collect
    steps = []

    def fails(loop):
        steps.append(1)
        if len(steps) == 25:
            raise KeyboardInterrupt
        step(loop)

    monkeypatch.setattr(Loop, "collect", fails)
    path = tmp_path / "run.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with pytest.raises(KeyboardInterrupt):
            train("td3", hidden=(8,), seeds=1, checkpoint=path, checkpoint_every=0)
        assert_same_numbers(whole, train("td3", hidden=(8,), seeds=1, checkpoint=path))
