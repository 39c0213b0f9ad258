"""Checkpoints: what a run needs to go on after it was stopped, in a file that is whole or is not there.

A checkpoint is written beside where it will be and then moved there in one step, so a process killed at any moment
leaves the old file or the new one; and one run at a time holds it. Two lines of text come first, which ``head -2``
shows: what the file is, and the SHA-256 of the rest, so that a file cut short and a single flipped bit are both found.
The rest is ``torch.save``'s, and is read with ``weights_only=True``, which builds tensors and plain values and runs no
code from the file.
"""

import contextlib
import hashlib
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from torch import Tensor

from companion import version
from companion.files import locked, partial_of, replacing
from companion.runs.processes import launched

__all__ = ["Checkpoint", "check_path", "load", "save"]

FORMAT = 3
"""Layout of the file; a file of another is refused."""

_NAME = "slow-copy checkpoint"
_DIGEST = 64  # characters of a SHA-256


def check_path(path: str | os.PathLike[str]) -> Path:
    """The path as a :class:`~pathlib.Path`, if a checkpoint can be written there. Nothing is created.

    Raises:
        ValueError: its folder does not exist or cannot be written to, or it is a folder itself, or anything else that
            is no file, such as a pipe or a device.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"checkpoint={str(path)!r} is a folder; give the name of a file, such as {path / 'run.pt'!s}")
    if path.exists() and not path.is_file():
        raise ValueError(f"checkpoint={str(path)!r} is a pipe, a socket or a device; give the name of a file")
    if not path.parent.is_dir():
        raise ValueError(f"checkpoint={str(path)!r}: there is no folder {str(path.parent)!r}; create it first")
    tried = partial_of(Path(os.path.realpath(path)))  # as it will be written: the name may be too long, too
    try:
        tried.touch(exist_ok=False)
        tried.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(
            f"checkpoint={str(path)!r}: a file {str(tried)!r} cannot be written ({error.strerror}); give another path"
        ) from error
    return path


def save(path: str | os.PathLike[str], arguments: Mapping[str, Any], state: Any) -> None:
    """Write a checkpoint, in place of the one that may be there, whole or not at all.

    The old file stays until the new one is on the disk, also when the disk turns out to be full.

    Args:
        path: where; its folder exists.
        arguments: what the run was called with, by name: numbers, text, None, and lists, tuples and dictionaries of
            them.
        state: tensors, numbers, text and None in dictionaries (whose keys are text), lists and tuples, nested at will.

    Raises:
        TypeError: an argument or a part of the state is of another type; its place is named.
        OSError: the file cannot be written, for instance since the disk is full; it is named.
    """
    content = {"arguments": _texts(arguments), "state": _plain(state, "state")}
    with replacing(path) as partial, open(partial, "wb") as file:
        title = f"{_title()}\n".encode()
        file.write(title + b" " * _DIGEST + b"\n")
        hashed = _Hashed(file)
        try:
            torch.save(content, hashed)  # type: ignore[arg-type]  # it only writes
        except RuntimeError as error:  # torch's word for what the disk had to say
            raise hashed.error or error from None
        file.seek(len(title))
        file.write(hashed.digest.hexdigest().encode())


def load(
    path: str | os.PathLike[str], arguments: Mapping[str, Any], device: str | torch.device | None = None
) -> Any | None:
    """The state that :func:`save` wrote, or None where there is no file. Nothing is changed or deleted.

    Args:
        path: where.
        arguments: what the run is called with now. They must be those that the checkpoint was written with.
        device: where the tensors are put; by default the CPU.

    Raises:
        ValueError: the path is no place for a checkpoint, or the file is no checkpoint, is damaged, is of another
            version, or of other arguments, each of which is named with both its values.
    """
    path = check_path(path)
    given = _texts(arguments)
    if not path.exists():
        return None
    anew = "remove it or give another path to start anew"
    with open(path, "rb") as file:
        title = file.readline(200).decode(errors="replace")
        if not title.startswith(_NAME) or not title.endswith("\n"):
            raise ValueError(f"{path} is not a checkpoint, or its beginning is damaged; {anew}")
        if title != f"{_title()}\n":
            raise ValueError(
                f"{path} is a {title.strip()}, and this is a {_title()}: go on with that version, or {anew}"
            )
        digest = file.readline(_DIGEST + 1).decode(errors="replace").strip()
        start = file.tell()
        if hashlib.file_digest(file, "sha256").hexdigest() != digest:
            raise ValueError(f"{path} is damaged: it was cut short, or a byte of it was changed; {anew}")
        file.seek(start)
        content = torch.load(file, map_location=device or "cpu", weights_only=True)
    written = content["arguments"]
    differences = [
        f"{name} was {written.get(name, 'not recorded')} and is {given.get(name, 'not given')}"
        for name in dict.fromkeys([*given, *written])
        if given.get(name) != written.get(name)
    ]
    if differences:
        raise ValueError(
            f"{path} is the checkpoint of other arguments: {'; '.join(differences)}. Give the old ones to go on, "
            f"or {anew}"
        )
    return content["state"]


class Checkpoint:
    """The checkpoint of one run: where it is, of which arguments, and how often it is written.

    Of several processes that ``torchrun`` started each has its own: ``run.pt`` becomes ``run.rank-0-of-2.pt``, and so
    on, so that a run split otherwise begins anew. Where they train together there is one, which the first writes and
    all go on from.

    Args:
        path: where; None is a run without a checkpoint, which is never due, and is neither loaded nor saved.
        arguments: of the run, see :func:`save`.
        every: seconds from one to the next; 0 is one after every step. Where writing takes long it is done less often,
            so that it costs a twentieth of the time at most.
        together: whether all processes have the same state.

    Raises:
        ValueError: a negative interval.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None,
        arguments: Mapping[str, Any],
        every: int | float = 60.0,
        *,
        together: bool = False,
    ) -> None:
        if not every >= 0:
            raise ValueError(f"checkpoint_every={every!r} must be at least 0, in seconds")
        self.arguments = arguments
        self.every = every
        self.together = together
        self.path = None
        self._processes = us = launched()
        if path is not None and (us.rank == 0 or not together):
            path = Path(path)
            alone = us.world == 1 or together
            self.path = path if alone else path.with_name(f"{path.stem}.rank-{us.rank}-of-{us.world}{path.suffix}")
        self._next = time.monotonic() + every

    @property
    def due(self) -> bool:
        """Whether it is time to write it."""
        return self.path is not None and time.monotonic() >= self._next

    def held(self) -> contextlib.AbstractContextManager[None]:
        """Keep it from every other run; see :func:`~companion.files.locked`.

        Raises:
            ValueError: another run has it, which is named; or the path is no place for a checkpoint.
        """
        return contextlib.nullcontext() if self.path is None else locked(check_path(self.path))

    def load(self, device: str | torch.device | None = None) -> Any | None:
        """The state to go on from, or None; see :func:`load`."""
        if not self.together:
            return None if self.path is None else load(self.path, self.arguments, device)
        # On the CPU: what the first process puts on its own GPU would arrive there in all of them.
        return self._processes.broadcast(None if self.path is None else load(self.path, self.arguments))

    def save(self, state: Any) -> None:
        """Write it; see :func:`save`."""
        if self.path is None:
            return
        began = time.monotonic()
        save(self.path, self.arguments, state)
        ended = time.monotonic()
        self._next = ended + (max(self.every, 19 * (ended - began)) if self.every else 0)


