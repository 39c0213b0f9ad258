"""Whole training calls on a second device: nothing is left on the CPU, and no recorded step looks at data."""

from dataclasses import replace
from functools import partial

import gymnasium
import pytest
import torch

from companion import rl
from companion.rl import environments
from companion.rl.algorithms import ALGORITHMS
from tests.fake_device import CPU, DEVICE, DeviceError, in_slices, second_device
from tests.rl.populations import CONTINUOUS, SMALL

SWEPT = {
    "dqn": {"double_q": [False, True]},
    "ddpg": {"target_actor": [False, True]},
    "td3": {"target_actor": [False, True], "clipped_double_q": [False, True], "policy_delay": [1, 2]},
    "sac": {"target_actor": [False, True], "clipped_double_q": [False, True], "learn_temperature": [False, True]},
}
STEPS = {**SMALL, "steps": 12, "learning_starts": 4, "evaluate_every": 6, "horizon": 7}
LIMIT = 5


@pytest.fixture(autouse=True)
def short_episodes(monkeypatch):
    for name, program in environments.KNOWN.items():
        monkeypatch.setitem(environments.KNOWN, name, replace(program, time_limit=LIMIT))
    for name in ("MountainCar-v0", "MountainCarContinuous-v0"):
        monkeypatch.setattr(gymnasium.registry[name], "max_episode_steps", LIMIT)


def train(algorithm: str, **options):
    environment = "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1"
    return rl.train(algorithm, environment, device=DEVICE, **{"seeds": 1, **STEPS, **options})


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_with_evaluations_and_a_film_keeps_to_the_device(algorithm):
    with second_device() as device:
        run = train(algorithm, tau=[1.0, 0.1], period=[1, 3], film=True, **SWEPT.get(algorithm, {}))
    groups = 2 if algorithm == "td3" else 1
    assert device.steps == {"recorded step": groups * STEPS["steps"], "step": 0}
    assert run.attrs["device"] == DEVICE.type
    assert run["return"].notnull().all()


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_so_does_one_in_a_world_on_the_cpu(algorithm):
    """What is recorded there is the learning alone."""
    environment = "MountainCarContinuous-v0" if algorithm in CONTINUOUS else "MountainCar-v0"
    with second_device() as device:
        rl.train(algorithm, environment, device=DEVICE, seeds=2, film=True, **STEPS)
    assert device.steps == {"recorded step": STEPS["steps"] - STEPS["learning_starts"], "step": 0}


BESIDE = {"tau": [1.0, 0.1], "reset_every": [0, 3], "average": [1.0, 0.1]}


@pytest.mark.parametrize(
    ("algorithm", "normalization"),
    [("dqn", "layer"), *((algorithm, each) for algorithm in CONTINUOUS for each in ("layer", "batch"))],
)
def test_so_does_one_with_normalised_layers_resets_and_an_average(algorithm, normalization, tmp_path):
    with second_device() as device:
        train(algorithm, **BESIDE, normalization=normalization, film=True)
    assert device.steps == {"recorded step": STEPS["steps"], "step": 0}
    with second_device() as device:
        in_slices(partial(train, algorithm, **BESIDE, normalization=normalization), tmp_path / "run.pt")
    assert device.saved[0] == {DEVICE}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_checkpoint_is_taken_and_put_back(algorithm, tmp_path):
    with second_device() as device:
        calls = in_slices(partial(train, algorithm, tau=[1.0, 0.1]), tmp_path / "run.pt")
    assert calls == STEPS["steps"] + STEPS["steps"] // STEPS["evaluate_every"]
    *between, last = device.saved
    assert between == [{DEVICE}] * (calls - 1)
    assert not last, "of what is done only the results are kept"


FAULTS = {
    "a number": lambda agents: agents.steps.item(),
    "a branch": lambda agents: bool(agents.steps > 3),
    "a list": lambda agents: agents.settings.tau.tolist(),
    "an array": lambda agents: agents.settings.tau.cpu().numpy(),
    "a mask": lambda agents: agents.settings.tau[agents.settings.tau > 0.5],
    "where": lambda agents: agents.settings.tau.nonzero(),
    "a tensor left on the CPU": lambda agents: agents.settings.tau * torch.ones(1),
    "a number left on the CPU": lambda agents: agents.settings.tau * torch.tensor(0.5),
    "an index left on the CPU": lambda agents: agents.settings.tau[torch.zeros(1, dtype=torch.int64)],
    "a counter on the CPU": lambda agents: CLOCK.add_(1),
    "numbers of the host": lambda agents: agents.settings.tau * torch.tensor([0.5], device=DEVICE),
    "a copy from the CPU": lambda agents: CLOCK.to(DEVICE),
}
CLOCK = torch.zeros((), device=CPU)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_planted_fault_is_found_in_a_step(algorithm, fault, monkeypatch):
    agents_type = ALGORITHMS[algorithm][1]
    learn = agents_type.learn

    def faulty(agents, *arguments):
        FAULTS[fault](agents)
        return learn(agents, *arguments)

    monkeypatch.setattr(agents_type, "learn", faulty)
    with second_device(), pytest.raises(DeviceError):
        train(algorithm)


@pytest.mark.parametrize("fault", ["a tensor left on the CPU", "a number left on the CPU"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_planted_fault_is_found_in_an_evaluation(algorithm, fault, monkeypatch):
    agents_type = ALGORITHMS[algorithm][1]
    predict = agents_type.predict

    def faulty(agents, observation):
        FAULTS[fault](agents)
        return predict(agents, observation)

    monkeypatch.setattr(agents_type, "predict", faulty)
    with second_device(), pytest.raises(DeviceError, match="on cpu and meta"):
        train(algorithm)


CLOCKS = {
    "of steps": lambda agents: setattr(agents, "steps", agents.steps.cpu()),
    "of updates": lambda agents: agents.clock.clock.to(CPU),
}


@pytest.mark.parametrize("clock", CLOCKS)
def test_so_is_a_clock_that_the_agents_keep_on_the_cpu(clock, monkeypatch):
    """Torch takes it for a number, wherever it is, and a recorded step would repeat the one it has seen."""
    make = rl.td3.Agents.__init__

    def made(agents, *arguments):
        make(agents, *arguments)
        CLOCKS[clock](agents)

    monkeypatch.setattr(rl.td3.Agents, "__init__", made)
    with second_device(), pytest.raises(DeviceError, match=r"on cpu and meta|computed on the CPU"):
        train("td3")


def test_so_is_what_a_checkpoint_puts_back_on_the_cpu(monkeypatch, tmp_path):
    from companion.rl.loop import Loop

    load_state_dict = Loop.load_state_dict

    def loaded(loop, state):
        load_state_dict(loop, state)
        loop.agents.steps = loop.agents.steps.cpu()

    monkeypatch.setattr(Loop, "load_state_dict", loaded)
    with second_device(), pytest.raises(DeviceError, match=r"on cpu and meta|computed on the CPU"):
        in_slices(partial(train, "sac"), tmp_path / "run.pt")
