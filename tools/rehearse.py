"""Rehearse chapters: run them again with other seeds and other matrix kernels, and keep what their claims measured.

    python tools/rehearse.py                   # every chapter, 16 times each, as far as it is not done
    python tools/rehearse.py --times 24 dqn    # those whose name contains "dqn", 24 times
    python tools/rehearse.py --minutes 60      # stop then; called again it goes on

Rehearsal number i shifts every seed by 100,000·(i + 1). The kernels are AVX2's or the processor's own in turn, and in
every eighth the plain ones, on one thread, as many at a time as there are cores; every sixteenth runs on two threads,
by itself; ``JOBS=1`` runs one after another. A rehearsal that
is done is kept in ``_build/rehearsals`` until its chapter's claims or the package's training change, and so is each of
its training runs: when only claims were changed, rehearsing the chapter again takes little. The values of all of a
chapter's rehearsals land in ``companion/study/rehearsals``.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import nbformat

from chapters import ROOT, all_notebooks, slug
from claims import stated
from companion.study.pages import spelt_out
from companion.study.rehearsals import ENOUGH, FOLDER
from companion.version import versions
from kept_runs import keep_runs
from notebooks import build_reader, jobs, package_key

DONE = ROOT / "_build" / "rehearsals"
KERNELS = {
    "AVX2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_CBWR": "AVX2"},
    "the processor's own": {},
    "plain": {"ATEN_CPU_CAPABILITY": "default", "MKL_CBWR": "COMPATIBLE"},
}
IN_TURN = [*["AVX2", "the processor's own"] * 3, "plain", "AVX2"]
"""Plain kernels take three times as long as the others."""
APART = 100_000
"""From the seeds of one rehearsal to those of the next."""
TWO_THREADS = 16
"""Every how many rehearsals one runs on two threads."""
UNFINISHED = 75
"""Exit status when the time was up before all was done."""


def condition(number: int) -> dict[str, Any]:
    """What is other in rehearsal 0, 1, 2, … than in a reader's run."""
    return {
        "seed_shift": APART * (number + 1),
        "kernels": IN_TURN[number % len(IN_TURN)],
        "threads": 2 if number % TWO_THREADS == TWO_THREADS - 1 else 1,
    }


def training_key() -> str:
    """Digest of the part of the package that decides a training run's numbers, and what a claim makes of them."""
    digest = hashlib.sha256()
    parts = ("averaging", "members", "runs", "rl", "supervised", "vision", "teachers", "generation", "preference")
    files = [f for part in parts for f in sorted((ROOT / "companion" / part).rglob("*.py"))]
    for file in [*files, ROOT / "companion" / "seeds.py", ROOT / "companion" / "study" / "statistics.py"]:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def code_of(notebook: Path) -> list[str]:
    return [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]


@cache
def key(notebook: Path, training: str) -> str:
    """Digest of all that a rehearsal measures: the chapter's claims, their computations, and the package's training."""
    made = sorted((claim.words, claim.computation) for claim in stated(notebook) if not claim.frozen)
    return hashlib.sha256((training + json.dumps(made)).encode()).hexdigest()


def result_file(notebook: Path, number: int) -> Path:
    return DONE / slug(notebook) / f"{number}.json"


def is_fresh(notebook: Path, number: int, training: str) -> bool:
    file = result_file(notebook, number)
    return file.exists() and json.loads(file.read_text())["key"] == key(notebook, training)


