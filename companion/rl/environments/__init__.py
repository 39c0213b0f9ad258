"""Environments written as tensor programs, held against gymnasium's own transition by transition."""

import difflib

from companion.rl.environments.cartpole import CARTPOLE, draw_cartpole
from companion.rl.environments.environment import Environment
from companion.rl.environments.pendulum import PENDULUM, draw_pendulum
from companion.rl.environments.worlds import Player, TensorWorld, Transition, World

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
]

KNOWN = {environment.name: environment for environment in (CARTPOLE, PENDULUM)}


def make(name: str) -> Environment:
    """Return the environment of that name.

    Raises:
        ValueError: if there is none, naming the nearest one.
    """
    if name not in KNOWN:
        (nearest,) = difflib.get_close_matches(str(name), KNOWN, n=1, cutoff=0.0)
        raise ValueError(
            f"unknown environment {name!r}: did you mean {nearest!r}? Known environments: {', '.join(KNOWN)}."
        )
    return KNOWN[name]
