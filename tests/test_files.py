"""Files are whole or not there, and one process at a time holds one: real processes, some of them killed."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from companion import files
from companion.files import locked, replacing
from tests.helpers import child_environment, full_disk


def child(script: str, *words: object) -> "subprocess.Popen[str]":
    """Another process, which says a line when it has begun."""
    command = [sys.executable, "-c", script, *map(str, words)]
    process = subprocess.Popen(command, env=child_environment(), stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def kill(process: "subprocess.Popen[str]") -> None:
    process.kill()
    process.communicate()


def hold(path: Path, seconds: float = 0.1) -> None:
    with locked(path, seconds=seconds):
        pass


HOLDS = """
import signal, sys
from pathlib import Path
from companion.files import locked, partial_of
with locked(sys.argv[1]):
    partial_of(Path(sys.argv[1])).write_text("half of it")
    print("begun", flush=True)
    signal.pause()
"""


def test_a_reader_sees_the_old_or_the_new_one_while_several_write_and_one_dies(tmp_path):
    path = tmp_path / "file"
    script = """
import sys
from companion.files import replacing
path, letter = sys.argv[1:]
first = True
while True:
    with replacing(path) as partial, open(partial, "w") as file:
        for _ in range(20):
            file.write(letter * 10_000)
            file.flush()
    if first:
        print("begun", flush=True)
        first = False
"""
    writers = [child(script, path, letter) for letter in "abc"]
    seen = set()
    for reading in range(600):
        if reading == 200:
            kill(writers.pop())
        text = path.read_text()
        assert len(text) == 200_000
        assert len(set(text)) == 1
        seen |= set(text)
    for writer in writers:
        kill(writer)
    assert len(seen) > 1


def test_a_second_process_is_refused_by_name_until_the_first_has_died(tmp_path):
    path = tmp_path / "run.pt"
    holder = child(HOLDS, path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=rf"run\.pt is in use by process {holder.pid} on \S+ since .*: wait until"):
        hold(path)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before
    (tmp_path / "link.pt").symlink_to(path)
    with pytest.raises(ValueError, match=f"process {holder.pid}"):
        hold(tmp_path / "link.pt")
    kill(holder)
    with locked(path):
        assert {each.name for each in tmp_path.iterdir()} == {".run.pt.lock", ".run.pt.holder", "link.pt"}
        assert f"process {os.getpid()}" in (tmp_path / ".run.pt.holder").read_text()
    assert [each.name for each in tmp_path.iterdir()] == ["link.pt"]


def test_what_the_holder_removes_is_its_own_only(tmp_path):
    others = [".run.pt.0123abcd.tmp", ".run2.0123abcd.tmp", ".run.txt", "run.0123abcd.tmp"]
    for name in [*others, ".run.0123abcd.tmp", ".run.tmp"]:
        (tmp_path / name).touch()
    with locked(tmp_path / "run"):
        pass
    assert {each.name for each in tmp_path.iterdir()} == set(others)


def test_a_lock_is_held_within_one_process_too_and_let_go_after_an_error(tmp_path):
    def holds_and_fails() -> None:
        with locked(tmp_path / "run"):
            with pytest.raises(ValueError, match=f"in use by process {os.getpid()}"):
                hold(tmp_path / "run")
            raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            holds_and_fails()
    assert list(tmp_path.iterdir()) == []


def test_never_two_hold_a_lock_that_is_taken_and_let_go_in_turn(tmp_path):
    """Each adds 1 to a number 60 times, by reading and writing it: two at once would lose one."""
    script = """
import sys
from pathlib import Path
from companion.files import locked, replacing
path = Path(sys.argv[1])
print("begun", flush=True)
for _ in range(60):
    with locked(path, seconds=100):
        count = int(path.read_text()) if path.exists() else 0
        with replacing(path) as partial:
            partial.write_text(str(count + 1))
"""
    processes = [child(script, tmp_path / "count") for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    for process in processes:
        process.communicate()
    assert (tmp_path / "count").read_text() == "240"
    assert [each.name for each in tmp_path.iterdir()] == ["count"]


@pytest.fixture
def folders_answer(monkeypatch):
    """Let ``fsync`` of a folder, and of nothing else, fail."""

    def arrange(number: int) -> None:
        real = os.fsync

        def fsync(descriptor: int) -> None:
            if stat.S_ISDIR(os.fstat(descriptor).st_mode):
                raise OSError(number, os.strerror(number))
            real(descriptor)

        monkeypatch.setattr(files.os, "fsync", fsync)

    return arrange


@pytest.mark.parametrize("name", ["EINVAL", "ENOTSUP", "EOPNOTSUPP", "ENOSYS", "EACCES", "EBADF"])
def test_a_file_system_that_cannot_sync_a_folder_keeps_the_file(name, tmp_path, folders_answer):
    folders_answer(getattr(errno, name))
    with replacing(tmp_path / "file") as partial:
        partial.write_text("whole")
    assert (tmp_path / "file").read_text() == "whole"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_breaks_while_a_folder_is_synced_is_not_passed_over(tmp_path, folders_answer):
    folders_answer(errno.EIO)
    with pytest.raises(OSError, match="Input/output error"), replacing(tmp_path / "file") as partial:
        partial.write_text("whole")


def test_a_full_disk_is_named_and_leaves_the_old_one(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match=rf"too large: '{path}'"), full_disk(), replacing(path) as partial:
        partial.write_bytes(bytes(1_000_000))
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def test_folders_are_made_and_a_link_stays_one(tmp_path):
    for text in ("old", "new"):
        with replacing(tmp_path / "a" / "b" / "file") as partial:
            partial.write_text(text)
        if text == "old":
            (tmp_path / "link").symlink_to(tmp_path / "a" / "b" / "file")
    with replacing(tmp_path / "link") as partial:
        partial.write_text("newer")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "a" / "b" / "file").read_text() == "newer"


def test_where_there_are_no_locks_it_is_said_once_and_done_without(tmp_path, monkeypatch):
    """No such file system is to be had here."""
    fcntl = pytest.importorskip("fcntl", reason="Windows always has locks")

    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(fcntl, "flock", none)
    with pytest.warns(RuntimeWarning, match=r"run: there are no locks on this file system \(No locks available\)"):
        hold(tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