class _Hashed:
    """A file that is only written to, and the digest of what was written."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.digest = hashlib.sha256()
        self.error: OSError | None = None
        """Why writing failed."""

    def write(self, data: Any) -> int:
        self.digest.update(data)
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _title() -> str:
    return f"{_NAME}, format {FORMAT}, version {version.__version__}"


def _texts(arguments: Mapping[str, Any]) -> dict[str, str]:
    """Each argument as it would be written, which tells ``1`` from ``True`` and a list from a tuple.

    Of a dictionary each entry is an argument, so that the one that differs is named.
    """
    texts: dict[str, str] = {}
    for name, value in arguments.items():
        if isinstance(value, Mapping):
            texts |= _texts({f"{name}[{key!r}]": entry for key, entry in value.items()})
        else:
            texts[name] = repr(_value(value, f"argument {name}"))
    return texts


def _value(value: Any, place: str) -> Any:
    """A plain value as it is, NumPy's numbers as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, (list, tuple)):
        return type(value)([_value(entry, f"{place}[{i}]") for i, entry in enumerate(value)])
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{place} is a {type(value).__name__}; a checkpoint holds plain values")


def _plain(state: Any, place: str) -> Any:
    """The state, each tensor with no more memory than its own."""
    if isinstance(state, Tensor):
        tensor = state.detach()
        return tensor if tensor.untyped_storage().nbytes() == tensor.nbytes else tensor.clone()
    if isinstance(state, dict):
        if wrong := [key for key in state if not isinstance(key, str)]:
            raise TypeError(f"{place} has the key {wrong[0]!r}; a checkpoint's keys are text")
        return {key: _plain(value, f"{place}[{key!r}]") for key, value in state.items()}
    if isinstance(state, (list, tuple)):
        return type(state)([_plain(entry, f"{place}[{i}]") for i, entry in enumerate(state)])
    return _value(state, place)
