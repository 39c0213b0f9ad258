"""Make the recordings: ``python -m companion.record NAME``, ``--missing`` or ``--list``.

A recording is made in parts, a few seeds each. A part that is finished is kept beside where the recording will be, and
so is the checkpoint of one that is not, so a run that was stopped, by ``--minutes``, by hand or by a power cut, goes on
where it was when started again.
"""

import argparse
import inspect
import json
import math
import pkgutil
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

import companion
from companion.files import locked, replacing
from companion.runs.settings import nearest
from companion.study import store
from companion.study.pages import SPELT

UNFINISHED = 75
"""Exit status when the time was up before all was made: run the same command again (sysexits' EX_TEMPFAIL)."""

# What may differ between the parts of one recording; everything else in their attributes must be equal.
_OF_A_PART = {"seeds", "device", "threads", "versions", "date", "wall_seconds", "commit", "diverged"}


@dataclass(frozen=True)
class Recording:
    """How to make a recording.

    Attributes:
        name: its name, and its file's.
        what: what it is, in a line.
        call: the function that makes it, as ``"companion.rl:train"``. It takes ``seeds``, a list, and returns an
            ``xarray.Dataset`` with the dimension ``seed`` whose attributes name the ``device`` it ran on. If it also
            takes ``checkpoint`` and ``minutes``, as :func:`companion.rl.train` does, a part can be made in slices.
        arguments: the function's positional arguments.
        settings: its keyword arguments, ``seeds`` left out.
        seeds: how many seeds.
        part: how many of them at a time.
    """

    name: str
    what: str
    call: str
    arguments: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 16
    part: int = 8

    @property
    def recipe(self) -> str:
        """The call as one would write it. A recording or a part whose recipe is another is of another experiment."""
        words = [*map(repr, self.arguments), *(f"{key}={value!r}" for key, value in self.settings.items())]
        return f"{self.call.replace(':', '.')}({', '.join([*words, f'seeds={self.seeds}'])})"

    def parts(self) -> list[list[int]]:
        """The seeds of each part."""
        return [list(range(i, min(i + self.part, self.seeds))) for i in range(0, self.seeds, self.part)]

    @property
    def resumable(self) -> bool:
        """Whether a part can be made in slices."""
        return {"checkpoint", "minutes"} <= inspect.signature(pkgutil.resolve_name(self.call)).parameters.keys()

    def run(self, seeds: list[int], **slice_of: Any) -> xr.Dataset:
        """Make the part with these seeds, or go on with it."""
        return pkgutil.resolve_name(self.call)(*self.arguments, **self.settings, seeds=seeds, **slice_of)


