"""The tau map, wherever it is shown: on the welcome page, at the top of `README.md`, as a reader's first figure."""

from __future__ import annotations

import matplotlib.pyplot as plt
import xarray as xr
from matplotlib.figure import Figure

from companion import study


def ends(run: xr.Dataset) -> xr.DataArray:
    """Every agent's final return: the mean of the last quarter of its evaluations."""
    returns = run["return"]
    return returns.isel(step=slice(-max(1, returns.sizes["step"] // 4), None)).mean("step").rename("return")


def draw(final: xr.DataArray, colour: str = study.TARGET) -> Figure:
    """A dot an agent, and a line through the interquartile means."""
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    study.across(ax, final, x="tau", look={"color": colour, "linestyle": "--", "marker": "s"})
    ax.set(xlabel="tau, the share of the online network in an update", ylabel="return")
    return fig


def facts(final: xr.DataArray) -> tuple[str, str]:
    """Where the line is highest, and where it is at its two ends, in words."""
    centre = study.iqm(final)
    best = float(centre["tau"].values[centre.values.argmax()])
    at_ends = [(float(centre.sel(tau=tau)), float(tau)) for tau in (centre["tau"].max(), centre["tau"].min())]
    return (
        f"{float(centre.max()):.0f} at tau = {best:g}",
        " and ".join(f"{value:.0f} at tau = {tau:g}" for value, tau in at_ends),
    )


def alt(final: xr.DataArray, agents: str) -> str:
    """The map's description, for those who cannot see it; ``agents`` is what they are called."""
    best, both = facts(final)
    return (
        f"Final return of {final.size} {agents} agents on Pendulum against tau, from {float(final['tau'].min()):g} to "
        f"{float(final['tau'].max()):g}: one dot an agent, a line through the interquartile means. The line is highest "
        f"with {best}; at the ends it is {both}."
    )
