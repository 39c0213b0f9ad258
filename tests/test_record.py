"""Recordings are made in parts, stop in time, resume, and are never mixed."""

import dataclasses
import functools
import inspect
import itertools
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from companion import record
from companion.files import locked
from companion.record import Recorder, Recording, main
from companion.study import store

TINY = Recording("tiny", "A tiny one", f"{__name__}:train", ("walk",), {"tau": [1.0, 0.1], "hidden": (8, 8)}, 5, 2)
calls: list[list[int]] = []


def train(kind, *, seeds, tau, hidden, film=False, stop_at=None, device="cpu"):
    """Stands in for `rl.train`: each member's values depend on its seed alone."""
    calls.append(seeds)
    if stop_at in seeds:
        raise KeyboardInterrupt
    values = np.stack([np.random.default_rng(seed).normal(size=(len(tau), 3)) for seed in seeds], 1)
    coords = {"tau": tau, "seed": seeds, "step": [10, 20, 30]}
    run = xr.Dataset({"return": (("tau", "seed", "step"), values.astype("f4"))}, coords)
    run["scale"] = ("step", [1.0, 2.0, 3.0])  # of no seed
    if film:  # as long as the longest episode of the part
        run["episode"] = (("seed", "frame"), np.ones((len(seeds), 1 + max(seeds))))
    return run.assign_attrs(kind=kind, hidden=hidden, device=device, threads=1)


@pytest.fixture(autouse=True)
def one_recording(monkeypatch):
    calls.clear()
    monkeypatch.setattr(record, "RECORDINGS", {"tiny": TINY})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


def register(monkeypatch, **settings):
    changed = Recording("tiny", "A tiny one", TINY.call, TINY.arguments, {**TINY.settings, **settings}, 5, 2)
    monkeypatch.setattr(record, "RECORDINGS", {"tiny": changed})
    return changed


def files(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_a_recording_is_the_whole_run_with_all_its_facts(tmp_path):
    assert main(["tiny", "--into", str(tmp_path), "--commit", "abc-dirty"]) == 0
    assert calls == [[0, 1], [2, 3], [4]]
    assert files(tmp_path) == {"tiny.nc"}
    run = store.load(tmp_path / "tiny.nc")
    xr.testing.assert_equal(run, train("walk", seeds=[0, 1, 2, 3, 4], **TINY.settings))
    facts = run.attrs
    assert facts["recipe"] == f"{__name__}.train('walk', tau=[1.0, 0.1], hidden=(8, 8), seeds=5)"
    assert facts["seeds"] == [0, 1, 2, 3, 4]
    assert (facts["kind"], facts["hidden"], facts["device"], facts["threads"]) == ("walk", [8, 8], "cpu", 1)
    assert (facts["recording"], facts["what"], facts["commit"]) == ("tiny", "A tiny one", "abc-dirty")
    assert facts["versions"]["torch"] == torch.__version__
    assert set(facts["versions"]) == {"companion", "Python", "torch", "numpy"}
    assert 0 < facts["wall_seconds"] < 60
    assert facts["date"].startswith("20")


def test_stopped_and_resumed_equals_uninterrupted(tmp_path, monkeypatch, capsys):
    assert main(["tiny", "--into", str(tmp_path / "whole")]) == 0
    whole = store.load(tmp_path / "whole" / "tiny.nc")
    train_it = train
    monkeypatch.setattr(sys.modules[__name__], "train", lambda kind, **words: train_it(kind, **words, stop_at=2))
    calls.clear()
    assert main(["tiny", "--into", str(tmp_path)]) == 130
    assert files(tmp_path) == {"tiny.part-0-1.nc", "whole"}
    assert "run again to go on" in capsys.readouterr().err
    monkeypatch.setattr(sys.modules[__name__], "train", train_it)
    calls.clear()
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert calls == [[2, 3], [4]]
    resumed = store.load(tmp_path / "tiny.nc")
    for run in (whole, resumed):
        for key in ("date", "wall_seconds"):
            del run.attrs[key]
    xr.testing.assert_identical(whole, resumed)


def test_killed_while_writing_leaves_nothing_that_is_taken_for_a_part(tmp_path):
    script = """
import os, sys
import xarray as xr
from companion import record
from tests import test_record
record.RECORDINGS = {"tiny": test_record.TINY}
write, written = xr.Dataset.to_netcdf, []
def dies(self, path, **options):
    write(self, path, **options)
    written.append(path)
    if len(written) == 2:
        os.truncate(path, 200)
        os._exit(9)
xr.Dataset.to_netcdf = dies
record.main(["tiny", "--into", sys.argv[1]])
"""
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "CUDA_VISIBLE_DEVICES": ""}
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], env=env, capture_output=True, text=True)
    assert died.returncode == 9, died.stderr
    assert [name for name in files(tmp_path) if name.endswith(".nc")] == ["tiny.part-0-1.nc"]
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert calls == [[2, 3], [4]]
    assert files(tmp_path) == {"tiny.nc"}


