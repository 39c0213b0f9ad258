"""The pieces of the prose pages that are computed: the map and the chapters' cards on the welcome page, the decoder's
tables, the costs, the claims.

Each is a function that returns Markdown; ``write_all`` writes them where the pages include them
(``book/_generated/NAME.md`` in the staged tree).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib

import companion
from chapters import CHAPTERS, cards, slug
from claims import HELD, limit, margins, measured, runs_of
from companion import study
from companion.study.rehearsals import ALARMS, number, rehearsed
from costs import kept
from notebooks import EXECUTED

matplotlib.use("Agg")

TAUS = [1.0, 0.1, 0.05, 0.01, 0.005, 0.004, 0.001, 0.0001]  # 0.005: TD3 and SAC; 0.004: BYOL; 0.001: DDPG, MoCo


def tau_map() -> str:
    """The map of return over tau, from the recording ``td3-tau-map``."""
    import matplotlib.pyplot as plt

    study.style()
    run = study.recording("td3-tau-map")
    last = run["return"].isel(step=slice(-4, None))
    final = last.mean("step").rename("return")
    centre = study.iqm(final)
    best = centre["tau"].values[centre.values.argmax()]
    worst = {float(tau): float(centre.sel(tau=tau)) for tau in (centre["tau"].max(), centre["tau"].min())}
    fig, ax = plt.subplots(figsize=(7.2, 4.2))
    study.across(ax, final, x="tau")
    ax.set(xlabel="tau: how much of the online network the target takes over at every update", ylabel="return")
    best_said = f"{float(centre.max()):.0f} at tau = {best:g}"
    ends = " and ".join(f"{value:.0f} at tau = {tau:g}" for tau, value in worst.items())
    alt = (
        f"Final return of {final.size} TD3 agents on Pendulum against tau, from {float(final['tau'].min()):g} to "
        f"{float(final['tau'].max()):g}: one dot an agent, a line through the interquartile means. The line is highest "
        f"with {best_said}; at the ends it is {ends}."
    )
    caption = (
        f"{final.sizes['tau']} values of tau, {final.sizes['seed']} seeds each, {int(run['step'].max()):,} steps of "
        f"Pendulum. Dots are agents, the line is the interquartile mean of the last "
        f"{last.sizes['step']} evaluations, bars its {study.band_name(final)}. {study.provenance(run)}"
    )
    facts = f"The line is highest with {best_said}. At the two ends it is {ends}.\n"
    return raw(study.figure_html(fig, alt, caption)) + "\n" + facts


def raw(html: str) -> str:
    return f"```{{raw}} html\n{html}\n```\n"


def decoder() -> str:
    """One amount of averaging a row, in every measure of it."""
    columns = ["tau", "decay", "window", "half_life", "mean_lag", "variance_ratio", "period"]
    rows = [f"| {' | '.join(name.replace('_', ' ') for name in columns)} |", "|" + "---:|" * len(columns)]
    for tau in TAUS:
        amount = companion.convert(tau=tau)
        rows.append(f"| {' | '.join(f'{getattr(amount, name):.5g}' for name in columns)} |")
    return "\n".join(rows) + "\n"


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
    "recordings": recordings,
    "claims": claims,
    "sureness": sureness,
}


def write_all(folder: Path) -> None:
    """Write every piece into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, piece in PIECES.items():
        (folder / f"{name}.md").write_text(piece(), encoding="utf-8")
