"""The exercises on bootstrapping: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np

from companion.exercises.bootstrapping.harmed_problem import harmed_problem
from companion.exercises.bootstrapping.whiten import whiten
from companion.rl import linear
from tests.exercises.helpers import Wrong


def wrong_td_matrices() -> Wrong:
    return {
        "no weights": (lambda f, p, d: (f.T @ f, f.T @ p @ f), "counts with its weight"),
        "weights squared": (lambda f, p, d: ((f.T * d**2) @ f, (f.T * d**2) @ p @ f), "should be ½"),
        "no transitions": (lambda f, p, d: ((f.T * d) @ f, (f.T * d) @ f), "the state it leads to"),
        "transposed": (lambda f, p, d: ((f.T * d) @ f, ((f.T * d) @ p @ f).T), "transposed"),
        "transitions backwards": (lambda f, p, d: ((f.T * d) @ f, (f.T * d) @ p.T @ f), "next states are random"),
        "one matrix": (lambda f, p, d: (f.T * d) @ f, "as a pair"),
        "no return": (lambda f, p, d: None, "returned None"),
    }


def joint(C: Any, K: Any, gamma: float, step_size: float, tau: float, *, late: bool = False) -> Any:
    eye, nothing = np.eye(len(C)), np.zeros_like(C)
    online = np.block([eye - step_size * C, step_size * gamma * K])
    new = np.block([eye, nothing]) if late else online
    return np.vstack([online, tau * new + (1 - tau) * np.block([nothing, eye])])


def wrong_joint_matrix() -> Wrong:
    return {
        "no discount": (lambda C, K, g, a, t: joint(C, K, 1.0, a, t), "gamma is missing"),
        "ascent": (lambda C, K, g, a, t: joint(C, K, g, -a, t), "upper rows should be"),
        "target moves late": (lambda *args: joint(*args, late=True), "before"),
        "a decay": (lambda C, K, g, a, t: joint(C, K, g, a, 1 - t), "exchanged"),
        "online only": (lambda C, K, g, a, t: np.eye(3) - a * (C - g * K), "6 × 6"),
        "period": (
            lambda C, K, g, a, t: np.vstack([joint(C, K, g, a, t)[:3], np.eye(6)[3:]]),
            "lower rows should be",
        ),
    }


def judge(C: Any, K: Any, gamma: float, step_size: float, *, hard: bool = False, settle: bool = True) -> str:
    alone = np.abs(np.linalg.eigvals(np.eye(len(C)) - step_size * (C - gamma * K))).max() < 1
    fitted = np.linalg.eigvals(gamma * np.linalg.solve(C, K))
    slow = (np.abs(fitted).max() if hard else fitted.real.max()) < 1
    slow &= not settle or step_size * np.linalg.eigvalsh(C).max() < 2
    return {(1, 1): "none needed", (0, 1): "saved", (1, 0): "harmed", (0, 0): "nothing helps"}[int(alone), int(slow)]


def wrong_four_regimes() -> Wrong:
    def steps_ignored(C: Any, K: Any, gamma: float, step_size: float) -> str:
        return judge(C, K, gamma, 1e-3)

    return {
        "a copy's criterion": (lambda *args: judge(*args, hard=True), "real part"),
        "no regard to the step": (steps_ignored, "1 − 1.5·1.9"),
        "regression not checked": (lambda *args: judge(*args, settle=False), "regression itself"),
        "other words": (lambda *args: "stable", "Return one of"),
        "always": (lambda *args: "none needed", "w → 2w"),
        "a target changes nothing": (
            lambda C, K, g, a: judge(C, K, g, a) if len(C) == 1 else "nothing helps",
            "compare the eigenvalues",
        ),
    }


def wrong_whiten() -> Wrong:
    def sizes_only(features: Any, weights: Any) -> Any:
        return features / np.sqrt(weights @ features**2)

    def unweighted(features: Any, weights: Any) -> Any:
        return whiten(features, np.full(len(features), 1 / len(features)))

    def centred(features: Any, weights: Any) -> Any:
        return whiten(features - features.mean(0), weights)

    def wrong_way(features: Any, weights: Any) -> Any:
        values, vectors = np.linalg.eigh(features.T * weights @ features)
        return features @ vectors * np.sqrt(values)

    return {
        "sizes only": (sizes_only, "still go together"),
        "all states alike": (unweighted, "count with `weights`"),
        "centred": (centred, "no combinations of the old"),
        "the wrong way": (wrong_way, "not the identity"),
        "the covariance itself": (lambda f, d: f.T * d @ f, "same shape"),
    }


def wrong_harmed_problem() -> Wrong:
    def parts(problem: linear.LinearTD) -> tuple[np.ndarray, ...]:
        return problem.features, problem.transitions, problem.weights

    problems = linear.random_problems(0, 20_000)
    step = 1 / np.linalg.eigvalsh(problems.covariance)[:, -1]
    alone = linear.growth(problems, step) < 1
    fitted = np.linalg.eigvals(problems.fitted_matrix)
    soft, hard = fitted.real.max(-1) < 1, np.abs(fitted).max(-1) < 1

    def first(chosen: np.ndarray) -> tuple[np.ndarray, ...]:
        return parts(problems[int(np.flatnonzero(chosen)[0])])

    features, transitions, weights = harmed_problem()
    return {
        "saved": (first(~alone & soft), "a slow target makes it converge"),
        "nothing helps": (parts(linear.two_state()), "diverges either way"),
        "none needed": (first(alone & hard), "none was needed"),
        "harmed by copies only": (first(alone & soft & ~hard), "hard"),
        "on-policy": (parts(linear.random_problems(0, 1, on_policy=True)[0]), "on-policy"),
        "shares that do not sum": ((features, transitions, 2 * weights), "1 in sum"),
        "rows that do not sum": ((features, transitions / 2, weights), "sums to 1"),
        "two arrays": ((features, transitions), "three arrays"),
        "too many states": ((np.ones((9, 2)), np.eye(9), np.full(9, 1 / 9)), "six states"),
        "dependent features": ((np.ones((4, 2)), transitions, weights), "no inverse"),
    }
