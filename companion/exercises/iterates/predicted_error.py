"""Predict the mean squared distance of the average of n iterates from the optimum."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches


def predicted_error(H: np.ndarray, S: np.ndarray, n: int) -> float:
    H_inverse = np.linalg.inv(H)
    return float(np.trace(H_inverse @ S @ H_inverse)) / n


def one_dimension(answer: Answer) -> None:
    """In one dimension it is S / (H² n)."""
    got = answer(np.array([[0.5]]), np.array([[3.0]]), 100)
    differs(got, 12.0, "That is the trace in (1.4), the error *times* n. Divide by n.")
    differs(
        got, 0.06, "The inverse of H stands on both sides of S: noise becomes a displacement once, its square twice."
    )
    expect(np.shape(got) != (1, 1), "It returned a matrix. The mean squared distance is its trace, a single number.")
    matches(got, 0.12, "With H = 0.5, S = 3 and n = 100 it should be 3 / (0.5² · 100) = 0.12.")


def many_dimensions(answer: Answer) -> None:
    """For matrices it is the trace of H⁻¹ S H⁻¹ / n."""
    rng = np.random.default_rng(7)
    A, B = rng.normal(size=(2, 4, 4))
    H, S = A @ A.T + np.eye(4), B @ B.T
    hint = (
        "Right for a number and wrong for a matrix. `np.linalg.inv(H)` and `@` are wanted, where `1 / H` and `*` work "
        "entry by entry."
    )
    matches(answer(H, S, 1000), np.trace(np.linalg.solve(H, np.linalg.solve(H, S).T)) / 1000, hint)


EXERCISE = Exercise(
    place=1,
    title="How good can it be?",
    difficulty="easy",
    minutes=10,
    expects="a function of (H, S, n) that returns a number",
    solution=predicted_error,
    why="The mean squared distance is the sum of the variances along the coordinates, which is the trace of the "
    "covariance in (1.4), divided by n. A flat direction (a small eigenvalue of H) counts with the square of its "
    "inverse: that is where the error is.",
    checks=[one_dimension, many_dimensions],
)
