"""A checkpoint is whole or it is not there, and one that is not this run's is refused."""

import contextlib
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from companion import files, version
from companion.runs import checkpoints
from companion.runs.checkpoints import Checkpoint, load, save
from companion.runs.processes import Processes
from tests.helpers import child_environment, full_disk

ARGUMENTS = {"algorithm": "td3", "tau": [1.0, 0.1], "hidden": (64, 64), "period": 1, "steps": 100, "error_clip": np.inf}


def make_state(seed: int = 0, size: int = 50) -> dict:
    numbers = torch.Generator().manual_seed(seed)
    return {
        "step": 7,
        "elapsed": 1.5,
        "rows": {"return": torch.randn(3, 4, generator=numbers), "none": None, "word": "text", "flags": (True, False)},
        "loop": [torch.randn(size, generator=numbers), torch.arange(5), torch.zeros(0, 3), torch.tensor(True)],
    }


def assert_equal(a, b) -> None:
    assert type(a) is type(b)
    if isinstance(a, torch.Tensor):
        assert a.dtype == b.dtype
        assert torch.equal(a, b)
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for key in a:
            assert_equal(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_equal(x, y)
    else:
        assert a == b


@pytest.fixture
def path(tmp_path) -> Path:
    return tmp_path / "run.pt"


def test_what_is_saved_comes_back(path):
    assert load(path, ARGUMENTS) is None
    assert not path.exists()
    save(path, ARGUMENTS, make_state())
    assert_equal(load(path, ARGUMENTS), make_state())
    save(str(path), ARGUMENTS, make_state(1))
    assert_equal(load(str(path), ARGUMENTS, device="cpu"), make_state(1))
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_nan_and_every_bit_come_back(path):
    odd = torch.tensor([np.nan, -0.0, np.inf, 1e-45, 1 + 2**-23])
    save(path, {}, {"odd": odd})
    assert load(path, {})["odd"].numpy().tobytes() == odd.numpy().tobytes()


def test_a_view_brings_only_its_own_numbers_along(path):
    save(path, {}, {"row": torch.zeros(1_000_000)[:10], "parameter": torch.nn.Parameter(torch.ones(3))})
    assert path.stat().st_size < 10_000
    assert not load(path, {})["parameter"].requires_grad


def test_the_order_of_arguments_and_numpys_numbers_make_no_difference(path):
    save(path, ARGUMENTS, 1)
    assert load(path, {**dict(reversed(ARGUMENTS.items())), "period": np.int64(1), "steps": np.int32(100)}) == 1


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"tau": [1.0, 0.2]}, r"tau was \[1.0, 0.1\] and is \[1.0, 0.2\]\. Give the old ones"),
        ({"tau": (1.0, 0.1)}, r"tau was \[1.0, 0.1\] and is \(1.0, 0.1\)"),
        ({"period": True}, "period was 1 and is True"),
        ({"seeds": 3}, "seeds was not recorded and is 3"),
        ({"world": {"a": {"b": 2.0}}}, r"world\['a'\]\['b'\] was not recorded and is 2.0"),
        ({"steps": 200, "period": 2}, "period was 1 and is 2; steps was 100 and is 200"),
    ],
)
def test_other_arguments_are_refused_by_name_with_both_values(changed, message, path):
    save(path, ARGUMENTS, make_state())
    before = path.read_bytes()
    with pytest.raises(ValueError, match=message) as refusal:
        load(path, {**ARGUMENTS, **changed})
    assert str(path) in str(refusal.value)
    assert path.read_bytes() == before


def test_an_argument_that_is_gone_is_refused(path):
    save(path, ARGUMENTS, 1)
    with pytest.raises(ValueError, match="algorithm was 'td3' and is not given"):
        load(path, {name: value for name, value in ARGUMENTS.items() if name != "algorithm"})


def test_another_version_is_refused(path, monkeypatch):
    save(path, ARGUMENTS, make_state())
    with monkeypatch.context() as later:
        later.setattr(version, "__version__", "9.9")
        with pytest.raises(ValueError, match=r"is a slow-copy checkpoint, format 3, version .*go on with that version"):
            load(path, ARGUMENTS)
    monkeypatch.setattr(checkpoints, "FORMAT", 4)
    with pytest.raises(ValueError, match=r"and this is a slow-copy checkpoint, format 4"):
        load(path, ARGUMENTS)


