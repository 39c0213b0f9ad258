"""Do one part of what waits for a GPU, in a process of its own; `tools/gpu.py` calls it.

    python tools/gpu_parts.py chapter notebooks/04_dqn_and_hard_updates.ipynb --keep FOLDER

Stdout is what the part has to say in the report, stderr its log. The exit status is 0 where it came to its end, 75
where the time was up before, 69 where a package that it needs is not installed, and 1 where something failed. What it
needs to go on from is in the folder. Only what a part uses is imported, for most of it may be missing.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.machinery
import json
import math
import os
import platform
import runpy
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chapters import ROOT
from gpu_cells import Cells, TimeIsUp
from gpu_small import make_small
from kept_runs import keep_runs

UNFINISHED, UNAVAILABLE = 75, 69
"""Exit statuses, as sysexits has them."""
DRAWING = ("matplotlib", "mpl_toolkits", "cycler", "PIL")
"""Without these a chapter trains, measures and claims, and shows no figure."""
BENCHMARKS = {"averaging": ["--turns", "2"], "continuous": ["--shrink", "1000"], "vision": ["--shrink", "200"]}
"""The benchmarks with a section for a GPU, and how to make it small."""


def here() -> None:
    """Print, as JSON, what this machine is and has, and which recordings wait for a GPU."""
    import torch

    gpu = torch.cuda.is_available()
    packages = ("numpy", "scipy", "xarray", "jaxtyping", "gymnasium", "mujoco", "matplotlib", "pytest")
    found: dict[str, Any] = {
        "device": torch.cuda.get_device_name() if gpu else "cpu",
        "versions": {"Python": platform.python_version(), "torch": torch.__version__, "CUDA": torch.version.cuda},
        "absent": [name for name in packages if not _importable(name)],
        "recordings": None,
    }
    with contextlib.suppress(ModuleNotFoundError):  # which is said where recordings are made
        from companion import record
        from companion.study import store

        kept = record.Recorder(store.FOLDER)
        states = {name: (kept.status(recording)[0], recording) for name, recording in record.RECORDINGS.items()}
        found["commit"] = kept.commit
        found["recordings"] = {name: r.recipe for name, (state, r) in states.items() if state != "kept"}
    print(json.dumps(found))


def _importable(name: str) -> bool:
    try:
        importlib.import_module(name)
    except ImportError:
        return False
    return True


# ---------------------------------------------------------------------------------------------------------------------
# What may be missing without harm


def stand_in() -> None:
    """Let the package be imported without IPython and without what draws.

    Without IPython a cell's words are printed. What draws can be imported and named, and is missing where it is called.
    """
    if not _importable("IPython"):
        for name in ("IPython.display", "IPython.core.interactiveshell"):  # no more: others ask whether there is one
            sys.modules[name] = types.ModuleType(name)
        shell = type("InteractiveShell", (), {"initialized": staticmethod(lambda: False)})
        sys.modules["IPython.core.interactiveshell"].InteractiveShell = shell  # type: ignore[attr-defined]
        sys.modules["IPython.display"].display = print  # type: ignore[attr-defined]
    if absent := [name for name in DRAWING if not _importable(name)]:
        sys.meta_path.insert(0, _Nothing(absent))


class _Named(type):
    """The type of what a missing package is said to hold: it can be named, as annotations do, and do nothing."""

    def __getattr__(cls, name: str) -> type:
        return _named(cls.__module__, name)

    def missing(cls, *arguments: Any, **options: Any) -> Any:
        package = cls.__module__
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)

    __call__ = __getitem__ = missing


class _Nothing(importlib.machinery.PathFinder):
    """Finds the missing packages, whose modules hold whatever is asked for."""

    def __init__(self, absent: Iterable[str]) -> None:
        self.absent = set(absent)

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:  # type: ignore[override]
        if name.partition(".")[0] in self.absent:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)  # type: ignore[arg-type]
        return None

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> types.ModuleType:
        module = types.ModuleType(spec.name)
        module.__getattr__ = lambda name: _named(spec.name, name)  # type: ignore[method-assign]
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        pass


def _named(module: str, name: str) -> type:
    if name.startswith("__"):
        raise AttributeError(name)
    return _Named(name, (), {"__module__": module.partition(".")[0]})


# ---------------------------------------------------------------------------------------------------------------------
# The tests that need CUDA


def test(file: Path, keep: Path, seconds: float, small: bool) -> int:
    """Run a file's tests that need CUDA, but for those that passed in an earlier slice."""
    import pytest

    if not _importable("beartype"):  # it checks shapes as tests run; none of these is about that
        print("without beartype, which checks shapes at run time")
        sys.modules["beartype"] = types.ModuleType("beartype")
        sys.modules["beartype"].beartype = lambda checked: checked  # type: ignore[attr-defined]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # a machine's own may fail
    tests = Tests(keep / "passed", time.monotonic() + seconds)
    options = ["-p", "no:cacheprovider", "-c", str(ROOT / "pyproject.toml"), "--no-header", "-rs"]
    with contextlib.redirect_stdout(sys.stderr):
        status = pytest.main([*options, str(file)], plugins=[tests])
    count = {outcome: list(tests.outcomes.values()).count(outcome) for outcome in ("passed", "failed", "skipped")}
    print(", ".join(f"{number} {outcome}" for outcome, number in count.items() if number) or "no test was run")
    for name, outcome in tests.outcomes.items():
        if outcome != "passed":
            print(f"- {outcome}: {name}")
    if count["failed"]:
        return 1
    if tests.late:
        return UNFINISHED
    if status in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
        return 0
    return UNAVAILABLE  # the file could not be imported


