"""Exponential moving averages in NumPy: of a signal, and of a dict of arrays."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from jaxtyping import Float, Shaped

from companion.averaging.conventions import Number, unit_interval


def ema_demo(signal: Float[np.ndarray, " step"], tau: Number = 0.005) -> Float[np.ndarray, " step"]:
    """The exponential moving average of a signal as a plain loop, started at the signal's first value.

    ``y_1 = x_1`` and ``y_k = tau·x_k + (1 − tau)·y_{k−1}``. `ema` is the same at the speed of compiled code.

    Raises:
        TypeError: ``tau`` is not a number, or ``signal`` holds none.
        ValueError: ``tau`` lies outside [0, 1] or is NaN, or ``signal`` is empty or has more than one axis.
    """
    tau = unit_interval(tau)
    x = _floats(signal)
    if x.ndim != 1:
        raise ValueError(f"signal has shape {x.shape}; ema_demo takes one axis, ema takes more")
    y = np.empty_like(x)
    y[0] = x[0]
    for k in range(1, len(x)):
        y[k] = tau * x[k] + (1 - tau) * y[k - 1]
    return y


def ema(
    signal: Float[np.ndarray, "*shape"],
    tau: Number,
    *,
    start: Literal["first", "zero"] | Number | Float[np.ndarray, "*rest"] = "first",
    bias_correction: bool = False,
    axis: int = -1,
) -> Float[np.ndarray, "*shape"]:
    """The exponential moving average of a signal: ``y_k = tau·x_k + (1 − tau)·y_{k−1}``, in float64.

    A value that is not finite stays in the average for good.

    Args:
        signal: The values ``x_1, x_2, …`` along ``axis``.
        tau: The weight of the new value, in [0, 1].
        start: What the average is before the recursion runs. ``"first"``: ``y_1 = x_1``. ``"zero"``: ``y_0 = 0``. A
            number, or an array of the signal's shape without ``axis``: ``y_0`` is that.
        bias_correction: Take the start out again: ``(y_k − (1 − tau)^k·y_0) / (1 − (1 − tau)^k)``, a weighted mean of
            the values alone. Not with ``start="first"``, which has no such part.
        axis: The axis along which time runs.

    Raises:
        TypeError: ``tau`` is not a number, or ``signal`` holds none.
        ValueError: ``tau`` lies outside [0, 1] or is NaN; ``signal`` is empty or has no such axis; ``start`` is an
            unknown word or does not fit; or there is no bias to correct (``start="first"``, ``tau=0``).

    Source: the correction is that of Kingma and Ba, "Adam" (arXiv:1412.6980), section 3.
    """
    tau = unit_interval(tau)
    x = np.moveaxis(_floats(signal), axis, -1)
    first = isinstance(start, str) and start == "first"
    if isinstance(start, str) and start not in ("first", "zero"):
        raise ValueError(f'start = {start!r} is not known; use "first", "zero", or a value')
    if bias_correction and (first or tau == 0.0):
        raise ValueError(
            f'bias_correction has nothing to work on with start={start!r} and tau={tau:g}; use start="zero" and tau > 0'
        )
    before = x[..., 0] if first else _start(0.0 if isinstance(start, str) else start, x.shape[:-1])
    rest = x[..., 1:] if first else x
    from scipy.signal import lfilter  # here, since it alone would double the time of `import companion`

    y, _ = lfilter([tau], [1.0, tau - 1.0], rest, axis=-1, zi=(1.0 - tau) * before[..., None])
    if first:
        y = np.concatenate([before[..., None], y], axis=-1)
    if bias_correction:
        k = np.arange(1, x.shape[-1] + 1)
        y = y - (1.0 - tau) ** k * before[..., None]
        y /= -np.expm1(k * np.log1p(-tau)) if tau < 1.0 else 1.0
    return np.moveaxis(y, -1, axis)


def ema_weights(tau: Number, n: int, *, start: Literal["first", "zero"] = "first") -> Float[np.ndarray, " n"]:
    """The weights of ``n`` values in their average, oldest first: ``ema_weights(tau, n) @ x == ema(x, tau)[-1]``.

    ``tau·(1 − tau)^j`` for the value that is ``j`` updates old. With ``start="first"`` the oldest has the weight that
    is left, ``(1 − tau)^(n − 1)``, and all add up to 1. With ``start="zero"`` they add up to ``1 − (1 − tau)^n``.

    Raises:
        TypeError: ``tau`` is not a number, or ``n`` not an integer.
        ValueError: ``tau`` lies outside [0, 1] or is NaN, ``n`` is below 1, or ``start`` is an unknown word.
    """
    tau = unit_interval(tau)
    if isinstance(n, bool) or not isinstance(n, int | np.integer):
        raise TypeError(f"n = {n!r} is a {type(n).__name__}; pass a whole number of values")
    if n < 1:
        raise ValueError(f"n = {n} values have no average; pass 1 or more")
    if start not in ("first", "zero"):
        raise ValueError(f'start = {start!r} is not known; use "first" or "zero"')
    age = np.arange(n - 1, -1, -1)
    weights = tau * (1.0 - tau) ** age
    if start == "first":
        weights[0] = (1.0 - tau) ** age[0]
    return weights


def soft_update_numpy(
    online_params: Mapping[str, Shaped[np.ndarray, " ..."]],
    target_params: Mapping[str, Shaped[np.ndarray, " ..."]],
    tau: Number = 0.005,
) -> None:
    """Move arrays a little towards others, in place: ``target ← tau·online + (1 − tau)·target``, name by name.

    Floating-point and complex arrays are averaged, integers and booleans copied. An array that stands under several
    names moves once. Everything is checked before anything is written.

    Args:
        online_params: The arrays of the network that learns, by name.
        target_params: Those of its slow copy: the same names and shapes, arrays of its own.
        tau: The weight of the online network, in [0, 1].

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: ``tau`` lies outside [0, 1] or is NaN; names, shapes or dtypes do not match; a target is read-only,
            shares memory with the online network, or is float16 with ``tau`` strictly between 0 and 1/2, where
            rounding would stop it short of the online network.
    """
    tau = unit_interval(tau)
    for name, params in (("online_params", online_params), ("target_params", target_params)):
        if not isinstance(params, Mapping):
            raise TypeError(f"{name} is a {type(params).__name__}; pass a dict of arrays")
    if online_params.keys() != target_params.keys():
        lacking = sorted(online_params.keys() - target_params.keys())
        extra = sorted(target_params.keys() - online_params.keys())
        raise ValueError(f"target_params lacks {lacking} and has {extra} in addition; give both the same names")
    moves: dict[int, tuple[str, np.ndarray, np.ndarray]] = {}
    for name, target in target_params.items():
        online = online_params[name]
        _check_pair(name, online, target, tau)
        tied, tied_online, _ = moves.setdefault(id(target), (name, online, target))
        if tied_online is not online:
            raise ValueError(f"target_params ties {tied!r} and {name!r} into one array, online_params does not")
    _refuse_shared_memory([(name, target) for name, _, target in moves.values()], online_params)
    for _, online, target in moves.values():
        if tau == 1.0 or target.dtype.kind not in "fc":
            np.copyto(target, online)
        elif tau > 0.0:
            target += tau * (online - target)


def _floats(signal: object) -> np.ndarray:
    x = np.asarray(signal)
    if x.dtype.kind not in "fiub":
        raise TypeError(f"signal holds {x.dtype}; pass real numbers")
    if x.size == 0 or x.ndim == 0:
        raise ValueError(f"signal has shape {x.shape}; pass at least one value along an axis")
    return x.astype(np.float64)


def _start(start: Any, shape: tuple[int, ...]) -> np.ndarray:
    try:
        return np.broadcast_to(np.asarray(start, dtype=np.float64), shape)
    except ValueError as error:
        raise ValueError(f"start has shape {np.shape(start)}; pass a number or an array of shape {shape}") from error


def _check_pair(name: str, online: np.ndarray, target: np.ndarray, tau: float) -> None:
    for role, array in (("online_params", online), ("target_params", target)):
        if not isinstance(array, np.ndarray):
            raise TypeError(f"{role}[{name!r}] is a {type(array).__name__}; pass NumPy arrays, which change in place")
        if array.dtype.kind not in "fciub":
            raise TypeError(f"{role}[{name!r}] holds {array.dtype}; pass numbers")
    if online.shape != target.shape:
        raise ValueError(f"{name!r} has shape {online.shape} in online_params and {target.shape} in target_params")
    if not np.can_cast(online.dtype, target.dtype, "same_kind"):
        raise ValueError(f"{name!r} is {online.dtype} online and {target.dtype} in the target, which cannot hold it")
    if not target.flags.writeable:
        raise ValueError(f"target_params[{name!r}] is read-only; pass a copy, array.copy()")
    if target.dtype == np.float16 and 0.0 < tau < 0.5:
        raise ValueError(
            f"target_params[{name!r}] is float16, in which steps of tau = {tau:g} round to nothing before it reaches "
            f"online; keep the target in float32"
        )


def _refuse_shared_memory(targets: list[tuple[str, np.ndarray]], online_params: Mapping[str, np.ndarray]) -> None:
    for index, (name, target) in enumerate(targets):
        for online_name, online in online_params.items():
            if np.shares_memory(target, online):
                raise ValueError(f"target_params[{name!r}] shares memory with online_params[{online_name!r}]; copy it")
        for other_name, other in targets[:index]:
            if np.shares_memory(target, other):
                raise ValueError(f"target_params[{name!r}] overlaps target_params[{other_name!r}]; copy one of them")
