"""The exercises on bootstrapping: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np

from companion.exercises.bootstrapping.harmed_problem import harmed_problem
from companion.exercises.bootstrapping.no_rescue import determinant
from companion.exercises.bootstrapping.whiten import whiten
from companion.rl import linear
from tests.exercises.helpers import Wrong


def wrong_feature_size() -> Wrong:
    return {
        "the second problem": (2.0, "runs away: that is"),
        "the first problem": (1.0, "room to spare"),
        "too small": (1.2, "still converges"),
        "the edge for the chapter's step": (1.38, "smaller steps"),
        "too large": (1.6, "it runs away"),
        "no number": ("large", "one positive number"),
        "several sizes": (np.array([1.3, 1.5]), "one positive number"),
        "negative": (-1.4142, "one positive number"),
    }


def wrong_no_rescue() -> Wrong:
    def simple(C: Any, K: Any, g: float, eta: float, tau: float, period: int) -> Any:
        return (eta * tau) ** len(C) * np.linalg.det(C - g * K)

    return {
        "no powers": (lambda C, K, g, a, t, n: a * t * np.linalg.det(C - g * K), "d weights"),
        "period ignored": (simple, "period of 1"),
        "one long step": (lambda C, K, g, a, t, n: simple(C, K, g, n * a, t, n), "no step of N times"),
        "tau every update": (
            lambda C, K, g, a, t, n: determinant(C, K, g, a, t, n) * t ** (len(C) * (n - 1)),
            "once a period",
        ),
        "of the fit alone": (
            lambda C, K, g, a, t, n: t ** len(C) * np.linalg.det(np.eye(len(C)) - g * np.linalg.solve(C, K)),
            "period of 1 it should be",
        ),
        "positive": (lambda *args: abs(determinant(*args)) if args[5] != 5 else determinant(*args), "w → 2w"),
        "no return": (lambda *args: None, "returned None"),
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

    seen = problems.weights.min(-1) >= 0.05
    on_policy = linear.random_problems(0, 100, on_policy=True)
    visited = int(np.flatnonzero(on_policy.weights.min(-1) >= 0.05)[0])

    def first(chosen: np.ndarray) -> tuple[np.ndarray, ...]:
        return parts(problems[int(np.flatnonzero(chosen & seen)[0])])

    features, transitions, weights = harmed_problem()
    return {
        "saved": (first(~alone & soft), "a slow target makes it converge"),
        "nothing helps": (parts(linear.two_state()), "diverges either way"),
        "none needed": (first(alone & hard), "none was needed"),
        "harmed by copies only": (first(alone & soft & ~hard), "hard"),
        "on-policy": (parts(on_policy[visited]), "on-policy"),
        "shares that do not sum": ((features, transitions, 2 * weights), "1 in sum"),
        "rows that do not sum": ((features, transitions / 2, weights), "sums to 1"),
        "states that are only looked at": ((features, transitions, np.array([0.5, 0.5, 0, 0])), "at least 0.05"),
        "two arrays": ((features, transitions), "three arrays"),
        "too many states": ((np.ones((9, 2)), np.eye(9), np.full(9, 1 / 9)), "six states"),
        "dependent features": ((np.ones((4, 2)), transitions, weights), "no inverse"),
    }