def test_a_file_cut_short_anywhere_is_refused(path):
    save(path, ARGUMENTS, make_state())
    whole = path.read_bytes()
    for length in [0, 1, 30, 60, 100, *np.linspace(130, len(whole) - 1, 40).astype(int)]:
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"damaged.*remove it"):
            load(path, ARGUMENTS)
        assert path.stat().st_size == length, "nothing is deleted"


def test_a_flipped_bit_anywhere_is_refused(path):
    save(path, ARGUMENTS, make_state())
    whole = path.read_bytes()
    draws = np.random.default_rng(0)
    for place in [*range(0, 120, 7), *draws.integers(0, len(whole), 300)]:
        spoilt = bytearray(whole)
        spoilt[place] ^= 1 << draws.integers(8)
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match=r"run\.pt"):
            load(path, ARGUMENTS)


def test_a_file_of_another_program_is_refused_and_runs_no_code(path):
    torch.save({"state": 1}, path)
    with pytest.raises(ValueError, match="is not a checkpoint"):
        load(path, {})


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"a": [1, {"b": np.zeros(3)}]}, r"state\['a'\]\[1\]\['b'\] is a ndarray"),
        ({"a": {1, 2}}, r"state\['a'\] is a set"),
        ({3: 1}, "state has the key 3"),
    ],
)
def test_what_a_checkpoint_cannot_hold_is_refused_when_written(state, message, path):
    with pytest.raises(TypeError, match=message):
        save(path, {}, state)
    assert list(path.parent.iterdir()) == []
    with pytest.raises(TypeError, match=r"argument world\['of'\] is a object"):
        save(path, {"world": {"of": object()}}, 1)


def test_a_place_where_nothing_can_be_written_is_refused_before(tmp_path, monkeypatch):
    for refused in (load, lambda path, arguments: checkpoints.check_path(path)):
        with pytest.raises(ValueError, match=r"is a folder; give the name of a file, such as .*run\.pt"):
            refused(tmp_path, {})
        with pytest.raises(ValueError, match=r"there is no folder .*nowhere.*create it first"):
            refused(tmp_path / "nowhere" / "run.pt", {})
    assert list(tmp_path.iterdir()) == []

    with pytest.raises(ValueError, match=r"n{250}\.pt.* cannot be written \(File name too long\); give another path"):
        load(tmp_path / f"{'n' * 250}.pt", {})


def make_fifo(path: Path) -> Path:
    os.mkfifo(path)
    return path


def make_socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
    return path


@pytest.mark.parametrize(
    "make", [make_fifo, make_socket, lambda path: Path("/dev/null"), lambda path: Path("/dev/full")]
)
def test_what_is_no_file_is_refused_at_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's name is short
    path = make(Path("run.pt"))
    for refused in (lambda: load(path, {}), lambda: Checkpoint(path, {}).held().__enter__()):
        with pytest.raises(ValueError, match=rf"checkpoint='{path}' is a pipe, a socket or a device"):
            refused()
    assert len(list(tmp_path.iterdir())) <= 1


def on_dev_full(monkeypatch: pytest.MonkeyPatch) -> contextlib.AbstractContextManager[None]:
    def partial_of(path: Path) -> Path:
        partial = path.with_name(".partial")
        partial.symlink_to("/dev/full")
        return partial

    monkeypatch.setattr(files, "partial_of", partial_of)
    return contextlib.nullcontext()


@pytest.mark.parametrize(
    ("arrange", "size", "message"),
    [
        (on_dev_full, 1_000_000, "No space left on device"),
        (on_dev_full, 50, "No space left on device"),  # all of it in a buffer at first
        (lambda _: full_disk(), 1_000_000, "File too large"),
    ],
)
def test_a_full_disk_leaves_the_old_one_and_is_named(arrange, size, message, path, monkeypatch):
    save(path, ARGUMENTS, make_state())
    with monkeypatch.context() as full, pytest.raises(OSError, match=f"{message}: '{path}'"), arrange(full):
        save(path, ARGUMENTS, make_state(1, size))
    assert_equal(load(path, ARGUMENTS), make_state())
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]


