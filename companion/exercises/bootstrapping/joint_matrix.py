"""Write `joint_matrix(C, K, gamma, step_size, tau)`: the matrix that takes the errors of (online, target) over one
update, as in (3.6).
"""

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches
from companion.rl import linear


def joint_matrix(C: np.ndarray, K: np.ndarray, gamma: float, step_size: float, tau: float) -> np.ndarray:
    eye = np.eye(len(C))
    online = np.hstack([eye - step_size * C, step_size * gamma * K])
    frozen = np.hstack([0 * eye, eye])
    return np.vstack([online, tau * online + (1 - tau) * frozen])


PAIR = linear.random_problems(7, 1, features=3)[0]


def joint(answer: Answer, tau: float) -> tuple[np.ndarray, np.ndarray]:
    want = linear.joint_matrix(PAIR, 0.2, tau)
    got = answer(PAIR.covariance, PAIR.lookahead, PAIR.gamma, 0.2, tau)
    matches(np.shape(got), want.shape, f"For 3 weights the matrix is 6 × 6; yours has shape {np.shape(got)}.")
    return np.asarray(got), want


def online_rows(answer: Answer) -> None:
    """The upper half is the gradient step, with the target's weights in the bootstrapped value."""
    got, want = joint(answer, 0.1)
    hint = "The next state's value is discounted: gamma is missing in front of K."
    differs(got[:3, 3:] * PAIR.gamma, want[:3, 3:], hint)
    matches(got[:3], want[:3], "The upper rows should be I − step_size·C beside step_size·gamma·K.")


def target_rows(answer: Answer) -> None:
    """The lower half moves the target towards the weights that the step has just produced."""
    got, want = joint(answer, 0.1)
    late = np.hstack([0.1 * np.eye(3), 0.9 * np.eye(3)])
    hint = (
        "Your target moves towards the online weights from *before* the gradient step. The book's order is: step "
        "first, then target; so the upper rows appear again, times tau, in the lower ones."
    )
    differs(got[3:], late, hint)
    hint = "tau and 1 − tau are exchanged: tau is the weight of the new value, the online one."
    differs(got[3:], joint(answer, 0.9)[1][3:], hint)
    matches(got[3:], want[3:], "The lower rows should be tau·(upper rows) + (1 − tau)·(0 beside I).")


def both_ends(answer: Answer) -> None:
    """With tau = 1 both halves are the same, and with tau = 0 the target stands still."""
    for tau in (1.0, 0.0):
        got, want = joint(answer, tau)
        matches(got, want, f"With tau = {tau:g} it is wrong. Did you divide by tau, or by 1 − tau?")


EXERCISE = Exercise(
    place=2,
    title="Both networks in one matrix",
    difficulty="medium",
    minutes=20,
    expects="a function of (C, K, gamma, step_size, tau) that returns a matrix of twice C's size",
    solution=joint_matrix,
    why="The first line is the gradient step, bootstrapped from the target's weights. The target then moves "
    "towards the weights which that step produced, so its rows are tau times the first line plus 1 − tau times "
    "what it was.",
    checks=[online_rows, target_rows, both_ends],
)
