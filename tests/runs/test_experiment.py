"""All that may befall a long run, seen to around a program that is ten lines long."""

import inspect
import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from companion.members import Grid, streams
from companion.runs import experiment as experiments
from companion.runs import run
from companion.runs.experiment import experiment, marks_every
from companion.runs.options import Options
from companion.runs.processes import Processes
from tests.helpers import assert_can_be_kept, child_environment, torchrun


class Counter:
    def __init__(self, starts, do=lambda: None):
        self.numbers, self.do = np.array(starts, np.float32), do

    def step(self, step):
        self.do()
        self.numbers += 1

    def measure(self, step, look):
        return {"number": self.numbers, "pair": np.stack([self.numbers, -self.numbers], 1)}

    def state_dict(self):
        return {"numbers": torch.from_numpy(self.numbers)}

    def load_state_dict(self, state):
        self.numbers[:] = state["numbers"].numpy()


VARIABLES = {"number": ("step",), "pair": ("side", "step")}


def count(grid: Grid, *, steps=6, at=None, do=None, apart=("size",), together=False, **options) -> tuple[dict, dict]:
    """Measure what was counted after every second step; do something in the n-th step of all.

    Beside the results, with a row a member, it returns how many steps were ``taken``, and the groups that ``began``.
    """
    taken, began = [0], []

    def one_more():
        taken[0] += 1
        if taken[0] == at:
            do()

    def make(own, fixed):
        began.append((own.tolist(), fixed))
        return Counter(grid.column("start")[own] * fixed["size"], one_more)

    found = experiment(
        "count",
        grid,
        make,
        VARIABLES,
        sizes={"side": ["left", "right"]},
        steps=steps,
        marks=marks_every(2, steps),
        apart=apart,
        together=together,
        arguments={"steps": steps},
        options=Options(**{"device": "cpu", "progress": False, **options}),
    )
    rows = {
        name: found[name].values.reshape(grid.members, *found[name].shape[-len(VARIABLES[name]) :]) for name in found
    }
    return {**rows, "taken": taken[0], "began": began, "found": found}, found.attrs


GRID = Grid({"start": [0.0, 5.0], "size": [1, 100]})
WHOLE = [[2, 4, 6], [2, 4, 6], [7, 9, 11], [502, 504, 506]]


def test_every_group_is_measured_in_its_place():
    results, facts = count(GRID)
    assert results["number"].tolist() == WHOLE
    assert results["pair"][:, 1].tolist() == (-results["number"]).tolist()
    assert results["taken"] == 12
    assert set(facts) == {"steps", "device", "threads", "versions", "date", "wall_seconds"}
    found = results["found"]
    assert found["pair"].dims == ("start", "size", "seed", "side", "step")
    assert found["side"].values.tolist() == ["left", "right"]
    assert found["step"].values.tolist() == [2, 4, 6]


def test_what_ctrl_c_left_is_nan_and_the_next_call_takes_only_what_is_missing(tmp_path):
    path = tmp_path / "run.pt"
    results, facts = count(GRID, at=9, do=lambda: signal.raise_signal(signal.SIGINT), checkpoint=path)
    assert results["number"][0].tolist() == [2, 4, 6]
    assert np.isnan(results["number"][1]).tolist() == [False, True, True]
    assert facts["interrupted"] == "between steps 3 and 6 of 6"
    assert facts["trained"] == 0.75
    results, facts = count(GRID, checkpoint=path)
    assert results["number"].tolist() == WHOLE
    assert results["taken"] == 3
    assert "interrupted" not in facts
    again, _ = count(GRID, checkpoint=path)
    assert again["taken"] == 0
    xr.testing.assert_identical(again["found"], results["found"])


alone = partial(count, apart=None)
"""Members that train one after another."""


