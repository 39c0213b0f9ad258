"""Execute the notebooks through nbmake, each once, and keep the executed copies for the book.

    python tools/notebooks.py             # those that are new or changed
    python tools/notebooks.py --again     # all of them, one at a time, as their costs are measured
    python tools/notebooks.py dqn         # those whose name contains "dqn"

A notebook is run again when its text, its rehearsals, the package, the lock or the budget changed. Several run at a
time, one a core with a thread each, which is quicker than one after another with all cores (``JOBS=1``). They run in
an environment that holds the built wheel and the dependencies, not the checkout, from a folder outside the checkout:
what works here works for a reader who installed the package. The executed copy and what it cost land in
``_build/executed``; a notebook that fails, or prints to stderr, leaves nothing there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from pathlib import Path

import nbformat

from chapters import ROOT, all_notebooks, slug
from companion.study.budgets import COSTS
from companion.study.pages import spelt_out
from companion.study.rehearsals import FOLDER
from environment import packages_of

EXECUTED = ROOT / "_build" / "executed"
READER = ROOT / "_build" / "reader"  # the environment a reader would have: the wheel, no checkout
SECONDS_A_CELL = 1800
MOST_AT_ONCE = 4
"""Each may need a gigabyte of memory."""
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def package_key() -> str:
    """Digest of all that every notebook's result depends on, besides its own text and rehearsals."""
    digest = hashlib.sha256()
    files = [ROOT / "requirements.txt", ROOT / "pyproject.toml"]
    files += [f for f in sorted((ROOT / "companion").rglob("*")) if f.suffix in {".py", ".js", ".nc"}]
    for file in files:
        digest.update(str(file.relative_to(ROOT)).encode() + b"\0" + file.read_bytes())
    digest.update(f"{sys.version_info[:2]} {os.environ.get('COMPANION_BUDGET', '')}".encode())
    return digest.hexdigest()


def key(notebook: Path, package: str) -> str:
    cells = [(c.cell_type, c.source) for c in nbformat.read(notebook, as_version=4).cells]
    rehearsals = FOLDER / f"{slug(notebook)}.json"
    shown = rehearsals.read_text(encoding="utf-8") if rehearsals.exists() else ""
    return hashlib.sha256((package + json.dumps(cells) + shown).encode()).hexdigest()


def cost_file(notebook: Path) -> Path:
    return EXECUTED / f"{notebook.stem}.json"


def is_fresh(notebook: Path, package: str) -> bool:
    record = cost_file(notebook)
    copy = EXECUTED / notebook.name
    return copy.exists() and record.exists() and json.loads(record.read_text())["key"] == key(notebook, package)


def build_reader(package: str) -> Path:
    """Return the Python of an environment with the wheel of this checkout and this environment's dependencies."""
    python = READER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    stamp = READER / "package"
    rehearsals = sorted(FOLDER.glob("*.json"))
    package += hashlib.sha256(b"".join(f.read_bytes() for f in rehearsals)).hexdigest()
    if stamp.exists() and stamp.read_text() == package:
        return python
    shutil.rmtree(READER, ignore_errors=True)
    venv.create(READER, with_pip=False)
    inside = packages_of(python)
    # A path line adds the folder but runs none of its .pth files, so the editable install of the checkout stays out.
    # Torch may lie elsewhere (tools/environment.py).
    folders = dict.fromkeys([sysconfig.get_path("purelib"), str(distribution("torch").locate_file(""))])
    (inside / "dependencies.pth").write_text("\n".join(map(os.path.normpath, folders)) + "\n")
    wheels = READER / "wheels"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", wheels, ROOT], check=True)
    subprocess.run([*pip, "install", "--no-deps", "--target", inside, *wheels.glob("*.whl")], check=True)
    subprocess.run([python, "-m", "ipykernel", "install", "--prefix", READER], check=True, capture_output=True)
    where = subprocess.run(
        [python, "-c", "import companion; print(companion.__file__)"],
        check=True,
        capture_output=True,
        text=True,
        cwd=READER,
    ).stdout.strip()
    if not Path(where).is_relative_to(READER):
        raise SystemExit(f"the notebooks would import the checkout ({where}), not the wheel")
    stamp.write_text(package)
    return python


def execute(notebook: Path, python: Path, package: str, threads: int) -> bool:
    """Run one notebook; True when it passed. Its time and peak memory are those of the whole process tree."""
    kept, record = EXECUTED / notebook.name, cost_file(notebook)
    record.unlink(missing_ok=True)
    kept.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as elsewhere:  # a folder of its own, far from the checkout
        copy, log = Path(elsewhere, notebook.name), Path(elsewhere, "log")
        shutil.copyfile(notebook, copy)
        # Of pytest's plugins only nbmake: to load the others takes a second.
        options = [
            "-p",
            "nbmake.pytest_plugin",
            "--nbmake",
            f"--nbmake-timeout={SECONDS_A_CELL}",
            "--overwrite",
            "-p",
            "no:cacheprovider",
            "-q",
        ]
        # The kernel is this environment's, whatever kernels the user has installed elsewhere.
        own = {
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "COMPANION_PROGRESS": "0",
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
            "JUPYTER_PREFER_ENV_PATH": "1",
        }
        share = os.environ.get("OMP_NUM_THREADS", str(threads))  # who asks for one thread means one of each kind
        own |= {name: os.environ.get(name, share) for name in THREADS}
        start = time.monotonic()
        with log.open("w") as out:
            command = [python, "-m", "pytest", *options, copy]
            process = subprocess.Popen(command, cwd=elsewhere, env=os.environ | own, stdout=out, stderr=out)
            seconds, memory = wait(process, start)
        if process.returncode:
            print(f"{notebook.name} failed:\n{log.read_text()}", flush=True)
            return False
        if noise := stderr_of(copy):
            print(f"{notebook.name}: a cell prints to stderr, which would stand in the page:\n{noise}", flush=True)
            return False
        shutil.move(copy, kept)
    environment = {"seconds": round(seconds), "memory_mb": round(memory), "budget": budget(), "device": device()}
    record.write_text(json.dumps({"key": key(notebook, package), **environment}, indent=1))
    return True


