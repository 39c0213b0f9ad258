"""Makes recordings, in as many slices as it takes."""

import json
import math
import subprocess
import time
from pathlib import Path

import torch
import xarray as xr

from companion.files import locked, replacing
from companion.record.recording import Recording
from companion.study import store


class Recorder:
    """Makes recordings until the time is up, and goes on with those that were begun.

    As long as ``NAME.nc`` is not whole, two files lie beside it: ``NAME.pt`` is the checkpoint, which the call itself
    keeps, and ``NAME.json`` says of what: the recipe, the device, and the commit of every slice.

    Args:
        folder: where to write.
        minutes: how long it may take; no limit if None.
        commit: the state of the code; read from the git checkout, if there is one, where None.
    """

    def __init__(self, folder: Path, minutes: float | None = None, commit: str | None = None) -> None:
        self.folder = folder
        self.deadline = math.inf if minutes is None else time.monotonic() + 60 * minutes
        self.device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        self.commit = commit or checkout()

    def status(self, recording: Recording) -> tuple[str, xr.Dataset | None]:
        """In a few words how a recording stands, and the recording where it can be read."""
        if not self._file(recording, "nc").exists():
            return ("begun" if self._file(recording, "json").exists() else "missing"), None
        try:
            run = store.load(self._file(recording, "nc"))
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
        """Make it, or go on with it; False if the time was up before it was whole.

        Raises:
            ValueError: it was begun on another device or with another version of the code, another process is making
                it, or the call does not return what was asked for.
            KeyboardInterrupt: Ctrl-C was pressed. What was done is kept.
        """
        path = self._file(recording, "nc")
        with locked(path):
            if time.monotonic() > self.deadline:
                print(f"{recording.name}: time is up before it is begun; run again to go on", flush=True)
                return False
            print(f"{recording.name}: {recording.recipe} on {self.device}", flush=True)
            commits = self._commits(recording)
            minutes = None if math.isinf(self.deadline) else max(0.0, self.deadline - time.monotonic()) / 60
            run = recording.run(checkpoint=self._file(recording, "pt"), minutes=minutes)
            if "interrupted" in run.attrs:
                if time.monotonic() < self.deadline:
                    raise KeyboardInterrupt
                share, seconds = run.attrs["trained"], run.attrs["wall_seconds"]
                left = f", about {store.duration(seconds / share - seconds)} left" if share else ""
                print(f"  time is up with {share:.0%}{left}; run again to go on", flush=True)
                return False
            seeds = list(range(recording.seeds))
            if run["seed"].values.tolist() != seeds or "device" not in run.attrs:
                raise ValueError(f"{recording.call} must return the seeds asked for, {seeds}, and say on which device")
            run.attrs |= {
                "recording": recording.name,
                "what": recording.what,
                "recipe": recording.recipe,
                "seeds": seeds,
                "commit": ", ".join(map(str, commits)) if any(commits) else None,
            }
            store.save(run, path)
            self._forget(recording)
            print(f"  kept. {store.provenance(run)}", flush=True)
            return True

    def _commits(self, recording: Recording) -> list[str | None]:
        """The commits that have a hand in it, with this one, which is noted. What cannot be gone on with is removed."""
        note = self._file(recording, "json")
        # Older versions made a recording in parts, a few seeds each, which are not gone on with.
        useless = dict.fromkeys(self.folder.glob(f"{recording.name}.part-*"), "is a part, as older versions made them")
        if note.exists() and (reason := self._unusable(recording, note)):
            useless |= dict.fromkeys((note, self._file(recording, "pt")), reason)
        for path, reason in useless.items():
            print(f"  {path.name} {reason}: removed", flush=True)
            path.unlink(missing_ok=True)
        commits = json.loads(note.read_text())["commits"] if note.exists() else []
        commits = list(dict.fromkeys([*commits, self.commit]))
        with replacing(note) as partial:
            partial.write_text(json.dumps({"recipe": recording.recipe, "device": self.device, "commits": commits}))
        return commits

    def _unusable(self, recording: Recording, note: Path) -> str | None:
        """Why what was begun cannot be gone on with, if it cannot be.

        Raises:
            ValueError: it can, on another device.
        """
        try:
            begun = json.loads(note.read_text())
            recipe, device, _ = begun["recipe"], begun["device"], begun["commits"]
        except (ValueError, KeyError, TypeError):
            return "is damaged"
        if recipe != recording.recipe:
            return f"is of other arguments, {recipe}"
        if device == self.device:
            return None
        if device == "cpu":
            return "was begun on a CPU, and a GPU is here"
        raise ValueError(
            f"{note} was begun on {device}, and this is {self.device}: a recording is made on one device. "
            f"Go on there, or remove the file"
        )

    def _file(self, recording: Recording, kind: str) -> Path:
        return self.folder / f"{recording.name}.{kind}"

    def _forget(self, recording: Recording) -> None:
        for kind in ("pt", "json"):
            self._file(recording, kind).unlink(missing_ok=True)


def checkout(package: Path = Path(__file__).parents[1]) -> str | None:
    """The git commit of the code, with ``-dirty`` where the code differs from it; None if this is no checkout."""

    def git(*words: str) -> str:
        found = subprocess.run(["git", *words], cwd=package, capture_output=True, text=True, check=True)
        return found.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "version.py")
        changed = git("status", "--porcelain", "--", ".", ":!study/recordings", ":!study/costs.json")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return None
