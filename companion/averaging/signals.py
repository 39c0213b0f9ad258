"""The exponential moving average of a signal, in NumPy, and the soft update of dicts of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.signal import lfilter

from companion.averaging.conventions import unit_interval

Start = Literal["first", "zero"]


def ema_demo(signal: Float[np.ndarray, "step"], tau: float = 0.005) -> Float[np.ndarray, "step"]:
    """The moving average as a loop, started at the signal's first value."""
    tau = unit_interval(tau)
    signal = np.asarray(signal, dtype=np.float64)
    average = np.empty_like(signal)
    average[0] = signal[0]
    for k in range(1, len(signal)):
        average[k] = tau * signal[k] + (1 - tau) * average[k - 1]
    return average


def ema(
    signal: Float[np.ndarray, "*shape"],
    tau: float,
    *,
    start: Start | float | Float[np.ndarray, "*rest"] = "first",
    bias_correction: bool = False,
    axis: int = -1,
) -> Float[np.ndarray, "*shape"]:
    """The moving average ``y_k = tau·x_k + (1 − tau)·y_{k−1}`` along an axis."""
    tau = unit_interval(tau)
    x = np.moveaxis(np.asarray(signal, dtype=np.float64), axis, -1)
    if isinstance(start, str):
        if start not in ("first", "zero"):
            raise ValueError(f'start = {start!r} is not known; use "first", "zero" or a value')
        before = x[..., 0] if start == "first" else np.zeros(x.shape[:-1])
    else:
        before = np.broadcast_to(np.asarray(start, dtype=np.float64), x.shape[:-1])
    if bias_correction and isinstance(start, str) and start == "first":
        raise ValueError('bias_correction has nothing to correct when start = "first"; use start="zero"')
    y, _ = lfilter([tau], [1.0, tau - 1.0], x, axis=-1, zi=(1.0 - tau) * before[..., None])
    if isinstance(start, str) and start == "first":
        y[..., 0] = x[..., 0]
    if bias_correction:
        left = (1.0 - tau) ** np.arange(1, x.shape[-1] + 1)
        y = (y - left * before[..., None]) / (1.0 - left)
    return np.moveaxis(y, -1, axis)


def ema_weights(tau: float, n: int, *, start: Start = "first") -> Float[np.ndarray, "n"]:
    """The weight of each of n values in their average, oldest first: ``ema_weights(tau, n) @ x == ema(x, tau)[-1]``."""
    tau = unit_interval(tau)
    weights = tau * (1.0 - tau) ** np.arange(n - 1, -1, -1.0)
    if start == "first":
        weights[0] = (1.0 - tau) ** (n - 1)
    return weights


def soft_update_numpy(
    online_params: Mapping[str, np.ndarray], target_params: Mapping[str, np.ndarray], tau: float = 0.005
) -> None:
    """``target ← tau·online + (1 − tau)·target`` for dicts of arrays, in place."""
    tau = unit_interval(tau)
    if online_params.keys() != target_params.keys():
        raise ValueError("online_params and target_params must have the same names")
    for name, online in online_params.items():
        target_params[name][...] += tau * (online - target_params[name])
