"""Colours, line styles and markers: one look for a role, told apart without colour."""

from typing import TypedDict

import matplotlib as mpl
from cycler import cycler

ONLINE = "#D55E00"
"""The online network's colour, drawn as a solid line."""
TARGET = "#0072B2"
"""The target network's colour, drawn as a dashed line."""

# Okabe and Ito's palette (https://jfly.uni-koeln.de/color/), dark enough for thin lines on white.
# The two colours that have a role come first, as in `online, target`.
CYCLE = [ONLINE, TARGET, "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9"]

LINES: list[str | tuple[int, tuple[int, ...]]] = ["-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1))]
MARKERS = ["o", "s", "^", "D", "v", "P", "X"]  # 5 lines and 7 markers share no factor: 35 pairs before one returns


class Look(TypedDict):
    """Keyword arguments for ``ax.plot``."""

    color: str
    linestyle: str | tuple[int, tuple[int, ...]]
    marker: str


def looks(n: int) -> list[Look]:
    """``n`` looks for the values of a swept setting, in order from dark to light.

    The colours are *viridis*, whose lightness grows evenly, so they keep their order in grey and for the
    colour-blind; line style and marker differ too, as a pair, up to 35 looks.

    Raises:
        ValueError: ``n`` is negative.
    """
    if n < 0:
        raise ValueError(f"n is {n}; ask for no fewer than 0 looks")
    colours = mpl.colormaps["viridis"]
    return [
        Look(
            color=mpl.colors.to_hex(colours(0.8 * i / max(n - 1, 1))),
            linestyle=LINES[i % len(LINES)],
            marker=MARKERS[i % len(MARKERS)],
        )
        for i in range(n)
    ]


def style() -> None:
    """Set matplotlib's defaults for the book: white card, bare axes, letters that can be read on a phone."""
    mpl.rcParams.update(
        {
            "figure.figsize": (7.2, 4.0),
            "figure.dpi": 100,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "font.size": 14,
            "axes.titlesize": 14,
            "axes.titlelocation": "left",
            "axes.labelsize": 14,
            "xtick.labelsize": 13,
            "ytick.labelsize": 13,
            "legend.fontsize": 13,
            "legend.title_fontsize": 13,
            "legend.frameon": False,
            "axes.facecolor": "white",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.prop_cycle": cycler(color=CYCLE),
            "axes.grid": True,
            "axes.axisbelow": True,
            "grid.color": "#E6E6E6",
            "grid.linewidth": 0.8,
            "lines.linewidth": 2.2,
            "lines.markersize": 6,
            "image.cmap": "viridis",
        }
    )
