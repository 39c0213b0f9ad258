"""Write `regime(C, K, gamma, step_size)`: `'none needed'`, `'saved'`, `'harmed'` or `'nothing helps'`, for a soft
target that is as slow as one likes.
"""

from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect


def regime(C: np.ndarray, K: np.ndarray, gamma: float, step_size: float) -> str:
    without = np.linalg.eigvals(np.eye(len(C)) - step_size * (C - gamma * K))
    fitted = np.linalg.eigvals(gamma * np.linalg.solve(C, K))
    alone = np.abs(without).max() < 1
    slowly = step_size * np.linalg.eigvalsh(C).max() < 2 and fitted.real.max() < 1
    if alone:
        return "none needed" if slowly else "harmed"
    return "saved" if slowly else "nothing helps"


WORDS = ("none needed", "saved", "harmed", "nothing helps")


def named(answer: Answer, C: Any, K: Any, step_size: float, want: str, hint: str, gamma: float = 0.9) -> None:
    got = answer(np.atleast_2d(C).astype(float), np.atleast_2d(K).astype(float), gamma, step_size)
    if got not in WORDS:
        raise Hint(f"It returned {got!r}. Return one of {', '.join(repr(word) for word in WORDS)}.")
    expect(got == want, f"{hint} You said {got!r}, and it is {want!r}.")


def with_fit(scales: tuple[float, float], one_minus_fit: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """C, and the K for which I − F is the given matrix at gamma = 0.9."""
    C = np.diag(scales)
    return C, C @ (np.eye(2) - np.array(one_minus_fit)) / 0.9


def one_weight(answer: Answer) -> None:
    """For one weight and a small step the target changes nothing: K/C decides."""
    named(answer, 1, 1, 0.1, "none needed", "C = K = 1: the fit lands at 0.9 of the target.")
    named(answer, 2.5, 3, 0.1, "nothing helps", "w → 2w: the fit lands at 1.08 of the target.")


def beyond_minus_one(answer: Answer) -> None:
    """A soft target bears a fit that overshoots to the other side."""
    hint = (
        "C = 1, K = −1.5: the fit lands at −1.35 of the target. A copy would jump there and diverge; a slow average "
        "only sets out that way, towards 0: its error is times 1 − 2.35·τ. The *real part* is what counts."
    )
    named(answer, 1, -1.5, 0.1, "none needed", hint)


def long_steps(answer: Answer) -> None:
    """A step too long without a target, or with any, is noticed."""
    named(answer, 1, -1, 1.5, "saved", "C = 1, K = −1, step 1.5: without a target the error is times 1 − 1.5·1.9.")
    hint = "C = 1, K = 0, step 2.5: the regression itself diverges, even on a target that stands still."
    named(answer, 1, 0, 2.5, "nothing helps", hint)


def two_weights(answer: Answer) -> None:
    """With two weights of different scale a slow target can save, and it can harm."""
    for scales, fit, want in (
        ((0.5, 1.0), [[1.0, -2.0], [1.2, -0.8]], "saved"),
        ((1.0, 0.5), [[1.0, -2.0], [1.2, -1.2]], "harmed"),
    ):
        C, K = with_fit(scales, fit)
        hint = f"C = diag{scales}: compare the eigenvalues of C − γK with those of γC⁻¹K; they are complex here."
        named(answer, C, K, 0.1, want, hint)


EXERCISE = Exercise(
    place=2,
    title="Which of the four?",
    difficulty="medium",
    minutes=30,
    expects="a function of (C, K, gamma, step_size) that returns one of the four names",
    solution=regime,
    why="Without a target every update multiplies the error by I − ηA, so the eigenvalues of that matrix must "
    "lie inside the unit circle. With a slow one the online weights settle first, which they do if ηC has no "
    "eigenvalue of 2 or more, and the target then drifts by τ(F − I): the real parts of F's eigenvalues decide.",
    checks=[one_weight, beyond_minus_one, long_steps, two_weights],
)
