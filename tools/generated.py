"""The pieces of the prose pages that are computed: the map and the chapters' cards on the welcome page, the decoder's
tables, the costs and sizes, the claims.

Each is a function that returns Markdown; ``write_all`` writes them where the pages include them
(``book/_generated/NAME.md`` in the staged tree).
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

import companion
import maps
from chapters import CHAPTERS, cards, slug
from claims import HELD, limit, margins, measured, runs_of
from companion import study
from companion.averaging import conventions
from companion.study.rehearsals import ALARMS, number, rehearsed
from costs import kept
from environment import named, sizes
from notebooks import EXECUTED

matplotlib.use("Agg")

TAUS = [1.0, 0.1, 0.05, 0.01, 0.005, 0.004, 0.001, 0.0001]  # 0.005: TD3 and SAC; 0.004: BYOL; 0.001: DDPG, MoCo


def tau_map() -> str:
    """The map of return over tau, from the recording ``td3-tau-map``."""
    study.style()
    run = study.recording("td3-tau-map")
    final = maps.ends(run)
    best, both = maps.facts(final)
    caption = (
        f"{final.sizes['tau']} values of tau, {final.sizes['seed']} seeds each, {int(run['step'].max()):,} steps of "
        f"Pendulum. Dots are agents, the line is the interquartile mean of the last "
        f"{run.sizes['step'] // 4} evaluations, bars its {study.band_name(final)}. {study.provenance(run)}"
    )
    said = f"The line is highest with {best}. At the two ends it is {both}.\n"
    return raw(study.figure_html(maps.draw(final), maps.alt(final, "TD3"), caption)) + "\n" + said


def raw(code: str) -> str:
    return f"```{{raw}} html\n{code}\n```\n"


def decoder() -> str:
    """The words of every library for `book/_static/book.js` to decode; below them an amount of averaging a row."""
    words = html.escape(json.dumps(conventions.WORDS, ensure_ascii=False), quote=True)
    columns = ["tau", "decay", "window", "half_life", "mean_lag", "variance_ratio", "period"]
    rows = [f"| {' | '.join(name.replace('_', ' ') for name in columns)} |", "|" + "---:|" * len(columns)]
    for tau in TAUS:
        amount = companion.convert(tau=tau)
        rows.append(f"| {' | '.join(f'{getattr(amount, name):.5g}' for name in columns)} |")
    return raw(f'<form class="decoder" data-words="{words}"></form>') + "\n" + "\n".join(rows) + "\n"


def chapters() -> str:
    """A card a chapter: what it promises."""
    return cards(CHAPTERS)


def costs() -> str:
    """Minutes, memory and device of every chapter, as ``make costs`` measured them."""
    rows = ["| chapter | budget | time | memory at most | device | measured |", "|---|---|---|---|---|---|"]
    for chapter in CHAPTERS:
        for budget, cost in sorted(kept().get(slug(chapter.path), {}).items(), reverse=True):
            cells = [chapter.link, budget, f"{float(cost['seconds']) / 60:.1f} min"]
            cells += [f"{float(cost['memory_mb']):,.0f} MB", str(cost["device"]), str(cost["date"])]
            rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def environment() -> str:
    """Size of the book's environment, and time to the first figure, as `tools/environment.py --measure` found them."""
    columns = ["torch", "downloaded", "on disk", "download", "install", "first figure", "measured"]
    rows = [f"| {' | '.join(columns)} |", "|---|" + "---:|" * 5 + "---|"]
    for build, size in sorted(sizes().items()):
        cells = [named(build), *(f"{size[key]:,} MB" for key in ("download_mb", "disk_mb"))]
        cells += [f"{size['seconds'][column]} s" for column in columns[3:6]]
        rows.append(f"| {' | '.join(cells)} | {size['machine']}; {size['date']} |")
    return "\n".join(rows) + "\n"


def recordings() -> str:
    """Every recording kept in the package: what it is, and where it was made."""
    rows = ["| recording | made |", "|---|---|"]
    for name in study.recordings():
        rows.append(f"| `{name}` | {study.provenance(study.recording(name))} |")
    return "\n".join(rows) + "\n"


def claims() -> str:
    """Every chapter's claims, with what their rehearsals measured; those that hold most surely come first."""
    parts = []
    for chapter in CHAPTERS:
        past = rehearsed(slug(chapter.path))
        run = [c for c in measured(EXECUTED / chapter.path.name) if c.words in past and not c.frozen]
        parts.append(f"### {chapter.link}\n")
        if not run:
            parts.append("Not executed, or not rehearsed, when this page was built.\n")
            continue
        parts.append(_rehearsals(runs_of(slug(chapter.path))) + "\n")
        rows = ["| claim | bound | rehearsals | held | margin |", "|---|---|---|---:|---:|"]
        for c in sorted(run, key=lambda c: -past[c.words].margin(c.bound)):
            kept = past[c.words]
            held, worst = kept.held(c.bound), kept.worst(c.bound)
            margin = f"{kept.margin(c.bound):.1f}" if math.isfinite(kept.margin(c.bound)) else "every time the same"
            often = f"{held} of {len(kept.values)} rehearsals"
            words = c.words.replace(HELD, often).replace("|", r"\|")
            span = f"{number(min(worst))} to {number(max(worst))}"
            rows.append(f"| {words} | {c.bound} | {span} | {held} of {len(kept.values)} | {margin} |")
        parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def sureness() -> str:
    """The table of rehearsals, and how far from them a value must lie to be taken for a fault."""
    return (
        f"{margins()}\n\nA test run of the whole book takes a value for a fault that lies {limit():.1f} standard "
        f"deviations of a prediction or more from its rehearsals; luck alone does that in at most one run of "
        f"{1 / ALARMS:,.0f}.\n"
    )


def _rehearsals(runs: list[dict[str, Any]]) -> str:
    """A sentence on where and how a chapter was rehearsed."""
    kernels = [run["kernels"] for run in runs]
    counts = ", ".join(f"{kernels.count(name)} with {name} kernels" for name in dict.fromkeys(kernels))
    two = sum(run["threads"] == 2 for run in runs)
    processors = " and ".join(dict.fromkeys(run["processor"] for run in runs))
    return (
        f"{len(runs)} rehearsals: {counts}; {two} of them on two threads; {processors}; "
        f"{max(run['date'] for run in runs)}; {runs[-1]['versions']}."
    )


PIECES: dict[str, Callable[[], str]] = {
    "tau-map": tau_map,
    "convert": decoder,
    "chapters": chapters,
    "costs": costs,
    "environment": environment,
    "recordings": recordings,
    "claims": claims,
    "sureness": sureness,
}


def write_all(folder: Path) -> None:
    """Write every piece into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, piece in PIECES.items():
        (folder / f"{name}.md").write_text(piece(), encoding="utf-8")
