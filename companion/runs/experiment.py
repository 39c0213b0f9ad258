"""One experiment: every combination of the settings, times every seed, trained, measured and labelled."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Int

from companion.members.grid import Grid
from companion.runs.options import Options
from companion.runs.run import Program, Run
from companion.runs.settings import at_least_one

__all__ = ["experiment", "interval", "marks_every"]

Members = Int[np.ndarray, " own"]


def experiment(
    label: str,
    grid: Grid,
    make: Callable[[Members, dict[str, Any]], Program],
    variables: Mapping[str, tuple[str, ...]],
    *,
    steps: int,
    marks: Mapping[int, int],
    arguments: Mapping[str, Any],
    options: Options,
    along: str = "step",
    sizes: Mapping[str, int | Sequence[Any]] | None = None,
    apart: Sequence[str] | None = (),
    together: bool = False,
) -> xr.Dataset:
    """Train every member of a grid, and return what was measured, labelled::

        class Walk:
            def __init__(self, sizes, seeds):
                self.sizes, self.place = sizes, np.zeros(len(seeds))
                self.streams = Streams(seeds, "walk")

            def step(self, step):
                self.place += self.sizes * (self.streams.uniform(1)[:, 0] - 0.5)

            def measure(self, step, look):
                return {"place": self.place}

            def state_dict(self):
                position = self.streams.position
                return {"place": torch.tensor(self.place), "position": position}

            def load_state_dict(self, state):
                self.place[:] = state["place"].numpy()
                self.streams.position = state["position"]

        grid = Grid({"size": [0.1, 1.0]}, seeds=8)

        def make(own, fixed):
            return Walk(grid.column("size")[own], grid.seeds[own].tolist())

        run = experiment(
            "walk",
            grid,
            make,
            {"place": ("step",)},
            steps=1_000,
            marks=marks_every(100, 1_000),
            arguments={"size": [0.1, 1.0]},
            options=Options(minutes=9),
        )

    All that may befall a long run is seen to: it is taken up from its checkpoint, ends early with what it has when
    Ctrl-C is pressed or the time is up, takes a member out that diverged, and under ``torchrun`` is split over the
    processes.

    Args:
        label: what the progress bar says.
        grid: the members.
        make: the program of members who train together: given which they are, and their values of the settings
            ``apart``.
        variables: what the program measures, with the dimensions of each after those of the grid. What has the
            dimension ``along``, as its last, is measured at every mark, all else at the end.
        steps: of each member.
        marks: after which steps there is something to be measured, with the label of each; 0 is before the first.
        arguments: all that the results depend on. They become attributes, and a checkpoint of others is refused.
        options: of every run.
        along: the dimension of the marks.
        sizes: of the other dimensions, or their coordinates. Where a program measures less, the rest is NaN.
        apart: settings whose values are trained one after another, since they decide shapes; None if every member is
            trained by itself.
        together: whether all processes that ``torchrun`` started train every member together.

    Returns:
        The variables over (swept settings, ``seed``, own dimensions). The attributes hold the arguments, the device,
        versions, date and wall time; ``diverged``, if any member did: which, and when that was found; and, if the run
        did not come to its end, ``interrupted``: where, and ``trained``: what share of all steps was taken.

    Raises:
        ValueError: a checkpoint that cannot be written or gone on from, or is another run's that is under way, or
            cannot hold all that the program goes on from.
        TypeError: the same, by the type of what it cannot hold.
    """
    coords = {along: list(marks.values())}
    coords |= {dim: list(size) for dim, size in (sizes or {}).items() if not isinstance(size, int)}
    lengths = {**(sizes or {}), **{dim: len(labels) for dim, labels in coords.items()}}
    columns = {step: column for column, step in enumerate(marks)}
    with Run(
        label,
        grid,
        variables,
        lengths,  # type: ignore[arg-type]  # numbers, all of them
        steps,
        options,
        along=along,
        apart=apart,
        together=together,
        arguments=arguments,
    ) as run:
        for own, fixed in run.groups():
            program = make(own, fixed)
            if 0 in columns and run.taken(own) == 0 and not run.owed:
                run.write(own, columns[0], program.measure(0, lambda: None), 0)
            for step in run.steps(own, program):
                if not run.owed:
                    program.step(step)
                if step in columns:
                    with run.measuring():
                        run.write(own, columns[step], program.measure(step, run.look), step)
    results, facts = run.gathered()
    labelled = {name: (variables[name], array) for name, array in results.items()}
    return grid.dataset(labelled, coords=coords, attrs={**arguments, **facts})


def marks_every(every: int, steps: int, *, first: bool = False) -> dict[int, int]:
    """Every so many steps, and after the last: with ``first`` also before the first."""
    return {step: step for step in sorted({*range(0 if first else every, steps, every), steps})}


def interval(every: Any, parts: int, **length: Any) -> int:
    """How far marks lie apart: as was asked for by ``evaluate_every``, or else a part of the whole length.

        interval(evaluate_every, 16, steps=steps)

    Raises:
        TypeError: one of the two is no integer.
        ValueError: one of the two is below 1.
    """
    at_least_one(**length)
    (whole,) = length.values()
    every = max(1, whole // parts) if every is None else every
    at_least_one(evaluate_every=every)
    return int(every)