def execute_all(
    stale: list[Path], package: str, *, at_once: int, beside: Callable[[], object] | None = None
) -> list[str]:
    """Run notebooks, the longest first, so many at a time; the names of those that failed.

    Args:
        stale: which.
        package: digest of the package.
        at_once: notebooks that run at the same time. Each has its share of the cores.
        beside: what else to do meanwhile, before the last notebooks are begun.
    """
    python = build_reader(package)
    usual = {n: expected(n) for n in stale}
    order = sorted(stale, key=lambda n: -usual[n])
    begun, done, failed = time.monotonic(), [], []
    print(f"{len(stale)} chapters to run, {at_once} at a time; by their usual times {_about(usual, [], at_once, 0)}")

    def take(work: Path | Callable[[], object]) -> None:
        if not isinstance(work, Path):
            work()
            return
        passed = execute(work, python, package, max(1, (os.cpu_count() or 1) // at_once))
        (done if passed else failed).append(work)
        over = [*done, *failed]
        left = _about(usual, over, at_once, time.monotonic() - begun)
        verdict = f"{json.loads(cost_file(work).read_text())['seconds']} s" if passed else "failed"
        print(
            f"[{len(over)} of {len(stale)}] {work.name}: {verdict}; {len(stale) - len(over)} left, {left}", flush=True
        )

    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(take, [*([beside] if beside else []), *order]))
    return [n.name for n in failed]


def expected(notebook: Path) -> float:
    """Seconds that a notebook took when its costs were last measured."""
    measured = json.loads(COSTS.read_text()).get(slug(notebook), {}).get(budget(), {})
    return float(measured.get("seconds", 60))


def _about(usual: dict[Path, float], over: list[Path], at_once: int, elapsed: float) -> str:
    """How long the rest takes, in words, at the pace of what is over."""
    rest = sum(usual.values()) - sum(usual[n] for n in over)
    pace = elapsed / sum(usual[n] for n in over) if over else 1 / min(at_once, len(usual) or 1)
    return f"about {rest * pace / 60:.0f} min" if rest * pace >= 90 else f"about {rest * pace:.0f} s"


def wait(process: subprocess.Popen[bytes], start: float) -> tuple[float, float]:
    """Seconds until the process ended, and the largest resident memory (MB) of any process in its tree."""
    if not hasattr(os, "wait4"):  # Windows has no such accounting
        process.wait()
        return time.monotonic() - start, float("nan")
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    unit = 1e6 if sys.platform == "darwin" else 1e3  # macOS counts bytes, Linux kilobytes
    return time.monotonic() - start, usage.ru_maxrss / unit


def stderr_of(notebook: Path) -> str:
    outputs = [o for c in nbformat.read(notebook, as_version=4).cells for o in c.get("outputs", [])]
    return "".join(o.text for o in outputs if o.output_type == "stream" and o.name == "stderr")


def budget() -> str:
    from companion import study

    return study.budget("any").name


def device() -> str:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{os.cpu_count()} CPU cores"


def stale_of(chosen: list[Path], package: str, *, again: bool = False) -> list[Path]:
    """Those that must be executed; copies of notebooks that are no more are removed."""
    EXECUTED.mkdir(parents=True, exist_ok=True)
    for old in EXECUTED.glob("*.*"):
        if old.stem not in {n.stem for n in all_notebooks()}:
            old.unlink()
    return [n for n in chosen if again or not is_fresh(n, package)]


def jobs() -> int:
    """Notebooks at a time: one a core, or one where they share a GPU; ``JOBS`` in the environment overrides."""
    if text := os.environ.get("JOBS"):
        if not text.isdigit() or int(text) < 1:
            raise SystemExit(f"JOBS is {text!r}; give a number from 1 on")
        return int(text)
    return 1 if budget() == "full" else min(os.cpu_count() or 1, MOST_AT_ONCE)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--again", action="store_true", help="execute also what has not changed, one at a time")
    parser.add_argument("names", nargs="*", help="parts of the notebooks' names; all by default")
    arguments = parser.parse_args()

    chosen = [n for n in all_notebooks() if not arguments.names or any(part in n.name for part in arguments.names)]
    if not chosen:
        raise SystemExit(
            f"no notebook's name contains {arguments.names}; there are {[n.name for n in all_notebooks()]}"
        )
    package = package_key()
    stale = stale_of(chosen, package, again=arguments.again)
    failed = execute_all(stale, package, at_once=1 if arguments.again else jobs()) if stale else []
    print(f"notebooks: {len(stale) - len(failed)} executed, {len(chosen) - len(stale)} unchanged, {len(failed)} failed")
    if failed:
        print("failed: " + ", ".join(failed))
    return 1 if failed else 0


if __name__ == "__main__":
    spelt_out()
    sys.exit(main())
