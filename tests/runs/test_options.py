"""The options of every run, and what is said of where it ran."""

import inspect
import time

import pytest
import torch

from companion import generation, rl, supervised, vision
from companion.runs.options import Options, choose_device
from companion.runs.run import origin

OPTIONS = ["device", "checkpoint", "checkpoint_every", "minutes", "progress"]


@pytest.mark.parametrize(
    "train", [rl.train, supervised.train, vision.train, generation.train], ids=lambda train: train.__module__
)
def test_every_training_call_shows_and_describes_them(train):
    *own, settings = inspect.signature(train).parameters
    assert settings == "settings"
    assert own[-len(OPTIONS) :] == OPTIONS
    described = [line.split(":")[0].strip() for line in train.__doc__.splitlines() if line.startswith("    ")]
    assert [name for name in described if name in OPTIONS] == OPTIONS
    assert "{options}" not in train.__doc__
    assert inspect.signature(train).parameters["checkpoint_every"].default == Options().checkpoint_every


def test_a_device_asked_for_is_taken_and_else_the_gpu_where_there_is_one():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_a_result_says_where_when_and_with_what_it_was_made():
    facts = origin(torch.device("cpu"), time.perf_counter() - 2)
    assert facts["device"] == "cpu"
    assert 2 <= facts["wall_seconds"] < 60
    assert f"torch {torch.__version__}" in facts["versions"]
    assert facts["date"].endswith("+00:00")
