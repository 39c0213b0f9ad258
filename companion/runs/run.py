"""A run of a grid's members: what was measured of them, and how far they came, through all that may befall it."""

import contextlib
import datetime
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Int

from companion import seeds
from companion.bars import progress_bar
from companion.members.grid import Grid
from companion.runs.checkpoints import Checkpoint
from companion.runs.interrupts import interruptible
from companion.runs.options import Options
from companion.runs.processes import ALONE, launched
from companion.version import versions

__all__ = ["Program", "Run", "device_name", "origin"]


def device_name(device: torch.device) -> str:
    """What a result is said to be made on: the GPU's name, or ``"cpu"``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def origin(device: torch.device, began: float) -> dict[str, Any]:
    """Attributes of a result: device, threads, versions, date and wall time in seconds since ``time.perf_counter()``
    read ``began``. ``study.provenance`` makes a sentence of them."""
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": versions(),
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
    """What is trained: some members, from their first step to their last."""

    def step(self, step: int) -> None:
        """Take step 1, 2, 3, …"""

    def measure(self, step: int, look: Callable[[], None]) -> Mapping[str, np.ndarray]:
        """What there is to know after a step, by name: arrays that lead with one row a member.

        What does not exist yet, or is measured at the end only, is left out.

        Args:
            step: the last that was taken; 0 is before training.
            look: may be called now and then in a measurement that takes long. What it raises ends the measurement,
                which is made up for in the next call: so nothing may have been changed before.
        """

    def state_dict(self) -> Mapping[str, Any]:
        """All that it goes on from: tensors and plain values, which may share its memory.

        Raises:
            TypeError, ValueError: it holds something that a checkpoint cannot, which is named.
        """

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""


class Stopped(Exception):  # noqa: N818 - no error: somebody wants an end
    """A measurement is broken off, since the run is asked to end."""


class Run:
    """A run of a grid's members: what was measured of them, and how far they came, through all that may befall it.

    :func:`~companion.runs.experiment.experiment` takes a program through it. Members that agree on the settings
    ``apart`` are a group, whose members train together, one group after another; or every member is a group of its own.
    Of several processes each has a share of the members, unless they all train each member together. The steps come to
    an end early when Ctrl-C is pressed or the time is up; then, and at the checkpoint's interval, and when a group is
    done, a checkpoint is written.

    Args:
        label: what the progress bar says.
        grid: the members.
        variables: name to the dimensions of a member's own results. They are float32, NaN until they are written.
        sizes: of these dimensions.
        steps: of each member.
        options: of every run.
        along: the dimension of what is measured at marks.
        apart: settings whose values are trained one after another; None if every member is.
        together: whether all processes that ``torchrun`` started train every member together.
        arguments: what the results depend on, for the checkpoint.

    Raises:
        ValueError: a checkpoint that cannot be written or gone on from, or is another run's that is under way.
    """

    def __init__(
        self,
        label: str,
        grid: Grid,
        variables: Mapping[str, tuple[str, ...]],
        sizes: Mapping[str, int],
        steps: int,
        options: Options,
        *,
        along: str = "step",
        apart: Sequence[str] | None = (),
        together: bool = False,
        arguments: Mapping[str, Any],
    ) -> None:
        self.label = label
        self.grid = grid
        self.variables = variables
        self.along = along
        self.total = steps
        self.options = options
        shapes = {name: tuple(sizes[dim] for dim in dims) for name, dims in variables.items()}
        self.results = {name: np.full((grid.members, *shape), np.nan, np.float32) for name, shape in shapes.items()}
        self.trained = np.zeros(grid.members, np.int64)
        """Steps that each member has behind it."""
        self.diverged = np.full(grid.members, -1, np.int64)
        """The step at which that was found of each member, else -1."""
        self._together, self._apart = (launched(), ALONE) if together else (ALONE, launched())
        groups = list(grid.one_by_one() if apart is None else grid.groups(apart))
        if apart is None:
            groups = [groups[i] for i in self._apart.share(np.arange(len(groups)))]
        else:
            groups = [(self._apart.share(members), fixed) for members, fixed in groups]
        self._groups = [(own, fixed) for own, fixed in groups if len(own)]
        self._began = time.perf_counter()
        self._made: dict[str, Any] = {}
        self.owed = False
        """Whether the step at hand was taken already, by a call that was stopped while it measured."""
        self._making_up = False
        self._written = dict.fromkeys(("trained", "diverged"))  # arrays that a checkpoint needs; a film's are large
        self._left: Any = None  # by the program that a checkpoint interrupted
        self._generators: dict[str, Any] = {}  # where they were when the program began
        decides = {**arguments, "device": device_name(options.chosen_device)}
        if moved := seeds.shift():  # the numbers of a rehearsal are other numbers
            decides[seeds.SHIFT] = moved
        self._checkpoint = Checkpoint(options.checkpoint, decides, options.checkpoint_every, together=together)

    def __enter__(self) -> "Run":
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._checkpoint.held())
            if state := self._checkpoint.load(self.options.chosen_device):
                for name, values in state["arrays"].items():
                    self._arrays[name][:] = values.cpu().numpy()
                self._written |= dict.fromkeys(state["arrays"])
                self._began -= state["seconds"]
                self._made, self._left, self.owed = state["made"], state["program"], state["owed"]
            done = sum(self.taken(own) for own, _ in self._groups)
            total = self.total * len(self._groups)
            self._bar = stack.enter_context(progress_bar(self.label, total, done=done, show=self.options.progress))
            minutes = self.options.minutes
            self._stop = stack.enter_context(interruptible(None if minutes is None else 60 * minutes))
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
            program.load_state_dict(self._left)
            self._left = None
        kept = self._checkpoint.path is not None
        if kept:
            program.state_dict()  # what cannot be kept is refused now, and not after an hour
            self._generators = _global_generators()
        for step in range(before + 1, self.total + 1):
            yield step
            if not self.owed:
                self.trained[own] = step
                self._bar.update()
            if kept and step == before + 1:
                program.state_dict()  # and what a step has changed that cannot be kept, now, too
            stop = self._asked  # looked at once: it may become true at any time
            if kept and self.taken(own) < self.total and (stop or self._checkpoint.due):
                self._checkpoint.save(self._state(program))
            if stop:
                break
        self._made = origin(self.options.chosen_device, self._began)

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
        if self._together.any(wish):
            raise Stopped

    def write(self, own: Int[np.ndarray, " own"], column: int, measured: Mapping[str, np.ndarray], step: int) -> None:
        """Write what was measured of some members.

        Who has lost a number to infinity never finds it again. A member with a number that is not finite, in what is
        measured at every mark, has diverged: from here on nothing is written of it.

        Args:
            own: whose it is.
            column: of the mark.
            measured: results by name, which lead with one row a member of ``own``. Where an array is shorter than there
                is place for, the rest stays NaN.
            step: when it was measured.
        """
        with np.errstate(over="ignore"):  # what is too large for float32 has diverged
            rows = {name: np.asarray(values).astype(np.float32) for name, values in measured.items()}
        places = {name: self._place(name, values.shape[1:], column) for name, values in rows.items()}
        judged = [values for name, values in rows.items() if self.along in self.variables[name]]
        finite = np.all([np.isfinite(values.reshape(len(own), -1)).all(1) for values in judged], axis=0)
        self.diverged[own[~finite & (self.diverged[own] < 0)]] = step
        well = self.diverged[own] < 0
        for name, values in rows.items():
            self.results[name][own[well], *places[name]] = values[well]
        self._written |= dict.fromkeys(measured)

    def _place(self, name: str, shape: tuple[int, ...], column: int) -> list[int | slice]:
        """Where, behind the members, there is place for an array of this shape.

        Raises:
            ValueError: nowhere: the program measured what it did not announce, or more of it.
        """
        if name not in self.variables:
            known = ", ".join(self.variables)
            raise ValueError(f"the program measured {name!r}, which is none of its variables: {known}")
        room = dict(zip(self.variables[name], self.results[name].shape[1:], strict=True))
        room.pop(self.along, None)
        if len(shape) != len(room) or any(size > most for size, most in zip(shape, room.values(), strict=True)):
            raise ValueError(f"the program measured {name!r} of shape {shape} a member; there is place for {room}")
        sizes = iter(shape)
        return [column if dim == self.along else slice(next(sizes)) for dim in self.variables[name]]

    def gathered(self) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """The results of all members, of every process, and the facts of the run.

        The facts are the device, versions, date and wall time; ``diverged``, if any member did: which, and when that
        was found; and, if the run did not come to its end, ``interrupted``: where, and ``trained``: what share of all
        steps was taken.
        """
        own = np.concatenate([np.zeros(0, np.int64), *(own for own, _ in self._groups)])
        local = {name: array[own] for name, array in self._arrays.items()}
        results = self._apart.gather_members(local, own, self.grid.members)
        trained, diverged = results.pop("trained"), results.pop("diverged")
        facts = self._made or origin(self.options.chosen_device, self._began)
        when = {i: int(step) for i, step in enumerate(diverged) if step >= 0}
        if when:
            facts["diverged"] = "; ".join(f"{self.grid.name(i)} at step {step}" for i, step in when.items())
        least, most = trained.min(), trained.max()
        if least < self.total:
            where = f"at step {most}" if least == most else f"between steps {least} and {most}"
            facts |= {"interrupted": f"{where} of {self.total}", "trained": float(trained.mean() / self.total)}
        return results, facts

    @property
    def _asked(self) -> bool:
        """Whether to stop; where processes train together they stop together."""
        return self._together.any(self._stop.asked)

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
            "program": None if program is None else program.state_dict(),
            "owed": self.owed,
        }
