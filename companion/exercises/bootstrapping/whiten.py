"""Write `whiten(features, weights)`: new features that represent the same functions and whose covariance ΦᵀDΦ is the
identity.
"""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches
from companion.rl import linear


def whiten(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    covariance = features.T * weights @ features
    values, vectors = np.linalg.eigh(covariance)
    return features @ vectors / np.sqrt(values)


SKEWED = np.random.default_rng(7).normal(size=(6, 3)) @ np.array([[5, 1, 0], [0, 1, 0.5], [0, 0, 0.1]])


SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.1, 0.05])


def identity(answer: Answer) -> None:
    """The covariance of the new features, under the data's weights, is the identity."""
    got = answer(SKEWED.copy(), SHARES.copy())
    matches(np.shape(got), SKEWED.shape, f"Return new features of the same shape; yours has {np.shape(got)}.")
    new = np.asarray(got)
    covariance = new.T * SHARES @ new
    if not np.allclose(covariance, np.eye(3)):
        hint = "Each feature has size 1 now, but they still go together: remove the correlations too."
        differs(np.diag(covariance), np.ones(3), hint)
    for alike in (new.T @ new / len(new), new.T @ new):
        differs(alike, np.eye(3), "White if all states counted alike. They count with `weights`: C = ΦᵀDΦ.")
    matches(covariance, np.eye(3), "ΦᵀDΦ of the new features is not the identity.", atol=1e-6)


def same_functions(answer: Answer) -> None:
    """The new features represent the same functions as the old."""
    new = np.asarray(answer(SKEWED.copy(), SHARES.copy()))
    expect(
        np.linalg.matrix_rank(np.hstack([SKEWED, new]), tol=1e-8) == 3,
        "The new features are no combinations of the old: multiply by a matrix on the *right* and do nothing else. "
        "(Was the mean subtracted, or a row scaled?)",
    )


def target_not_needed(answer: Answer) -> None:
    """A problem that only a target network could save needs none any more."""
    problems = linear.random_problems(7, 3_000)
    diverges = linear.spectral_abscissa(-problems.td_matrix) > 1e-3
    saved = np.flatnonzero(diverges & (linear.spectral_abscissa(problems.fitted_matrix) < 1 - 1e-3))
    problem = problems[int(saved[0])]
    new = np.asarray(answer(problem.features, problem.weights))
    white = linear.LinearTD(new, problem.transitions, problem.rewards, problem.weights, problem.gamma)
    expect(linear.growth(white, 0.1) < 1, "TD without a target network still diverges with your features.")


EXERCISE = Exercise(
    place=3,
    title="Do without the target",
    difficulty="medium",
    minutes=40,
    expects="a function of (features, weights) that returns new features of the same shape",
    solution=whiten,
    why="The columns of `vectors` are the directions in which the features vary, `values` by how much. In the new "
    "coordinates C = I, so A and C⁻¹A are the same matrix, and with small steps a slow soft target has nothing left to "
    "change. Any further rotation is just as right.",
    checks=[identity, same_functions, target_not_needed],
)
