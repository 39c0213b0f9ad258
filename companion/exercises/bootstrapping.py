"""Chasing your own target."""

from typing import Any

import numpy as np

from companion.exercises.core import Exercise, Hint, expect, matches, returned
from companion.rl import linear

_RNG_SEED = 7
_GAMMA = 0.99


def td_matrices(features: np.ndarray, transitions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weighted = features.T * weights
    return weighted @ features, weighted @ transitions @ features


def _pair(answer: Any, *arguments: np.ndarray) -> tuple[Any, Any]:
    got = returned(answer(*arguments))
    expect(isinstance(got, tuple) and len(got) == 2, "Return the two matrices as a pair: `return C, K`.")
    return got


def _two_states(answer: Any) -> None:
    """For w → 2w they are the numbers 2.5 and 3."""
    problem = linear.two_state()
    C, K = _pair(answer, problem.features, problem.transitions, problem.weights)
    if np.shape(C) == (1, 1) and np.isclose(C, 5):
        raise Hint("C is 5, the plain sum over the states. Each state counts with its weight, here one half.")
    matches(C, [[2.5]], "C should be ½·1·1 + ½·2·2 = 2.5.")
    matches(K, [[3.0]], "K should be ½·1·2 + ½·2·2 = 3: each state's feature times that of the state it leads to.")


def _any_problem(answer: Any) -> None:
    """For a random problem they are the sums over all states."""
    problem = linear.random_problems(_RNG_SEED, 1, states=6, features=3)[0]
    C, K = _pair(answer, problem.features, problem.transitions, problem.weights)
    matches(C, problem.covariance, "C is wrong where there is more than one feature: C = ΦᵀDΦ, a 3 × 3 matrix here.")
    if np.shape(K) == (3, 3) and np.allclose(K, problem.lookahead.T):
        raise Hint("Your K is transposed. The state's own features stand on the left, the next state's on the right.")
    matches(K, problem.lookahead, "K is wrong where next states are random: K = ΦᵀDPΦ, with P between D and Φ.")


def joint_matrix(C: np.ndarray, K: np.ndarray, gamma: float, step_size: float, tau: float) -> np.ndarray:
    eye = np.eye(len(C))
    online = np.hstack([eye - step_size * C, step_size * gamma * K])
    frozen = np.hstack([0 * eye, eye])
    return np.vstack([online, tau * online + (1 - tau) * frozen])


_PAIR = linear.random_problems(_RNG_SEED, 1, features=3)[0]


def _joint(answer: Any, tau: float) -> tuple[np.ndarray, np.ndarray]:
    want = linear.joint_matrix(_PAIR, 0.2, tau)
    got = answer(_PAIR.covariance, _PAIR.lookahead, _GAMMA, 0.2, tau)
    matches(np.shape(got), want.shape, f"For 3 weights the matrix is 6 × 6; yours has shape {np.shape(got)}.")
    return np.asarray(got), want


def _online_rows(answer: Any) -> None:
    """The upper half is the gradient step, with the target's weights in the bootstrapped value."""
    got, want = _joint(answer, 0.1)
    if np.allclose(got[:3, 3:] * _GAMMA, want[:3, 3:]):
        raise Hint("The next state's value is discounted: gamma is missing in front of K.")
    matches(got[:3], want[:3], "The upper rows should be I − step_size·C beside step_size·gamma·K.")


def _target_rows(answer: Any) -> None:
    """The lower half moves the target towards the weights that the step has just produced."""
    got, want = _joint(answer, 0.1)
    late = np.hstack([0.1 * np.eye(3), 0.9 * np.eye(3)])
    if np.allclose(got[3:], late):
        raise Hint(
            "Your target moves towards the online weights from *before* the gradient step. The book's order is: step "
            "first, then target; so the upper rows appear again, times tau, in the lower ones."
        )
    if np.allclose(got[3:], _joint(answer, 0.9)[1][3:]):
        raise Hint("tau and 1 − tau are exchanged: tau is the weight of the new value, the online one.")
    matches(got[3:], want[3:], "The lower rows should be tau·(upper rows) + (1 − tau)·(0 beside I).")


def _both_ends(answer: Any) -> None:
    """With tau = 1 both halves are the same, and with tau = 0 the target stands still."""
    for tau in (1.0, 0.0):
        got, want = _joint(answer, tau)
        matches(got, want, f"With tau = {tau:g} it is wrong. Did you divide by tau, or by 1 − tau?")


def regime(C: np.ndarray, K: np.ndarray, gamma: float, step_size: float) -> str:
    without = np.linalg.eigvals(np.eye(len(C)) - step_size * (C - gamma * K))
    fitted = np.linalg.eigvals(gamma * np.linalg.solve(C, K))
    alone = np.abs(without).max() < 1
    slowly = step_size * np.linalg.eigvalsh(C).max() < 2 and fitted.real.max() < 1
    if alone:
        return "none needed" if slowly else "harmed"
    return "saved" if slowly else "nothing helps"


_WORDS = ("none needed", "saved", "harmed", "nothing helps")


def _named(answer: Any, C: Any, K: Any, step_size: float, want: str, hint: str, gamma: float = 0.9) -> None:
    got = answer(np.atleast_2d(C).astype(float), np.atleast_2d(K).astype(float), gamma, step_size)
    if got not in _WORDS:
        raise Hint(f"It returned {got!r}. Return one of {', '.join(repr(word) for word in _WORDS)}.")
    expect(got == want, f"{hint} You said {got!r}, and it is {want!r}.")


def _with_fit(scales: tuple[float, float], one_minus_fit: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """C, and the K for which I − F is the given matrix at gamma = 0.9."""
    C = np.diag(scales)
    return C, C @ (np.eye(2) - np.array(one_minus_fit)) / 0.9


def _one_weight(answer: Any) -> None:
    """For one weight and a small step the target changes nothing: K/C decides."""
    _named(answer, 1, 1, 0.1, "none needed", "C = K = 1: the fit lands at 0.9 of the target.")
    _named(answer, 2.5, 3, 0.1, "nothing helps", "w → 2w: the fit lands at 1.08 of the target.")


def _beyond_minus_one(answer: Any) -> None:
    """A soft target bears a fit that overshoots to the other side."""
    hint = (
        "C = 1, K = −1.5: the fit lands at −1.35 of the target. A copy would jump there and diverge; a slow average "
        "only moves that way, and passes 0. The *real part* is what counts."
    )
    _named(answer, 1, -1.5, 0.1, "none needed", hint)


def _long_steps(answer: Any) -> None:
    """A step too long without a target, or with any, is noticed."""
    _named(answer, 1, -1, 1.5, "saved", "C = 1, K = −1, step 1.5: without a target the error is times 1 − 1.5·1.9.")
    hint = "C = 1, K = 0, step 2.5: the regression itself diverges, even on a target that stands still."
    _named(answer, 1, 0, 2.5, "nothing helps", hint)


def _two_weights(answer: Any) -> None:
    """With two weights of different scale a slow target can save, and it can harm."""
    for scales, fit, want in (
        ((0.5, 1.0), [[1.0, -2.0], [1.2, -0.8]], "saved"),
        ((1.0, 0.5), [[1.0, -2.0], [1.2, -1.2]], "harmed"),
    ):
        C, K = _with_fit(scales, fit)
        hint = f"C = diag{scales}: compare the eigenvalues of C − γK with those of γC⁻¹K; they are complex here."
        _named(answer, C, K, 0.1, want, hint)


def whiten(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    covariance = features.T * weights @ features
    values, vectors = np.linalg.eigh(covariance)
    return features @ vectors / np.sqrt(values)


_SKEWED = np.random.default_rng(_RNG_SEED).normal(size=(6, 3)) @ np.array([[5, 1, 0], [0, 1, 0.5], [0, 0, 0.1]])
_SHARES = np.array([0.3, 0.25, 0.2, 0.1, 0.1, 0.05])


def _identity(answer: Any) -> None:
    """The covariance of the new features, under the data's weights, is the identity."""
    got = answer(_SKEWED.copy(), _SHARES.copy())
    matches(np.shape(got), _SKEWED.shape, f"Return new features of the same shape; yours has {np.shape(got)}.")
    new = np.asarray(got)
    covariance = new.T * _SHARES @ new
    if np.allclose(np.diag(covariance), 1) and not np.allclose(covariance, np.eye(3)):
        raise Hint("Each feature has size 1 now, but they still go together: remove the correlations too.")
    if np.allclose(new.T @ new / len(new), np.eye(3)) or np.allclose(new.T @ new, np.eye(3)):
        raise Hint("White if all states counted alike. They count with `weights`: C = ΦᵀDΦ.")
    matches(covariance, np.eye(3), "ΦᵀDΦ of the new features is not the identity.", atol=1e-6)


def _same_functions(answer: Any) -> None:
    """The new features represent the same functions as the old."""
    new = np.asarray(answer(_SKEWED.copy(), _SHARES.copy()))
    expect(
        np.linalg.matrix_rank(np.hstack([_SKEWED, new]), tol=1e-8) == 3,
        "The new features are no combinations of the old: multiply by a matrix on the *right* and do nothing else. "
        "(Was the mean subtracted, or a row scaled?)",
    )


def _target_not_needed(answer: Any) -> None:
    """A problem that only a target network could save needs none any more."""
    problems = linear.random_problems(_RNG_SEED, 3_000)
    diverges = linear.spectral_abscissa(-problems.td_matrix) > 1e-3
    saved = np.flatnonzero(diverges & (linear.spectral_abscissa(problems.fitted_matrix) < 1 - 1e-3))
    problem = problems[int(saved[0])]
    new = np.asarray(answer(problem.features, problem.weights))
    white = linear.LinearTD(new, problem.transitions, problem.rewards, problem.weights, problem.gamma)
    expect(linear.growth(white, 0.1) < 1, "TD without a target network still diverges with your features.")


def harmed_problem() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    while True:
        features = rng.standard_normal((4, 2))
        transitions = np.eye(4)[rng.integers(4, size=4)]
        weights = rng.dirichlet(np.ones(4))
        C = features.T * weights @ features
        K = features.T * weights @ transitions @ features
        step_size = 1 / np.linalg.eigvalsh(C).max()
        alone = np.abs(np.linalg.eigvals(np.eye(2) - step_size * (C - 0.99 * K))).max()
        fitted = np.linalg.eigvals(0.99 * np.linalg.solve(C, K)).real.max()
        if alone < 0.999 and fitted > 1.01:
            return features, transitions, weights


def _problem(answer: Any) -> linear.LinearTD:
    expect(
        isinstance(answer, tuple | list) and len(answer) == 3,
        "Hand in three arrays: `(features, transitions, weights)`.",
    )
    features, transitions, weights = (np.asarray(array, dtype=float) for array in answer)
    expect(features.ndim == 2, f"`features` needs one row a state; its shape is {features.shape}.")
    states = len(features)
    expect(
        states <= 6 and features.shape[1] <= states,
        f"At most six states, and no more features than states: `features` has shape {features.shape}.",
    )
    expect(
        transitions.shape == (states, states) and weights.shape == (states,),
        f"For {states} states `transitions` is {states} × {states} and `weights` has {states} numbers.",
    )
    expect(
        transitions.min() >= 0 and np.allclose(transitions.sum(1), 1), "Every row of `transitions` sums to 1, none < 0."
    )
    expect(weights.min() >= 0 and np.isclose(weights.sum(), 1), "`weights` are shares: none below 0, and 1 in sum.")
    return linear.LinearTD(features, transitions, np.zeros(states), weights, _GAMMA)


def _legal(answer: Any) -> None:
    """It is a problem: six states at most, rows and shares sum to 1, the features are independent."""
    problem = _problem(answer)
    values = np.linalg.eigvalsh(problem.covariance)
    expect(values[0] > 1e-9 * values[-1], "The features are dependent under your weights: C has no inverse.")


def _alone(answer: Any) -> None:
    """Without a target network it converges, at the step 1/λmax(C)."""
    problem = _problem(answer)
    step_size = 1 / np.linalg.eigvalsh(problem.covariance)[-1]
    if linear.growth(problem, step_size) >= 1:
        slow = linear.spectral_abscissa(problem.fitted_matrix) < 1
        word = "saved: a slow target makes it converge" if slow else "one where nothing helps: it diverges either way"
        raise Hint(f"Without a target network it diverges. Yours is {word}.")


def _worse(answer: Any) -> None:
    """With a slow soft target it diverges: the target network did the harm."""
    problem = _problem(answer)
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


EXERCISES = [
    Exercise(
        name="td-matrices",
        title="Two matrices that decide",
        difficulty="easy",
        minutes=10,
        task="Write `td_matrices(features, transitions, weights)`: C = ΦᵀDΦ and K = ΦᵀDPΦ, where D has the weights on "
        "its diagonal.",
        expects="a function of (features, transitions, weights) that returns the pair (C, K)",
        solution=td_matrices,
        why="`features.T * weights` multiplies column s of Φᵀ by the weight of state s: ΦᵀD, without building D. "
        "C says how features go together in the data, K how they go together one step apart. Everything else in the "
        "chapter is made of these two and γ.",
        checks=[_two_states, _any_problem],
    ),
    Exercise(
        name="joint-matrix",
        title="Both networks in one matrix",
        difficulty="medium",
        minutes=20,
        task="Write `joint_matrix(C, K, gamma, step_size, tau)`: the matrix that takes the errors of (online, target) "
        "over one update, as in (3.6).",
        expects="a function of (C, K, gamma, step_size, tau) that returns a matrix of twice C's size",
        solution=joint_matrix,
        why="The first line is the gradient step, bootstrapped from the target's weights. The target then moves "
        "towards the weights which that step produced, so its rows are tau times the first line plus 1 − tau times "
        "what it was.",
        checks=[_online_rows, _target_rows, _both_ends],
    ),
    Exercise(
        name="four-regimes",
        title="Which of the four?",
        difficulty="medium",
        minutes=30,
        task="Write `regime(C, K, gamma, step_size)`: `'none needed'`, `'saved'`, `'harmed'` or `'nothing helps'`, for "
        "a soft target that is as slow as one likes.",
        expects="a function of (C, K, gamma, step_size) that returns one of the four names",
        solution=regime,
        why="Without a target every update multiplies the error by I − ηA, so the eigenvalues of that matrix must "
        "lie inside the unit circle. With a slow one the online weights settle first, which they do if ηC has no "
        "eigenvalue of 2 or more, and the target then drifts by τ(F − I): the real parts of F's eigenvalues decide.",
        checks=[_one_weight, _beyond_minus_one, _long_steps, _two_weights],
    ),
    Exercise(
        name="whiten",
        title="Do without the target",
        difficulty="medium",
        minutes=40,
        task="Write `whiten(features, weights)`: new features that represent the same functions and whose covariance "
        "ΦᵀDΦ is the identity.",
        expects="a function of (features, weights) that returns new features of the same shape",
        solution=whiten,
        why="The columns of `vectors` are the directions in which the features vary, `values` by how much. In the new "
        "coordinates C = I, so A and C⁻¹A are the same matrix, and a slow target has nothing left to change. Any "
        "further rotation is just as right.",
        checks=[_identity, _same_functions, _target_not_needed],
    ),
    Exercise(
        name="harmed-problem",
        title="Make it worse",
        difficulty="hard",
        minutes=120,
        task="Find a problem with at most six states, `(features, transitions, weights)`, that converges without a "
        "target network at γ = 0.99 and step 1/λmax(C), and diverges with a slow soft one.",
        expects="the three arrays (features, transitions, weights)",
        solution=harmed_problem,
        why="Chance finds it: deterministic transitions and a few thousand tries. To construct one, recall that A = "
        "C(I − F). Choose I − F with a positive determinant and a slightly negative trace: F has a complex pair "
        "with real part above 1; then choose the scale of the features, and with it C, so that the trace of C(I − F) "
        "turns positive. The bad scaling is what makes TD converge, and the target network undoes it.",
        checks=[_legal, _alone, _worse],
        value=True,
    ),
]
