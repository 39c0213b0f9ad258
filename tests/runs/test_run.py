"""A run's bookkeeping, around a program that does nothing but count."""

import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
import torch

from companion.members import Grid
from companion.runs import checkpoints, processes, run
from companion.runs.run import Run
from tests.helpers import child_environment

CPU = torch.device("cpu")


class Counter:
    """Each of its members counts from its own start."""

    def __init__(self, starts) -> None:
        self.numbers = torch.as_tensor(starts, dtype=torch.float32)

    def state(self):
        return {"numbers": self.numbers}

    def load_state(self, state, steps) -> None:
        self.numbers.copy_(state["numbers"])


def count(grid: Grid, *, steps=6, at=None, do=None, **options) -> tuple[dict, dict]:
    """Write what was counted after every second step; do something in the n-th step of all.

    Beside the results it returns how many steps were ``taken``, and the groups that ``began``.
    """
    taken, began = 0, []
    settings = {"arguments": {"steps": steps}, "progress": False, "apart": ["size"], **options}
    with Run("count", grid, {"number": (3,), "pair": (2, 3)}, steps, CPU, **settings) as run:
        for own, fixed in run.groups():
            began.append((own.tolist(), fixed))
            counter = Counter(grid.column("start")[own] * fixed["size"])
            for step in run.steps(own, counter):
                taken += 1
                if taken == at:
                    do()
                counter.numbers.add_(1)
                if step % 2 == 0:
                    number = counter.numbers.numpy()
                    run.write(own, step // 2 - 1, {"number": number, "pair": np.stack([number, -number], 1)}, step)
    results, facts = run.gathered()
    return {**results, "taken": taken, "began": began}, facts


GRID = Grid({"start": [0.0, 5.0], "size": [1, 100]})
WHOLE = [[2, 4, 6], [2, 4, 6], [7, 9, 11], [502, 504, 506]]


def test_every_group_is_measured_in_its_place():
    results, facts = count(GRID)
    assert results["number"].tolist() == WHOLE
    assert results["pair"][:, 1].tolist() == (-results["number"]).tolist()
    assert results["taken"] == 12
    assert set(facts) == {"device", "threads", "versions", "date", "wall_seconds"}


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
    again, same = count(GRID, checkpoint=path)
    assert again["taken"] == 0
    assert same == facts


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


def test_of_members_that_train_by_themselves_each_process_has_a_share(monkeypatch):
    """Of whole members; processes that train together have all of them, and no results to gather."""
    for rank, expected in [(0, [[0], [1]]), (1, [[2], [3]])]:
        monkeypatch.setattr(processes, "rank_and_world", lambda rank=rank: (rank, 2))
        monkeypatch.setattr(run, "gather", lambda local, own, members: dict(local))
        results, _ = alone(GRID)
        assert [own for own, _ in results["began"]] == expected
        assert results["number"].tolist() == [WHOLE[own] for (own,) in expected]
    monkeypatch.setattr(run, "gather", None)
    monkeypatch.setattr(run, "agreed", lambda wish: wish)
    monkeypatch.setattr(checkpoints, "from_first", lambda state: state)
    results, _ = alone(GRID, together=True)
    assert [own for own, _ in results["began"]] == [[0], [1], [2], [3]]
    assert results["number"].tolist() == WHOLE


def test_processes_that_train_together_stop_when_one_of_them_wishes_to(monkeypatch):
    """Once in every step, and between members, each asks the others; here another one wishes to stop in step 9."""
    asked = []

    def agreed(wish: bool) -> bool:
        asked.append(wish)
        return len(asked) == 6 + 1 + 3 or (len(asked) > 10)

    monkeypatch.setattr(run, "agreed", agreed)
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
from tests.runs.test_run import GRID, count
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
    grid = Grid({"start": [0.0, 1.0], "size": 1}, seeds=[4, 7])
    with Run("count", grid, {"a": (3,), "b": (2, 3)}, 3, CPU, arguments={}, progress=False) as run:
        for own, _ in run.groups():
            for step in run.steps(own, Counter([0.0])):
                b = np.ones((4, 2), np.float32)
                if step == 1:
                    b[0, 0] = lost  # not judged, as before learning begins
                if step == 2:
                    b[2, 1] = lost
                run.write(own, step - 1, {"a": np.full(4, step, np.float32), "b": b}, step, judge=step > 1)
    results, facts = run.gathered()
    assert facts["diverged"] == "start=1.0, seed=4 at step 2"
    assert results["a"].tolist()[:2] == [[1, 2, 3]] * 2
    assert np.isnan(results["a"][2]).tolist() == [False, True, True]
    assert np.isnan(results["b"][2, 0]).tolist() == [False, True, True], "all that is known of it"
    assert results["a"].tolist()[3] == [1, 2, 3]
