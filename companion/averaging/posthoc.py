"""Averages that are chosen after training: power functions of time, and any profile from snapshots of two of them.

An average of iterates is a *profile*, the weight of each iterate in it. Two averages that ride along, kept now and
then, are enough to make nearly any other afterwards, by least squares between profiles; no iterate itself is kept.

Source: Karras, Aittala, Lehtinen, Hellsten, Aila and Laine, "Analyzing and Improving the Training Dynamics of Diffusion
Models" (arXiv:2312.02696), section 3 and appendix C.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from companion.averaging.conventions import Number, unit_interval
from companion.averaging.schedules import Schedule, nonnegative

WIDEST = 1 / math.sqrt(12)
"""Relative width of the uniform mean, the widest profile that does not fall with time."""


def power_sigma(gamma: Number) -> float:
    """The relative width of a power-function average: ``σ = √((γ+1) / ((γ+2)²(γ+3)))``.

    That is the standard deviation of its profile ``t^γ`` along the run, as a share of the run so far.

    Args:
        gamma: The exponent, 0 (the uniform mean) or more.

    Raises:
        TypeError: ``gamma`` is not a number.
        ValueError: ``gamma`` is negative or not finite.

    Source: Karras et al. (arXiv:2312.02696), equation (123); equation (12.8) of the book.
    """
    gamma = nonnegative(gamma, "gamma")
    return math.sqrt((gamma + 1) / (gamma + 3)) / (gamma + 2)


def power_gamma(sigma: Number) -> float:
    """The exponent of a power-function average from its relative width: the inverse of `power_sigma`.

    It is the largest root of ``γ³ + 7γ² + (16 − σ⁻²)γ + 12 − σ⁻² = 0``.

    Args:
        sigma: The relative width, above 0 and at most ``1/√12 = 0.2887``, that of the uniform mean.

    Raises:
        TypeError: ``sigma`` is not a number.
        ValueError: ``sigma`` is out of range.

    Source: Karras et al. (arXiv:2312.02696), equation (126) and Algorithm 2.
    """
    width = nonnegative(sigma, "sigma")
    if not 0.0 < width <= WIDEST * (1 + 1e-9):
        raise ValueError(
            f"sigma = {sigma!r} is no width; pass one above 0 and at most 0.2887, that of the uniform mean"
        )
    square = width**-2
    return max(0.0, float(np.roots([1.0, 7.0, 16.0 - square, 12.0 - square]).real.max()))


def profile_weights(tau: Number | Schedule, updates: int) -> Float[np.ndarray, " iterate"]:
    """The weight of every iterate in a moving average, after so many updates; they add up to 1.

    The average starts as a copy of iterate 0, and its k-th update takes iterate k in with the weight ``tau(k)``.
    Iterate j then has the weight ``tau(j)·(1 − tau(j+1))·…·(1 − tau(n))``, and the start what is left. Every mean that
    is updated as it goes is one of these: ``tau`` constant is the EMA, ``power(gamma)`` the power function,
    ``power(0)`` the uniform mean, and ``lambda k: 1 / max(1, k - start)`` the uniform mean of what comes after.

    Args:
        tau: The weight of the new iterate, in [0, 1]: a number, or a schedule, a callable of the count k = 1, 2, ….
        updates: How many updates there were, n, at least 0.

    Returns:
        In float64, oldest first: entry j is the weight of iterate j.

    Raises:
        TypeError: ``tau`` is neither a number nor callable, or ``updates`` is not an integer.
        ValueError: A weight lies outside [0, 1], or ``updates`` is negative.
    """
    if isinstance(updates, bool) or not isinstance(updates, int | np.integer):
        raise TypeError(f"updates = {updates!r} is a {type(updates).__name__}; pass a whole number")
    if updates < 0:
        raise ValueError(f"updates = {updates} is negative; pass 0 or more")
    new = [unit_interval(tau(k) if callable(tau) else tau) for k in range(1, updates + 1)]
    taken = np.array([1.0, *new])
    kept_after = np.cumprod(1.0 - taken[:0:-1])[::-1]  # by the updates after each iterate
    return taken * np.append(kept_after, 1.0)


def snapshot_weights(weights: Float[np.ndarray, " iterate"], kept: Sequence[int]) -> Float[np.ndarray, " snapshot"]:
    """A profile over a few iterates that were kept, each of which stands for those that are nearest to it.

    Args:
        weights: The profile over all iterates, from iterate 0 on.
        kept: Which iterates were kept, increasing.

    Raises:
        ValueError: ``kept`` is empty, does not increase, or names an iterate that has no weight in ``weights``.
    """
    at = np.asarray(kept)
    if at.size == 0 or at.ndim != 1 or (np.diff(at) <= 0).any() or at[0] < 0 or at[-1] >= len(weights):
        raise ValueError(f"kept = {list(kept)} must be increasing numbers of iterates from 0 to {len(weights) - 1}")
    nearest = np.searchsorted((at[1:] + at[:-1]) / 2, np.arange(len(weights)))
    return np.bincount(nearest, weights=weights, minlength=len(at))


def posthoc_weights(
    kept: Float[np.ndarray, "snapshot _"] | Sequence[Float[np.ndarray, " _"]],
    wanted: Float[np.ndarray, " iterate"],
) -> Float[np.ndarray, " snapshot"]:
    """How much of every kept average to take, so that their sum has nearly the profile that is wanted.

    The least-squares solution of ``x @ kept ≈ wanted``, divided by its sum, so that what is made is an average again.
    Some of ``x`` are negative as a rule. How near it came is ``np.abs(x @ kept - wanted).sum()``, of at most 2.

    Args:
        kept: The profile of each snapshot, zero after it was taken: `profile_weights` at its update, filled up.
            Arrays of different lengths are filled up here.
        wanted: The profile that is to be made, no shorter than those.

    Raises:
        ValueError: There is no snapshot, or one is longer than ``wanted``.

    Source: Karras et al. (arXiv:2312.02696), Algorithm 3; equation (12.9) of the book. They have the inner products of
    power functions in closed form; here the profiles are summed over the iterates, so that any will do.
    """
    rows = np.zeros((len(kept), len(wanted)))
    if len(rows) == 0 or max(map(len, kept)) > len(wanted):
        raise ValueError(
            f"kept has profiles of lengths {[len(each) for each in kept]}; pass one or more, of at most the "
            f"{len(wanted)} iterates of wanted"
        )
    for row, each in zip(rows, kept, strict=True):
        row[: len(each)] = each
    solution = np.linalg.lstsq(rows.T, np.asarray(wanted, np.float64), rcond=None)[0]
    return solution / solution.sum()
