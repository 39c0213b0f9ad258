"""Derive the tau with the least error for a level that wanders."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches


def best_tau(q: float) -> float:
    return (np.sqrt(q * q + 4 * q) - q) / 2


def error(tau: float, q: float) -> float:
    """Equation (2.9)."""
    return (tau**2 + (1 - tau) ** 2 * q) / (tau * (2 - tau))


def at_the_bottom(answer: Answer) -> None:
    """No other tau has a smaller error (2.9), whether the level wanders much or little."""
    for q in (2.0, 0.1, 1e-4):
        got = answer(q)
        differs(got, np.sqrt(q), "√q is right in the limit of a small q only. Solve τ² = q (1 − τ) without rounding.")
        differs(got, q, "Near τ = 0 the error is about τ/2 + q/(2τ). That is least at a τ which is not q.")
        differs(got, -(np.sqrt(q * q + 4 * q) + q) / 2, "That is the other root, which is negative.")
        hint = "That is 1 − τ, the weight of the old value."
        differs(got, 1 - best_tau(q), hint)
        hint = "That is the weight for a level that is fixed after one look: q/(1 + q). The past tells more."
        differs(got, q / (1 + q), hint)
        number = np.shape(got) == () and got is not None
        expect(not number or 0 < got <= 1, f"For q = {q:g} there should be a weight between 0 and 1.")
        hint = (
            f"For q = {q:g} another tau has a smaller error. Write u = 1 − τ: the error is ((1 − u)² + q u²)/(1 − u²). "
            "Set its derivative to zero; a quadratic equation is left."
        )
        matches(got, best_tau(q), hint)


def at_rest(answer: Answer) -> None:
    """A level that hardly ever moves is averaged nearly for ever."""
    hint = "With q near 0 every value is nearly as good as any other, however old. τ goes to 0, as √q does."
    matches(answer(1e-10), best_tau(1e-10), hint, rtol=1e-4)


EXERCISE = Exercise(
    place=3,
    title="The bottom of the valley",
    difficulty="medium",
    minutes=25,
    expects="a function of q that returns tau",
    solution=best_tau,
    why="With u = 1 − τ the error is ((1 − u)² + q u²)/(1 − u²). Its derivative is zero where (1 − u)² = q u, which is "
    "τ² = q (1 − τ). For a small q that is τ = √q: a level that wanders a hundred times less in variance is averaged "
    "over ten times as long. It is the steady gain of the Kalman filter for this signal.",
    checks=[at_the_bottom, at_rest],
)
