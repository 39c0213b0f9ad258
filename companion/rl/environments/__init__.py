"""Environments written as tensor programs, held against gymnasium's own transition by transition."""

from collections.abc import Sequence

import torch

from companion.rl.environments.cartpole import CARTPOLE, draw_cartpole
from companion.rl.environments.environment import Environment
from companion.rl.environments.pendulum import PENDULUM, draw_pendulum
from companion.rl.environments.worlds import Player, TensorWorld, Transition, World
from companion.runs.settings import one_of

__all__ = [
    "KNOWN",
    "Environment",
    "Player",
    "TensorWorld",
    "Transition",
    "World",
    "draw_cartpole",
    "draw_pendulum",
    "make",
    "make_world",
]

KNOWN = {environment.name: environment for environment in (CARTPOLE, PENDULUM)}


def make(name: str) -> Environment:
    """Return the environment of that name.

    Raises:
        ValueError: if there is none, naming the nearest one.
    """
    return one_of(KNOWN, "environment", name)


def make_world(name: str, seeds: Sequence[int], device: torch.device) -> World:
    """One environment of that name a member: a tensor program where the book has it as one, else gymnasium's.

    Raises:
        ValueError: there is none of that name, and the nearest is named; or it is one that the adapter cannot take.
        TypeError: it is no name.
        ImportError: it needs a package that is not installed, and the remedy is named.
    """
    if not isinstance(name, str):
        raise TypeError(f"environment={name!r} must be a name, such as 'CartPole-v1'; it cannot be swept")
    if name in KNOWN:
        return TensorWorld(KNOWN[name], seeds, device)
    from companion.rl.environments.adapter import GymnasiumWorld  # here, since gymnasium is slow to import

    return GymnasiumWorld(name, seeds, device)
