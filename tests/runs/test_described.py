"""What is equal is described equally, in every process; what differs differently."""

import collections
import datetime
import enum
import functools
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
import torch

from companion.runs.described import described, fingerprint
from tests.helpers import child_environment


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


class Map:
    """Holds itself, too."""

    def __init__(self, height: float) -> None:
        self.height = height
        self.me = self

    def climb(self) -> None:
        """Do nothing."""


def named(x: float = 0.0) -> float:
    return x


def made(scale: float, default: float = 0.0):
    def inner(x: float = default) -> float:
        return scale * x

    return inner


def values() -> list:
    """No two are the same."""
    grid = np.arange(6, dtype=np.float32)
    return [
        *[None, True, False, 1, 1.0, "1", "one", b"1", b"1" * 1000, b"2" * 1000, 1j, ..., [], (), {}, set()],
        *[[1, [2.0, "3"]], (1, [2.0, "3"]), [1, (2.0, "3")], {"a": 1, "b": 2}, {"a": 2, "b": 1}, {1: 1}, {"1": 1}],
        *[{"one", "two", "three"}, frozenset({"one", "two", "three"}), {"one", "two"}],
        *[grid, grid + 1e-6, grid.reshape(2, 3), grid.reshape(3, 2), grid.astype(np.float64), grid.astype(object)],
        *[np.zeros(0), np.zeros((0, 2)), np.array(["2020-01-01"], "M8[D]"), np.ma.array(grid, mask=grid > 3)],
        *[torch.ones(3), torch.ones(3).bfloat16(), torch.ones(3, 1), torch.ones(3) + 1e-6, torch.tensor(1.0)],
        *[[grid, "a"], {"maps": {"low": grid}}, {"maps": {"low": grid + 1}}],
        *[int, Map, Colour.RED, Colour.BLUE, named, made, made(1.0), made(2.0), made(1.0, 1.0), Map.climb],
        *[lambda: 1, lambda: 2, lambda x: x, lambda: lambda: 1, lambda: lambda: 2],
        *[functools.partial(named, 1.0), functools.partial(named, 2.0), len, np.sin, np.cos, torch.relu, np],
        *[Map(1.0), Map(2.0), Map(1.0).climb, Map(2.0).climb, "text".upper, "word".upper, range(3), range(4)],
        *[pathlib.Path("a/b"), datetime.date(2020, 1, 1), datetime.date(2020, 1, 2), collections.deque([1, 2])],
        *[np.random.default_rng(0), np.random.default_rng(1), np.dtype("f4"), torch.float32, torch.device("cpu")],
    ]


def test_what_differs_is_described_differently_and_in_plain_values():
    texts = [repr(described(value)) for value in values()]
    assert [value for value, count in collections.Counter(texts).items() if count > 1] == []
    for value in (None, True, 1, 1.0, "1", [1, [2.0, "3"]], {"a": {"b": (1, None)}}):
        assert repr(described(value)) == repr(value), "which says it best"
    assert described(np.float32(0.5)) == 0.5
    assert described({"b": 1, "a": 2}) == described({"a": 2, "b": 1})
    assert described(Map) == f"{__name__}:Map"
    assert described({"map": np.zeros((2, 3))})["map"].startswith("numpy:ndarray of float64, shape (2, 3), ")


def test_what_is_equal_is_described_equally_in_another_process():
    """Where hashes, and so the order of sets, are others."""
    script = "from tests.runs.test_described import *; print([described(value) for value in values()])"
    told = []
    for seed in ("1", "2"):
        environment = {**child_environment(), "PYTHONHASHSEED": seed}
        told.append(subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, check=True))
    assert told[0].stdout == told[1].stdout
    assert told[0].stdout.decode().strip() == str([described(value) for value in values()])


def test_the_arrangement_in_memory_makes_no_difference():
    grid = np.arange(6.0).reshape(2, 3)
    assert described(np.asfortranarray(grid)) == described(grid) != described(grid.T)
    assert described(torch.from_numpy(grid.T.copy()).T) == described(torch.from_numpy(grid))
    assert fingerprint(torch.from_numpy(grid)) == fingerprint(grid) == fingerprint(grid[:1], grid[1:])
    assert described(torch.nn.Parameter(torch.ones(2))) != described(torch.ones(3))


@pytest.mark.parametrize("make", [threading.Lock, lambda: open(os.devnull), lambda: torch.zeros(1, device="meta")])  # noqa: SIM115
def test_what_does_not_tell_what_it_holds_stays_what_it_is(make):
    """A checkpoint then refuses it, and a run without one records it."""
    thing = make()
    holder = Map(thing)
    assert described({"a": [1, thing, np.int64(2)], "b": holder}) == {"a": [1, thing, 2], "b": holder}
    getattr(thing, "close", lambda: None)()
