"""Exercises in which settings are handed in, and agents that nobody tuned on are trained with them."""

from collections.abc import Sequence
from dataclasses import fields
from random import SystemRandom
from typing import Any

import xarray as xr

from companion.exercises.hints import expect
from companion.rl import train
from companion.rl.algorithms import ALGORITHMS
from companion.study import iqm

HELD_OUT = [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
"""The seeds of these agents."""


def fresh_seeds(count: int = 6) -> list[int]:
    """Seeds that nobody has tuned on, since nobody knows them: others at each call."""
    return SystemRandom().sample(range(10_000, 1_000_000), count)


def expect_settings(answer: Any, algorithm: str, *, batch: int) -> None:
    """Raise a ``Hint`` unless it is a dict of settings, one value each, of networks and batches that are quick.

    Args:
        answer: what was handed in.
        algorithm: whose settings they are, such as ``"dqn"``.
        batch: the largest batch allowed.
    """
    expect(isinstance(answer, dict), f"Hand in a dict of settings; this is a {type(answer).__name__}.")
    settings, _ = ALGORITHMS[algorithm]
    known = [field.name for field in fields(settings)]
    for name, value in answer.items():
        expect(
            name in known,
            f"`{name}` is no setting of {algorithm.upper()}. It has {', '.join(known)}; steps and seeds are ours.",
        )
        expect(not isinstance(value, list), f"`{name}` is a list: give one value, the sweep is for finding it.")
    quick = sum(answer.get("hidden", (64, 64))) <= 256 and answer.get("batch_size", 64) <= batch
    expect(quick, f"Keep to 256 hidden units in all and batches of {batch}, so that it stays quick.")


def end_of_training(
    algorithm: str, world: str, *, steps: int, seeds: Sequence[int] = tuple(HELD_OUT), **more: Any
) -> xr.Dataset:
    """What the held-out agents come to: the last measurement of their run.

    Args:
        algorithm: such as ``"dqn"``.
        world: such as ``"CartPole-v1"``.
        steps: steps of each agent in the world.
        seeds: of the agents.
        more: settings, and what else :func:`companion.rl.train` takes.
    """
    return train(algorithm, world, seeds=list(seeds), steps=steps, device="cpu", progress=False, **more).isel(step=-1)


def typical(measured: xr.DataArray) -> float:
    """The interquartile mean over the agents."""
    return float(iqm(measured))
