"""Two figures of every chapter: curves over training, and the final value across a swept setting."""

from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from matplotlib.transforms import ScaledTranslation

from companion.study.looks import looks
from companion.study.statistics import band, iqm

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
    """One line a setting, the interquartile mean over seeds, in a :func:`~companion.study.band`: its 95 % interval, or
    the range of fewer than eight seeds.

    A line's name says how many of its members have diverged by the end, which is to say are not finite.

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
    centre, ends = _middle(da, diverged)
    at = da[x].values
    lines = []
    for pick, name, dress in _settings(da, by, label, look):
        if name is not None and (gone := _diverged(da.sel(pick).isel({x: -1}))):
            name += f" ({gone} diverged)"
        (line,) = ax.plot(at, centre.sel(pick).values, label=name, **{"markevery": max(1, at.size // 8), **dress})
        low, high = (ends.sel(pick).sel(bound=end).values for end in ("low", "high"))
        ax.fill_between(at, low, high, color=line.get_color(), alpha=0.18, linewidth=0)
        lines.append(line)
    _name(ax, da, x, by, legend)
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
    """The interquartile mean and its band at every value of a swept setting, and each seed as a dot.

    The axis is logarithmic where the values span decades, and is marked at the swept values. Values that are words
    stand side by side. Members that diverged have no dot; above each value stands how many there are.

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
    centre, ends = _middle(da, diverged)
    values = da[x].values
    numeric = values.dtype.kind in "iuf"
    at, jitter = _axis(ax, values if numeric else values.astype(str), da.sizes["seed"])
    lines = []
    for pick, name, dress in _settings(da, by, label, look):
        if not numeric:
            dress["linestyle"] = "none"  # between words there is nothing
        (line,) = ax.plot(at, centre.sel(pick).values, label=name, **{"markersize": 8, "zorder": 3, **dress})
        low, high = (ends.sel(pick).sel(bound=end).values for end in ("low", "high"))
        ax.vlines(at, low, high, color=line.get_color(), linewidth=2.2, zorder=3)
        seeds = da.sel(pick).transpose(x, "seed").values
        ax.plot(jitter, seeds, ".", color=line.get_color(), alpha=0.4, markersize=5, zorder=2)
        lines.append(line)
    top = ax.get_xaxis_transform()
    for place, value in zip(at, da[x].values, strict=True):
        if gone := _diverged(da.sel({x: value})):
            ax.text(place, 0.98, f"{gone} diverged", size="small", ha="center", va="top", rotation=90, transform=top)
    _name(ax, da, x, by, legend)
    return lines


def _check(da: xr.DataArray, x: str, by: str | None) -> None:
    wanted = [x, "seed"] if by is None else [x, by, "seed"]
    for dim in wanted:
        if dim not in da.dims:
            raise ValueError(f"da has the dimensions {list(da.dims)} and not {dim!r}; name one of them")
    for dim in map(str, da.dims):
        if dim not in wanted:
            raise ValueError(f"da has the further dimension {dim!r}; pick one value first, as in da.sel({dim}=...)")


def _middle(da: xr.DataArray, diverged: str) -> tuple[xr.DataArray, xr.DataArray]:
    """Interquartile mean over seeds and its band, NaN where they are infinite, which no axis can show."""
    centre, ends = iqm(da, diverged=diverged), band(da, diverged=diverged)
    return centre.where(abs(centre) < np.inf), ends.where(abs(ends) < np.inf)


def _settings(
    da: xr.DataArray, by: str | None, label: str | None, look: Mapping[str, Any] | None
) -> list[tuple[dict[str, Any], str | None, dict[str, Any]]]:
    """For each line: what to select, its name, and how it is drawn."""
    if by is None:
        return [({}, label, {**looks(1)[0], **(look or {})})]
    values = da[by].values
    return [({by: value}, _text(value), dict(dress)) for value, dress in zip(values, looks(len(values)), strict=True)]


def _axis(ax: Axes, values: np.ndarray, seeds: int) -> tuple[np.ndarray, np.ndarray]:
    """Scale and mark the axis of a swept setting; the places of its values, and of every seed's dot beside them.

    Values that an earlier line has marked stay marked.
    """
    numeric = values.dtype.kind != "U"
    at = marked = values.astype(float) if numeric else np.arange(values.size, dtype=float)
    texts = dict(zip(at.tolist(), map(_text, values), strict=True))
    if numeric and isinstance(ax.xaxis.get_major_locator(), FixedLocator):
        marked = np.union1d(at, ax.get_xticks())
    if not numeric:
        ax.set_xlim(-0.5, values.size - 0.5)
    elif (marked >= 0).all() and (marked > 0).any():
        least = marked[marked > 0].min()
        if marked.max() / least >= DECADES:
            ax.set_xscale(**({"value": "log"} if marked.min() > 0 else {"value": "symlog", "linthresh": least}))
    to_axis = ax.xaxis.get_transform()
    places = to_axis.transform(marked)
    length = np.ptp(places) or 1.0
    spread = np.linspace(-0.012, 0.012, seeds) if seeds > 1 else np.zeros(1)
    beside = to_axis.transform(at)[:, None] + length * spread
    dots = to_axis.inverted().transform(beside.ravel()).reshape(-1, spread.size)
    all_texts = {value: texts.get(value, _text(value)) for value in marked.tolist()}
    names = _room(all_texts, (places - places.min()) / length, ax)
    ax.update_datalim(np.stack([at, at], 1), updatey=False)  # a value at which every member diverged has its place too
    ax.xaxis.set_major_locator(FixedLocator(list(marked)))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(FuncFormatter(lambda place, _: names.get(place, "")))
    return at, dots


def _room(names: dict[float, str], places: np.ndarray, ax: Axes) -> dict[float, str]:
    """The names that there is room for along the axis, from its right end; ``places`` are shares of its length."""
    inches = 0.9 * ax.get_window_extent().width / ax.figure.dpi
    letter = 0.6 * mpl.font_manager.FontProperties(size=mpl.rcParams["xtick.labelsize"]).get_size_in_points() / 72
    kept: dict[float, str] = {}
    free = np.inf
    for i in np.argsort(-places):
        value = list(names)[i]
        half = letter * (len(names[value]) + 1) / 2
        if places[i] * inches + half <= free:
            kept[value] = names[value]
            free = places[i] * inches - half
    return kept


def _name(ax: Axes, da: xr.DataArray, x: str, by: str | None, legend: bool) -> None:
    """Name the axes, and the lines below them."""
    ax.set_xlabel(x)
    ax.set_ylabel(str(da.name or ""))
    lines = [line for line in ax.lines if not str(line.get_label()).startswith("_")]
    if legend and lines:
        ax.legend(
            handles=lines,
            title=by,
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=ax.transAxes + ScaledTranslation(0, -0.55, ax.figure.dpi_scale_trans),  # inches
            ncols=min(len(lines), 4),
            handlelength=3.2,
        )


def _diverged(da: xr.DataArray) -> int:
    return int((~np.isfinite(da.values)).sum())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float | np.number) and not isinstance(value, bool) else str(value)
