"""Recordings stop in time, go on where they were, say where they come from, and are never mixed."""

import dataclasses
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from companion import version
from companion.files import locked
from companion.record import UNFINISHED, Recorder, Recording, main
from companion.record.recorder import checkout
from companion.study import store
from tests.helpers import child_environment

TINY = Recording("tiny", "A tiny one", f"{__name__}:train", ("walk",), {"tau": [1.0, 0.1], "hidden": (8, 8)}, seeds=5)
STEPS = 5


class Trainer:
    """What the stand-in for a training call does, and what it was asked."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        """The step that each call went on from."""
        self.minutes = 0.0
        """That all steps took, one each."""
        self.device = "cpu"
        self.press = None
        """The step at which Ctrl-C is pressed."""
        self.spoil = lambda run: run


trainer = Trainer()


def train(kind, *, seeds, tau, hidden, checkpoint, minutes):
    """Stands in for `rl.train`: a step takes a minute, and each member's values depend on its seed alone."""
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    trainer.begun.append(done)
    end = trainer.minutes + (np.inf if minutes is None else minutes)
    while done < STEPS and trainer.minutes < end and done != trainer.press:
        done += 1
        trainer.minutes += 1
    checkpoint.write_text(str(done))
    values = np.stack([np.random.default_rng(seed).normal(size=(len(tau), 3)) for seed in seeds], 1)
    run = xr.Dataset({"return": (("tau", "seed", "step"), values)}, {"tau": tau, "seed": seeds, "step": [10, 20, 30]})
    run.attrs = {"kind": kind, "hidden": hidden, "device": trainer.device, "threads": 1, "wall_seconds": 60.0 * done}
    run.attrs |= {"date": "2026-11-20T10:11:12+00:00", "versions": version.versions()}
    if done < STEPS:
        run.attrs |= {"interrupted": f"at step {done} of {STEPS}", "trained": done / STEPS}
    return trainer.spoil(run)


@pytest.fixture(autouse=True)
def anew(monkeypatch):
    trainer.__init__()
    monkeypatch.setattr("time.monotonic", lambda: 60 * trainer.minutes)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def call(tmp_path):
    """``call("tiny", "--minutes", "2")``: the command's exit status; it writes into ``tmp_path``."""

    def called(*words: str, recording: Recording = TINY) -> int:
        return main([*words, "--into", str(tmp_path)], {recording.name: recording})

    return called


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(trainer, "device", "A GPU")


# ---------------------------------------------------------------------------------------------------------------------


def test_a_recording_is_the_whole_run_with_all_its_facts(call, tmp_path, capsys):
    assert call("tiny", "--commit", "abc-dirty") == 0
    assert files(tmp_path) == {"tiny.nc"}
    run = store.load(tmp_path / "tiny.nc")
    assert run["seed"].values.tolist() == [0, 1, 2, 3, 4]
    assert run["return"].sel(seed=3).values.ravel().tolist() == np.random.default_rng(3).normal(size=6).tolist()
    facts = run.attrs
    assert facts["recipe"] == f"{__name__}.train('walk', tau=[1.0, 0.1], hidden=(8, 8), seeds=5)"
    assert facts["seeds"] == [0, 1, 2, 3, 4]
    assert (facts["kind"], facts["hidden"], facts["device"], facts["threads"]) == ("walk", [8, 8], "cpu", 1)
    assert (facts["recording"], facts["what"], facts["commit"]) == ("tiny", "A tiny one", "abc-dirty")
    assert capsys.readouterr().out.endswith(
        "  kept. Made on a CPU (1 thread) on 20 November 2026 with seeds 0 to 4 in 5 minutes, from commit abc-dirty, "
        f"by {version.versions()}.\n"
    )


def test_it_stops_in_time_in_the_middle_and_goes_on_there(call, tmp_path, capsys):
    assert call("tiny", "--minutes", "2") == UNFINISHED
    assert "time is up with 40%, about 3 minutes left; run again to go on" in capsys.readouterr().out
    assert files(tmp_path) == {"tiny.json", "tiny.pt"}
    assert call("--list") == 0
    assert "tiny  begun" in capsys.readouterr().out
    assert call("--missing", "--minutes", "2") == UNFINISHED
    assert "time is up with 80%" in capsys.readouterr().out
    assert call("tiny") == 0
    assert trainer.begun == [0, 2, 4]
    assert files(tmp_path) == {"tiny.nc"}
    run = store.load(tmp_path / "tiny.nc")
    assert run.attrs["wall_seconds"] == 300.0, "the time of all slices"
    assert not {"interrupted", "trained"} & run.attrs.keys()