def test_apart_in_everything_every_member_trains_by_itself(tmp_path):
    results, _ = alone(GRID)
    assert results["number"].tolist() == WHOLE
    assert [own for own, _ in results["began"]] == [[0], [1], [2], [3]]
    assert results["began"][3][1] == {"start": 5.0, "size": 100}
    path = tmp_path / "run.pt"
    results, facts = alone(GRID, at=15, do=lambda: signal.raise_signal(signal.SIGINT), checkpoint=path)
    assert facts["interrupted"] == "between steps 0 and 6 of 6"
    assert results["number"][:2].tolist() == WHOLE[:2]
    assert np.isnan(results["number"][3]).all()
    results, facts = alone(GRID, checkpoint=path)
    assert results["number"].tolist() == WHOLE
    assert [own for own, _ in results["began"]] == [[2], [3]]
    assert "interrupted" not in facts


class AsTheyAre(Processes):
    """Two processes, of which one is here: nothing is gathered."""

    def gather_members(self, local, indices, members):
        return {name: np.resize(array, (members, *array.shape[1:])) for name, array in local.items()}

    def any(self, wish):
        return wish

    def broadcast(self, value):
        return value


def test_of_members_that_train_by_themselves_each_process_has_a_share(monkeypatch):
    """Of whole members; processes that train together have all of them, and no results to gather."""
    for rank, expected in [(0, [[0], [1]]), (1, [[2], [3]])]:
        monkeypatch.setattr(run, "launched", lambda rank=rank: AsTheyAre(rank, 2))
        results, _ = alone(GRID)
        assert [own for own, _ in results["began"]] == expected
        assert results["number"][:2].tolist() == [WHOLE[own] for (own,) in expected]
    results, _ = alone(GRID, together=True)
    assert [own for own, _ in results["began"]] == [[0], [1], [2], [3]]
    assert results["number"].tolist() == WHOLE


def test_processes_that_train_together_stop_when_one_of_them_wishes_to(monkeypatch):
    """Once in every step, at every mark, and between members, each asks the others; another one wishes to stop."""
    asked = []

    @dataclass(frozen=True)
    class Asking(AsTheyAre):
        def any(self, wish):
            asked.append(wish)
            return len(asked) >= 6 + 1 + 3

    monkeypatch.setattr(run, "launched", lambda: Asking(0, 2))
    results, facts = alone(GRID, together=True)
    assert facts["interrupted"] == "between steps 0 and 6 of 6"
    assert facts["trained"] == (6 + 3) / 24
    assert [own for own, _ in results["began"]] == [[0], [1]]
    assert not any(asked)
    assert np.isnan(results["number"][1]).tolist() == [False, True, True]


def test_a_second_run_on_one_checkpoint_is_refused_by_name_before_it_trains(tmp_path):
    """As another call within a step of the first: the same lock keeps processes apart, see ``tests/test_files.py``."""
    path = tmp_path / "run.pt"

    def again():
        with pytest.raises(
            ValueError, match=rf"run\.pt is in use by process {os.getpid()} on .*stop it, or write elsewhere"
        ):
            count(GRID, checkpoint=path, at=1, do=pytest.fail)

    assert count(GRID, at=3, do=again, checkpoint=path)[0]["number"].tolist() == WHOLE
    assert count(GRID, checkpoint=path)[0]["taken"] == 0
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_a_call_that_is_refused_or_breaks_off_keeps_no_other_out(tmp_path):
    path, kept = tmp_path / "run.pt", []

    def fail():
        raise RuntimeError("broken")

    for steps, message in [(6, "broken"), (8, "steps was 6 and is 8")]:
        with pytest.raises((RuntimeError, ValueError), match=message) as error:
            count(GRID, steps=steps, checkpoint=path, checkpoint_every=0, at=2, do=fail)
        kept.append(error)  # with all that its frames refer to, as a notebook does
    assert count(GRID, checkpoint=path)[0]["number"].tolist() == WHOLE