def test_a_second_recorder_of_the_same_one_is_refused_and_touches_nothing(tmp_path, monkeypatch, capsys):
    register(monkeypatch, tau=[1.0, 0.2])
    leave_one_part(tmp_path, monkeypatch)
    register(monkeypatch)  # whose parts are others, which it would remove
    with locked(tmp_path / "tiny.nc"):
        assert main(["tiny", "--into", str(tmp_path)]) == 1
    assert f"tiny.nc is in use by process {os.getpid()}" in capsys.readouterr().err
    assert calls == []
    assert files(tmp_path) == {"tiny.part-0-1.nc"}


def test_it_stops_before_a_part_that_would_not_fit_and_says_to_run_again(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(record.time, "monotonic", lambda: now[0])
    train_it = train

    def slow(kind, *, seeds, **words):
        now[0] += 60.0
        return train_it(kind, seeds=seeds, **words)

    monkeypatch.setattr(sys.modules[__name__], "train", slow)
    assert main(["tiny", "--into", str(tmp_path), "--minutes", "1.5"]) == record.UNFINISHED
    assert calls == [[0, 1]]
    assert "time is up with 1 of 3 parts, about 2 minutes left; run again" in capsys.readouterr().out
    assert main(["--missing", "--into", str(tmp_path), "--minutes", "0.9"]) == record.UNFINISHED
    assert calls == [[0, 1]], "the part kept from the run before predicts that the next takes a minute"
    assert main(["--missing", "--into", str(tmp_path), "--minutes", "2"]) == 0
    assert calls == [[0, 1], [2, 3], [4]]
    assert store.load(tmp_path / "tiny.nc").attrs["wall_seconds"] == 180.0


def leave_one_part(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "train", lambda kind, **words: _real(kind, **words, stop_at=2))
    assert main(["tiny", "--into", str(tmp_path)]) == 130
    monkeypatch.setattr(sys.modules[__name__], "train", _real)
    calls.clear()


_real = train


def test_a_part_of_other_arguments_is_removed_and_never_mixed_in(tmp_path, monkeypatch, capsys):
    leave_one_part(tmp_path, monkeypatch)
    register(monkeypatch, tau=[1.0, 0.2])
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert f"is of other arguments, {__name__}.train('walk', tau=[1.0, 0.1]" in capsys.readouterr().out
    assert calls == [[0, 1], [2, 3], [4]]
    assert store.load(tmp_path / "tiny.nc")["tau"].values.tolist() == [1.0, 0.2]


def test_a_list_and_a_tuple_are_other_arguments(monkeypatch):
    assert register(monkeypatch, hidden=[8, 8]).recipe != TINY.recipe


@pytest.mark.parametrize("damage", [b"", b"CDF\x01 rubbish", None])
def test_a_damaged_part_is_made_again(damage, tmp_path, monkeypatch, capsys):
    leave_one_part(tmp_path, monkeypatch)
    part = tmp_path / "tiny.part-0-1.nc"
    part.write_bytes(part.read_bytes()[:-40] if damage is None else damage)
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert "tiny.part-0-1.nc is damaged: removed" in capsys.readouterr().out
    assert calls == [[0, 1], [2, 3], [4]]


def test_a_file_that_is_another_programs_is_damaged_and_not_read(tmp_path):
    xr.Dataset({"x": 1.0}).to_netcdf(tmp_path / "tiny.nc", engine="scipy")
    with pytest.raises(ValueError, match="damaged or no recording"):
        store.load(tmp_path / "tiny.nc")
    assert Recorder(tmp_path).status(TINY)[0] == "damaged"


def with_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "A GPU")
    monkeypatch.setattr(sys.modules[__name__], "train", lambda kind, **words: _real(kind, **words, device="A GPU"))