def test_when_the_time_is_up_no_further_one_is_begun(tmp_path, capsys):
    recordings = {name: dataclasses.replace(TINY, name=name) for name in ("first", "second")}
    assert main(["--missing", "--into", str(tmp_path), "--minutes", "4.5"], recordings) == UNFINISHED
    assert trainer.begun == [0], "of the first, whose last step took until after the end"
    assert "second: time is up" in capsys.readouterr().out
    assert files(tmp_path) == {"first.nc"}


def test_stopped_by_hand_it_is_not_kept_as_a_finished_one(call, tmp_path, capsys):
    trainer.press = 3
    assert call("tiny", "--minutes", "60") == 130
    assert "stopped; run again to go on" in capsys.readouterr().err
    assert files(tmp_path) == {"tiny.json", "tiny.pt"}
    trainer.press = None
    assert call("tiny") == 0
    assert trainer.begun == [0, 3]


def test_all_commits_that_had_a_hand_in_it_are_named(call, tmp_path):
    for commit in ("first", "second", "second", "third", "third"):
        call("tiny", "--commit", commit, "--minutes", "1")
    assert store.load(tmp_path / "tiny.nc").attrs["commit"] == "first, second, third"


@pytest.mark.parametrize("change", ["arguments", "damage", "gpu"])
def test_what_was_begun_otherwise_is_begun_anew(change, call, tmp_path, monkeypatch, capsys):
    call("tiny", "--minutes", "2")
    wanted = TINY
    if change == "arguments":
        wanted = dataclasses.replace(TINY, seeds=4)
    elif change == "damage":
        (tmp_path / "tiny.json").write_text("{")
    else:
        with_gpu(monkeypatch)
    assert call("tiny", recording=wanted) == 0
    said = {
        "arguments": "is of other arguments",
        "damage": "is damaged",
        "gpu": "was begun on a CPU, and a GPU is here",
    }
    assert f"tiny.json {said[change]}" in capsys.readouterr().out
    assert trainer.begun == [0, 0]
    assert files(tmp_path) == {"tiny.nc"}


