"""A map whose dots can be asked: point at a member's final value and see the whole of its run."""

from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import xarray as xr
from matplotlib.axes import Axes

from companion.study.explore import explore
from companion.study.looks import ONLINE, TARGET
from companion.study.plots import across

__all__ = ["explore_dots"]


def explore_dots(
    score: xr.DataArray,
    course: xr.DataArray,
    *,
    alt: str,
    caption: str = "",
    x: str = "tau",
    over: str = "step",
    beside: xr.DataArray | None = None,
    names: tuple[str, str] = ("this agent", "beside it"),
    start: tuple[Any, int] | None = None,
    limits: tuple[float, float] | None = None,
) -> None:
    """Show a map of ``score`` across ``x``, and beside it the run of the one member that the reader points at.

    The dots are chosen by mouse or finger, or with a slider for ``x`` and one for the seed; the curves of the other
    seeds at the same ``x`` are drawn pale. Where scripts do not run it is a still picture of the member ``start``.

    Args:
        score: what each dot stands for, with the dimensions ``x`` and ``seed``.
        course: the same members along their runs, with the dimensions ``x``, ``seed`` and ``over``; NaN where nothing
            was measured.
        alt: what the figure shows, for those who cannot see it.
        caption: a line below the picture.
        x: the swept setting along the map's axis.
        over: the dimension along a run.
        beside: another run of each member, of the same form as ``course``, drawn with it.
        names: what the curves of ``course`` and ``beside`` are called.
        start: the value of ``x`` and the seed of the member to begin with; by default the first of both.
        limits: the two ends of the runs' axis; by default all values are within.

    Raises:
        ValueError: an array has other dimensions, or ``course`` or ``beside`` other values of ``x`` or ``seed`` than
            ``score``, or no finite one; ``start`` is no member; and whatever :func:`explore` refuses.
    """
    runs = {"course": course} if beside is None else {"course": course, "beside": beside}
    for name, da in {"score": score, **runs}.items():
        wanted = [x, "seed"] if name == "score" else [x, "seed", over]
        if set(da.dims) != set(wanted):
            raise ValueError(f"{name} has the dimensions {list(da.dims)}; give it {wanted}")
        for dim in (x, "seed"):
            if not np.array_equal(da[dim], score[dim]):
                raise ValueError(f"{name} has {dim} = {da[dim].values}, score has {score[dim].values}; select the same")
    values = np.concatenate([run.values.ravel() for run in runs.values()])
    if not (finite := values[np.isfinite(values)]).size:
        raise ValueError("course has no finite value; there is nothing to point at")
    score = score.transpose(x, "seed")
    if score[x].dtype.kind in "iuf":
        score = score.sortby(x)  # the slider goes the axis's way
    settings, seeds = score[x].values.tolist(), score["seed"].values.tolist()
    first = start or (settings[0], seeds[0])
    if first[0] not in settings or first[1] not in seeds:
        raise ValueError(f"start is {start}; give one of {x} = {settings}, and one of the seeds {seeds}")

    fig, (left, right) = plt.subplots(1, 2, figsize=(9.2, 4.6))
    across(left, score, x=x, look={"color": TARGET, "linestyle": "--", "marker": "s"}, legend=False)
    places = np.stack([line.get_xydata() for line in left.lines[-len(seeds) :]], axis=1)  # (x, seed, 2)
    left.tick_params(axis="x", rotation=60)
    (ring,) = left.plot([], [], "o", color=ONLINE, markersize=13, markerfacecolor="none", markeredgewidth=2.4, zorder=5)
    pale = [right.plot([], [], color="0.78", linewidth=0.9)[0] for _ in seeds]
    looks = ({"color": ONLINE, "linewidth": 2.6}, {"color": "black", "linestyle": "--", "linewidth": 1.6})
    shown = [right.plot([], [], label=name, zorder=4, **look)[0] for name, look in zip(names, looks, strict=True)]
    low, high = finite.min(), finite.max()
    right.set(xlabel=over, title=" ", xlim=(0, float(course[over].max())))
    right.set_ylim(limits or (low - 0.05 * (high - low), high + 0.05 * (high - low)))
    if beside is not None:
        right.legend(loc="lower right", fontsize=11, frameon=True)

    def place(value: Any, seed: int) -> tuple[Axes, float, float]:
        at = places[settings.index(value), seeds.index(seed)]
        return left, float(at[0]), float(at[1]) if np.isfinite(at[1]) else left.get_ylim()[0]

    def draw(value: Any, seed: int) -> str:
        same = score.sel({x: value})
        got, who = float(same.sel(seed=seed)), f"{x} = {value}, seed {seed}"
        ring.set_data(*[[number] for number in place(value, seed)[1:]])
        for line, other in zip(pale, seeds, strict=True):
            line.set_data(*_measured(course.sel({x: value, "seed": other})))
        for line, run in zip(shown, runs.values(), strict=False):
            line.set_data(*_measured(run.sel({x: value, "seed": seed})))
        right.set_title(who)
        if not np.isfinite(got):
            return f"{who}: diverged."
        return f"{who}: {got:,.0f}; of the {len(seeds)} seeds there, {int((same > got).sum())} did better."

    explore(
        fig,
        draw,
        {x: settings, "seed": seeds},
        alt=alt,
        caption=caption,
        start=(settings.index(first[0]), seeds.index(first[1])),
        spots=place,
    )


def _measured(run: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """A run's places and values where there are values."""
    there = np.isfinite(run.values)
    return run[run.dims[0]].values[there], run.values[there]
