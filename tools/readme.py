"""Write what `README.md` takes from a recording and from measurements anew: its picture, and how much is downloaded.

    python tools/readme.py

The picture is drawn from the recording `td3-tau-map`, once for light pages and once for dark ones.
"""

from __future__ import annotations

import matplotlib as mpl

import maps
from chapters import ROOT, written
from companion import study
from environment import named, sizes

PICTURE = "td3-tau-map"
MODES = {
    "light": {"ink": "#333a44", "grid": "#dfe3e8", "line": study.TARGET},
    "dark": {"ink": "#d5dae1", "grid": "#3a424d", "line": "#6fbcf0"},
}
FILES = {mode: f"book/_static/tau-map-{mode}.svg" for mode in MODES}
"""The picture in each mode, from the repository's root."""


def draw(mode: str) -> None:
    """Write the picture of one mode."""
    colours = MODES[mode]
    study.style()
    ink = dict.fromkeys(("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color"), colours["ink"])
    plain = {"svg.hashsalt": PICTURE, "ytick.color": colours["ink"], "grid.color": colours["grid"]}
    with mpl.rc_context({**ink, **plain, "axes.facecolor": "none"}):
        fig = maps.draw(maps.ends(study.recording(PICTURE)), colours["line"])
        for dots in (line for line in fig.axes[0].lines if line.get_marker() == "."):
            dots.set(alpha=0.7, markersize=7)  # the picture is shown small
        fig.savefig(ROOT / FILES[mode], transparent=True, metadata={"Date": None})


def picture() -> str:
    """The picture in Markdown: GitHub takes the one that suits the reader's mode."""
    run = study.recording(PICTURE)
    return (
        "<picture>\n"
        f'  <source media="(prefers-color-scheme: dark)" srcset="{FILES["dark"]}">\n'
        f'  <img src="{FILES["light"]}" alt="{maps.alt(maps.ends(run), "TD3")}">\n'
        "</picture>\n"
    )


def download() -> str:
    """What the environment brings, for each build of torch that was measured."""
    rows = ["| torch | downloaded | on disk |", "|---|---:|---:|"]
    for build, size in sorted(sizes().items()):
        downloaded, disk = (f"{size[key] / 1000:.1f} GB" for key in ("download_mb", "disk_mb"))
        rows.append(f"| {named(build)} | {downloaded} | {disk} |")
    return "\n".join(rows) + "\n"


PIECES = {"picture": picture, "download": download}


def main() -> None:
    mpl.use("Agg")
    for mode in MODES:
        draw(mode)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, piece in PIECES.items():
        text = written(text, piece(), name)
    readme.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
