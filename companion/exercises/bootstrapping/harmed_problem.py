"""Find a problem with at most six states, `(features, transitions, weights)`, that converges without a target network
at γ = 0.99 and step 1/λmax(C), and diverges with a slow soft one. Every state has a share of the data of 0.05 or
more: no state is only looked at.
"""

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, several
from companion.rl import linear


def harmed_problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    while True:
        features = rng.standard_normal((4, 2))
        transitions = np.eye(4)[rng.integers(4, size=4)]
        weights = 0.05 + 0.8 * rng.dirichlet(np.ones(4))
        C = features.T * weights @ features
        K = features.T * weights @ transitions @ features
        step_size = 1 / np.linalg.eigvalsh(C).max()
        alone = np.abs(np.linalg.eigvals(np.eye(2) - step_size * (C - 0.99 * K))).max()
        fitted = np.linalg.eigvals(0.99 * np.linalg.solve(C, K)).real.max()
        if alone < 0.999 and fitted > 1.01:
            return features, transitions, weights


def problem_of(answer: Answer) -> linear.LinearTD:
    three = several(answer, 3, "Hand in three arrays: `(features, transitions, weights)`.")
    features, transitions, weights = (np.asarray(array, dtype=float) for array in three)
    expect(features.ndim == 2, f"`features` needs one row a state; its shape is {features.shape}.")
    states = len(features)
    hint = f"At most six states, and no more features than states: `features` has shape {features.shape}."
    expect(states <= 6 and features.shape[1] <= states, hint)
    hint = f"For {states} states `transitions` is {states} × {states} and `weights` has {states} numbers."
    expect(transitions.shape == (states, states) and weights.shape == (states,), hint)
    expect(
        transitions.min() >= 0 and np.allclose(transitions.sum(1), 1), "Every row of `transitions` sums to 1, none < 0."
    )
    expect(weights.min() >= 0 and np.isclose(weights.sum(), 1), "`weights` are shares: none below 0, and 1 in sum.")
    return linear.LinearTD(features, transitions, np.zeros(states), weights, gamma=0.99)


def legal(answer: Answer) -> None:
    """It is a problem: six states at most, each in the data, rows and shares sum to 1, independent features."""
    problem = problem_of(answer)
    hint = "Every state needs a share of the data of at least 0.05. (In the chapter's example two have none.)"
    expect(problem.weights.min() >= 0.05 - 1e-9, hint)
    values = np.linalg.eigvalsh(problem.covariance)
    expect(values[0] > 1e-9 * values[-1], "The features are dependent under your weights: C has no inverse.")


def alone(answer: Answer) -> None:
    """Without a target network it converges, at the step 1/λmax(C)."""
    problem = problem_of(answer)
    step_size = 1 / np.linalg.eigvalsh(problem.covariance)[-1]
    if linear.growth(problem, step_size) >= 1:
        slow = linear.spectral_abscissa(problem.fitted_matrix) < 1
        word = "saved: a slow target makes it converge" if slow else "one where nothing helps: it diverges either way"
        raise Hint(f"Without a target network it diverges. Yours is {word}.")


def worse(answer: Answer) -> None:
    """With a slow soft target it diverges: the target network did the harm."""
    problem = problem_of(answer)
    if np.allclose(problem.weights @ problem.transitions, problem.weights, atol=1e-8):
        raise Hint("Your `weights` are the chain's own long-run shares: on-policy, where a target never harms.")
    fitted = np.linalg.eigvals(problem.fitted_matrix)
    if fitted.real.max() <= 1 and np.abs(fitted).max() > 1:
        raise Hint(
            "A *hard* target with a long period harms it, a slow soft one does not: an eigenvalue of γC⁻¹K lies "
            "outside the unit circle, but none has a real part above 1. Close; go on searching."
        )
    expect(
        fitted.real.max() > 1 + 1e-6,
        "It converges with a slow target as well: none was needed. About one random problem in two thousand is harmed; "
        "let a loop search.",
    )


EXERCISE = Exercise(
    place=5,
    title="Make it worse",
    difficulty="hard",
    minutes=120,
    expects="the three arrays (features, transitions, weights)",
    solution=harmed_problem,
    why="Chance finds it: deterministic transitions and a few thousand tries. To construct one, recall that A = "
    "C(I − F). Choose I − F with a positive determinant and a slightly negative trace: F has a complex pair "
    "with real part above 1; then choose the scale of the features, and with it C, so that the trace of C(I − F) "
    "turns positive. The bad scaling is what makes TD converge, and the target network undoes it.",
    checks=[legal, alone, worse],
    value=True,
)
