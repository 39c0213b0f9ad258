"""Schedules of tau: callables of the update count k = 1, 2, …"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

from companion.averaging.conventions import unit_interval

Schedule = Callable[[int], float]


def _constant(count: int, tau: float) -> float:
    return tau


def constant(tau: float) -> Schedule:
    """The same tau at every update."""
    return partial(_constant, tau=unit_interval(tau))


def _cosine(count: int, tau: float, total: int) -> float:
    return 0.5 * tau * (1.0 + math.cos(math.pi * min(count, total) / total))


def cosine(tau: float, total: int) -> Schedule:
    """BYOL's schedule: from tau down to 0 over ``total`` updates, along half a cosine."""
    return partial(_cosine, tau=unit_interval(tau), total=total)


def _warmup(count: int, tau: float, gamma: float, power: float) -> float:
    return max(tau, (1.0 + count / gamma) ** -power)


def warmup(tau: float, *, gamma: float = 1.0, power: float = 1.0) -> Schedule:
    """Start as a running mean and settle into an EMA: ``max(tau, (1 + k/gamma)^−power)``."""
    return partial(_warmup, tau=unit_interval(tau), gamma=gamma, power=power)
