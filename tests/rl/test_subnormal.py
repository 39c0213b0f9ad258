"""Nothing that training carries from step to step decays into subnormal numbers, which make a step slow."""

import pytest
import torch

from companion import supervised, vision
from companion.rl import train
from companion.runs.run import Run

TINY = torch.finfo(torch.float32).tiny


def subnormal(state: object) -> int:
    """How many numbers of a state are subnormal."""
    if isinstance(state, torch.Tensor):
        return int(((state != 0) & (state.abs() < TINY)).sum()) if state.is_floating_point() else 0
    if isinstance(state, dict):
        return sum(map(subnormal, state.values()))
    if isinstance(state, (list, tuple)):
        return sum(map(subnormal, state))
    return 0


@pytest.fixture
def states(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """How many there were at the last step of each run, counted there: a state shares its program's memory."""
    found: list[object] = []
    steps = Run.steps

    def watched(self, own, program):
        yield from steps(self, own, program)
        found.append(subnormal(program.state_dict()))

    monkeypatch.setattr(Run, "steps", watched)
    return found


@pytest.mark.parametrize(
    ("algorithm", "environment"),
    [("dqn", "CartPole-v1"), ("ddpg", "Pendulum-v1"), ("td3", "Pendulum-v1"), ("sac", "Pendulum-v1")],
)
def test_no_agent_carries_them(algorithm, environment, states) -> None:
    train(algorithm, environment, seeds=4, steps=2_200, evaluate_every=2_200, evaluation_episodes=1, progress=False)
    assert states == [0]


def test_no_classifier_and_no_average_carries_them(states) -> None:
    supervised.train("digits", tau=[0.1, 0.001], seeds=2, steps=1_200, evaluate_every=1_200, progress=False)
    assert states == [0]


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_no_encoder_carries_them(algorithm, states) -> None:
    data = vision.shapes(train=256, test=64)
    vision.train(algorithm, data, seeds=1, epochs=100, batch_size=64, evaluate_every=100, progress=False)
    assert states == [0]