def rehearse(notebook: Path, number: int, python: Path, training: str) -> bool:
    """Run one rehearsal in a process of its own; True when it came to its end."""
    how = condition(number)
    threads = {name: str(how["threads"]) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    environment = {
        **{k: v for k, v in os.environ.items() if k not in ("ATEN_CPU_CAPABILITY", "MKL_CBWR")},
        **KERNELS[how["kernels"]],
        **threads,
        "COMPANION_SEED_SHIFT": str(how["seed_shift"]),
        "COMPANION_BUDGET": "quick",
        "COMPANION_PROGRESS": "0",
        "CUDA_VISIBLE_DEVICES": "",  # the quick budget is a CPU's
        "MPLBACKEND": "Agg",
    }
    file = result_file(notebook, number)
    runs = DONE / "runs" / training / "-".join(str(value).replace(" ", "-") for value in how.values())
    file.parent.mkdir(parents=True, exist_ok=True)
    runs.mkdir(parents=True, exist_ok=True)
    command = [python, Path(__file__).resolve(), "--one", notebook.resolve(), runs, file.with_suffix(".part")]
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, cwd=runs, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - begun
    if done.returncode:
        print(f"{slug(notebook)} {number}: failed ({how})\n{done.stdout[-3000:]}{done.stderr[-3000:]}", flush=True)
        return False
    found = json.loads(file.with_suffix(".part").read_text())
    made = {**how, **found["where"], "date": f"{datetime.now(UTC):%Y-%m-%d}", "seconds": round(seconds)}
    file.write_text(json.dumps({"key": key(notebook, training), "run": made, "claims": found["claims"]}))
    file.with_suffix(".part").unlink()
    broken = [c["words"] for c in found["claims"] if not c["holds"]]
    print(
        f"{slug(notebook)} {number}: {seconds:.0f} s, {len(broken)} of {len(found['claims'])} did not hold", flush=True
    )
    return True


def perform(notebook: Path, *, forgiving: bool = False) -> list[dict[str, Any]]:
    """Run a chapter's cells in this process, without drawing; what its claims measured.

    Args:
        notebook: the chapter.
        forgiving: whether to go on after a cell that fails.
    """
    import matplotlib.pyplot as plt
    from IPython.core.interactiveshell import InteractiveShell

    from companion import study
    from companion.study import claims

    def close(*arguments: Any, **options: Any) -> None:
        plt.close("all")

    study.show = study.animate = study.explore = close  # type: ignore[assignment]
    shell = InteractiveShell.instance()
    for source in code_of(notebook):
        result = shell.run_cell(source, store_history=True)
        if not forgiving:
            result.raise_error()
    return [claims.data(c) for c in claims.made()]


def one(notebook: Path, runs: Path, out: Path) -> None:
    """Rehearse a chapter in this process: keep its training runs in one folder, write its claims into a file."""
    keep_runs(runs, lambda: {"checkpoint_every": 600.0})
    made = perform(notebook)
    where = {
        "processor": processor(),
        "versions": versions(),
    }
    out.write_text(json.dumps({"where": where, "claims": made}))


def processor() -> str:
    """The processor's name."""
    info = Path("/proc/cpuinfo")
    names = [line for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    return names[0].partition(": ")[2] if names else platform.processor() or platform.machine()


def keep(notebook: Path, times: int, training: str) -> int:
    """Write what a chapter's rehearsals measured into the package, once all are there; how many there are."""
    fresh = [n for n in range(times) if is_fresh(notebook, n, training)]
    if len(fresh) < times:
        return len(fresh)
    results = [json.loads(result_file(notebook, number).read_text()) for number in fresh]
    values = [{c["words"]: c["values"] for c in result["claims"]} for result in results]
    kept = [
        {
            "words": claim.words,
            "computation": claim.computation,
            "values": [[_short(v) for v in run[claim.words]] for run in values],
        }
        for claim in stated(notebook)
        if not claim.frozen
    ]
    FOLDER.mkdir(exist_ok=True)
    entries = {"chapter": slug(notebook), "runs": [r["run"] for r in results], "claims": kept}
    parts = [f'"chapter": {json.dumps(entries["chapter"])}']
    for name in ("runs", "claims"):  # an entry a line: a change shows as one
        lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries[name])
        parts.append(f'"{name}": [\n{lines}\n]')
    (FOLDER / f"{slug(notebook)}.json").write_text("{" + ",\n".join(parts) + "}\n", encoding="utf-8")
    return times


def _short(value: float | str) -> float | str:
    return value if isinstance(value, str) else float(f"{value:.6g}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=ENOUGH, help="rehearsals of each chapter")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="start no rehearsal after so many")
    parser.add_argument("--one", nargs=3, metavar=("NOTEBOOK", "RUNS", "OUT"), help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", help="parts of the notebooks' names; all by default")
    arguments = parser.parse_args()
    if arguments.one:
        one(*map(Path, arguments.one))
        return 0
    begun, training = time.monotonic(), training_key()
    chosen = [n for n in all_notebooks() if not arguments.names or any(part in n.name for part in arguments.names)]
    if not chosen:
        raise SystemExit(f"no notebook's name contains {arguments.names}")
    wanted = [(n, i) for i in range(arguments.times) for n in chosen if not is_fresh(n, i, training)]
    python = build_reader(package_key()) if wanted else Path()
    failed: list[str] = []
    late = threading.Event()

    def take(work: tuple[Path, int]) -> None:
        if time.monotonic() - begun > 60 * arguments.minutes:
            late.set()
        elif not rehearse(*work, python, training):
            failed.append(f"{slug(work[0])} {work[1]}")

    for threads, at_once in ((1, min(jobs(), os.cpu_count() or 1)), (2, 1)):
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(take, [w for w in wanted if condition(w[1])["threads"] == threads]))
    for notebook in chosen:
        print(f"{slug(notebook)}: {keep(notebook, arguments.times, training)} of {arguments.times} rehearsals")
    if failed:
        print("failed: " + ", ".join(failed))
        return 1
    return UNFINISHED if late.is_set() else 0


if __name__ == "__main__":
    spelt_out()
    sys.exit(main())
