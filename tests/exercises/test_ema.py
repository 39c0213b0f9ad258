"""The exercises on the moving average: solutions pass, typical wrong answers get their own hints."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from companion.exercises import check
from companion.exercises.ema.soft_update import soft_update
from tests.exercises.helpers import Wrong


def swapped(online: Any, target: Any, tau: float) -> None:
    soft_update(target, online, tau)


def as_decay(online: Any, target: Any, tau: float) -> None:
    soft_update(online, target, 1 - tau)


def rebinds_entries(online: Any, target: Any, tau: float) -> None:
    for name in target:
        target[name] = tau * online[name] + (1 - tau) * target[name]


def returns_new(online: Any, target: Any, tau: float) -> Any:
    return {name: tau * online[name] + (1 - tau) * target[name] for name in target}


def rebinds_loop_variable(online: Any, target: Any, tau: float) -> None:
    for name, array in target.items():
        array = tau * online[name] + (1 - tau) * array


def copies(online: Any, target: Any, tau: float) -> None:
    for name in target:
        target[name][...] = online[name]


def by_position(online: Any, target: Any, tau: float) -> None:
    for new, old in zip(online.values(), target.values(), strict=True):
        old += tau * (new - old)


def wrong_soft_update() -> Wrong:
    return {
        "arguments swapped": (swapped, "changed `online`"),
        "tau used as a decay": (as_decay, "used as a decay"),
        "puts new arrays into the dict": (rebinds_entries, "is left behind"),
        "returns a new dict": (returns_new, "is left behind"),
        "rebinds the loop's name": (rebinds_loop_variable, "has not moved"),
        "a hard update": (copies, "is not tau"),
        "by position": (by_position, "your code stopped"),
        "a tied array twice": (each_name, "moved twice"),
        "a tied array never": (skips_tied, "like any other"),
        "half a step twice": (half_the_tied, "tied array is not"),
    }


def each_name(online: Any, target: Any, tau: float) -> None:
    for name, array in target.items():
        array += tau * (online[name] - array)


def skips_tied(online: Any, target: Any, tau: float) -> None:
    arrays = [id(array) for array in target.values()]
    for name, array in target.items():
        if arrays.count(id(array)) == 1:
            array += tau * (online[name] - array)


def half_the_tied(online: Any, target: Any, tau: float) -> None:
    arrays = [id(array) for array in target.values()]
    for name, array in target.items():
        array += tau / arrays.count(id(array)) * (online[name] - array)


def wrong_averaged_twice() -> Wrong:
    def weights(tau: float, n: int) -> Any:
        return tau * (1 - tau) ** np.arange(n)

    return {
        "once": (weights, "once more"),
        "squared": (lambda tau, n: weights(tau, n) ** 2, "squared the weights"),
        "all of the convolution": (lambda tau, n: np.convolve(weights(tau, n), weights(tau, n)), "has 99"),
        "ways counted from none": (lambda tau, n: np.arange(n) * tau * weights(tau, n), "not none"),
        "half of tau": (lambda tau, n: weights(tau / 2, n), "tau of that"),
        "a single way": (lambda tau, n: tau * weights(tau, n), "Add up the products"),
        "only the last": (lambda tau, n: n * tau * weights(tau, n)[-1], "one weight for each age"),
    }


@pytest.mark.parametrize(
    "answer",
    [
        lambda q: 2 * q / (q + np.sqrt(q * q + 4 * q)),
        lambda q: 2 / (1 + (1 + 4 / q) ** 0.5),
        lambda q: max(np.roots([1, q, -q])),
    ],
    ids=["without cancellation", "divided by q", "roots"],
)
def test_best_tau_may_divide_by_q(answer: Callable[[float], Any]) -> None:
    assert check("best-tau", answer)


def wrong_best_tau() -> Wrong:
    def right(q: float) -> Any:
        return (np.sqrt(q * q + 4 * q) - q) / 2

    return {
        "small q": (np.sqrt, "small q only"),
        "q itself": (lambda q: q, "not q"),
        "the other root": (lambda q: -(np.sqrt(q * q + 4 * q) + q) / 2, "negative"),
        "the old value's weight": (lambda q: 1 - right(q), "old value"),
        "one look": (lambda q: q / (1 + q), "The past tells more"),
        "beyond one": (lambda q: 1 + q, "between 0 and 1"),
        "half as much": (lambda q: right(q) / 2, "another tau"),
        "a search that ends": (lambda q: max(right(q), 1e-4), "however old"),
    }


def by_rows(stored: Any, wanted: float, *, ages: int = 20_000, height: bool = True) -> Any:
    taus = np.array([*stored, wanted])[:, None]
    rows = (taus if height else 1.0) * (1 - taus) ** np.arange(ages)
    c = np.linalg.lstsq((rows[1:-1] - rows[0]).T, rows[-1] - rows[0], rcond=None)[0]
    return np.array([1 - c.sum(), *c])


def any_sum(stored: Any, wanted: float, *, rescale: bool = False) -> Any:
    taus = np.array([*stored, wanted])[:, None]
    rows = taus * (1 - taus) ** np.arange(20_000)
    c = np.linalg.lstsq(rows[:-1].T, rows[-1], rcond=None)[0]
    return c / c.sum() if rescale else c


def wrong_posthoc_ema() -> Wrong:
    return {
        "no tau in front": (lambda s, w: by_rows(s, w, height=False), "in front"),
        "any sum": (any_sum, "add up to 0.87"),
        "rescaled": (lambda s, w: any_sum(s, w, rescale=True), "not rescale"),
        "too few ages": (lambda s, w: by_rows(s, w, ages=60), "end too early"),
        "finitely many ages": (by_rows, "have no end"),
        "interpolates": (
            lambda s, w: np.array([float(np.isclose(t, w)) for t in s]) if w in s else np.array([0.5, 0.5, 0.0]),
            "some other combination",
        ),
        "the nearest one": (lambda s, w: np.eye(len(s))[int(np.argmin(np.abs(np.array(s) - w - 1e-3)))], "other"),
        "one number": (lambda s, w: 1.0, "the shape is"),
    }