def test_a_gpu_replaces_what_a_cpu_made_and_a_cpu_does_not_replace_a_gpu(tmp_path, monkeypatch, capsys):
    assert main(["--missing", "--into", str(tmp_path)]) == 0
    assert main(["--missing", "--into", str(tmp_path)]) == 0
    assert calls == [[0, 1], [2, 3], [4]]
    assert "nothing is missing" in capsys.readouterr().out
    assert main(["--list", "--into", str(tmp_path)]) == 0
    assert "made on a CPU" in capsys.readouterr().out
    with monkeypatch.context() as gpu:
        with_gpu(gpu)
        assert main(["--missing", "--into", str(tmp_path)]) == 0
        assert len(calls) == 6
        assert main(["--missing", "--into", str(tmp_path)]) == 0
        assert len(calls) == 6
    assert store.load(tmp_path / "tiny.nc").attrs["device"] == "A GPU"
    assert main(["--missing", "--into", str(tmp_path)]) == 0
    assert len(calls) == 6


def test_a_cpus_parts_give_way_to_a_gpu_and_a_gpus_parts_are_not_gone_on_with_elsewhere(tmp_path, monkeypatch, capsys):
    leave_one_part(tmp_path, monkeypatch)
    with monkeypatch.context() as gpu:
        with_gpu(gpu)
        on_gpu = sys.modules[__name__].train
        gpu.setattr(sys.modules[__name__], "train", lambda kind, **words: on_gpu(kind, **words, stop_at=2))
        assert main(["tiny", "--into", str(tmp_path)]) == 130
        assert "made on a CPU, and a GPU is here: removed" in capsys.readouterr().out
    before = (tmp_path / "tiny.part-0-1.nc").read_bytes()
    assert main(["tiny", "--into", str(tmp_path)]) == 1
    assert "was made on A GPU, and this is cpu" in capsys.readouterr().err
    assert (tmp_path / "tiny.part-0-1.nc").read_bytes() == before
    assert calls[-1] == [2, 3], "nothing was run on the CPU"


def test_parts_between_which_a_default_changed_are_refused(tmp_path, monkeypatch, capsys):
    leave_one_part(tmp_path, monkeypatch)
    monkeypatch.setattr(
        sys.modules[__name__], "train", lambda kind, **words: _real(kind, **words).assign_attrs(learning_rate=0.5)
    )
    assert main(["tiny", "--into", str(tmp_path)]) == 1
    assert "differ in learning_rate: None and 0.5" in capsys.readouterr().err
    assert "tiny.nc" not in files(tmp_path)


def test_commits_and_versions_that_differ_between_parts_are_all_named(tmp_path, monkeypatch):
    leave_one_part(tmp_path, monkeypatch)
    (part,) = tmp_path.glob("*.nc")
    run = store.load(part)
    run.attrs |= {"commit": "older", "versions": run.attrs["versions"] | {"numpy": "1.0"}}
    store.save(run, part)
    assert main(["tiny", "--into", str(tmp_path), "--commit", "newer"]) == 0
    facts = store.load(tmp_path / "tiny.nc").attrs
    assert facts["commit"] == "older, newer"
    assert facts["versions"]["numpy"] == f"1.0, {np.__version__}"
    assert facts["versions"]["torch"] == torch.__version__


def test_films_of_different_length_are_joined_with_nan_after_the_shorter(tmp_path, monkeypatch):
    register(monkeypatch, film=True)
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    film = store.load(tmp_path / "tiny.nc")["episode"]
    assert film.sizes == {"seed": 5, "frame": 5}
    assert film.notnull().sum("frame").values.tolist() == [2, 2, 4, 4, 5]


@pytest.mark.parametrize("spoil", [lambda run: run.drop_attrs(), lambda run: run.isel(seed=slice(1, None))])
def test_a_call_that_does_not_do_as_asked_is_refused(spoil, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules[__name__], "train", lambda kind, **words: spoil(_real(kind, **words)))
    assert main(["tiny", "--into", str(tmp_path)]) == 1
    assert "must return the seeds asked for" in capsys.readouterr().err


def test_a_recording_whose_arguments_changed_is_missing(tmp_path, monkeypatch, capsys):
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    register(monkeypatch, tau=[0.5])
    assert main(["--list", "--into", str(tmp_path)]) == 0
    assert "arguments changed" in capsys.readouterr().out
    assert main(["--missing", "--into", str(tmp_path)]) == 0
    assert store.load(tmp_path / "tiny.nc").sizes["tau"] == 1


def test_the_list_shows_how_each_one_stands(tmp_path, monkeypatch, capsys):
    assert main(["--list", "--into", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ("name  status   device  date  what\ntiny  missing                A tiny one\n")
    leave_one_part(tmp_path, monkeypatch)
    capsys.readouterr()
    main(["--list", "--into", str(tmp_path)])
    assert "tiny  1 of 3 parts" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["tinny"], "no recording is called 'tinny'; the nearest is 'tiny'"),
        ([], "give names, or --missing, or --list"),
        (["tiny", "--missing"], "give names, or --missing, or --list"),
    ],
)
def test_bad_commands_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        main(words)
    assert message in capsys.readouterr().err


