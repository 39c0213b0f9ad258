"""Do all that waits for a GPU, most important first, in slices, and say what came of it: ``make gpu MINUTES=9``.

    python tools/gpu.py                      # all of it
    python tools/gpu.py --minutes 9          # stop then, with a report; called again it goes on
    python tools/gpu.py chapter              # the parts whose name contains "chapter"
    python tools/gpu.py --small              # on a CPU, with small sizes: to see that everything runs

It needs torch, NumPy and SciPy, and no network, no Jupyter and no installation; a part that needs more names it, and
the others go on. The parts are the tests that need CUDA, the benchmarks' sections for a GPU, every chapter on the full
budget, and the recordings that are missing or that a CPU made. Each runs in a process of its own, `gpu_parts.py`, so
whatever befalls one, the next begins.

All that it makes lies in ``_build/gpu``, which may be carried to another machine and gone on with there: ``report.md``,
a log of each part, ``recordings``, and what unfinished parts go on from. A part that is done is not done again until
its code changes, or the GPU. One that failed is tried again when the others are done. A new recording takes its place
by hand: ``cp _build/gpu/recordings/NAME.nc companion/study/recordings``, after a look at it.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import fcntl
import hashlib
import json
import math
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from chapters import ROOT, all_notebooks
from gpu_parts import BENCHMARKS, UNAVAILABLE, UNFINISHED

BUILD = ROOT / "_build" / "gpu"
FIRST = ("td3-tau-map", "dqn-tau-map", "ddpg-tau-map", "sac-tau-map", "byol-tau-table", "moco-tau-table")
"""The recordings that the book leans on most; those whose simulator stays on the CPU (MuJoCo's) come last."""
SECTIONS = {
    "test": "Tests that need CUDA",
    "benchmark": "Benchmarks on a GPU",
    "chapter": "Chapters, full budget",
    "recording": "Recordings",
}
MARGIN = 10.0
"""Seconds, at most, that a time limit keeps for the report; that a part has to end by itself, once its time is up; and
that it has after it was told to."""


@dataclass(frozen=True)
class Part:
    """Something to be done in a process of its own.

    Attributes:
        kind: of ``SECTIONS``.
        title: what it is called among its kind.
        what: a file, or a recording's name.
        decides: what its outcome depends on, beside the package and the device.
    """

    kind: str
    title: str
    what: str
    decides: str = ""

    @property
    def name(self) -> str:
        return f"{self.kind} {self.title}"


@dataclass
class Outcome:
    """How a part stands.

    Attributes:
        status: one of ``WORDS``.
        key: of all that it depends on.
        seconds: that it took, over all slices.
        slices: how many.
        said: what it says of itself.
        why: the last lines of its log, where it failed; or the missing package.
    """

    status: str = "left"
    key: str = ""
    seconds: float = 0.0
    slices: int = 0
    said: str = ""
    why: str = ""


def parts(machine: dict[str, Any]) -> list[Part]:
    """All there is to do, the most important first."""
    of_tests = sorted((ROOT / "tests").rglob("*.py"))
    tests = [f for f in of_tests if f.name.startswith("test_") and needs_cuda(f)]
    benchmarks = [ROOT / "benchmarks" / f"{name}.py" for name in BENCHMARKS]
    found = [
        *(Part("test", str(f.relative_to(ROOT / "tests")), str(f), digest(of_tests)) for f in tests),
        *(Part("benchmark", f.stem, str(f), digest([f])) for f in benchmarks),
        *(Part("chapter", f.stem, str(f), digest([f])) for f in all_notebooks()),
    ]
    if machine["recordings"] is None:  # nor can they be made, and why will be said
        return [*found, Part("recording", "all", "all")]

    def turn(name: str) -> tuple[bool, int]:
        return name.startswith("mujoco"), FIRST.index(name) if name in FIRST else len(FIRST)

    names = sorted(machine["recordings"], key=turn)
    return [*found, *(Part("recording", name, name, machine["recordings"][name]) for name in names)]


def needs_cuda(file: Path) -> bool:
    """Whether a file's tests, or some of them, are marked so."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return any(isinstance(node, ast.Name) and node.id == "needs_cuda" for node in ast.walk(tree))


def digest(files: list[Path]) -> str:
    """Of their contents."""
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()


class Slice:
    """One call: it does parts until the time is up.

    Args:
        machine: what `gpu_parts.here` says of it.
        build: the folder for all that is made.
        minutes: the limit; none if infinite.
        small: whether with small sizes.
        begun: when the call began, by the monotonic clock.
    """

    def __init__(self, machine: dict[str, Any], build: Path, minutes: float, small: bool, begun: float) -> None:
        self.machine, self.build, self.small, self.begun = machine, build, small, begun
        self.margin = min(MARGIN, 60 * minutes / 10)
        self.end = self.begun + 60 * minutes
        self.package = digest(sorted((ROOT / "companion").rglob("*.py")))
        self.state = build / "state.json"
        self.outcomes = self._load()
        self.ended = ""
        """Why not all was done."""

    def _load(self) -> dict[str, Outcome]:
        if not self.state.exists():
            return {}
        try:
            return {name: Outcome(**each) for name, each in json.loads(self.state.read_text()).items()}
        except (ValueError, TypeError, AttributeError) as error:
            print(f"{self.state} is damaged ({error}): all parts begin anew", flush=True)
            return {}

    def outcome(self, part: Part) -> Outcome:
        """How it stands: as it was left, if nothing that it depends on has changed since."""
        # A recording is judged by its recipe, as `companion.record` does: what was begun is gone on with.
        package = "" if part.kind == "recording" else self.package
        depends = (package, part.decides, self.machine["device"], self.machine["versions"], self.small)
        key = hashlib.sha256(repr(depends).encode()).hexdigest()[:16]
        left = self.outcomes.get(part.name)
        return left if left is not None and left.key == key else Outcome(key=key)

    def do(self, todo: list[Part]) -> None:
        """Do what is not done; what was cut short or failed in an earlier call comes last."""
        later = {"cut": 1, "missing": 2, "failed": 3}
        waiting = [part for part in todo if self.outcome(part).status != "done"]
        for part in sorted(waiting, key=lambda part: later.get(self.outcome(part).status, 0)):
            if self.end - time.monotonic() < 4 * self.margin:
                self.ended = "the time was up"
                return
            self._do(part, todo)

    def _do(self, part: Part, todo: list[Part]) -> None:
        outcome = self.outcome(part)
        log = self.build / "logs" / f"{re.sub(r'[^0-9A-Za-z_-]+', '-', part.name)}.log"
        keep = self.build / ("recordings" if part.kind == "recording" else f"kept/{log.stem}/{outcome.key}")
        for folder in (log.parent, keep):
            folder.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, str(ROOT / "tools" / "gpu_parts.py"), part.kind, part.what, "--keep", str(keep)]
        command += ["--small"] if self.small else []
        if math.isfinite(self.end):
            left = self.end - 3 * self.margin - time.monotonic()
            command += ["--until", f"{time.time() + left:.1f}"]
        print(f"{part.name} … ", end="", flush=True)
        begun, said, status = time.monotonic(), log.with_suffix(".said"), UNFINISHED
        try:
            with log.open("w") as errors, said.open("w") as words:
                status = run(command, self.end - 2 * self.margin, self.margin, stdout=words, stderr=errors)
        finally:  # also where it was stopped by hand
            outcome.said = said.read_text(errors="replace").strip()
            outcome.status, outcome.why = judged(part.kind, status, log.read_text(errors="replace")[-20_000:])
            outcome.seconds += time.monotonic() - begun
            outcome.slices += 1
            said.unlink()
            if outcome.status == "done" and part.kind != "recording":
                shutil.rmtree(keep.parent)
            self.outcomes[part.name] = outcome
            print(f"{WORDS[outcome.status]}, {duration(time.monotonic() - begun)}", flush=True)
            self.keep(todo)

    def keep(self, todo: list[Part]) -> str:
        """Write how all parts stand, and the report, which is returned: a machine may be taken away at any time."""
        # Read as a file: the package may be out of reach, and the machine be one without all that it imports.
        replacing = runpy.run_path(str(ROOT / "companion" / "files.py"))["replacing"]
        known, report = {name: asdict(outcome) for name, outcome in self.outcomes.items()}, self.report(todo)
        for path, text in ((self.state, json.dumps(known, indent=1)), (self.build / "report.md", report)):
            with replacing(path) as partial:
                partial.write_text(text, encoding="utf-8")
        return report

    def report(self, todo: list[Part]) -> str:
        """What passed, what it measured and what is left, in Markdown."""
        stands = {part: self.outcome(part) for part in todo}
        versions = ", ".join(f"{name} {version}" for name, version in self.machine["versions"].items() if version)
        lines = [
            f"# {'What waits for a GPU, tried with small sizes' if self.small else 'What waited for a GPU'}",
            "",
            f"{self.machine['device']}; {versions}; commit {self.machine.get('commit') or 'unknown'}; "
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC; this call took {duration(time.monotonic() - self.begun)}"
            f"{', and ended since ' + self.ended if self.ended else ''}.",
            "",
            "; ".join(f"{n} {WORDS[s]}" for s in WORDS if (n := [o.status for o in stands.values()].count(s))) + ".",
        ]
        if self.machine["absent"]:
            lines += ["", f"Not installed here: {', '.join(self.machine['absent'])}."]
        for kind, title in SECTIONS.items():
            rows = [(part, outcome) for part, outcome in stands.items() if part.kind == kind]
            if not rows:
                continue
            lines += ["", f"## {title}", "", "| part | how it stands | took |", "|---|---|---:|"]
            for part, outcome in rows:
                word = f"needs {outcome.why}" if outcome.status == "missing" else WORDS[outcome.status]
                slices = f" in {outcome.slices} slices" if outcome.slices > 1 else ""
                took = duration(outcome.seconds) + slices if outcome.slices else ""
                lines.append(f"| {part.title} | {word} | {took} |")
            for part, outcome in rows:
                if outcome.said:
                    lines += ["", f"### {part.name}", "", re.sub("^#+", "####", outcome.said, flags=re.MULTILINE)]
                if outcome.status == "failed":
                    lines += ["", "It failed. The end of its log:", "", "```", outcome.why, "```"]
        left = [part.name for part, outcome in stands.items() if outcome.status != "done"]
        lines += ["", "## Left", "", "\n".join(f"- {name}" for name in left) or "Nothing."]
        return "\n".join(lines) + "\n"


WORDS = {
    "done": "done",
    "failed": "failed",
    "missing": "not possible without a package",
    "unfinished": "begun, to be gone on with",
    "cut": "cut short by the time limit",
    "left": "not begun",
}


def judged(kind: str, status: int | None, log: str) -> tuple[str, str]:
    """A part's status, and why: by its process's exit status, None where it was ended, and the end of its log."""
    if status in (0, UNFINISHED, None):
        return {0: "done", UNFINISHED: "unfinished", None: "cut"}[status], ""
    absent = re.findall(r"ModuleNotFoundError: No module named '(\w+)", log)
    if absent and (status == UNAVAILABLE or kind == "benchmark"):  # whose own processes may miss it
        return "missing", ", ".join(dict.fromkeys(absent))
    how = f"exit status {status}" if status > 0 else f"ended by {signal.Signals(-status).name}"
    return "failed", "\n".join([*log.rstrip().splitlines()[-25:], how])


def run(command: list[str], until: float, patience: float = MARGIN, **streams: Any) -> int | None:
    """Run a process and all that it starts; its exit status, or None where it had to be ended.

    Args:
        command: what to run.
        until: when it is told to end, by the monotonic clock.
        patience: seconds after which it is ended then.
        streams: its stdout and stderr.
    """
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    streams |= {"stdin": subprocess.DEVNULL, "start_new_session": True}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, **streams)
    try:
        return process.wait(None if math.isinf(until) else max(0.0, until - time.monotonic()))
    except (subprocess.TimeoutExpired, KeyboardInterrupt) as error:
        for how in (signal.SIGINT, signal.SIGTERM):  # it may save what it has
            if process.poll() is None:
                process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(patience / 2)
        if isinstance(error, KeyboardInterrupt):
            raise
        return UNFINISHED if process.returncode == UNFINISHED else None
    finally:  # and what it may have left running
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def duration(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


@contextlib.contextmanager
def ended_as_by_hand() -> Iterator[None]:
    """Let SIGTERM, with which a machine's time ends, do what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def here() -> dict[str, Any]:
    """What this machine is and has."""
    command = [sys.executable, str(ROOT / "tools" / "gpu_parts.py"), "here"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if found.returncode:
        raise SystemExit(f"{found.stderr}\nthis needs torch; say which Python has it: make PYTHON=… gpu")
    return json.loads(found.stdout.splitlines()[-1])


def main(words: list[str] | None = None, find: Callable[[dict[str, Any]], list[Part]] = parts) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=math.inf, help="how long it may take, the report included")
    parser.add_argument("--small", action="store_true", help="try everything on a CPU, with small sizes")
    parser.add_argument(
        "--into", type=Path, default=BUILD, metavar="FOLDER", help="for all that it makes (%(default)s)"
    )
    parser.add_argument("names", nargs="*", help="parts of the parts' names; all by default")
    begun, asked = time.monotonic(), parser.parse_args(words)
    if not asked.minutes > 0:
        parser.error(f"--minutes is {asked.minutes}; it must be more than 0")
    machine = here()
    if machine["device"] == "cpu" and not asked.small:
        raise SystemExit("torch sees no GPU here; --small tries everything on the CPU, with small sizes")
    todo = [part for part in find(machine) if not asked.names or any(name in part.name for name in asked.names)]
    if not todo:
        raise SystemExit(f"no part's name contains {asked.names}; there are {[part.name for part in find(machine)]}")
    build = (asked.into / "small" if asked.small else asked.into).resolve()
    build.mkdir(parents=True, exist_ok=True)
    with (build / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise SystemExit(f"another call is at work in {build}; wait for its end, or give --into") from None
        work = Slice(machine, build, asked.minutes, asked.small, begun)
        try:
            with ended_as_by_hand():
                work.do(todo)
        except KeyboardInterrupt:
            work.ended = "it was stopped"
        print("\n" + work.keep(todo))
    if work.ended:
        return UNFINISHED
    return 0 if all(work.outcome(part).status == "done" for part in todo) else 1


if __name__ == "__main__":
    sys.exit(main())
