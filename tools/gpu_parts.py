"""Do one part of what waits for a GPU, in a process of its own; `tools/gpu.py` calls it.

    python tools/gpu_parts.py chapter notebooks/04_dqn_and_hard_updates.ipynb --keep FOLDER

Stdout is what the part has to say in the report, stderr its log. The exit status is 0 where it came to its end, 75
where the time was up before, 69 where a package that it needs is not installed, and 1 where something failed. What it
needs to go on from is in the folder. Only what a part uses is imported, for most of it may be missing.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import functools
import importlib
import importlib.machinery
import inspect
import json
import linecache
import math
import os
import platform
import runpy
import sys
import time
import traceback
import types
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chapters import ROOT
from kept_runs import keep_runs

UNFINISHED, UNAVAILABLE = 75, 69
"""Exit statuses, as sysexits has them."""
DRAWING = ("matplotlib", "mpl_toolkits", "cycler", "PIL")
"""Without these a chapter trains, measures and claims, and shows no figure."""
BENCHMARKS = {"averaging": ["--turns", "2"], "continuous": ["--shrink", "1000"], "vision": ["--shrink", "200"]}
"""The benchmarks with a section for a GPU, and how to make it small."""


class TimeIsUp(BaseException):
    """Not an `Exception`: no cell may catch it."""


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


class Cells:
    """A notebook's code cells, run statement by statement in one namespace.

    A statement that needs a package which is not installed is passed over, and so is what builds on it: a machine
    without matplotlib still trains. After a statement that fails the rest of its cell is passed over, and so is what
    builds on that; the next cell is run.
    """

    def __init__(self, file: Path) -> None:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        cells = enumerate(notebook["cells"], 1)
        self.sources = {n: "".join(c["source"]) for n, c in cells if c["cell_type"] == "code"}
        self.at = 0
        """The number of the running cell, among all of the notebook's."""
        self.passed = 0
        self.failed: dict[int, str] = {}
        self.missing: dict[str, int] = {}
        """Package to how many statements were passed over for want of it."""
        self.followed: dict[int, int] = {}
        """Cell that failed to how many statements were passed over since they build on it."""
        self.warned: list[str] = []
        self._space: dict[str, Any] = {"__name__": "__main__"}
        self._lost: dict[str, str | int] = {}
        """Name that was never bound to the package that was missing, or the cell that failed."""

    def run(self, deadline: float) -> None:
        """Run them all.

        Raises:
            TimeIsUp: it is.
        """
        with warnings.catch_warnings():
            warnings.showwarning = self._warn
            for number, source in self.sources.items():
                self.at = number
                name = f"<cell {self.at}>"
                linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
                print(f"[cell {self.at}]", flush=True)
                self.passed += self._run(list(ast.parse(plain(source), name).body), name, deadline)

    def _run(self, statements: list[ast.stmt], name: str, deadline: float) -> bool:
        """Run a cell; whether it came to its end, no statement passed over."""
        whole = True
        for number, statement in enumerate(statements):
            if time.monotonic() > deadline:
                raise TimeIsUp
            last = number == len(statements) - 1
            try:
                if last and isinstance(statement, ast.Expr):  # Jupyter shows its value
                    value = eval(compile(ast.Expression(statement.value), name, "eval"), self._space)
                    print(end="" if value is None else f"{value!r}\n")
                else:
                    exec(compile(ast.Module([statement], []), name, "exec"), self._space)
            except Exception as error:
                whole = False
                if why := self._excuse(error):
                    self._lost |= dict.fromkeys(_bound([statement]), why)
                    continue
                traceback.print_exc()
                self.failed[self.at] = "".join(traceback.format_exception_only(error)).strip()
                self._lost |= dict.fromkeys(_bound(statements[number:]), self.at)
                break
            for found in _bound([statement]):
                self._lost.pop(found, None)
        return whole

    def _excuse(self, error: Exception) -> str | int | None:
        """The package that was missing or the cell that failed, where that is why; it is counted."""
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            self.missing[package] = self.missing.get(package, 0) + 1
            return package
        why = self._lost.get(error.name) if isinstance(error, NameError) and error.name else None
        if isinstance(why, str):
            self.missing[why] += 1
        elif why is not None:
            self.followed[why] = self.followed.get(why, 0) + 1
        return why

    def _warn(self, message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        self.warned.append(f"cell {self.at} warns, at {Path(filename).name}:{lineno}: {category.__name__}: {message}")

    def notes(self) -> list[str]:
        """What was passed over or failed, and why."""
        notes = [f"{count} statements were passed over: they need {package}" for package, count in self.missing.items()]
        for cell, error in self.failed.items():
            also = self.followed.get(cell, 0)
            notes.append(f"cell {cell} failed: {error}" + f" ({also} later statements build on it)" * bool(also))
        return notes + self.warned


def plain(source: str) -> str:
    """A cell as Python: IPython's own lines, such as ``%pip install``, do nothing."""
    lines = source.splitlines()
    return "\n".join(
        line[: -len(line.lstrip())] + "pass" if line.lstrip().startswith(("%", "!")) else line for line in lines
    )


def _bound(statements: list[ast.stmt]) -> set[str]:
    """The names that statements give a meaning to, or would have."""
    names = set()
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names


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
# Small sizes, to try everything on a CPU

COUNTED = {"rl": ("steps", 16, False), "supervised": ("steps", 20, True), "vision": ("epochs", 5, True)}
"""What a training call counts, how often it measures by default, and whether also before it begins."""
APART = 4
"""Steps from one measurement to the next."""
BATCH = 16
"""Pictures in a batch."""


def make_small() -> None:
    """Let every training call be small, and noise stand in for CIFAR-10, whose files may not be here."""
    from companion import rl, supervised, vision

    for module in (rl, supervised, vision):
        module.train = smaller(module.train)
    vision.cifar10 = vision.training.DATASETS["cifar10"] = noise  # type: ignore[assignment]


def smaller(train: Callable[..., Any]) -> Callable[..., Any]:
    """A training call that takes few steps, on few pictures, and returns a result of the shape that was asked for."""
    part = train.__module__.split(".")[1]
    unit, often, before = COUNTED[part]
    apart = APART if unit == "steps" else 1

    @functools.wraps(train)
    def small(*arguments: Any, **settings: Any) -> Any:
        total = settings.get(unit, inspect.signature(train).parameters[unit].default)
        every = settings.get("evaluate_every") or max(1, total // often)
        marks = sorted({*range(0 if before else every, total, every), total})
        few = apart * (len(marks) - before - 1) + 1
        settings |= {unit: few, "evaluate_every": apart}
        if part == "rl":
            settings["learning_starts"] = 0
        elif part == "vision":
            arguments, settings = _few_pictures(*arguments, **settings)
        run = train(*arguments, **settings)
        return run.assign_coords({unit.rstrip("s"): marks}).assign_attrs({unit: total, "evaluate_every": every})

    return small


def _few_pictures(algorithm: str, dataset: Any = "shapes", **settings: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Small batches, and as many of them in the queue as it was to hold, and in an epoch."""
    from companion import vision

    data = vision.load(dataset) if isinstance(dataset, str) else dataset
    usual = vars(vision.make_learner(algorithm).settings)
    ratio = settings.get("batch_size", usual["batch_size"]) // BATCH
    many = BATCH
    if algorithm == "moco":
        size = settings.get("queue_size", usual["queue_size"])
        sizes = [each // ratio for each in (size if isinstance(size, list) else [size])]
        settings["queue_size"] = sizes if isinstance(size, list) else sizes[0]
        many = max(sizes)
    few = vision.Pictures(data.train.images[:many], data.train.labels[:many])
    data = vision.Dataset(data.name, few, data.test, data.classes, data.augmentation)
    return (algorithm, data), settings | {"batch_size": BATCH, "warmup": 0}


def noise() -> Any:
    """A data set of noise, as many pictures to train on as CIFAR-10, since steps are counted by them."""
    import torch

    from companion import vision

    def pictures(many: int) -> vision.Pictures:
        images = torch.randint(256, (many, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        return vision.Pictures(images, torch.arange(many) % 10)

    return vision.Dataset("noise", pictures(50_000), pictures(10 * BATCH), tuple("0123456789"), vision.Augmentation())


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
