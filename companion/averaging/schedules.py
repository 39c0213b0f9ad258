"""Schedules: tau as a function of the update count k = 1, 2, 3, …

Any callable of the count that returns a weight in [0, 1] will do where a schedule is asked for. These can be pickled.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from functools import partial
from typing import Any

from companion.averaging.conventions import Number, unit_interval

Schedule = Callable[[Any], Any]  # of a count, or of a tensor that holds it: a weight, or a tensor of weights


def constant(tau: Number) -> Schedule:
    """The same weight at every update.

    Raises:
        TypeError: ``tau`` is not a number.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return partial(_constant, tau=unit_interval(tau))


def cosine(tau: Number, total: int) -> Schedule:
    """From ``tau`` down to 0 along half a cosine: ``tau·(1 + cos(π·k/total))/2``, and 0 from ``k = total`` on.

    The decay ``1 − tau`` goes up to 1, as BYOL and DINO have it, and the target comes to rest.

    Args:
        tau: The weight of the new value at the start, in [0, 1].
        total: Updates until the weight is 0, at least 1.

    Raises:
        TypeError: ``tau`` is not a number, or ``total`` not an integer.
        ValueError: ``tau`` lies outside [0, 1] or is NaN, or ``total`` is below 1.

    Source: Grill et al., "Bootstrap Your Own Latent" (arXiv:2006.07733).
    """
    if isinstance(total, bool) or not isinstance(total, numbers.Integral):
        raise TypeError(f"total = {total!r} is a {type(total).__name__}; pass a whole number of updates")
    if total < 1:
        raise ValueError(f"total = {total} is not a length; pass 1 update or more")
    return partial(_cosine, tau=unit_interval(tau), total=int(total))


def warmup(tau: Number, *, gamma: Number = 1.0, power: Number = 1.0) -> Schedule:
    """From 1 down to ``tau`` as an inverse power of the count: ``max(tau, (1 + k/gamma)^−power)``.

    With the values given, ``1/(1 + k)``, the average is the plain mean of all networks so far, the start included,
    until that is slower than ``tau``. timm, diffusers and ema-pytorch warm up their EMA so, with ``power`` 2/3.

    Args:
        tau: The weight to settle at, in [0, 1].
        gamma: Updates that pass before the weight falls in earnest, above 0.
        power: How fast it falls, above 0.

    Raises:
        TypeError: An argument is not a number.
        ValueError: ``tau`` lies outside [0, 1] or is NaN, or ``gamma`` or ``power`` is not above 0.
    """
    return partial(_warmup, tau=unit_interval(tau), gamma=_positive(gamma, "gamma"), power=_positive(power, "power"))


def debiased(tau: Number) -> Schedule:
    """An EMA that has forgotten where it started: ``tau / (1 − (1 − tau)^k)``, and 1/k where ``tau`` is 0.

    The first update copies. As Adam corrects its averages, written as a schedule.

    Args:
        tau: The weight to settle at, in [0, 1].

    Raises:
        TypeError: ``tau`` is not a number.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.

    Source: Kingma and Ba, "Adam" (arXiv:1412.6980), section 3; equation (2.11) of the book.
    """
    return partial(_debiased, tau=unit_interval(tau))


def power(gamma: Number) -> Schedule:
    """A power function of time as the profile, ``t^gamma``: ``tau_k = 1 − (1 − 1/k)^(gamma + 1)``.

    The average remembers a fixed share of the run, however long that is; ``gamma=0`` is the mean of all networks. The
    first update copies. Between updates that are equally far apart, ``1/k`` is the paper's ``Δt/t``, whatever the time
    is counted in: an average that is updated every hundred steps has the same profile as one updated every step.

    Args:
        gamma: The exponent, 0 or more: `power_gamma` has it from the relative width of the profile.

    Raises:
        TypeError: ``gamma`` is not a number.
        ValueError: ``gamma`` is negative or not finite.

    Source: Karras et al. (arXiv:2312.02696), equation (127); equation (12.7) of the book.
    """
    return partial(_power, gamma=nonnegative(gamma, "gamma"))


def swa(start: int, every: int = 1) -> Schedule:
    """The equal mean of the networks at updates ``start``, ``start + every``, ``start + 2·every``, …

    Until then the average is the latest network. With ``every=1`` it is the tail average; stochastic weight averaging
    takes a network an epoch. What it takes is a plain mean, the same as ``w ← (n·w + new) / (n + 1)``.

    Args:
        start: The first update whose network is taken, at least 1.
        every: Updates from one that is taken to the next, at least 1.

    Raises:
        TypeError: An argument is not an integer.
        ValueError: An argument is below 1.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (arXiv:1803.05407),
    Algorithm 1; equation (10.2) of the book.
    """
    for name, value in (("start", start), ("every", every)):
        if isinstance(value, bool) or not isinstance(value, numbers.Integral):
            raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a whole number of updates")
        if value < 1:
            raise ValueError(f"{name} = {value} is below 1; updates are counted from 1")
    return partial(_swa, start=int(start), every=int(every))


def _constant(count: int, tau: float) -> float:
    return tau


def _cosine(count: int, tau: float, total: int) -> float:
    return 0.0 if count >= total else tau * (0.5 + 0.5 * math.cos(math.pi * count / total))


def _warmup(count: int, tau: float, gamma: float, power: float) -> float:
    return max(tau, (1.0 + count / gamma) ** -power)


def _debiased(count: int, tau: float) -> float:
    if tau in (0.0, 1.0):
        return tau or 1.0 / count
    return min(1.0, tau / -math.expm1(count * math.log1p(-tau)))  # exact to rounding, by which it may pass 1


def _power(count: int, gamma: float) -> float:
    return 1.0 - (1.0 - 1.0 / count) ** (gamma + 1.0)


def _swa(count: int, start: int, every: int) -> float:
    taken, beside = divmod(count - start, every)
    if taken < 0:
        return 1.0
    return 0.0 if beside else 1.0 / (taken + 1)


def nonnegative(value: object, name: str) -> float:
    """``value`` as a float.

    Raises:
        TypeError: ``value`` is not a number.
        ValueError: ``value`` is negative or not finite.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a number, 0 or more")
    if not 0.0 <= float(value) < math.inf:
        raise ValueError(f"{name} = {value!r} is not a finite number, 0 or more")
    return float(value)


def _positive(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a number above 0")
    if not 0.0 < float(value) < math.inf:
        raise ValueError(f"{name} = {value!r} is not a finite number above 0")
    return float(value)
