"""Statistics over seeds: the interquartile mean and its bootstrap interval.

Source: Agarwal et al. 2021, *Deep Reinforcement Learning at the Edge of the Statistical Precipice*
(https://arxiv.org/abs/2108.13264), which argues for both when seeds are few.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy import stats

Statistic = Callable[[xr.DataArray, str], xr.DataArray]
"""What :func:`interval` can resample: called with ``(da, dim)``, it removes ``dim``."""


def iqm(da: xr.DataArray, dim: str = "seed", *, diverged: str = "gap") -> xr.DataArray:
    """Interquartile mean: the mean of what is left when the lowest and the highest quarter are cut off.

    Of ``n`` values, ``floor(n / 4)`` are cut at each end, so with fewer than four it is the plain mean.

    A member whose value is not finite has diverged. It is never left out, for the mean of the survivors would
    flatter the setting. ``diverged`` says what it counts as:

    - ``"gap"``: the result is NaN wherever one member has diverged;
    - ``"low"`` or ``"high"``: it ranks below or above every finite value. The result is then NaN only where more
      members diverged than the cut takes away.

    Args:
        da: values with the dimension ``dim``.
        dim: the dimension to average over.
        diverged: ``"gap"``, ``"low"`` or ``"high"``.

    Returns:
        ``da`` without ``dim``, as floats.

    Raises:
        ValueError: ``da`` lacks ``dim`` or has no entry along it, or ``diverged`` is another word.
    """
    _check(da, dim)
    if diverged not in ("gap", "low", "high"):
        raise ValueError(f"diverged is {diverged!r}; choose 'gap', 'low' or 'high'")
    values = da.astype(np.result_type(da.dtype, np.float32), copy=False)
    finite: xr.DataArray = xr.apply_ufunc(np.isfinite, values)
    ranked = values.where(finite, -np.inf if diverged == "low" else np.inf)
    mean = ranked.reduce(_trimmed_mean, dim)
    if diverged == "gap":
        mean = mean.where(finite.all(dim))
    return mean.where(abs(mean) < np.inf)


def interval(
    da: xr.DataArray,
    dim: str = "seed",
    statistic: Statistic = iqm,
    confidence: float = 0.95,
    *,
    resamples: int = 2000,
) -> xr.DataArray:
    """Bootstrap interval of ``statistic`` over ``dim``: the percentiles of the statistic of resampled members.

    The percentile interval is chosen over the bias-corrected one since it always exists: with few seeds, or with
    equal ones, the correction divides by zero. Members are resampled together, the same draws for every step and
    setting and the same at every call. One member alone says nothing of the spread: both bounds are NaN, as they
    are where the statistic is.

    Args:
        da: values with the dimension ``dim``.
        dim: the dimension to resample, the independent members.
        statistic: a function of ``(da, dim)`` that removes ``dim``.
        confidence: between 0 and 1.
        resamples: how many times to resample.

    Returns:
        ``da`` without ``dim``, with a last dimension ``bound`` of ``"low"`` and ``"high"``.

    Raises:
        ValueError: ``da`` lacks ``dim``, or ``confidence`` is not between 0 and 1.
    """
    _check(da, dim)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    centre = statistic(da, dim)
    bound = xr.DataArray(["low", "high"], dims="bound")
    if da.sizes[dim] < 2:
        return (centre * np.nan).expand_dims(bound=bound.values, axis=-1)

    def of_array(x: np.ndarray, axis: int) -> np.ndarray:
        names = [f"axis {i}" for i in range(x.ndim)]
        return statistic(xr.DataArray(x, dims=names).rename({names[axis]: dim}), dim).values

    values = da.transpose(..., dim).values
    with np.errstate(invalid="ignore"):  # NaN among the resampled statistics: the bound is NaN too
        low, high = stats.bootstrap(
            (values,),
            of_array,
            vectorized=True,
            axis=-1,
            n_resamples=resamples,
            batch=max(1, 4_000_000 // values.size),  # at most 32 MB at a time
            confidence_level=confidence,
            method="percentile",
            rng=np.random.default_rng(0),
        ).confidence_interval
    ends = xr.concat([centre.copy(data=low), centre.copy(data=high)], dim=bound).transpose(..., "bound")
    return ends.assign_coords(bound=bound.values).where(np.isfinite(ends) & np.isfinite(centre))


def _trimmed_mean(values: np.ndarray, axis: int) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return stats.trim_mean(values, 0.25, axis=axis)


def _check(da: xr.DataArray, dim: str) -> None:
    if dim not in da.dims:
        raise ValueError(f"dim is {dim!r}, but da has the dimensions {list(da.dims)}; name one of them")
    if da.sizes[dim] == 0:
        raise ValueError(f"da has no entry along {dim!r}; there is nothing to average")
