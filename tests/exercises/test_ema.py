"""The exercises on the moving average: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np

from companion.exercises.ema.bias_correction import corrected_ema
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
    }


def wrong_tau_from_half_life() -> Wrong:
    return {
        "small tau": (lambda steps: np.log(2) / steps, "small tau only"),
        "decay": (lambda steps: 0.5 ** (1 / steps), "the decay"),
        "window": (lambda steps: 1 / steps, "tau = 0.5"),
        "mean lag": (lambda steps: 1 / (steps + 1), "mean lag"),
        "small tau, mended for one step": (
            lambda steps: 0.5 if steps == 1 else (np.log(2) / steps if steps > 100 else 1 - 0.5 ** (1 / steps)),
            "without rounding",
        ),
        "wrong way": (lambda steps: 1 - 0.5**steps, "after n updates"),
    }


def wrong_rescale_tau() -> Wrong:
    return {
        "product": (lambda tau, every: tau * every, "beyond 1"),
        "product, cut at one": (lambda tau, every: min(1.0, tau * every), "beyond 1"),
        "the new decay": (lambda tau, every: (1 - tau) ** every if every > 1 else tau, "the new decay"),
        "power of tau": (lambda tau, every: tau**every, "wrong share"),
        "quotient": (lambda tau, every: tau / every, "larger than the old"),
        "counts one short": (lambda tau, every: 1 - (1 - tau) ** max(1, every - 1), "leave as much"),
    }


def divided(signal: Any, tau: float, *, shift: int = 0, swap: bool = False) -> Any:
    tau = 1 - tau if swap else tau
    average, averages = np.zeros(np.shape(signal)[1:]), []
    with np.errstate(all="ignore"):
        for k, value in enumerate(signal, start=1):
            average = tau * value + (1 - tau) * average
            averages.append(average / (1 - (1 - tau) ** (k + shift)))
    return np.array(averages)


def uncorrected(signal: Any, tau: float, *, first: bool = False) -> Any:
    average = np.array(signal[0]) if first else np.zeros(np.shape(signal)[1:])
    averages = []
    for value in signal:
        average = average + tau * (value - average)
        averages.append(average)
    return np.array(averages)


def flattens(signal: Any, tau: float) -> Any:
    return corrected_ema(np.ravel(signal), tau).reshape(np.shape(signal))


def spoils(signal: Any, tau: float) -> Any:
    signal[...] = corrected_ema(signal, tau)
    return signal


def same_array(signal: Any, tau: float) -> Any:
    average, averages = np.zeros(np.shape(signal)[1:]), []
    for k, value in enumerate(signal, start=1):
        tau_k = tau / (1 - (1 - tau) ** k) if tau else 1 / k
        average += tau_k * (value - average)
        averages.append(average)
    return np.array(averages)


def wrong_bias_correction() -> Wrong:
    return {
        "forgets the correction": (uncorrected, "not corrected"),
        "starts at the first value": (lambda s, t: uncorrected(s, t, first=True), "starts at the first value"),
        "counts from zero": (lambda s, t: divided(s, t, shift=-1), "count from 1"),
        "counts from two": (lambda s, t: divided(s, t, shift=1), "one too large"),
        "tau used as a decay": (lambda s, t: divided(s, t, swap=True), "1 − tau"),
        "no case for zero": (divided, "0/0"),
        "only the last": (lambda s, t: corrected_ema(s, t)[-1], "40 averages"),
        "no return": (lambda s, t: None, "returned None"),
        "flattens": (flattens, "six columns"),
        "in place": (spoils, "has changed"),
        "one array for all": (same_array, "one and the same array"),
    }


def by_rows(stored: Any, wanted: float, *, ages: int = 20_000, height: bool = True, rescale: bool = False) -> Any:
    taus = np.array([*stored, wanted])[:, None]
    rows = (taus if height else 1.0) * (1 - taus) ** np.arange(ages)
    c = np.linalg.lstsq(rows[:-1].T, rows[-1], rcond=None)[0]
    return c / c.sum() if rescale else c


def wrong_posthoc_ema() -> Wrong:
    return {
        "no tau in front": (lambda s, w: by_rows(s, w, height=False), "in front"),
        "rescaled": (lambda s, w: by_rows(s, w, rescale=True), "rescaled"),
        "too few ages": (lambda s, w: by_rows(s, w, ages=60), "end too early"),
        "finitely many ages": (by_rows, "have no end"),
        "interpolates": (
            lambda s, w: np.array([float(np.isclose(t, w)) for t in s]) if w in s else np.array([0.5, 0.5, 0.0]),
            "some other combination",
        ),
        "the nearest one": (lambda s, w: np.eye(len(s))[int(np.argmin(np.abs(np.array(s) - w - 1e-3)))], "other"),
        "one number": (lambda s, w: 1.0, "the shape is"),
    }
