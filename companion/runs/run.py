"""What every training run does around its program: where it runs, its progress bar, its end, and where it came from."""

import contextlib
import datetime
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int
from tqdm import tqdm

import companion
from companion import seeds
from companion.members.grid import Grid
from companion.runs.checkpoints import Checkpoint
from companion.runs.processes import agreed, gather, local_device, share
from companion.runs.settings import a_duration, true_or_false

__all__ = ["Program", "Run", "Stop", "choose_device", "device_name", "interruptible", "progress_bar", "provenance"]


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without one the GPU where there is one, else the CPU.

    Where ``torchrun`` started several processes, ``"cuda"`` is for each of them a GPU of its own.

    Raises:
        ValueError: torch knows no such device, or finds none here.
        TypeError: it is neither a name nor a device.
    """
    if device is not None and not isinstance(device, (str, torch.device)):
        raise TypeError(f"device={device!r} must be a name, such as 'cpu' or 'cuda', a torch.device, or None")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        chosen = torch.device(device if device is not None else "cuda" if gpus else "cpu")
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no device that torch knows; give 'cpu' or 'cuda'") from error
    if chosen.type == "cuda" and not (chosen.index or 0) < gpus:
        raise ValueError(f"device={device!r} is not here: torch finds {gpus} GPUs. Give 'cpu', or None")
    return chosen if chosen.index is not None else local_device(chosen.type)


def device_name(device: torch.device) -> str:
    """What a result is said to be made on: the GPU's name, or ``"cpu"``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def progress_bar(label: str, total: int, *, unit: str = "step", done: int = 0, show: bool = True) -> "tqdm[Any]":
    """A bar on stderr, with the time left, that leaves nothing behind; ``done`` of the total were done earlier.

    There is none where the environment variable ``COMPANION_PROGRESS`` is 0, and of several processes that ``torchrun``
    started only the first one has it.
    """
    hidden = not show or os.environ.get("COMPANION_PROGRESS") == "0" or os.environ.get("RANK", "0") != "0"
    scaled = unit == "B"  # to kB and MB
    return tqdm(total=total, initial=done, desc=label, unit=unit, unit_scale=scaled, leave=False, disable=hidden)


class Stop:
    """Whether a loop should end early. The loop looks at :attr:`asked` between its steps.

    Args:
        seconds: after how many it should end; never if None.
    """

    def __init__(self, seconds: int | float | None = None) -> None:
        self.interrupted = False
        """Whether Ctrl-C was pressed, or the process told to end."""
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def asked(self) -> bool:
        """Whether Ctrl-C was pressed, or the time is up."""
        return self.interrupted or time.monotonic() >= self._deadline


