"""Several critics estimate the same value. Each is right on average, its error is normal with standard deviation
`sigma`, and any two errors have the same `correlation`, 0 or more. Write `smallest_bias(count, sigma, correlation)`: by
how much the smallest of `count` such values is off, on average, with its sign.
"""

import math

import numpy as np
from scipy.special import ndtr

from companion.exercises import Answer, Exercise, agrees, differs, matches


def smallest_bias(count: int, sigma: float, correlation: float) -> float:
    x = np.linspace(-9, 9, 18_001)
    density = np.exp(-(x**2) / 2) / math.sqrt(2 * math.pi)
    largest = (x * count * density * ndtr(x) ** (count - 1)).sum() * (x[1] - x[0])  # of standard normal numbers
    return -sigma * math.sqrt(1 - correlation) * float(largest)


NEAR = 4e-3
"""Relative tolerance: an integral on a coarse grid, or a mean of many draws, will do."""


def alone(answer: Answer) -> None:
    """The smallest of one is right on average."""
    got = answer(1, 2.0, 0.0)
    matches(got, 0.0, "A single critic has nobody to be smaller than, and is right on average.", atol=0.01)


def two(answer: Answer) -> None:
    """The smaller of two costs 0.56 of the standard deviation, as in the chapter."""
    got = answer(2, 1.0, 0.0)
    sign = "The size is right. The smallest of values that are right on average is too low: mind the sign."
    differs(got, 1 / math.sqrt(math.pi), sign, rtol=NEAR)
    hint = (
        "For two it is the price below (6.3). In general, the largest of N numbers lies below x with probability "
        "Φ(x)ᴺ, Φ being each one's own; differentiate for its density, and turn the sign round for the smallest."
    )
    matches(got, -1 / math.sqrt(math.pi), hint, rtol=NEAR)


def many(answer: Answer) -> None:
    """It grows, and ever more slowly."""
    for count, right in ((3, 1.5 / math.sqrt(math.pi)), (5, 1.162964), (10, 1.538753)):
        hint = (
            f"For two critics it is right, for {count} not: −{right:.3f} is the mean of the smallest of {count} "
            "standard normal numbers. It is neither in proportion to their number nor √(2·ln N), which only "
            "very many come near."
        )
        matches(answer(count, 1.0, 0.0), -right, hint, rtol=NEAR)


def scales(answer: Answer) -> None:
    """It grows in proportion to the error."""
    for sigma in (0.1, 2.0, 30.0):
        hint = f"For σ = {sigma} it is not σ times that for σ = 1. It is in units of value: take care of variances."
        agrees(answer, smallest_bias, (4, sigma, 0.0), hint, rtol=NEAR)


def correlated(answer: Answer) -> None:
    """Errors that are shared are not seen by the minimum."""
    for correlation in (1.0, 0.5, 0.9):
        hint = (
            f"With correlation {correlation}: write each error as √ρ·(what all share) + √(1 − ρ)·(its own). What all "
            "share is right on average and passes through the minimum."
        )
        agrees(answer, smallest_bias, (4, 2.0, correlation), hint, rtol=NEAR, atol=1e-3)


EXERCISE = Exercise(
    place=2,
    title="The smallest of many",
    difficulty="medium",
    minutes=25,
    expects="a function of (count, sigma, correlation) that returns a number",
    solution=smallest_bias,
    why="The largest of $N$ standard normal numbers lies below $x$ with probability $\\Phi(x)^N$, so its mean is "
    "$\\int x \\, N \\varphi(x)\\, \\Phi(x)^{N-1}\\, dx$, and by symmetry the smallest's is minus that. Of the "
    "errors $\\sqrt\\rho\\,z + \\sqrt{1-\\rho}\\,z_i$ (times $\\sigma$) the part $z$ that all share passes through "
    "the minimum: $-\\sigma\\sqrt{1-\\rho}$ times the integral. From two critics to ten the price grows from 0.56 to "
    "1.54 of a standard deviation, less than threefold. Ten nearly equal critics may cost less than two that differ: "
    "the number of critics sets the pessimism only together with their correlation.",
    checks=[alone, two, many, scales, correlated],
)
