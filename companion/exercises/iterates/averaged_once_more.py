"""Derive how far the mean of steps c/k is from the optimum, in multiples of the least possible squared error."""

import math

from companion.exercises import Answer, Exercise, agrees, differs, expect, matches


def averaged_once_more(a: float) -> float:
    return 2 * a / (2 * a - 1) if a > 0.5 else math.inf


def equal_at_two(answer: Answer) -> None:
    """At a = 2 the mean is as far as the place where the search stops: 4/3."""
    got = answer(2.0)
    hint = "You left the covariances out: places that are near in time are alike, and their sum is what counts."
    differs(got, 0.0, hint)
    hint = "Each pair of steps counts twice in the variance of a mean, as j before k and as k before j."
    differs(got, 2 / 3, hint)
    matches(got, 4 / 3, "At a = 2 it is another number. Sum over j first: Σ j^(a−1) over j < k is about k^a / a.")


def for_all_constants(answer: Answer) -> None:
    """It falls towards 1 as the constant grows."""
    hint = "That is (1.8), where the search *stops*. Asked is the mean of the same places."
    differs([answer(1.0), answer(4.0)], [1.0, 16 / 7], hint)
    agrees(answer, averaged_once_more, (1.0,), "At a = 1, the best constant of (1.8), another mean doubles the error.")
    for a in (0.6, 1.5, 5.0, 40.0):
        agrees(answer, averaged_once_more, (a,), f"At a = {a:g} it is another number.")


def too_short(answer: Answer) -> None:
    """For steps that are too short there is no such number: it is infinite."""
    expect(
        math.isinf(answer(0.3)) and answer(0.3) > 0 and math.isinf(answer(0.5)),
        "At a = 1/2 and below the squared error falls more slowly than 1/n, so that its multiple of the floor grows "
        "without end. Return infinity.",
    )


EXERCISE = Exercise(
    place=2,
    title="Averaged once more",
    difficulty="medium",
    minutes=25,
    expects="a function of a that returns a number",
    solution=averaged_once_more,
    why="With S/λ² as the unit, place j has the variance v/j, v = a²/(2a − 1). A deviation at j is "
    "shrunk by (j/k)^a until k, so both have the covariance (v/j)·(j/k)^a. Summed over j < k that is v/a, whatever k. "
    "Twice the sum over k, divided by n² and multiplied by n, is 2v/a = 2a/(2a − 1); the variances themselves add "
    "only v·ln(n)/n. Above a = 2 it is less than v: steps that are too long leave something to average.",
    checks=[equal_at_two, for_all_constants, too_short],
)
