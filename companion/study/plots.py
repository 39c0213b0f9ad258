"""Two figures of every chapter: curves over training, and the final value across a swept setting."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter, NullLocator

from companion.study.looks import looks
from companion.study.statistics import interval, iqm

DECADES = 30.0
"""A swept setting whose largest value is this many times its smallest gets a logarithmic axis."""


def curves(
    ax: Axes,
    da: xr.DataArray,
    x: str = "step",
    by: str | None = "tau",
    *,
    diverged: str = "gap",
    label: str | None = None,
    look: Mapping[str, Any] | None = None,
    legend: bool = True,
) -> list[Line2D]:
    """One line a setting, the interquartile mean over seeds, in a band that is its 95 % bootstrap interval.

    Args:
        ax: where to draw.
        da: values with the dimensions ``x``, ``by`` (unless it is None) and ``seed``.
        x: the dimension along the axis.
        by: the setting that has a line for each value; None draws one line.
        diverged: what a member counts as whose value is not finite, as in :func:`iqm`.
        label: the single line's name, where ``by`` is None.
        look: keyword arguments for the single line, where ``by`` is None.
        legend: whether to name the lines below the axes.

    Returns:
        The lines, in the order of ``by``.

    Raises:
        ValueError: ``da`` lacks one of the dimensions, or has one too many.
    """
    _check(da, x, by)
    statistic = partial(iqm, diverged=diverged)
    centre, ends = statistic(da, "seed"), interval(da, "seed", statistic)
    at = da[x].values
    lines = []
    for pick, name, dress in _settings(da, by, label, look):
        dress = {"markevery": max(1, at.size // 8), **dress} if at.size > 8 else dress
        (line,) = ax.plot(at, centre.sel(pick).values, label=name, **dress)
        low, high = (ends.sel(pick).sel(bound=end).values for end in ("low", "high"))
        ax.fill_between(at, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
        lines.append(line)
    ax.set_xlabel(x)
    ax.set_ylabel(str(da.name or ""))
    _legend(ax, by, lines, legend)
    return lines


def across(
    ax: Axes,
    da: xr.DataArray,
    x: str = "tau",
    by: str | None = None,
    *,
    diverged: str = "gap",
    label: str | None = None,
    look: Mapping[str, Any] | None = None,
    legend: bool = True,
) -> list[Line2D]:
    """The interquartile mean and its 95 % interval at every value of a swept setting, and each seed as a dot.

    The axis is logarithmic where the values span decades, and is marked at the swept values. Values that are words
    stand side by side. Members that diverged have no dot.

    Args:
        ax: where to draw.
        da: values with the dimensions ``x``, ``by`` (unless it is None) and ``seed``.
        x: the swept setting along the axis.
        by: a second setting that has a line for each value.
        diverged: what a member counts as whose value is not finite, as in :func:`iqm`.
        label: the single line's name, where ``by`` is None.
        look: keyword arguments for the single line, where ``by`` is None.
        legend: whether to name the lines below the axes.

    Returns:
        The lines of the interquartile means, in the order of ``by``.

    Raises:
        ValueError: ``da`` lacks one of the dimensions, or has one too many.
    """
    _check(da, x, by)
    statistic = partial(iqm, diverged=diverged)
    centre, ends = statistic(da, "seed"), interval(da, "seed", statistic)
    at, jitter = _axis(ax, da[x].values, da.sizes["seed"])
    lines = []
    for pick, name, dress in _settings(da, by, label, look):
        (line,) = ax.plot(at, centre.sel(pick).values, label=name, **{"markersize": 8, "zorder": 3, **dress})
        low, high = (ends.sel(pick).sel(bound=end).values for end in ("low", "high"))
        ax.vlines(at, low, high, color=line.get_color(), linewidth=2.2, zorder=3)
        seeds = da.sel(pick).transpose(x, "seed").values
        ax.plot(jitter, seeds, ".", color=line.get_color(), alpha=0.4, markersize=5, zorder=2)
        lines.append(line)
    ax.set_xlabel(x)
    ax.set_ylabel(str(da.name or ""))
    _legend(ax, by, lines, legend)
    return lines


def _check(da: xr.DataArray, x: str, by: str | None) -> None:
    wanted = [x, "seed"] if by is None else [x, by, "seed"]
    for dim in wanted:
        if dim not in da.dims:
            raise ValueError(f"da has the dimensions {list(da.dims)} and not {dim!r}; name one of them")
    for dim in map(str, da.dims):
        if dim not in wanted:
            raise ValueError(f"da has the further dimension {dim!r}; pick one value first, as in da.sel({dim}=…)")


def _settings(
    da: xr.DataArray, by: str | None, label: str | None, look: Mapping[str, Any] | None
) -> list[tuple[dict[str, Any], str | None, dict[str, Any]]]:
    """For each line: what to select, its name, and how it is drawn."""
    if by is None:
        return [({}, label, {**looks(1)[0], **(look or {})})]
    values = da[by].values
    return [({by: value}, _text(value), dict(dress)) for value, dress in zip(values, looks(len(values)), strict=True)]


def _axis(ax: Axes, values: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale and mark the axis of a swept setting; the places of its values, and of every seed's dot beside them."""
    spread = np.linspace(-1, 1, seeds) if seeds > 1 else np.zeros(1)
    numbers = np.issubdtype(values.dtype, np.number)
    at = values.astype(float) if numbers else np.arange(values.size, dtype=float)
    if numbers and at.min() > 0 and at.max() / at.min() >= DECADES:
        ax.set_xscale("log")
        dots = at[:, None] * (at.max() / at.min()) ** (0.012 * spread)
    else:
        dots = at[:, None] + 0.012 * (np.ptp(at) or 1.0) * spread
    ax.xaxis.set_major_locator(FixedLocator(list(at)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_minor_formatter(NullFormatter())
    names = dict(zip(at, map(_text, values), strict=True))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda place, _: names.get(place, f"{place:g}")))
    return at, dots


def _legend(ax: Axes, by: str | None, lines: list[Line2D], wanted: bool) -> None:
    if not wanted or not any(not str(line.get_label()).startswith("_") for line in ax.lines):
        return
    shown = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    ax.legend(
        handles=shown,
        title=by,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.18),
        ncols=min(len(shown), 4),
        handlelength=3.2,
    )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) and not isinstance(value, bool) else str(value)