@contextlib.contextmanager
def interruptible(seconds: int | float | None = None) -> Iterator[Stop]:
    """Let Ctrl-C end a loop between two steps, with what it has, instead of in the middle of one, with nothing.

        with interruptible() as stop:
            while not stop.asked:
                step()

    The first Ctrl-C (SIGINT) sets ``stop.interrupted``; the second raises ``KeyboardInterrupt`` at once, as ever.
    SIGTERM, which a cluster sends when the time is up, is a Ctrl-C too, and the second does what it did before. What
    both did before is restored at the end. Outside the main thread, where Python delivers no signals, and where a
    signal is ignored or is not Python's to handle, nothing is changed.

    Args:
        seconds: after how many ``stop.asked`` is true without Ctrl-C; never if None.
    """
    stop = Stop(seconds)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if not callable(before[signal.SIGINT]):
        del before[signal.SIGINT]
    if before[signal.SIGTERM] in (signal.SIG_IGN, None):
        del before[signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def note(number: int, frame: FrameType | None) -> None:
        stop.interrupted = True
        for taken in before:
            signal.signal(taken, signal.default_int_handler if taken == signal.SIGINT else before[taken])

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def provenance(device: torch.device, began: float) -> dict[str, Any]:
    """Attributes of a result: device, threads, versions, date and wall time in seconds since ``time.perf_counter()``
    read ``began``."""
    versions = {
        "companion": companion.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(time.perf_counter() - began, 3),
    }


def _global_generators() -> dict[str, Any]:
    """Where the generators are that a program can use without holding them."""
    _, keys, place, *_ = np.random.get_state()  # noqa: NPY002 - to see whether anybody uses it
    return {
        "torch's global generator": torch.get_rng_state().numpy().tobytes(),
        "NumPy's global generator": (np.asarray(keys).tobytes(), place),
    }


@runtime_checkable
class Program(Protocol):
    """What a run asks of that which it trains, to go on with it later."""

    def state(self) -> Any:
        """All that it goes on from, as a checkpoint holds it."""

    def load_state(self, state: Any, steps: int) -> None:
        """Go on from where :meth:`state` was taken, after so many steps."""


class Stopped(Exception):  # noqa: N818 - no error: somebody wants an end
    """A measurement is broken off, since the run is asked to end."""


class Run:
    """A run of a grid's members: what was measured of them, and how far they came, through all that may befall it.

        with Run("td3", grid, {"return": (10,)}, 1_000, device, arguments=arguments, checkpoint="run.pt") as run:
            for own, fixed in run.groups():
                program = ...                           # of these members
                for step in run.steps(own, program):    # 1, 2, …, 1000; or from where a checkpoint left off
                    ...                                 # take it
                    if step % 100 == 0:
                        run.write(own, step // 100 - 1, {"return": ...}, step)
        results, facts = run.gathered()

    Members that agree on the settings ``apart`` are a group, whose members train together, one group after another; or
    every member is a group of its own. Of several processes each has a share of the members, unless they all train
    each member together. The steps come to an end early when Ctrl-C is pressed or the time is up; then, and at the
    checkpoint's interval, and when a group is done, a checkpoint is written.

    What takes long to measure need not be waited for::

        for step in run.steps(own, program):
            if not run.owed:
                ...                                 # take it
            with run.measuring():
                ...                                 # call run.look() now and then

    Args:
        label: what the progress bar says.
        grid: the members.
        shapes: of the results, name to the shape of a member's own. They are float32, NaN until they are written.
        steps: of each member.
        device: where it runs.
        apart: settings whose values are trained one after another; None if every member is.
        together: whether all processes that ``torchrun`` started train every member together.
        arguments: what the results depend on, for the checkpoint.
        checkpoint: its file, or None.
        checkpoint_every: seconds from one to the next.
        minutes: when to stop; never if None.
        progress: whether to show a bar.

    Raises:
        ValueError: a negative time, or a checkpoint that cannot be written or gone on from, or is another run's that is
            under way.
        TypeError: a value of the wrong type.
    """

    def __init__(
        self,
        label: str,
        grid: Grid,
        shapes: Mapping[str, tuple[int, ...]],
        steps: int,
        device: torch.device,
        *,
        apart: Sequence[str] | None = (),
        together: bool = False,
        arguments: Mapping[str, Any],
        checkpoint: str | os.PathLike[str] | None = None,
        checkpoint_every: int | float = 60.0,
        minutes: int | float | None = None,
        progress: bool = True,
    ) -> None:
        if checkpoint is not None and not isinstance(checkpoint, (str, os.PathLike)):
            raise TypeError(f"checkpoint={checkpoint!r} must be the path of a file, or None")
        a_duration("seconds", checkpoint_every=checkpoint_every)
        a_duration("minutes", **({} if minutes is None else {"minutes": minutes}))
        true_or_false(progress=progress)
        self.label = label
        self.grid = grid
        self.total = steps
        self.device = device
        self.minutes = minutes
        self.progress = progress
        self.results = {name: np.full((grid.members, *shape), np.nan, np.float32) for name, shape in shapes.items()}
        self.trained = np.zeros(grid.members, np.int64)
        """Steps that each member has behind it."""
        self.diverged = np.zeros(grid.members, np.int64)
        """The step at which that was found of each member, else 0."""
        self.together = together
        groups = list(grid.one_by_one() if apart is None else grid.groups(apart))
        if not together and apart is None:
            groups = [groups[i] for i in share(np.arange(len(groups)))]
        elif not together:
            groups = [(share(members), fixed) for members, fixed in groups]
        self._groups = [(own, fixed) for own, fixed in groups if len(own)]
        self._began = time.perf_counter()
        self._made: dict[str, Any] = {}
        self.owed = False
        """Whether the step at hand was taken already, by a call that was stopped while it measured."""
        self._making_up = False
        self._written = dict.fromkeys(("trained", "diverged"))  # arrays that a checkpoint needs; a film's are large
        self._left: Any = None  # by the program that a checkpoint interrupted
        self._generators: dict[str, Any] = {}  # where they were when the program began
        decides = {**arguments, "device": device_name(device)}
        if moved := seeds.shift():  # the numbers of a rehearsal are other numbers
            decides[seeds.SHIFT] = moved
        self._checkpoint = Checkpoint(checkpoint, decides, checkpoint_every, together=together)

    def __enter__(self) -> "Run":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._checkpoint.held())
            if state := self._checkpoint.load(self.device):
                for name, values in state["arrays"].items():
                    self._arrays[name][:] = values.cpu().numpy()
                self._written |= dict.fromkeys(state["arrays"])
                self._began -= state["seconds"]
                self._made, self._left, self.owed = state["made"], state["program"], state["owed"]
            done = sum(self.taken(own) for own, _ in self._groups)
            total = self.total * len(self._groups)
            self._bar = stack.enter_context(progress_bar(self.label, total, done=done, show=self.progress))
            self._stop = stack.enter_context(interruptible(None if self.minutes is None else 60 * self.minutes))
            self._leave = stack.pop_all()
        return self

    def __exit__(self, *error: Any) -> None:
        self._leave.close()

    def taken(self, own: Int[np.ndarray, " own"]) -> int:
        """Steps that members who train together have behind them."""
        return int(self.trained[own[0]])

    def groups(self) -> Iterator[tuple[Int[np.ndarray, " own"], dict[str, Any]]]:
        """Members who train together, and their values of the settings ``apart``; those that are not done."""
        for own, fixed in self._groups:
            if self.taken(own) == self.total:
                continue
            yield own, fixed
            if self.taken(own) == self.total:
                self._checkpoint.save(self._state())
            if self._asked:  # only now: every call takes a step at least
                break

    def steps(self, own: Int[np.ndarray, " own"], program: Program) -> Iterator[int]:
        """The numbers of the steps that these members have before them. A step is over when the next is asked for."""
        before = self.taken(own)
        if before or self.owed:
            program.load_state(self._left, before + self.owed)
            self._left = None
        kept = self._checkpoint.path is not None
        if kept:
            program.state()  # what cannot be kept is refused now, and not after an hour
            self._generators = _global_generators()
        for step in range(before + 1, self.total + 1):
            yield step
            if not self.owed:
                self.trained[own] = step
                self._bar.update()
            stop = self._asked  # looked at once: it may become true at any time
            if kept and self.taken(own) < self.total and (stop or self._checkpoint.due):
                self._checkpoint.save(self._state(program))
            if stop:
                break
        self._made = provenance(self.device, self._began)

    @contextlib.contextmanager
    def measuring(self) -> Iterator[None]:
        """What is done within may be broken off by :meth:`look`, and is then done in the next call.

        The step is not over before. What is made up for is not broken off by the clock: so every call gets ahead.
        """
        self._making_up, self.owed = self.owed, True
        with contextlib.suppress(Stopped):
            yield
            self.owed = False

    def look(self) -> None:
        """Look whether to go on with a measurement.

        Raises:
            Stopped: Ctrl-C was pressed, or the time is up. :meth:`measuring` knows what to do.
        """
        wish = self._stop.interrupted or (self._stop.asked and not self._making_up)
        if agreed(wish) if self.together else wish:
            raise Stopped

    def write(
        self,
        own: Int[np.ndarray, " own"],
        column: int | slice,
        row: Mapping[str, np.ndarray],
        step: int,
        *,
        judge: bool = True,
    ) -> None:
        """Write what was measured of some members into a column, the last axis, of the results, or into several.

        Who has lost a number to infinity never finds it again. Such a member has diverged: from here on nothing is
        written of it.

        Args:
            own: whose it is.
            column: where.
            row: results by name, which lead with one row a member of ``own``.
            step: when it was measured.
            judge: whether a number that is not finite means that its member has diverged.
        """
        if judge:
            finite = np.all([np.isfinite(values.reshape(len(own), -1)).all(1) for values in row.values()], axis=0)
            self.diverged[own[~finite & (self.diverged[own] == 0)]] = step
        well = self.diverged[own] == 0
        for name, values in row.items():
            self.results[name][own[well], ..., column] = values[well]
        self._written |= dict.fromkeys(row)

    def gathered(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The results of all members, of every process, and the facts of the run.

        The facts are the device, versions, date and wall time; ``diverged``, if any member did: which, and when that
        was found; and, if the run did not come to its end, ``interrupted``: where, and ``trained``: what share of all
        steps was taken.
        """
        results = self._arrays
        if not self.together:
            own = np.concatenate([own for own, _ in self._groups]) if self._groups else np.zeros(0, np.int64)
            results = gather({name: array[own] for name, array in results.items()}, own, self.grid.members)
        trained, diverged = results.pop("trained"), results.pop("diverged")
        facts = self._made or provenance(self.device, self._began)
        if diverged.any():
            when = {i: int(step) for i, step in enumerate(diverged) if step}
            facts["diverged"] = "; ".join(f"{self.grid.name(i)} at step {step}" for i, step in when.items())
        least, most = trained.min(), trained.max()
        if least < self.total:
            where = f"at step {most}" if least == most else f"between steps {least} and {most}"
            facts |= {"interrupted": f"{where} of {self.total}", "trained": float(trained.mean() / self.total)}
        return results, facts

    @property
    def _asked(self) -> bool:
        """Whether to stop; where processes train together they stop together."""
        return agreed(self._stop.asked) if self.together else self._stop.asked

    @property
    def _arrays(self) -> dict[str, np.ndarray]:
        """All that leads with a row a member."""
        return {**self.results, "trained": self.trained, "diverged": self.diverged}

    def _state(self, program: Program | None = None) -> dict[str, Any]:
        """What a checkpoint holds; without a program between two groups, or at the end.

        Raises:
            ValueError: the program goes on from more than it holds.
        """
        if program is not None:
            for name, state in _global_generators().items():
                if state != self._generators[name]:
                    raise ValueError(
                        f"random numbers of {name} were used in training, whose place a checkpoint does not hold: take "
                        "the numbers that a step is given, or companion.members.Streams, or train without one"
                    )
        return {
            "arrays": {name: torch.from_numpy(self._arrays[name]) for name in self._written},
            "seconds": time.perf_counter() - self._began,
            "made": self._made,
            "program": None if program is None else program.state(),
            "owed": self.owed,
        }
