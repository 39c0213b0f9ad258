"""Two critics estimate the same value. Each is right on average, its error is normal with standard deviation `sigma`,
and the two errors have the given `correlation`. Write `minimum_bias(sigma, correlation)`: by how much their minimum is
off, on average, with its sign.
"""

import math

from companion.exercises import Answer, Exercise, agrees, matches


def minimum_bias(sigma: float, correlation: float) -> float:
    return -sigma * math.sqrt((1 - correlation) / math.pi)


def independent(answer: Answer) -> None:
    """Independent errors cost 0.56 of their standard deviation."""
    hint = (
        "min(X, Y) = (X + Y − |X − Y|)/2, and X and Y are right on average. X − Y is normal with variance 2, and the "
        "mean magnitude of a normal number with standard deviation s is s·√(2/π). The sign of the answer is −."
    )
    matches(answer(1.0, 0.0), -1 / math.sqrt(math.pi), hint)


def scales(answer: Answer) -> None:
    """It grows in proportion to the error."""
    for sigma in (0.1, 2.0, 30.0):
        hint = (
            f"For σ = {sigma} it is not σ times that for σ = 1. Both are in units of value: take care not to hand on "
            "a variance."
        )
        matches(answer(sigma, 0.0), -sigma / math.sqrt(math.pi), hint)


def correlated(answer: Answer) -> None:
    """Errors that are shared are not seen by the minimum."""
    for correlation in (1.0, 0.5, 0.9, -0.5):
        hint = (
            f"With correlation {correlation} the variance of X − Y is 2σ²(1 − ρ); with ρ = 1 the twins are one, and "
            "the minimum takes nothing away."
        )
        agrees(answer, minimum_bias, (2.0, correlation), hint)


EXERCISE = Exercise(
    place=1,
    title="What the smaller of two costs",
    difficulty="easy",
    minutes=10,
    expects="a function of (sigma, correlation) that returns a number",
    solution=minimum_bias,
    why="Since $\\min(X, Y) = \\frac12(X + Y - |X - Y|)$, the bias is minus half the mean distance of the two: "
    "$-\\frac12\\,\\sqrt{2\\sigma^2(1-\\rho)}\\,\\sqrt{2/\\pi} = -\\sigma\\sqrt{(1-\\rho)/\\pi}$. The minimum sees "
    "where the critics *disagree*; what they believe in common, right or wrong, it lets pass.",
    checks=[independent, scales, correlated],
)
