"""Write `determinant(C, K, gamma, step_size, tau, period)`: det(I − M) for the matrix M of (3.8), which is one whole
period of a target that moves by `tau` after every `period`-th update. Derive it; no matrix of twice C's size is needed.
"""

from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches
from companion.rl import linear


def determinant(C: np.ndarray, K: np.ndarray, gamma: float, step_size: float, tau: float, period: int) -> float:
    eye = np.eye(len(C))
    fitted = eye - np.linalg.matrix_power(eye - step_size * C, period)  # how much of the fit is done in a period
    F = gamma * np.linalg.solve(C, K)
    return float(tau ** len(C) * np.linalg.det(fitted) * np.linalg.det(eye - F))


THREE = linear.random_problems(7, 1, features=3)[0]


def of(problem: linear.LinearTD, answer: Answer, *settings: Any) -> tuple[Any, float]:
    got = answer(problem.covariance, problem.lookahead, problem.gamma, *settings)
    return got, determinant(problem.covariance, problem.lookahead, problem.gamma, *settings)


def every_update(answer: Answer) -> None:
    """With a period of 1 it is (3.12)."""
    got, want = of(THREE, answer, 0.2, 0.1, 1)
    once = 0.2 * 0.1 * np.linalg.det(THREE.td_matrix)
    differs(got, once, "There are d weights: each brings a factor η and a factor τ of its own.", rtol=1e-6)
    matches(got, want, "With a period of 1 it should be (ητ)^d·det A.", rtol=1e-6)


def once_a_period(answer: Answer) -> None:
    """With a longer period the fit is done in part, and the target moves once."""
    got, want = of(THREE, answer, 0.2, 0.1, 5)
    hint = "That is the determinant for a period of 1. Between two copies the online weights make N steps."
    differs(got, of(THREE, determinant, 0.2, 0.1, 1)[1], hint, rtol=1e-6)
    hint = "N steps on frozen labels are no step of N times the length: (I − ηC)^N is left of what had to be fitted."
    differs(got, of(THREE, determinant, 5 * 0.2, 0.1, 1)[1], hint, rtol=1e-6)
    differs(got, want * 0.1 ** (3 * 4), "The target moves once a period, not N times: τ^d.", rtol=1e-6)
    direct = np.linalg.det(np.eye(6) - linear.joint_matrix(THREE, 0.2, 0.1, period=5))
    matches(got, direct, "It is not det(I − M) for a period of 5.", rtol=1e-6)


def never_positive(answer: Answer) -> None:
    """For w → 2w it is negative, whatever the period: no target, soft or hard, rescues it."""
    for settings in ((0.1, 1.0, 1), (0.1, 0.3, 40), (0.1, 1.0, 100_000)):
        got, want = of(linear.two_state(), answer, *settings)
        matches(got, want, f"For w → 2w with step, tau and period {settings} it is wrong.", rtol=1e-6)


EXERCISE = Exercise(
    place=4,
    title="No period rescues it",
    difficulty="medium",
    minutes=40,
    expects="a function of (C, K, gamma, step_size, tau, period) that returns a number",
    solution=determinant,
    why="With labels frozen for N updates e becomes Bᴺe + (I − Bᴺ)Fē, where B = I − ηC, and then ē becomes "
    "τe + (1 − τ)ē. So I − M has the rows (I − Bᴺ, −(I − Bᴺ)F) and (−τBᴺ, τI − τ(I − Bᴺ)F). Add its left columns, "
    "times F, to the right ones: the upper right becomes 0, the lower right τ(I − F), and the determinant is "
    "τ^d·det(I − Bᴺ)·det(I − F). While the regression itself converges, det(I − Bᴺ) is positive, so the sign is that "
    "of det(I − F) = det A / det C. Where det A is negative no tau and no period helps.",
    checks=[every_update, once_a_period, never_positive],
)
