"""Files that are whole or not there, however many processes write them and whenever one dies; what netCDF can hold."""

import contextlib
import errno
import os
import platform
import re
import secrets
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

__all__ = ["attribute", "locked", "partial_of", "replacing"]

_CANNOT_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EBADF}
"""What file systems answer that cannot be told to put a folder, or anything, on the disk."""


@contextlib.contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Where to write what becomes ``path`` once it is whole and on the disk; after an error ``path`` is as it was.

        with replacing("run.json") as partial:
            partial.write_text("{}")

    Each writer has a place of its own, so of several who write at once the last one wins. Folders that are missing are
    made, and a link stays one: what it points to is replaced.

    Raises:
        OSError: it cannot be written, for instance since the disk is full; ``path`` is named.
    """
    path = _settled(path)
    partial = partial_of(path)
    try:
        yield partial
        _sync(partial, os.O_RDWR)
        os.replace(partial, path)
    except OSError as error:
        if error.errno is None or error.filename is not None:
            raise
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
    with contextlib.suppress(PermissionError):  # a folder that may be written to and not read, and any on Windows
        _sync(path.parent, os.O_RDONLY)


def partial_of(path: Path) -> Path:
    """A name beside ``path`` that nobody else has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextlib.contextmanager
def locked(path: str | os.PathLike[str], *, seconds: int | float = 1) -> Iterator[None]:
    """Be the only one, of all processes that ask, to write ``path``, until the end of the block or of the process.

    The lock is the operating system's, which ends it with the process, however that dies. While it is held
    ``.NAME.lock`` lies beside the file, and ``.NAME.holder``, which says who holds it; what a process that died left
    of its writing is removed. Where a file system has no locks there is a warning, and no lock.

    Args:
        path: of a file, which need not be there.
        seconds: how long to wait for another.

    Raises:
        ValueError: another holds it; says who, and what to do.
        OSError: no lock can be placed there.
    """
    path = _settled(path)
    lock, holder = path.with_name(f".{path.name}.lock"), path.with_name(f".{path.name}.holder")
    own = FileLock(lock, timeout=seconds, thread_local=False, fallback_to_soft=False)
    try:
        own.acquire()
    except Timeout:
        try:
            who = holder.read_text(encoding="utf-8")
        except OSError:
            who = "another process"
        raise ValueError(f"{path} is in use by {who}: wait until that has ended, stop it, or write elsewhere") from None
    except OSError as error:
        if error.errno not in _CANNOT_SYNC | {errno.ENOLCK}:
            raise
        with contextlib.suppress(OSError):
            lock.unlink()
        warnings.warn(
            f"{path}: there are no locks on this file system ({error.strerror}), so nothing keeps a second process "
            f"from writing it too",
            RuntimeWarning,
            stacklevel=3,
        )
    try:
        if own.is_locked:
            with contextlib.suppress(OSError):  # who cannot say its name, as on a full disk, is alone all the same
                now = time.strftime("%Y-%m-%d %H:%M:%S")
                holder.write_text(f"process {os.getpid()} on {platform.node()} since {now}", encoding="utf-8")
            left = re.compile(re.escape(f".{path.name}.") + r"([0-9a-f]{8}\.)?tmp")
            for each in path.parent.iterdir():
                if left.fullmatch(each.name):
                    with contextlib.suppress(OSError):  # it may be another user's
                        each.unlink()
        yield
    finally:
        if own.is_locked:
            holder.unlink(missing_ok=True)
            with contextlib.suppress(OSError):  # on Windows; there it is removed when it is released
                lock.unlink()  # while it is held: later it may be another's
            own.release()


def attribute(value: Any) -> Any:
    """What a netCDF attribute can hold: numbers and text as they are, 0 or 1 for a truth value, else its text."""
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, dict):
        return ", ".join(f"{name} {entry}" for name, entry in value.items())
    if isinstance(value, (list, tuple)) and value and all(type(v) is type(value[0]) for v in value):
        if isinstance(value[0], (bool, int, float)):
            return [attribute(v) for v in value]
        if isinstance(value[0], str):
            return ", ".join(value)
    return str(value)


def _settled(path: str | os.PathLike[str]) -> Path:
    """Where a path leads, by whatever name; its folder is there afterwards."""
    real = Path(os.path.realpath(path))
    real.parent.mkdir(parents=True, exist_ok=True)
    return real


def _sync(path: Path, flags: int) -> None:
    """Put a file, or the names in a folder, on the disk, where the file system can do that."""
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise
    finally:
        os.close(descriptor)