def test_what_was_begun_on_a_gpu_is_not_gone_on_with_elsewhere(call, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as gpu:
        with_gpu(gpu)
        call("tiny", "--minutes", "2")
    assert call("tiny") == 1
    assert "tiny.json was begun on A GPU, and this is cpu" in capsys.readouterr().err
    assert trainer.begun == [0]
    assert files(tmp_path) == {"tiny.json", "tiny.pt"}


def test_parts_that_an_older_version_made_are_removed_with_a_word(call, tmp_path, capsys):
    for kind in ("nc", "json", "pt"):
        (tmp_path / f"tiny.part-0-1.{kind}").touch()
    (tmp_path / "tiny-too.part-0-1.nc").touch()
    assert call("tiny") == 0
    assert capsys.readouterr().out.count("is a part, as older versions made them: removed") == 3
    assert files(tmp_path) == {"tiny.nc", "tiny-too.part-0-1.nc"}


def test_a_second_recorder_of_the_same_one_is_refused_and_touches_nothing(call, tmp_path, capsys):
    call("tiny", "--minutes", "2")
    with locked(tmp_path / "tiny.nc"):
        other = dataclasses.replace(TINY, seeds=4)  # which would remove what was begun
        assert call("tiny", recording=other) == 1
    assert f"tiny.nc is in use by process {os.getpid()}" in capsys.readouterr().err
    assert trainer.begun == [0]
    assert files(tmp_path) == {"tiny.json", "tiny.pt"}


def test_killed_while_writing_leaves_nothing_that_is_taken_for_a_recording(call, tmp_path):
    script = """
import os, sys
import xarray as xr
from companion import record
from tests.record.test_recorder import TINY
write = xr.Dataset.to_netcdf
def dies(self, path, **options):
    write(self, path, **options)
    os.truncate(path, 200)
    os._exit(9)
xr.Dataset.to_netcdf = dies
record.main(["tiny", "--into", sys.argv[1]], {"tiny": TINY})
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    died = subprocess.run(command, env=child_environment(), capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    assert not list(tmp_path.glob("[!.]*.nc"))
    assert call("tiny") == 0
    assert trainer.begun == [STEPS], "it was trained already"
    assert files(tmp_path) == {"tiny.nc"}


def test_a_gpu_replaces_what_a_cpu_made_and_a_cpu_does_not_replace_a_gpu(call, tmp_path, monkeypatch, capsys):
    assert call("--missing") == 0
    assert call("--missing") == 0
    assert trainer.begun == [0]
    assert "nothing is missing" in capsys.readouterr().out
    assert call("--list") == 0
    assert "made on a CPU" in capsys.readouterr().out
    with monkeypatch.context() as gpu:
        with_gpu(gpu)
        assert call("--missing") == call("--missing") == 0
        assert trainer.begun == [0, 0]
    assert store.load(tmp_path / "tiny.nc").attrs["device"] == "A GPU"
    assert call("--missing") == 0
    assert trainer.begun == [0, 0]


@pytest.mark.parametrize("spoil", [lambda run: run.drop_attrs(), lambda run: run.isel(seed=slice(1, None))])
def test_a_call_that_does_not_do_as_asked_is_refused(spoil, call, capsys):
    trainer.spoil = spoil
    assert call("tiny") == 1
    assert "must return the seeds asked for" in capsys.readouterr().err


def test_a_recording_whose_arguments_changed_is_missing(call, tmp_path, capsys):
    assert call("tiny") == 0
    changed = dataclasses.replace(TINY, settings={"tau": [0.5], "hidden": (8, 8)})
    assert call("--list", recording=changed) == 0
    assert "arguments changed" in capsys.readouterr().out
    assert call("--missing", recording=changed) == 0
    assert store.load(tmp_path / "tiny.nc").sizes["tau"] == 1


def test_a_list_and_a_tuple_are_other_arguments():
    assert dataclasses.replace(TINY, settings={**TINY.settings, "hidden": [8, 8]}).recipe != TINY.recipe


def test_a_file_that_is_another_programs_is_damaged_and_not_read(tmp_path):
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "tiny.nc", engine="scipy")
    with pytest.raises(ValueError, match="damaged or no recording"):
        store.load(tmp_path / "tiny.nc")
    assert Recorder(tmp_path).status(TINY)[0] == "damaged"


def test_the_list_shows_how_each_one_stands(call, capsys):
    assert call("--list") == 0
    assert capsys.readouterr().out == ("name  status   device  date  what\ntiny  missing                A tiny one\n")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinny"], "no recording is called 'tinny'; the nearest is 'tiny'"),
        ([], "give names, or --missing, or --list"),
        (["tiny", "--missing"], "give names, or --missing, or --list"),
    ],
)
def test_bad_commands_are_refused(words, message, call, capsys):
    with pytest.raises(SystemExit):
        call(*words)
    assert message in capsys.readouterr().err


def test_the_commit_says_whether_the_code_differs_from_it(tmp_path):
    package = tmp_path / "companion"
    package.mkdir()
    (package / "version.py").write_text("first")

    def git(*words):
        settings = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *settings, *words], cwd=tmp_path, check=True, capture_output=True)

    assert checkout(package) is None
    git("init")
    assert checkout(package) is None, "a checkout of something else, in which this is installed"
    git("add", "-A")
    git("commit", "-m", "first")
    clean = checkout(package)
    assert clean is not None
    assert len(clean) == 12
    (package / "study" / "recordings").mkdir(parents=True)
    (package / "study" / "recordings" / "tiny.nc").write_text("a recording is no change of the code")
    assert checkout(package) == clean
    (package / "new.py").write_text("code")
    assert checkout(package) == clean + "-dirty"


# ---------------------------------------------------------------------------------------------------------------------


REAL = Recording(
    "tiny",
    "Of a real training run",
    "companion.rl:train",
    ("dqn", "CartPole-v1"),
    {"tau": [1.0, 0.1], "steps": 60, "learning_starts": 20, "batch_size": 8, "hidden": (16,), "film": True}
    | {"evaluate_every": 15, "evaluation_episodes": 1, "progress": False},
    seeds=3,
)


@pytest.fixture
def ticking(monkeypatch):
    monkeypatch.setattr("time.monotonic", itertools.count().__next__)  # a clock that moves on when it is looked at


def test_training_in_slices_gives_the_recording_of_one_go(tmp_path, ticking):
    words = ["tiny", "--commit", "abc", "--into"]
    assert main([*words, str(tmp_path / "whole")], {"tiny": REAL}) == 0
    slices = 1
    while main([*words, str(tmp_path), "--minutes", "1"], {"tiny": REAL}) == UNFINISHED:
        slices += 1
    assert 3 <= slices <= 20
    whole, sliced = store.load(tmp_path / "whole" / "tiny.nc"), store.load(tmp_path / "tiny.nc")
    for run in (whole, sliced):
        for key in ("date", "wall_seconds"):
            del run.attrs[key]
    xr.testing.assert_identical(whole, sliced)


def test_what_another_version_of_the_package_began_is_refused_and_stays(tmp_path, ticking, monkeypatch, capsys):
    words = ["tiny", "--into", str(tmp_path), "--minutes", "1"]
    assert main(words, {"tiny": REAL}) == UNFINISHED
    monkeypatch.setattr(version, "__version__", "9.9")
    assert main(words, {"tiny": REAL}) == 1
    assert "go on with that version, or remove it" in capsys.readouterr().err
    assert files(tmp_path) == {"tiny.json", "tiny.pt"}
    assert json.loads((tmp_path / "tiny.json").read_text())["recipe"] == REAL.recipe