def test_a_run_that_was_killed_lets_the_next_one_go_on(tmp_path):
    script = """
import os, signal, sys
from tests.runs.test_experiment import GRID, count
count(GRID, checkpoint=sys.argv[1], checkpoint_every=0, at=5, do=lambda: os.kill(os.getpid(), signal.SIGKILL))
"""
    path = tmp_path / "run.pt"
    died = subprocess.run([sys.executable, "-c", script, path], env=child_environment(), check=False)
    assert died.returncode == -signal.SIGKILL
    assert ".run.pt.holder" in {file.name for file in tmp_path.iterdir()}
    results, _ = count(GRID, checkpoint=path)
    assert (results["number"].tolist(), results["taken"]) == (WHOLE, 12 - 4)
    assert [file.name for file in tmp_path.iterdir()] == ["run.pt"]


def test_an_error_leaves_no_trace(capsys, monkeypatch):
    monkeypatch.delenv("COMPANION_PROGRESS", raising=False)
    before = signal.getsignal(signal.SIGINT)

    def fail():
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        count(GRID, at=2, do=fail, progress=True)
    assert signal.getsignal(signal.SIGINT) is before
    assert capsys.readouterr().err.endswith("\r"), "the bar is gone"


@pytest.mark.parametrize("lost", [np.inf, -np.inf, np.nan])
def test_a_member_that_is_not_finite_is_named_and_stays_out(lost):
    grid = Grid({"start": [0.0, 1.0]}, seeds=[4, 7])

    class Loses(Counter):
        def measure(self, step, look):
            pair = np.ones((4, 2), np.float32)
            if step == 2:
                pair[2, 1] = lost
            at_the_end = {"last": np.full((4, 1), np.nan)} if step == 3 else {}
            return {"number": np.full(4, step, np.float32), "pair": pair, **at_the_end}

    found = experiment(
        "count",
        grid,
        lambda own, fixed: Loses([0.0] * 4),
        {**VARIABLES, "last": ("place",), "never": ("step",)},
        sizes={"side": 2, "place": 3},
        steps=3,
        marks=marks_every(1, 3),
        arguments={},
        options=Options(device="cpu", progress=False),
    )
    assert found.attrs["diverged"] == "start=1.0, seed=4 at step 2", "what is measured at the end only may be NaN"
    number, pair = (found[name].values.reshape(4, *found[name].shape[2:]) for name in VARIABLES)
    assert number.tolist()[:2] == [[1, 2, 3]] * 2
    assert np.isnan(number[2]).tolist() == [False, True, True]
    assert np.isnan(pair[2, 0]).tolist() == [False, True, True], "all that is known of it"
    assert found["never"].isnull().all()


def test_before_the_first_step_there_is_something_to_measure_and_shorter_arrays_end_in_nan():
    class Short(Counter):
        def measure(self, step, look):
            return {"pair": self.numbers[:, None]}

    found = experiment(
        "count",
        Grid({}, seeds=2),
        lambda own, fixed: Short([0.0, 5.0]),
        {"pair": ("side", "step")},
        sizes={"side": 2},
        steps=3,
        marks=marks_every(2, 3, first=True),
        arguments={},
        options=Options(device="cpu", progress=False),
    )
    assert found["step"].values.tolist() == [0, 2, 3]
    assert found["pair"].isel(side=0).values.tolist() == [[0, 2, 3], [5, 7, 8]]
    assert found["pair"].isel(side=1).isnull().all()
    assert "side" not in found.coords


def counted(program, variables=None, *, steps=3, marks=None, grid=None, **more) -> xr.Dataset:
    """What a program of two members measures, that may do as it likes."""
    return experiment(
        "count",
        grid or Grid({}, seeds=2),
        lambda own, fixed: program([0.0, 5.0]),
        variables or {"number": ("step",)},
        steps=steps,
        marks=marks or marks_every(1, steps),
        arguments={},
        options=Options(device="cpu", progress=False, **more),
    )


class Measures(Counter):
    def measure(self, step, look):
        return {"number": self.numbers}


