"""One number, many names: tau, decay, half-life, window, lag, and the hard-update period that matches them."""

from __future__ import annotations

import math
import numbers
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

Value = float | Float[np.ndarray, "*shape"]


def unit_interval(value: object, name: str = "tau") -> float:
    """``value`` as a float in [0, 1], or an error that names it."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number in [0, 1], not {value!r} of type {type(value).__name__}")
    number = float(value)
    if not 0.0 <= number <= 1.0:  # NaN fails every comparison, so it ends up here too
        remedy = f"; a decay of {number:g} is tau = 1 − decay" if name == "tau" else ""
        raise ValueError(f"{name} = {number!r} is not in [0, 1]; pass a weight between 0 and 1{remedy}")
    return number


def _checked(value: Value, name: str) -> Value:
    if isinstance(value, np.ndarray) and value.ndim:
        array = np.asarray(value, dtype=np.float64)
        wrong = ~((array >= 0.0) & (array <= 1.0))
        if wrong.any():
            raise ValueError(f"{name} holds {array[wrong][0]!r}, which is not in [0, 1]; pass weights between 0 and 1")
        return array
    return unit_interval(value.item() if isinstance(value, np.ndarray) else value, name)


def _plain(value: Value) -> Value:
    return value if isinstance(value, np.ndarray) and value.ndim else float(value)


def ema_decay_to_tau(decay: Value) -> Value:
    """The weight of the new value, ``tau = 1 − decay``."""
    return 1.0 - _checked(decay, "decay")


def tau_to_ema_decay(tau: Value) -> Value:
    """The weight of the old value, ``decay = 1 − tau``."""
    return 1.0 - _checked(tau, "tau")


def effective_window(tau: Value) -> Value:
    """Steps an EMA remembers, ``1 / tau`` (infinite at tau = 0)."""
    with np.errstate(divide="ignore"):
        return _plain(np.divide(1.0, _checked(tau, "tau")))


def half_life(tau: Value) -> Value:
    """Updates until a value's weight has halved, ``ln 2 / −ln(1 − tau)`` (0 at tau = 1, infinite at tau = 0)."""
    with np.errstate(divide="ignore"):
        return _plain(math.log(2.0) / -np.log1p(-np.asarray(_checked(tau, "tau"))))


def mean_lag(tau: Value) -> Value:
    """Mean age of what the average holds, in updates: ``(1 − tau) / tau``."""
    with np.errstate(divide="ignore"):
        tau = _checked(tau, "tau")
        return _plain(np.divide(1.0 - tau, tau))


def variance_ratio(tau: Value) -> Value:
    """Variance of the average of white noise, as a share of the noise's: ``tau / (2 − tau)``."""
    tau = _checked(tau, "tau")
    return _plain(tau / (2.0 - tau))


def equivalent_period(tau: Value) -> Value:
    """The hard-update period of equal mean lag, ``2 / tau − 1`` updates."""
    with np.errstate(divide="ignore"):
        return _plain(np.divide(2.0, _checked(tau, "tau")) - 1.0)


@dataclass(frozen=True, repr=False)
class Convention:
    """One amount of averaging, in every name it goes by."""

    tau: float
    decay: float
    window: float
    half_life: float
    mean_lag: float
    variance_ratio: float
    period: float


def convert(
    *,
    tau: float | None = None,
    decay: float | None = None,
    half_life: float | None = None,
    period: float | None = None,
) -> Convention:
    """Every name of one amount of averaging, from whichever one is known."""
    given = {
        name: value
        for name, value in {"tau": tau, "decay": decay, "half_life": half_life, "period": period}.items()
        if value is not None
    }
    if len(given) != 1:
        raise TypeError(f"convert takes exactly one of tau, decay, half_life and period, not {sorted(given)}")
    ((name, value),) = given.items()
    if name == "tau":
        weight = unit_interval(value, "tau")
    elif name == "decay":
        weight = 1.0 - unit_interval(value, "decay")
    elif name == "half_life":
        weight = 1.0 if value == 0 else -math.expm1(-math.log(2.0) / value)
    else:
        weight = 2.0 / (value + 1.0)
    return Convention(
        tau=weight,
        decay=1.0 - weight,
        window=float(effective_window(weight)),
        half_life=float(globals()["half_life"](weight)),
        mean_lag=float(mean_lag(weight)),
        variance_ratio=float(variance_ratio(weight)),
        period=float(equivalent_period(weight)),
    )