def test_the_commit_says_whether_the_code_differs_from_it(tmp_path, monkeypatch):
    package = tmp_path / "companion"
    package.mkdir()
    (package / "record.py").write_text("first")
    monkeypatch.setattr(record, "__file__", str(package / "record.py"))

    def git(*words):
        settings = ["-c", "user.name=t", "-c", "user.email=t@t"]
        subprocess.run(["git", *settings, *words], cwd=tmp_path, check=True, capture_output=True)

    assert record.checkout() is None
    git("init")
    assert record.checkout() is None, "a checkout of something else, in which this is installed"
    git("add", "-A")
    git("commit", "-m", "first")
    clean = record.checkout()
    assert clean is not None
    assert len(clean) == 12
    (package / "study" / "recordings").mkdir(parents=True)
    (package / "study" / "recordings" / "tiny.nc").write_text("a recording is no change of the code")
    assert record.checkout() == clean
    (package / "new.py").write_text("code")
    assert record.checkout() == clean + "-dirty"


def test_every_recording_of_the_book_can_be_called_as_it_is_registered(monkeypatch):
    """The calls exist and take these arguments; nothing is trained."""
    monkeypatch.undo()
    for name, recording in record.RECORDINGS.items():
        assert name == recording.name
        call = pkgutil.resolve_name(recording.call)
        inspect.signature(call).bind(*recording.arguments, **recording.settings, seeds=[0])
        assert [seed for part in recording.parts() for seed in part] == list(range(recording.seeds))


def test_what_the_package_keeps_is_registered_and_of_the_arguments_registered(monkeypatch):
    monkeypatch.undo()
    recorder = Recorder(store.FOLDER)
    for name in store.recordings():
        assert name in record.RECORDINGS, f"{name}.nc is kept, and nobody knows how to make it"
        assert recorder.status(record.RECORDINGS[name])[0] in ("kept", "made on a CPU")


def in_slices(kind, *, seeds, tau, hidden, checkpoint, minutes, device="cpu", steps=5, press=None):
    """Stands in for a call that keeps a checkpoint: a step takes a minute, and a whole part five."""
    begun = int(checkpoint.read_text()) if checkpoint.exists() else 0
    calls.append([seeds[0], begun])
    done, began = begun, clock[0]
    while done < steps and (minutes is None or clock[0] < began + 60 * minutes) and done != press:
        done += 1
        clock[0] += 60.0
    checkpoint.write_text(str(done))
    run = _real(kind, seeds=seeds, tau=tau, hidden=hidden, device=device).assign_attrs(wall_seconds=60.0 * done)
    calls.pop()  # which that call made
    if done < steps:
        run.attrs |= {"interrupted": f"at step {done} of {steps}", "trained": done / steps}
    return run


clock = [0.0]


@pytest.fixture
def sliced(monkeypatch):
    """Makes the recording one whose parts are made in slices, on a clock of its own."""
    clock[0] = 0.0
    monkeypatch.setattr(record.time, "monotonic", lambda: clock[0])
    recording = dataclasses.replace(TINY, call=f"{__name__}:in_slices")
    monkeypatch.setattr(record, "RECORDINGS", {"tiny": recording})
    return recording


def test_a_part_that_keeps_a_checkpoint_stops_in_the_middle_and_goes_on(sliced, tmp_path, capsys):
    words = ["tiny", "--into", str(tmp_path), "--minutes"]
    assert main([*words, "2"]) == record.UNFINISHED
    assert "time is up with 40% of part 1, about 13 minutes left; run again to go on" in capsys.readouterr().out
    assert files(tmp_path) == {"tiny.part-0-1.json", "tiny.part-0-1.pt"}
    main(["--list", "--into", str(tmp_path)])
    assert "tiny  0 of 3 parts, one begun" in capsys.readouterr().out
    assert main([*words, "6"]) == record.UNFINISHED
    out = capsys.readouterr().out
    assert "part 2 of 3, seeds 2 to 3, about 10 minutes left" in out
    assert "time is up with 60% of part 2, about 7 minutes left" in out
    assert files(tmp_path) == {"tiny.part-0-1.nc", "tiny.part-2-3.json", "tiny.part-2-3.pt"}
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert calls == [[0, 0], [0, 2], [2, 0], [2, 3], [4, 0]]
    assert files(tmp_path) == {"tiny.nc"}
    run = store.load(tmp_path / "tiny.nc")
    xr.testing.assert_equal(run, _real("walk", seeds=[0, 1, 2, 3, 4], **TINY.settings))
    assert run.attrs["wall_seconds"] == 900.0, "the time of all slices"
    assert not {"interrupted", "trained"} & run.attrs.keys()


