"""What a chapter does around training: budget, claims, progress, statistics, plots, figures, recordings.

It knows labelled results (``xarray``) and no algorithm.
"""

from companion.seeds import seed
from companion.study.budgets import Budget, budget
from companion.study.claims import claim, recorded, tally
from companion.study.diagrams import Diagram, diagram
from companion.study.dots import explore_dots
from companion.study.explore import explore
from companion.study.figures import animate, figure_html, show
from companion.study.looks import ONLINE, TARGET, looks, style
from companion.study.pages import say
from companion.study.plots import across, curves
from companion.study.progress import progress
from companion.study.statistics import band, band_name, interval, iqm, reading
from companion.study.store import provenance, recording, recordings

__all__ = [
    "ONLINE",
    "TARGET",
    "Budget",
    "Diagram",
    "across",
    "animate",
    "band",
    "band_name",
    "budget",
    "claim",
    "curves",
    "diagram",
    "explore",
    "explore_dots",
    "figure_html",
    "interval",
    "iqm",
    "looks",
    "progress",
    "provenance",
    "reading",
    "recorded",
    "recording",
    "recordings",
    "say",
    "seed",
    "show",
    "style",
    "tally",
]