def test_the_new_one_is_on_the_disk_before_the_old_one_is_gone(path, monkeypatch):
    order = []
    for name in ("fsync", "replace"):
        call = getattr(os, name)
        monkeypatch.setattr(files.os, name, lambda *words, name=name, call=call: (order.append(name), call(*words)))
    save(path, ARGUMENTS, 1)
    assert order == ["fsync", "replace", "fsync"], "the file, then its name, then the folder that holds the name"


def test_a_run_without_a_path_has_no_checkpoint():
    checkpoint = Checkpoint(None, ARGUMENTS, every=0)
    assert not checkpoint.due
    assert checkpoint.load() is None
    checkpoint.save({"no": object()})


def test_each_process_has_its_own(path, monkeypatch):
    for rank in range(2):
        monkeypatch.setattr(checkpoints, "launched", lambda rank=rank: Processes(rank, 2))
        checkpoint = Checkpoint(path, ARGUMENTS)
        assert checkpoint.load() is None
        checkpoint.save(rank)
        assert checkpoint.load() == rank
    assert {file.name for file in path.parent.iterdir()} == {"run.rank-0-of-2.pt", "run.rank-1-of-2.pt"}


def test_processes_that_train_together_have_one_which_the_first_writes_and_all_go_on_from(path, monkeypatch):
    told = []

    def broadcast(self, value):
        told.append(value)
        return told[0]

    monkeypatch.setattr(Processes, "broadcast", broadcast)
    both = []
    for rank in range(2):
        monkeypatch.setattr(checkpoints, "launched", lambda rank=rank: Processes(rank, 2))
        both.append(Checkpoint(path, ARGUMENTS, every=0, together=True))
    assert [checkpoint.due for checkpoint in both] == [True, False]
    for number, checkpoint in enumerate(both):
        checkpoint.save(number)
    assert [file.name for file in path.parent.iterdir()] == ["run.pt"]
    assert [checkpoint.load() for checkpoint in both] == [0, 0]
    assert told == [0, None], "the second has read nothing"
    monkeypatch.undo()
    assert Checkpoint(path, ARGUMENTS, together=True).load() == 0, "one process goes on from it too"


def test_it_is_due_at_its_interval_and_costs_a_twentieth_of_the_time_at_most(path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    seconds = [1.0]
    monkeypatch.setattr(checkpoints, "save", lambda *_: now.__setitem__(0, now[0] + seconds[0]))

    def due_after(checkpoint: Checkpoint) -> int:
        began = now[0]
        while not checkpoint.due:
            now[0] += 1
        return int(now[0] - began)

    checkpoint = Checkpoint(path, ARGUMENTS, every=60)
    assert due_after(checkpoint) == 60
    checkpoint.save(1)
    assert due_after(checkpoint) == 60
    seconds[0] = 10.0
    checkpoint.save(1)
    assert due_after(checkpoint) == 190
    always = Checkpoint(path, ARGUMENTS, every=0)
    always.save(1)
    assert due_after(always) == 0
    for every in (-1, float("nan")):
        with pytest.raises(ValueError, match=r"checkpoint_every=.* must be at least 0, in seconds"):
            Checkpoint(path, ARGUMENTS, every)


def test_killed_while_writing_leaves_a_whole_one(path):
    """Killed at random moments while it writes one after another: what is there is always whole."""
    script = """
import os, random, signal, sys, time
import torch
from companion.runs.checkpoints import load, save
moments = random.Random(0)
path, before, kills = sys.argv[1], 0, 0
while kills < 20 or before < 20:  # later and later, so that a slow disk comes to its end too
    if (child := os.fork()) == 0:
        count = before
        while True:
            count += 1
            save(path, {}, {"count": count, "numbers": torch.full((100_000,), float(count))})
    time.sleep(moments.uniform(0, 0.03 + 0.002 * kills))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    kills += 1
    state = load(path, {}) or {"count": 0, "numbers": torch.zeros(1)}
    assert state["count"] >= before
    assert (state["numbers"] == state["count"]).all()
    before = state["count"]
"""
    words = [sys.executable, "-c", script, str(path)]
    ended = subprocess.run(words, env=child_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