def test_an_interrupted_part_is_not_kept_as_a_finished_one(sliced, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as pressed:
        pressed.setattr(sys.modules[__name__], "in_slices", functools.partial(in_slices, press=3))
        assert main(["tiny", "--into", str(tmp_path), "--minutes", "60"]) == 130
    assert "stopped; what is finished is kept" in capsys.readouterr().err
    assert files(tmp_path) == {"tiny.part-0-1.json", "tiny.part-0-1.pt"}
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert calls[:2] == [[0, 0], [0, 3]]
    assert files(tmp_path) == {"tiny.nc"}


def test_all_commits_that_had_a_hand_in_a_part_are_named(sliced, tmp_path):
    for commit, minutes in {"first": 2, "second": 4, "third": 60}.items():
        main(["tiny", "--into", str(tmp_path), "--commit", commit, "--minutes", str(minutes)])
    assert store.load(tmp_path / "tiny.nc").attrs["commit"] == "first, second, third"


@pytest.mark.parametrize("change", ["arguments", "damage", "gpu"])
def test_a_part_that_was_begun_otherwise_is_begun_anew(change, sliced, tmp_path, monkeypatch, capsys):
    main(["tiny", "--into", str(tmp_path), "--minutes", "2"])
    calls.clear()
    if change == "arguments":
        monkeypatch.setattr(record, "RECORDINGS", {"tiny": dataclasses.replace(sliced, seeds=4)})
    elif change == "damage":
        (tmp_path / "tiny.part-0-1.json").write_text("{")
    else:
        with_gpu(monkeypatch)
        monkeypatch.setattr(sys.modules[__name__], "in_slices", functools.partial(in_slices, device="A GPU"))
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    said = {"arguments": "is of other arguments", "damage": "is damaged", "gpu": "was made on a CPU, and a GPU is here"}
    assert f"tiny.part-0-1.json {said[change]}" in capsys.readouterr().out
    assert calls[0] == [0, 0]
    assert files(tmp_path) == {"tiny.nc"}


def test_a_part_begun_on_a_gpu_is_not_gone_on_with_elsewhere(sliced, tmp_path, monkeypatch, capsys):
    with monkeypatch.context() as gpu:
        with_gpu(gpu)
        main(["tiny", "--into", str(tmp_path), "--minutes", "2"])
    calls.clear()
    assert main(["tiny", "--into", str(tmp_path)]) == 1
    assert "tiny.part-0-1.json was made on A GPU, and this is cpu" in capsys.readouterr().err
    assert calls == []
    assert files(tmp_path) == {"tiny.part-0-1.json", "tiny.part-0-1.pt"}


def test_who_diverged_in_any_part_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(
        sys.modules[__name__],
        "train",
        lambda kind, *, seeds, **words: _real(kind, seeds=seeds, **words).assign_attrs(
            {"diverged": f"seed={seeds[0]} at step 10"} if seeds[0] else {}
        ),
    )
    assert main(["tiny", "--into", str(tmp_path)]) == 0
    assert store.load(tmp_path / "tiny.nc").attrs["diverged"] == "seed=2 at step 10; seed=4 at step 10"


def test_training_in_slices_gives_the_recording_of_one_go(tmp_path, monkeypatch, capsys):
    settings = {"tau": [1.0, 0.1], "steps": 60, "learning_starts": 20, "batch_size": 8, "hidden": (16,), "film": True}
    settings |= {"evaluate_every": 15, "evaluation_episodes": 1, "progress": False}
    recording = Recording("tiny", "A tiny one", "companion.rl:train", ("dqn", "CartPole-v1"), settings, 3, 2)
    monkeypatch.setattr(record, "RECORDINGS", {"tiny": recording})
    assert recording.resumable
    words = ["tiny", "--commit", "abc", "--into"]
    assert main([*words, str(tmp_path / "whole")]) == 0
    monkeypatch.setattr("time.monotonic", itertools.count().__next__)  # a clock that moves on when it is looked at
    slices = 1
    while main([*words, str(tmp_path), "--minutes", "1"]) == record.UNFINISHED:
        slices += 1
    assert 3 <= slices <= 20
    assert "of part 2" in capsys.readouterr().out
    whole, sliced = store.load(tmp_path / "whole" / "tiny.nc"), store.load(tmp_path / "tiny.nc")
    for run in (whole, sliced):
        for key in ("date", "wall_seconds"):
            del run.attrs[key]
    xr.testing.assert_identical(whole, sliced)
