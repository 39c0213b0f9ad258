"""Write `width(tau, score, threshold)`: the number of decades of tau over which the score is at least the threshold, on
straight lines between the settings over log tau.
"""

import numpy as np
from jaxtyping import Float

from companion.exercises import Answer, Exercise, expect, matches


def width(tau: Float[np.ndarray, "setting"], score: Float[np.ndarray, "setting"], threshold: float) -> float:
    """Decades of tau over which the score, interpolated between the settings on log tau, is at least the threshold."""
    order = np.argsort(tau)
    x, above = np.log10(tau)[order], (score - threshold)[order]
    total = 0.0
    for length, left, right in zip(np.diff(x), above[:-1], above[1:], strict=True):
        if left >= 0 and right >= 0:
            total += length
        elif left >= 0 or right >= 0:
            total += length * max(left, right) / abs(left - right)  # the line crosses zero on the way
    return float(total)


TAUS = np.array([1.0, 0.1, 0.01, 0.001, 0.0001])


def width_all(answer: Answer) -> None:
    """Where every setting will do, it is the length of the whole sweep."""
    hint = "From 0.0001 to 1 there are four decades. Measure on the logarithm to base 10."
    matches(answer(TAUS, np.full(5, -150.0), -200.0), 4.0, hint)


def width_none(answer: Answer) -> None:
    """Where none will do, it is nothing."""
    matches(answer(TAUS, np.full(5, -900.0), -200.0), 0.0, "No setting reaches the threshold: the width is 0.")


def width_between(answer: Answer) -> None:
    """It ends where the interpolated score crosses the threshold, not at a setting."""
    score = np.array([-1_400.0, -160.0, -150.0, -200.0 - 3 * 50.0, -1_500.0])
    want = width(TAUS, score, -200.0)
    got = answer(TAUS, score, -200.0)
    if isinstance(got, int | float):
        expect(
            abs(got - 1.0) > 1e-9,
            "From the first good setting to the last it is 1 decade, but the valley does not end at the settings that "
            "were tried. Draw straight lines between the points, over log τ, and end where they cross.",
        )
    hint = (
        f"With scores {score.tolist()} at τ = {TAUS.tolist()} the straight lines over log τ are above −200 for "
        f"{want:.3f} decades."
    )
    matches(got, want, hint)


def width_islands(answer: Answer) -> None:
    """Two islands count, and the gap between them does not; the order of the settings does not matter."""
    score = np.array([-100.0, -300.0, -100.0, -300.0, -300.0])
    hint = (
        "Two islands, half a decade at the upper end and a whole one around 0.01: 1.5 decades. The gap between the "
        "islands does not count."
    )
    matches(answer(TAUS, score, -200.0), 1.5, hint)
    score = np.array([-300.0, -300.0, -100.0, -100.0, -100.0])
    shuffled = np.array([2, 0, 4, 1, 3])
    hint = "The settings may come in any order. Sort by tau."
    matches(answer(TAUS[shuffled], score[shuffled], -200.0), 2.5, hint)


EXERCISE = Exercise(
    place=6,
    title="How wide is a valley?",
    difficulty="medium",
    minutes=30,
    expects="a function of (tau, score, threshold), two arrays and a number, that returns a number",
    solution=width,
    why="It is the book's measure of how forgiving an algorithm is, and it has faults that you now know: it depends "
    "on the threshold, on the steps that were trained, and it sees no further than the sweep.",
    checks=[width_all, width_none, width_between, width_islands],
)
