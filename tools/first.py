"""The first figure: one call trains a whole map of DDPG's return over tau, in less than a minute on one core.

    python tools/first.py

Change the call below and run it again. Chapter 5 explains what is seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import matplotlib

import maps
from chapters import ROOT
from companion import rl, study
from companion.study.pages import spelt_out

FIGURE = ROOT / "_build" / "first" / "tau-map.png"
STEPS = 6_000


def main() -> None:
    print("28 agents learn to swing up a pendulum: 7 values of tau, 4 seeds of each.", flush=True)
    run = rl.train("ddpg", "Pendulum-v1", tau=[1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001], seeds=4, steps=STEPS)
    final = maps.ends(run)
    matplotlib.use("Agg")
    study.style()
    FIGURE.parent.mkdir(parents=True, exist_ok=True)
    maps.draw(final).savefig(FIGURE, dpi=150)

    print("   tau   median of the final returns (about -150: it stands; -1,200: it hangs)")
    for tau, value in zip(final["tau"].values, final.median("seed").values, strict=True):
        print(f"{tau:6g}   {value:,.0f}")
    print(f"\nYour figure, after {run.attrs['wall_seconds']:.0f} seconds of training: {FIGURE}")
    show(FIGURE)
    print(
        "The call that made it stands in tools/first.py: change it.\n"
        "What next? `make lab` opens the chapters to work in, `make book` builds the whole book."
    )


def show(picture: Path) -> None:
    """Open a picture in the program that the desktop has for it, where there is a desktop."""
    if sys.platform == "win32":
        os.startfile(picture)
        return
    opener = shutil.which("open" if sys.platform == "darwin" else "xdg-open")
    if opener and (sys.platform == "darwin" or {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ)):
        subprocess.Popen([opener, str(picture)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    spelt_out()
    main()
