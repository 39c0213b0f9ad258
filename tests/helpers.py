"""What tests of several parts share."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

needs_cuda = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")


def git(repository: Path, *words: str) -> str:
    """What git prints; whoever commits is a reader."""
    who = ["-c", "user.name=A Reader", "-c", "user.email=reader@example.org"]
    return subprocess.run(["git", *who, *words], cwd=repository, check=True, capture_output=True, text=True).stdout


def as_cloned(repository: Path) -> Path:
    """Make a folder with notebooks a repository that keeps their outputs out, as `make setup` does, and commit all."""
    import environment

    (repository / "tools").mkdir()
    for name in (".gitattributes", "tools/strip.py"):
        shutil.copy(environment.ROOT / name, repository / name)
    git(repository, "init", "--quiet")
    environment.keep_outputs_out(repository, Path(sys.executable))
    git(repository, "add", ".")
    git(repository, "commit", "--quiet", "--message=as cloned")
    return repository


def child_environment() -> dict[str, str]:
    """Environment variables of a process with this checkout's package, one thread and no GPU."""
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@contextlib.contextmanager
def full_disk(room: int = 100_000) -> Iterator[None]:
    """Let no file grow beyond so many bytes: a write then fails as on a full disk, with a word of its own (EFBIG)."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def as_nobody(code: str, **variables: str) -> str:
    """What a program prints whose user has no name, no entry in the list of users, and so no home folder.

    The list is made to answer as it does of such a user; to become one takes rights that not every machine lends.
    """
    unlisted = """
import pwd
def getpwuid(uid):
    raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = getpwuid
"""
    own = ("HOME", "XDG_", "COMPANION_DATA")
    kept = {name: value for name, value in child_environment().items() if not name.startswith(own)}
    command = [sys.executable, "-c", unlisted + code]
    done = subprocess.run(command, env=kept | variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def torchrun(script: Path, *words: str, processes: int = 2) -> "subprocess.CompletedProcess[str]":
    """Run a script in several processes, one thread each, as ``torchrun`` does on one machine; any free port.

    They write straight to one pipe: what must stay together is one ``sys.stdout.write``, where ``print`` makes two.
    """
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.run(
        [*command, str(script), *words],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def assert_same_run(a: xr.Dataset, b: xr.Dataset) -> None:
    """Bit for bit, and of the same arguments."""
    own = ("date", "wall_seconds")
    assert {k: v for k, v in a.attrs.items() if k not in own} == {k: v for k, v in b.attrs.items() if k not in own}
    assert_same_numbers(a, b)


def assert_same_numbers(a: xr.Dataset, b: xr.Dataset) -> None:
    """Bit for bit."""
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        assert a[name].dims == b[name].dims
        assert a[name].values.tobytes() == b[name].values.tobytes(), name


def assert_can_be_kept(run: xr.Dataset, folder: Path) -> None:
    """Written by whatever writes netCDF here, and read, it has the same numbers, labels and attributes."""
    run_attrs = {name: np.asarray(value) for name, value in run.attrs.items()}
    assert {each.dtype.kind for each in run_attrs.values()} <= set("Uif"), "netCDF knows text and numbers"
    for engine in xr.backends.list_engines().keys() & {"scipy", "netcdf4", "h5netcdf"}:
        run.to_netcdf(folder / f"{engine}.nc", engine=engine)
        with xr.open_dataset(folder / f"{engine}.nc", engine=engine) as read:
            xr.testing.assert_equal(run, read.load())
            assert list(read.attrs) == list(run.attrs)
            for name, value in run_attrs.items():
                np.testing.assert_array_equal(np.atleast_1d(read.attrs[name]), np.atleast_1d(value), err_msg=name)
    run.to_netcdf(folder / "chosen.nc")  # by whichever xarray prefers


def in_call(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, number: int, do: Callable[[], None]) -> None:
    """Do something right before the n-th call, of all from now on, of a method."""
    calls, called = [0], getattr(owner, method)

    def counted(*arguments: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            do()
        return called(*arguments)

    monkeypatch.setattr(owner, method, counted)


def press_ctrl_c() -> None:
    signal.raise_signal(signal.SIGINT)


def fail() -> None:
    raise RuntimeError("power cut")


_KILLED = """
import os, pkgutil, random, signal, sys, time
import numpy as np

path, counted, call, kills, latest, pause = sys.argv[1:]
owner, method = counted.rsplit(".", 1)
called, _, arguments = call.partition("(")
owner, train = pkgutil.resolve_name(owner), pkgutil.resolve_name(called)
step, latest = getattr(owner, method), int(latest)

def in_a_child(name, steps=0, **more):
    'Train in a fork; return when it has taken so many steps.'
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        taken = [0]
        def one_more(*arguments):
            taken[0] += 1
            if taken[0] == steps:
                os.write(writing, b'.')
            if steps and taken[0] == steps + 1 + latest // 3:
                signal.pause()  # whoever kills it is slow
            step(*arguments)
        setattr(owner, method, one_more)
        part = pkgutil.resolve_name(called.partition(":")[0])
        run = eval("train(" + arguments, {"train": lambda *a, **k: train(*a, **k, **more), "part": part})
        np.savez(name, **{name: run[name].values for name in run.data_vars})
        os._exit(0)
    os.close(writing)
    if steps:
        os.read(reading, 1)
    os.close(reading)
    return child

def ended(child):
    return os.waitpid(child, 0)[1]

assert ended(in_a_child(path + ".whole.npz")) == 0
moments, killed = random.Random(0), 0
for _ in range(int(kills)):
    child = in_a_child(path + ".resumed.npz", moments.randint(2, latest), checkpoint=path, checkpoint_every=0)
    time.sleep(moments.uniform(0, float(pause)))
    os.kill(child, signal.SIGKILL)
    killed += os.WIFSIGNALED(ended(child))
assert ended(in_a_child(path + ".resumed.npz", checkpoint=path, checkpoint_every=0)) == 0
print(killed)
"""


def killed_and_resumed(
    path: Path, counted: str, call: str, *, kills: int, latest: int, pause: float
) -> dict[str, np.ndarray]:
    """The results of a training call that was killed again and again, which are asserted to be those of a whole run.

    Each time it is killed (SIGKILL) after so many steps and a moment more, on a machine of any speed. The checkpoint is
    written after every step, so many of the moments lie within a writing.

    Args:
        path: of the checkpoint.
        counted: the method that takes a step, as ``"companion.rl.loop:Loop.collect"``.
        call: the training call, as ``"companion.vision:train('moco', part.shapes(128))"``; ``part`` is the module.
        kills: how often.
        latest: the last step, since it was called, after which it may be killed.
        pause: the moment, in seconds, at most.
    """
    words = [sys.executable, "-c", _KILLED, str(path), counted, call, str(kills), str(latest), str(pause)]
    ended = subprocess.run(words, env=child_environment(), capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert int(ended.stdout) == kills
    with np.load(f"{path}.whole.npz") as whole, np.load(f"{path}.resumed.npz") as resumed:
        assert set(whole) == set(resumed)
        for name in whole:
            assert whole[name].tobytes() == resumed[name].tobytes(), name
        return dict(whole)