RECORDINGS = {
    recording.name: recording
    for recording in [
        Recording(
            "dqn-tau-map",
            "DQN on CartPole: return and value over tau, the target updated at every step",
            "companion.rl:train",
            ("dqn", "CartPole-v1"),
            {"tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003], "steps": 30_000},
        ),
        Recording(
            "dqn-period",
            "DQN on CartPole: return and value over the period of hard updates",
            "companion.rl:train",
            ("dqn", "CartPole-v1"),
            {"period": [1, 3, 10, 30, 100, 300, 1_000, 3_000], "steps": 20_000},
            seeds=12,
            part=6,
        ),
        Recording(
            "dqn-replay-target",
            "DQN on CartPole with and without replay, target network and clipped error",
            "companion.rl:train",
            ("dqn", "CartPole-v1"),
            {"buffer_size": [1, 10_000], "period": [1, 100], "error_clip": [1.0, math.inf], "steps": 20_000},
            seeds=12,
            part=6,
        ),
        Recording(
            "dqn-hard-soft",
            "DQN on CartPole: soft updates of the same mean lag as hard ones with periods 10 to 3,000",
            "companion.rl:train",
            ("dqn", "CartPole-v1"),
            {"tau": [2 / (period + 1) for period in (10, 30, 100, 300, 1_000, 3_000)], "steps": 20_000},
            seeds=12,
            part=6,
        ),
        Recording(
            "dqn-double",
            "DQN and Double DQN on CartPole with noisy updates: value and return over the period of hard updates",
            "companion.rl:train",
            ("dqn", "CartPole-v1"),
            {
                "period": [1, 3, 10, 30, 100, 300],
                "double_q": [False, True],
                "batch_size": 8,
                "learning_rate": 3e-3,
                "error_clip": math.inf,
                "steps": 10_000,
            },
        ),
        *(
            Recording(
                f"{algorithm}-tau-map",
                f"{algorithm.upper()} on Pendulum: return and value over tau",
                "companion.rl:train",
                (algorithm, "Pendulum-v1"),
                {"tau": [1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.003, 0.001, 0.0003, 0.0], "steps": 20_000},
                seeds=12,
                part=6,
            )
            for algorithm in ("td3", "ddpg", "sac")
        ),
        Recording(
            "ddpg-hard",
            "DDPG on Pendulum: return and value over the period of hard updates",
            "companion.rl:train",
            ("ddpg", "Pendulum-v1"),
            {"tau": 1.0, "period": [1, 3, 10, 33, 100, 333, 1_000, 3_333, 10_000], "steps": 20_000},
            seeds=8,
        ),
        Recording(
            "ddpg-actor-copy",
            "DDPG on Pendulum with and without a slow copy of the actor, over tau",
            "companion.rl:train",
            ("ddpg", "Pendulum-v1"),
            {"tau": [0.3, 0.1, 0.03, 0.01, 0.003], "target_actor": [True, False], "steps": 20_000},
            seeds=8,
        ),
        Recording(
            "td3-parts",
            "TD3 on Pendulum with and without each of its three parts: value and what is earned",
            "companion.rl:train",
            ("td3", "Pendulum-v1"),
            {
                "tau": 0.05,
                "period": 1,
                "policy_delay": [2, 1],
                "clipped_double_q": [True, False],
                "target_noise": [0.2, 0.0],
                "horizon": 800,
                "steps": 20_000,
                "evaluate_every": 2_000,
            },
        ),
        Recording(
            "td3-delay",
            "TD3 on Pendulum: tau, the delay of the policy and the period of the slow copies",
            "companion.rl:train",
            ("td3", "Pendulum-v1"),
            {
                "tau": [1.0, 0.3, 0.1, 0.03, 0.01],
                "policy_delay": [1, 2, 8],
                "period": [1, 2, 8],
                "horizon": 800,
                "steps": 12_000,
                "evaluate_every": 3_000,
            },
            seeds=4,
        ),
        Recording(
            "sac-period",
            "SAC on Pendulum: return and value over the period of hard updates",
            "companion.rl:train",
            ("sac", "Pendulum-v1"),
            {"tau": 1.0, "period": [3, 10, 30, 100, 300, 1_000], "steps": 20_000},
            seeds=4,
        ),
        Recording(
            "sac-target-actor",
            "SAC on Pendulum with and without a slow copy of the actor, over tau",
            "companion.rl:train",
            ("sac", "Pendulum-v1"),
            {"target_actor": [False, True], "tau": [0.1, 0.03, 0.01], "steps": 20_000},
            seeds=4,
        ),
        Recording(
            "sac-entropy",
            "SAC on Pendulum: return, entropy and temperature over the entropy asked for",
            "companion.rl:train",
            ("sac", "Pendulum-v1"),
            {"tau": 0.03, "target_entropy": [-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0], "steps": 10_000},
            seeds=4,
        ),
        *(
            Recording(
                f"mujoco-{algorithm}-{task}",
                f"{algorithm.upper()} on MuJoCo's {world}: return and value",
                "companion.rl:train",
                (algorithm, world),
                {"steps": 60_000, "learning_starts": 1_000, "evaluate_every": 6_000, "evaluation_episodes": 3},
                seeds=4,
            )
            for task, world in (("hopper", "Hopper-v5"), ("halfcheetah", "HalfCheetah-v5"))
            for algorithm in ("td3", "ddpg", "sac")
        ),
        Recording(
            "moco-tau-table",
            "MoCo on shapes: probes, measures of collapse and the drift of keys over tau",
            "companion.vision:train",
            ("moco", "shapes"),
            {"tau": [1.0, 0.1, 0.01, 0.001, 0.0001], "epochs": 16, "evaluate_every": 4},
            seeds=4,
            part=2,
        ),
        Recording(
            "moco-norm",
            "MoCo on shapes: batch norm over the whole batch or eight parts, keys shuffled or not",
            "companion.vision:train",
            ("moco", "shapes"),
            {"tau": 0.02, "parts": [1, 8], "shuffle": [True, False], "epochs": 12},
            seeds=3,
        ),
        Recording(
            "moco-queue",
            "MoCo on shapes over the length of the queue",
            "companion.vision:train",
            ("moco", "shapes"),
            {"tau": 0.02, "queue_size": [128, 512, 2_048, 8_192], "epochs": 12},
            seeds=3,
        ),
        Recording(
            "byol-tau-table",
            "BYOL on shapes over tau, which stays, with a predictor as fast as the rest and ten times as fast",
            "companion.vision:train",
            ("byol", "shapes"),
            {
                "tau": [1.0, 0.1, 0.01, 0.001, 0.0],
                "anneal": False,
                "predictor_rate": [1.0, 10.0],
                "epochs": 16,
                "evaluate_every": 4,
            },
            seeds=4,
            part=1,
        ),
        Recording(
            "byol-anneal",
            "BYOL on shapes over tau, which stays or falls to 0 along half a cosine",
            "companion.vision:train",
            ("byol", "shapes"),
            {"tau": [0.2, 0.03], "anneal": [True, False], "epochs": 12},
            seeds=3,
        ),
        *(
            Recording(
                f"cifar10-{algorithm}",
                f"{'MoCo' if algorithm == 'moco' else 'BYOL'} on CIFAR-10 with the small encoder: probes and measures",
                "companion.vision:train",
                (algorithm, "cifar10"),
                {"tau": tau, "epochs": 4, "evaluate_every": 1},
                seeds=2,
                part=1,
            )
            for algorithm, tau in (("moco", 0.01), ("byol", 0.05))
        ),
        Recording(
            "digits-ema",
            "EMA of a small network's weights on digits: loss and error over tau, label noise and the run's length",
            "companion.supervised:train",
            ("digits",),
            {
                "tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.006, 0.003, 0.002, 0.001, 0.0006, 0.0003, 0.0001],
                "label_noise": [0.0, 0.2],
                "steps": 8_000,
                "evaluate_every": 500,
                "batch_size": 4,
                "learning_rate": 0.3,
            },
            seeds=64,
            part=16,
        ),
    ]
}


class Recorder:
    """Makes recordings, part by part, until the time is up.

    Args:
        folder: where to write.
        minutes: how long it may take; no limit if None. A part that cannot be made in slices is begun only if the
            longest so far would still fit.
        commit: the state of the code; read from the git checkout, if there is one, where None.
    """

    def __init__(self, folder: Path, minutes: float | None = None, commit: str | None = None) -> None:
        self.folder = folder
        self.deadline = np.inf if minutes is None else time.monotonic() + 60 * minutes
        self.device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        self.commit = commit or checkout()

    def status(self, recording: Recording) -> tuple[str, xr.Dataset | None]:
        """In a few words how a recording stands, and the recording where it can be read."""
        path = self.folder / f"{recording.name}.nc"
        if not path.exists():
            made = sum(self._part(recording, seeds).exists() for seeds in recording.parts())
            begun = sum(self._begun(recording, seeds).exists() for seeds in recording.parts())
            parts = f"{made} of {len(recording.parts())} parts" + (", one begun" if begun else "")
            return (parts if made or begun else "missing"), None
        try:
            run = store.load(path)
        except ValueError:
            return "damaged", None
        if run.attrs.get("recipe") != recording.recipe:
            return "arguments changed", run
        return ("made on a CPU" if run.attrs["device"] == "cpu" else "kept"), run

    def wanted(self, recording: Recording) -> bool:
        """Whether ``--missing`` makes it: it is not whole, is of other arguments, or a GPU can now replace a CPU's."""
        status, _ = self.status(recording)
        return status != "kept" and not (status == "made on a CPU" and self.device == "cpu")

    def make(self, recording: Recording) -> bool:
        """Make the parts that are not there yet, then the whole of them; False if the time was up before.

        Raises:
            ValueError: parts are there that another device or another version of the code made, or another process is
                making it.
        """
        with locked(self.folder / f"{recording.name}.nc"):
            return self._make(recording)

    def _make(self, recording: Recording) -> bool:
        print(f"{recording.name}: {recording.recipe} on {self.device}", flush=True)
        parts = recording.parts()
        done = {seeds[0]: run for seeds in parts if (run := self._kept_part(recording, seeds)) is not None}
        for number, seeds in enumerate(parts, 1):
            if seeds[0] in done:
                continue
            expected = max((run.attrs["wall_seconds"] for run in done.values()), default=0.0)
            left = f", about {store.duration(expected * (len(parts) - len(done)))} left" if done else ""
            if time.monotonic() + (0 if recording.resumable else expected) > self.deadline:
                print(f"  time is up with {len(done)} of {len(parts)} parts{left}; run again to go on", flush=True)
                return False
            print(f"  part {number} of {len(parts)}, seeds {seeds[0]} to {seeds[-1]}{left}", flush=True)
            run = self._make_part(recording, seeds)
            if "interrupted" in run.attrs:
                share, seconds = run.attrs["trained"], run.attrs["wall_seconds"]
                left = store.duration(max(expected, seconds / share) * (len(parts) - len(done)) - seconds)
                state = f"{share:.0%} of part {number}, about {left} left"
                print(f"  time is up with {state}; run again to go on", flush=True)
                return False
            done[seeds[0]] = run
        whole = join(recording, [done[seeds[0]] for seeds in parts])
        store.save(whole, self.folder / f"{recording.name}.nc")
        for pattern in (f"{recording.name}.part-*", f".{recording.name}.part-*.tmp"):  # the latter of who was killed
            for path in self.folder.glob(pattern):
                path.unlink()
        print(f"  kept. {store.provenance(whole)}", flush=True)
        return True

    def _make_part(self, recording: Recording, seeds: list[int]) -> xr.Dataset:
        """Make a part, or as much of it as there is time for: a run whose attributes say ``interrupted`` is not whole.

        Raises:
            KeyboardInterrupt: Ctrl-C was pressed.
        """
        began = time.monotonic()
        begun, commits = self._begun(recording, seeds), [self.commit]
        slice_of: dict[str, Any] = {}
        if recording.resumable:
            if begun.exists():
                before = json.loads(begun.read_text())["commits"]
                commits = before if self.commit in before else [*before, self.commit]
            facts = {"recipe": recording.recipe, "seeds": seeds, "device": self.device, "commits": commits}
            with replacing(begun) as partial:
                partial.write_text(json.dumps(facts))
            slice_of["checkpoint"] = begun.with_suffix(".pt")
            slice_of["minutes"] = None if np.isinf(self.deadline) else max(0.0, self.deadline - began) / 60
        run = recording.run(seeds, **slice_of)
        if "interrupted" in run.attrs:
            if time.monotonic() < self.deadline:
                raise KeyboardInterrupt
            return run
        if run["seed"].values.tolist() != seeds or "device" not in run.attrs:
            raise ValueError(f"{recording.call} must return the seeds asked for, {seeds}, and say on which device")
        run.attrs |= {
            "recipe": recording.recipe,
            "seeds": seeds,
            "wall_seconds": run.attrs["wall_seconds"] if recording.resumable else time.monotonic() - began,
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "commit": _together(commits),
            "versions": {
                "companion": companion.__version__,
                "Python": platform.python_version(),
                "torch": torch.__version__,
                "numpy": np.__version__,
            },
        }
        store.save(run, self._part(recording, seeds))
        self._forget(begun)
        return store.load(self._part(recording, seeds))  # as a resumed run would find it: JSON knows no tuples

    def _kept_part(self, recording: Recording, seeds: list[int]) -> xr.Dataset | None:
        """A part made earlier, if it can be used. What cannot be used, made or begun, is removed, and that is said."""
        part, begun = self._part(recording, seeds), self._begun(recording, seeds)
        for path in (begun, part):
            if path.exists() and (reason := self._unusable(recording, seeds, path)):
                print(f"  {path.name} {reason}: removed", flush=True)
                self._forget(path)
        return store.load(part) if part.exists() else None

    def _unusable(self, recording: Recording, seeds: list[int], path: Path) -> str | None:
        """Why a part made or begun earlier cannot be used, if it cannot.

        Raises:
            ValueError: it can, on another device.
        """
        try:
            facts = store.load(path).attrs if path.suffix == ".nc" else json.loads(path.read_text())
            recipe, its_seeds, device = facts["recipe"], facts["seeds"], facts["device"]
        except (ValueError, KeyError):
            return "is damaged"
        if recipe != recording.recipe or its_seeds != seeds:
            return f"is of other arguments, {recipe}"
        if device == self.device:
            return None
        if device == "cpu":
            return "was made on a CPU, and a GPU is here"
        raise ValueError(
            f"{path} was made on {device}, and this is {self.device}: parts of one recording share a device. "
            f"Go on there, or remove the part"
        )

    def _part(self, recording: Recording, seeds: list[int]) -> Path:
        return self.folder / f"{recording.name}.part-{seeds[0]}-{seeds[-1]}.nc"

    def _begun(self, recording: Recording, seeds: list[int]) -> Path:
        """Facts of a part that is being made; beside them lies its checkpoint, with the suffix ``.pt``."""
        return self._part(recording, seeds).with_suffix(".json")

    def _forget(self, path: Path) -> None:
        for file in {path, path.with_suffix(".pt")}:
            file.unlink(missing_ok=True)


def join(recording: Recording, runs: list[xr.Dataset]) -> xr.Dataset:
    """The parts of a recording as one run, with the attributes of them all.

    Raises:
        ValueError: the parts are of different settings, which a default changed between them brings about.
    """
    first = runs[0].attrs
    for run in runs[1:]:
        for key in (first.keys() | run.attrs.keys()) - _OF_A_PART:
            ours, theirs = first.get(key), run.attrs.get(key)
            if ours != theirs:
                raise ValueError(
                    f"the parts of {recording.name!r} differ in {key}: {ours!r} and {theirs!r}. "
                    f"The code changed between them; remove them and start again"
                )
    # Where parts differ in length, as films do, the shorter ones end in NaN.
    for dim in {dim for run in runs for dim in run.sizes if dim != "seed" and dim not in run.indexes}:
        longest = max(run.sizes[dim] for run in runs)
        runs = [run.pad({dim: (0, longest - run.sizes[dim])}) if run.sizes[dim] < longest else run for run in runs]
    whole = xr.concat(
        runs, "seed", data_vars="minimal", coords="minimal", compat="equals", join="exact", combine_attrs="drop"
    )
    attrs = [run.attrs for run in runs]
    diverged = [each["diverged"] for each in attrs if "diverged" in each]
    return whole.assign_attrs(
        {
            **first,
            "recording": recording.name,
            "what": recording.what,
            "seeds": [seed for each in attrs for seed in each["seeds"]],
            "threads": _together(each.get("threads") for each in attrs),
            "versions": {key: _together(each["versions"][key] for each in attrs) for key in first["versions"]},
            "commit": _together(commit for each in attrs for commit in (each["commit"] or "").split(", ")),
            "date": max(each["date"] for each in attrs),
            "wall_seconds": sum(each["wall_seconds"] for each in attrs),
            **({"diverged": "; ".join(diverged)} if diverged else {}),
        }
    )


def checkout() -> str | None:
    """The git commit of the code, with ``-dirty`` where the code differs from it; None if this is no checkout."""

    def git(*words: str) -> str:
        found = subprocess.run(["git", *words], cwd=Path(__file__).parent, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "record.py")
        changed = git("status", "--porcelain", "--", ".", ":!study/recordings", ":!study/costs.json")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def main(words: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m companion.record", description="Make the book's recordings.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="make these, also where they are kept already")
    parser.add_argument(
        "--missing",
        action="store_true",
        help="make those that are not whole, whose arguments changed, or that a GPU can now replace a CPU's",
    )
    parser.add_argument("--list", action="store_true", help="show every recording and how it stands")
    parser.add_argument(
        "--minutes",
        type=float,
        metavar="M",
        help=f"stop cleanly when they are over; exit status {UNFINISHED} says to run again. A call that keeps no "
        "checkpoint is stopped before a part that is not likely to fit",
    )
    parser.add_argument("--into", type=Path, default=store.FOLDER, metavar="DIR", help="where to write (%(default)s)")
    parser.add_argument("--commit", metavar="HASH", help="the state of the code, where it is not in a git checkout")
    chosen = parser.parse_args(words)
    if sum([bool(chosen.names), chosen.missing, chosen.list]) != 1:
        parser.error("give names, or --missing, or --list")
    for name in chosen.names:
        if name not in RECORDINGS:
            near = nearest(name, RECORDINGS)
            parser.error(f"no recording is called {name!r}; the nearest is {near!r} (--list shows all)")
    recorder = Recorder(chosen.into, chosen.minutes, chosen.commit)
    if chosen.list:
        print(table(recorder))
        return 0
    names = chosen.names or [name for name, recording in RECORDINGS.items() if recorder.wanted(recording)]
    if not names:
        print("nothing is missing")
    try:
        return 0 if all(recorder.make(RECORDINGS[name]) for name in names) else UNFINISHED
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; what is finished is kept, run again to go on", file=sys.stderr)
        return 130


def table(recorder: Recorder) -> str:
    """Every recording in a row: name, how it stands, device, date, what it is."""
    rows = [("name", "status", "device", "date", "what")]
    for recording in RECORDINGS.values():
        status, run = recorder.status(recording)
        facts = run.attrs if run is not None else {}
        rows.append((recording.name, status, facts.get("device", ""), facts.get("date", "")[:10], recording.what))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)


def _together(values: Iterable[Any]) -> Any:
    """One value where all are the same, else each of them once, as text."""
    distinct = list(dict.fromkeys(values))
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, distinct))


if __name__ == "__main__":
    sys.stdout.reconfigure(errors=SPELT)  # type: ignore[union-attr]  # a path may hold what the console's code page lacks
    sys.exit(main())
