"""A training call's numbers are its own, whatever modes of torch its caller is in."""

import contextlib
import functools

import pytest
import torch

from companion import generation, rl, supervised, vision
from companion.runs.modes import plain_modes
from tests.helpers import assert_same_run
from tests.rl.populations import SMALL

PICTURES = vision.shapes(train=64, test=32)
OF_PICTURES = {"batch_size": 32, "hidden": 16, "embedding": 8, "epochs": 1, "seeds": 1, "progress": False}
AGENTS = {**SMALL, "steps": 30, "evaluate_every": 30, "evaluation_episodes": 1, "seeds": 2}

CALLS = {
    "dqn": lambda: rl.train("dqn", "CartPole-v1", **AGENTS, film=True),
    "dqn in gymnasium": lambda: rl.train("dqn", "Acrobot-v1", **AGENTS, horizon=5),
    **{name: lambda name=name: rl.train(name, "Pendulum-v1", **AGENTS) for name in ("ddpg", "td3", "sac")},
    "supervised": lambda: supervised.train("digits", steps=10, batch_size=4, seeds=2, tau=[0.5, 0.1], progress=False),
    **{
        name: lambda name=name: generation.train(name, steps=10, seeds=2, tau=[0.5, 0.1], samples=16, progress=False)
        for name in generation.METHODS
    },
    "byol": lambda: vision.train("byol", PICTURES, **OF_PICTURES, keep_features=True),
    "moco": lambda: vision.train("moco", PICTURES, **OF_PICTURES, queue_size=64),
}


@contextlib.contextmanager
def float64():
    torch.set_default_dtype(torch.float64)
    try:
        yield
    finally:
        torch.set_default_dtype(torch.float32)


MODES = {
    "autocast to bf16": lambda: torch.autocast("cpu", torch.bfloat16),
    "no gradients": torch.no_grad,
    "inference mode": torch.inference_mode,
    "float64 by default": float64,
    "another device by default": lambda: torch.device("meta"),
}


def modes() -> tuple:
    return (
        torch.is_autocast_enabled("cpu"),
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.get_default_dtype(),
        torch.get_default_device(),
    )


@functools.cache
def plain(name: str):
    return CALLS[name]()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CALLS)
def test_the_callers_modes_change_no_bit_and_are_as_they_were_afterwards(name, mode):
    whole = plain(name)
    with MODES[mode]():
        before = modes()
        run = CALLS[name]()
        assert modes() == before
    assert modes() == (False, True, False, torch.float32, torch.device("cpu"))
    assert_same_run(whole, run)


@pytest.mark.parametrize("mode", MODES)
def test_the_callers_modes_come_back_after_an_error_too(mode):
    with MODES[mode]():
        before = modes()
        with pytest.raises(ValueError, match="steps=0"):
            supervised.train("digits", steps=0)
        assert modes() == before


def test_what_is_deterministic_or_fast_stays_the_callers():
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    try:
        with plain_modes():
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.use_deterministic_algorithms(False)
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize("mode", MODES)
def test_pictures_and_what_is_trained_on_them_are_the_same_made_in_any_mode(mode):
    with MODES[mode]():
        made = vision.shapes(train=64, test=32)
    assert torch.equal(made.train.images, PICTURES.train.images)
    assert_same_run(plain("moco"), vision.train("moco", made, **OF_PICTURES, queue_size=64))


@pytest.mark.parametrize("mode", ["no gradients", "inference mode", "autocast to bf16"])
def test_a_linear_probe_is_fitted_in_any_mode(mode):
    numbers = torch.Generator().manual_seed(0)
    train, test = (torch.randn(200, 5, generator=numbers) for _ in range(2))
    labels = (train @ torch.randn(5, 3, generator=numbers)).argmax(1)
    told = vision.probes.linear_probe(train, labels, test, classes=3)
    with MODES[mode]():
        made = [tensor.clone() for tensor in (train, labels, test)]
        assert torch.equal(vision.probes.linear_probe(*made, classes=3), told)