@dataclass
class Tests:
    """A plugin of pytest's: runs what needs CUDA and has not passed, until the time is up, and keeps what passed."""

    kept: Path
    deadline: float
    outcomes: dict[str, str] = field(default_factory=dict)
    late: bool = False

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        from tests.helpers import needs_cuda

        passed = self.kept.read_text().splitlines() if self.kept.exists() else []
        self.outcomes = dict.fromkeys(passed, "passed")
        need = [item for item in items if needs_cuda.mark in item.iter_markers()]
        items[:] = [item for item in need if item.nodeid not in passed]

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.when == "call" or report.outcome != "passed":
            self.outcomes[report.nodeid] = report.outcome

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        if self.outcomes.get(nodeid) == "passed":
            with self.kept.open("a") as kept:
                kept.write(f"{nodeid}\n")

    def pytest_runtest_protocol(self, item: Any, nextitem: Any) -> bool | None:
        if time.monotonic() < self.deadline:
            return None
        self.late = True
        return True  # passed over


# ---------------------------------------------------------------------------------------------------------------------
# The benchmarks


def benchmark(file: Path, keep: Path, seconds: float, small: bool) -> int:
    """Run a benchmark's section for a GPU; it says what it measured."""
    options = ["--gpu", "cpu", *BENCHMARKS.get(file.stem, [])] if small else ["--gpu"]
    sys.argv = [str(file), *options]
    runpy.run_path(str(file), run_name="__main__")
    return 0


# ---------------------------------------------------------------------------------------------------------------------
# The chapters


def chapter(file: Path, keep: Path, seconds: float, small: bool) -> int:
    """Run a chapter's code cells in order, without Jupyter; a training run goes on where an earlier slice left it."""
    begun = time.monotonic()
    deadline = begun + seconds
    with contextlib.suppress(ModuleNotFoundError):  # which the chapter's own imports will name
        resumable(keep, deadline)
    cells = Cells(file)
    stopped = ""
    with contextlib.redirect_stdout(sys.stderr):
        try:
            cells.run(deadline)
        except TimeIsUp:
            stopped = f", and the time was up in cell {cells.at}"
    print(f"{cells.passed} of {len(cells.sources)} cells to their end in {time.monotonic() - begun:.0f} s{stopped}")
    print(*_memory(), sep="\n", end="")
    for line in cells.notes():
        print(f"- {line}")
    if not small:
        print(*_claims(), sep="\n", end="")
    if cells.failed:
        return 1
    if stopped:
        return UNFINISHED
    for package in (needed := set(cells.missing) - set(DRAWING)):
        print(f"ModuleNotFoundError: No module named {package!r}", file=sys.stderr)
    return UNAVAILABLE if needed else 0


def resumable(keep: Path, deadline: float) -> None:
    """Give every training run of this process a checkpoint and the time that is left; one cut short ends all."""
    from companion.runs.run import Run

    def time_left() -> dict[str, float]:
        return {"minutes": max(0.0, deadline - time.monotonic()) / 60} if math.isfinite(deadline) else {}

    keep_runs(keep, time_left)
    gather = Run.gathered

    def gathered(self: Run) -> Any:
        results, facts = gather(self)
        if "interrupted" in facts:
            raise TimeIsUp
        return results, facts

    Run.gathered = gathered  # type: ignore[method-assign]


def _memory() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [f"- at most {torch.cuda.max_memory_reserved() / 1e9:.1f} GB of the GPU's memory\n"]


def _claims() -> list[str]:
    """Of the claims on this run, how many hold, and those that do not."""
    claims = sys.modules.get("companion.study.claims")
    made = [c for c in claims.made() if not c.frozen] if claims else []
    broken = [f"- not in this run: {c.said} ({c.facts})" for c in made if not c.holds]
    return [f"- {len(made) - len(broken)} of {len(made)} claims hold", *broken, ""] if made else []


# ---------------------------------------------------------------------------------------------------------------------
# The recordings


def recording(name: str, keep: Path, seconds: float, small: bool) -> int:
    """Make a recording, or go on with it."""
    from companion import record

    status, _ = record.Recorder(keep).status(record.RECORDINGS[name])
    if status == "kept" or (small and status == "made on a CPU"):
        print(f"is made: {keep / name}.nc")
        return 0
    limit = ["--minutes", str(seconds / 60)] if math.isfinite(seconds) else []
    return record.main([name, "--into", str(keep), *limit])


# ---------------------------------------------------------------------------------------------------------------------

KINDS: dict[str, Callable[[Any, Path, float, bool], int]] = {
    "test": test,
    "benchmark": benchmark,
    "chapter": chapter,
    "recording": recording,
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["here", *KINDS])
    parser.add_argument("what", nargs="?", help="a file, or a recording's name")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="where it keeps what it goes on from")
    parser.add_argument("--until", type=float, default=math.inf, help="when to stop, in seconds since 1970")
    parser.add_argument("--small", action="store_true", help="with small sizes, to see that it runs")
    asked = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    os.environ |= {"COMPANION_BUDGET": "full", "COMPANION_PROGRESS": "0", "MPLBACKEND": "Agg"}
    stand_in()
    try:
        if asked.kind == "here":
            here()
            return 0
        asked.keep.mkdir(parents=True, exist_ok=True)
        if asked.small and asked.kind in ("chapter", "recording"):
            with contextlib.suppress(ModuleNotFoundError):
                make_small()
        what = asked.what if asked.kind == "recording" else Path(asked.what)
        return KINDS[asked.kind](what, asked.keep, max(0.0, asked.until - time.time()), asked.small)
    except ModuleNotFoundError:
        traceback.print_exc()
        return UNAVAILABLE


if __name__ == "__main__":
    sys.exit(main())
