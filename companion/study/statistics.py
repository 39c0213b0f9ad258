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
BATCH = 4_000_000
"""How many resampled values are held at a time."""


def iqm(da: xr.DataArray, dim: str = "seed", *, diverged: str = "gap") -> xr.DataArray:
    """Interquartile mean: the mean of what is left when the lowest and the highest quarter are cut off.

    Of ``n`` values, ``floor(n / 4)`` are cut at each end, so with fewer than four it is the plain mean.

    A member whose value is not finite has diverged. It is never left out, for the mean of the survivors would
    flatter the setting. ``diverged`` says what it counts as:

    - ``"gap"``: the result is NaN wherever one member has diverged;
    - ``"low"`` or ``"high"``: it ranks below or above every finite value. The result is then infinite where more
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
    rank = {"gap": np.nan, "low": -np.inf, "high": np.inf}
    if diverged not in rank:
        raise ValueError(f"diverged is {diverged!r}; choose 'gap', 'low' or 'high'")
    values = da.astype(np.result_type(da.dtype, np.float32), copy=False)
    finite: xr.DataArray = xr.apply_ufunc(np.isfinite, values)
    mean = values.where(finite, rank[diverged]).reduce(stats.trim_mean, dim, proportiontocut=0.25)
    return mean.where(finite.all(dim)) if diverged == "gap" else mean  # a sort would cut NaN off with the highest


def interval(
    da: xr.DataArray,
    dim: str = "seed",
    statistic: Statistic = iqm,
    confidence: float = 0.95,
    *,
    resamples: int = 2000,
) -> xr.DataArray:
    """Bootstrap interval of ``statistic`` over ``dim``: the percentiles of the statistic of resampled members.

    The percentile interval (Efron 1979) is chosen over the bias-corrected one since it always exists: with few
    seeds, or with equal ones, the correction divides by zero. Members are resampled together, by the same draws for
    every step and setting and at every call. One member alone says nothing of the spread: both bounds are NaN, as
    they are where the statistic is. A bound is infinite where the resampled statistic is.

    Args:
        da: values with the dimension ``dim``.
        dim: the dimension to resample, the independent members.
        statistic: a function of ``(da, dim)`` that removes ``dim``.
        confidence: between 0 and 1.
        resamples: how many times to resample.

    Returns:
        ``da`` without ``dim``, with a last dimension ``bound`` of ``"low"`` and ``"high"``.

    Raises:
        ValueError: ``da`` lacks ``dim`` or has no entry along it, or ``confidence`` is not between 0 and 1.
    """
    _check(da, dim)
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it must lie between 0 and 1, such as 0.95")
    members = da.drop_vars(dim, errors="ignore")
    draws = np.random.default_rng(0).integers(da.sizes[dim], size=(resamples, da.sizes[dim]))
    batch = max(1, BATCH // da.size)
    resampled = xr.concat(
        [
            statistic(members.isel({dim: xr.DataArray(some, dims=("resample", dim))}), dim)
            for some in np.split(draws, range(batch, resamples, batch))
        ],
        dim="resample",
    )
    # The nearest resampled value, not a blend of two, which two infinities do not have.
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    ends = resampled.quantile(tails, "resample", method="nearest", skipna=False)
    known = statistic(da, dim).notnull() & (da.sizes[dim] > 1)
    return ends.rename(quantile="bound").assign_coords(bound=["low", "high"]).transpose(..., "bound").where(known)


def reading(da: xr.DataArray, form: str = ",.0f", dim: str = "seed") -> str:
    """The interquartile mean with its 95 % interval, as text: ``"-150 [-162, -141]"``.

    Args:
        da: values with the dimension ``dim`` and no other.
        form: format of the three numbers.
        dim: the dimension to average over and to resample.

    Raises:
        ValueError: ``da`` has another dimension beside ``dim``, or lacks it.
    """
    if set(da.dims) != {dim}:
        raise ValueError(f"da has the dimensions {list(da.dims)}; select until {dim!r} alone is left")
    low, high = interval(da, dim).values
    return f"{float(iqm(da, dim)):{form}} [{low:{form}}, {high:{form}}]"


def _check(da: xr.DataArray, dim: str) -> None:
    if dim not in da.dims:
        raise ValueError(f"dim is {dim!r}, but da has the dimensions {list(da.dims)}; name one of them")
    if da.sizes[dim] == 0:
        raise ValueError(f"da has no entry along {dim!r}; there is nothing to average")
