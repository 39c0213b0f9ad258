"""What a chapter does around training: budget, progress, statistics, plots, figures, recordings.

It knows labelled results (``xarray``) and no algorithm.
"""

from companion.study.budgets import Budget, budget
from companion.study.figures import animate, figure_html, show
from companion.study.looks import ONLINE, TARGET, looks, style
from companion.study.pages import say
from companion.study.plots import across, curves
from companion.study.progress import progress
from companion.study.statistics import interval, iqm, reading
from companion.study.store import provenance, recording, recordings

__all__ = [
    "ONLINE",
    "TARGET",
    "Budget",
    "across",
    "animate",
    "budget",
    "curves",
    "figure_html",
    "interval",
    "iqm",
    "looks",
    "progress",
    "provenance",
    "reading",
    "recording",
    "recordings",
    "say",
    "show",
    "style",
]
