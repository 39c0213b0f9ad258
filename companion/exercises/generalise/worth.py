"""Derive how many independent networks the mean of n neighbours along a path is worth."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


def worth(n: int, rho: float) -> float:
    j = np.arange(1, n)
    variance = (n + 2 * np.sum((n - j) * rho**j)) / n**2
    return 1 / variance


def independent(answer: Answer) -> None:
    """Independent networks count as what they are."""
    got = answer(10, 0.0)
    differs(got, 0.1, "That is the variance V. What is asked for is 1/V.")
    matches(got, 10.0, "With rho = 0 the n networks are independent, and their mean has the variance 1/n.")
    matches(answer(1, 0.7), 1.0, "One network is worth one.")


def two(answer: Answer) -> None:
    """Of two the formula can be seen."""
    got = answer(2, 0.5)
    differs(got, 1 / 0.625, "Each pair of different networks stands in the square of the sum twice.")
    matches(got, 1 / 0.75, "The variance of (a + b)/2 is (1 + 1 + 2·rho)/4.")


def many(answer: Answer) -> None:
    """Every distance counts as often as there are pairs."""
    got = answer(11, 0.8)
    limit = "That is the limit for long means. Eleven are few: n - j pairs are j steps apart, not n."
    differs(got, 11 * 0.2 / 1.8, limit)
    matches(got, worth(11, 0.8), "There are n - j pairs at distance j, each with covariance rho to the j, each twice.")


EXERCISE = Exercise(
    place=2,
    title="How many networks is a mean worth?",
    difficulty="medium",
    minutes=30,
    expects="a function of (n, rho) that returns a number",
    solution=worth,
    why="The square of the sum has n terms of variance 1 and, for every distance j, n − j pairs of covariance ρ^j, "
    "twice. With ρ = 0.99 a hundred consecutive networks are worth 1.36 independent ones, and ten of them, ten steps "
    "apart, as much: this is why SWA may skip most of them and take one an epoch.",
    checks=[independent, two, many],
)
