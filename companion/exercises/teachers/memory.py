"""A picture was visited n times, and each prediction was the truth plus independent noise of variance 1. Derive the
variance of what (11.5) tells, and write it as `variance_of_memory(tau, visits)`.
"""

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


def variance_of_memory(tau: float, visits: int) -> float:
    """Variance of the debiased memory: the sum of the squared weights of the predictions."""
    kept = 1 - tau
    return tau / (2 - tau) * (1 + kept**visits) / (1 - kept**visits)


def first_visit(answer: Answer) -> None:
    """After one visit it is 1, whatever tau."""
    for tau in (0.05, 0.4, 1.0):
        hint = (
            "After one visit the memory tells just what was said then: its weights add up to 1, and the variance is 1."
        )
        matches(answer(tau, 1), 1.0, hint)


def mean_of_all(answer: Answer) -> None:
    """For a tiny tau all visits weigh the same: 1/n."""
    hint = (
        "For tau near 0 the weights, τ(1−τ)^i over their sum, are all alike, and the variance is that of a mean, 1/n."
    )
    matches(answer(1e-6, 5), 0.2, hint, rtol=1e-3)


def many_visits(answer: Answer) -> None:
    """After many visits it is τ/(2 − τ), chapter 2's V, (2.5)."""
    for tau in (0.1, 0.4):
        got = answer(tau, 400)
        differs(
            got, tau, "τ would be the weight of the newest prediction alone: *square* the weights, and add them up."
        )
        matches(got, tau / (2 - tau), "With n → ∞ the squares τ²(1−τ)^(2i) add up to τ/(2−τ).")


def in_between(answer: Answer) -> None:
    """And in between."""
    for tau, visits in ((0.4, 2), (0.4, 5), (0.1, 7), (1.0, 3)):
        weights = tau * (1 - tau) ** np.arange(visits, dtype=float)
        undivided = (weights**2).sum()
        got = answer(tau, visits)
        if tau < 1:
            differs(
                got, undivided, "Right for Z itself. What is told is Z over 1 − (1−τ)ⁿ, and that factor is squared."
            )
        hint = f"At τ = {tau:g} after {visits} visits it should be {variance_of_memory(tau, visits):.4f}."
        matches(got, variance_of_memory(tau, visits), hint)


EXERCISE = Exercise(
    place=3,
    title="How much does a memory hold?",
    difficulty="medium",
    minutes=20,
    expects="a function of (tau, visits) that returns a number",
    solution=variance_of_memory,
    why="The weights are $\\tau(1-\\tau)^i / (1-(1-\\tau)^n)$ for $i = 0 \\dots n-1$. Their squares add up to "
    "$\\frac{\\tau^2}{(1-(1-\\tau)^n)^2}\\cdot\\frac{1-(1-\\tau)^{2n}}{1-(1-\\tau)^2}$; with "
    "$1-a^2 = (1-a)(1+a)$ twice this is $\\frac{\\tau}{2-\\tau}\\cdot\\frac{1+(1-\\tau)^n}{1-(1-\\tau)^n}$. With "
    "$\\tau = 0.4$ a memory never holds more than four predictions' worth, and has 3.4 of them after five visits.",
    checks=[first_visit, mean_of_all, many_visits, in_between],
)