@pytest.mark.parametrize(
    ("start", "marks", "found"),
    [
        (np.nan, {0: 0, 1: 1}, "seed=1 at step 0"),
        (np.nan, {0: 0}, "seed=1 at step 0"),
        (1e39, {1: 1}, "seed=1 at step 1"),  # which float32 does not reach
    ],
)
def test_who_is_lost_from_the_start_or_too_large_is_named_as_well(start, marks, found):
    class Lost(Measures):
        def measure(self, step, look):
            return {"number": np.array([0.0, start])}

    run = counted(Lost, marks=marks)
    assert run.attrs["diverged"] == found
    assert run["number"].isel(seed=1).isnull().all()


@pytest.mark.parametrize(
    ("measured", "message"),
    [
        ({"nombre": np.zeros(2)}, "measured 'nombre', which is none of its variables: number"),
        ({"number": np.zeros((2, 3))}, r"measured 'number' of shape \(3,\) a member; there is place for {}"),
    ],
)
def test_what_was_not_announced_is_named(measured, message):
    with pytest.raises(ValueError, match=message):
        counted(type("Odd", (Counter,), {"measure": lambda self, step, look: measured}))


def test_what_is_measured_before_training_is_measured_once(tmp_path):
    log = []

    class Slow(Measures):
        def measure(self, step, look):
            log.append(step)
            look()
            return super().measure(step, look)

    for _ in range(4):
        counted(Slow, marks={0: 0, 1: 1}, steps=1, checkpoint=tmp_path / "run.pt", minutes=0)
    assert log == [0, 1, 1], "the second is broken off, and made up for"


def test_what_a_step_draws_and_no_checkpoint_holds_is_refused_at_the_first(tmp_path):
    class Draws(Measures):
        def step(self, step):
            self.numbers += torch.rand(2).numpy()

    with pytest.raises(ValueError, match="random numbers of torch's global generator were used"):
        counted(Draws, checkpoint=tmp_path / "run.pt", checkpoint_every=0)
    assert "interrupted" not in counted(Draws).attrs


def test_the_example_in_its_docstring_runs():
    lines = inspect.getdoc(experiment).split("\n\n")
    text = textwrap.dedent("\n\n".join(part for part in lines if part.startswith("    "))).replace(
        "minutes=9", "progress=False"
    )
    names = {"np": np, "torch": torch, **vars(experiments), **vars(streams), "Options": Options}
    exec(text, names)
    assert names["run"]["place"].dims == ("size", "seed", "step")
    assert names["run"].sizes == {"size": 2, "seed": 8, "step": 10}
    assert names["run"]["place"].std() > 1


def test_a_program_needs_no_line_for_what_may_befall_it(tmp_path):
    """A sweep in two processes, of which both run out of time, go on, and lose a member; and the same in one."""
    script = tmp_path / "counts.py"
    script.write_text("""
import sys
import numpy as np
from companion.members import Grid
from companion.runs.processes import launched
from tests.runs.test_experiment import count
grid = Grid({"start": [0.0, 5.0, np.inf], "size": [1, 100]}, seeds=2)
for more in ({"minutes": 0}, {}):
    results, facts = count(grid, checkpoint=sys.argv[1] + "/run.pt", **more)
    sys.stdout.write(facts.get("interrupted", "whole") + "\\n")
results["found"].to_netcdf(f"{sys.argv[1]}/{launched().rank}.nc", engine="scipy")
""")
    ended = torchrun(script, str(tmp_path))
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["between steps 0 and 1 of 6"] * 2 + ["whole"] * 2
    one, facts = count(Grid({"start": [0.0, 5.0, np.inf], "size": [1, 100]}, seeds=2))
    assert facts["diverged"].split("; ")[0] == "start=inf, size=1, seed=0 at step 2"
    assert_can_be_kept(one["found"], tmp_path)
    for rank in range(2):
        with xr.open_dataset(tmp_path / f"{rank}.nc", engine="scipy") as both:
            xr.testing.assert_equal(one["found"], both.load())
            assert both.attrs["diverged"] == facts["diverged"]
