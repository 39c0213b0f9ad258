"""What every training run does around its program: where it runs, its progress bar, its end, and where it came from."""

import contextlib
import datetime
import math
import os
import platform
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import companion
from companion.population.shares import local_device

__all__ = ["Stop", "choose_device", "device_name", "interruptible", "progress_bar", "provenance"]


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without one the GPU where there is one, else the CPU.

    Where ``torchrun`` started several processes, ``"cuda"`` is for each of them a GPU of its own.
    """
    chosen = torch.device(device if device is not None else "cuda" if torch.cuda.is_available() else "cpu")
    return chosen if chosen.index is not None else local_device(chosen.type)


def device_name(device: torch.device) -> str:
    """What a result is said to be made on: the GPU's name, or ``"cpu"``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def progress_bar(label: str, steps: int, *, done: int = 0, show: bool = True) -> "tqdm[Any]":
    """A bar on stderr, with the time left, that leaves nothing behind; ``done`` steps were taken earlier.

    There is none where the environment variable ``COMPANION_PROGRESS`` is 0, and of several processes that ``torchrun``
    started only the first one has it.
    """
    hidden = not show or os.environ.get("COMPANION_PROGRESS") == "0" or os.environ.get("RANK", "0") != "0"
    return tqdm(total=steps, initial=done, desc=label, unit="step", leave=False, disable=hidden)


class Stop:
    """Whether a loop should end early. The loop looks at :attr:`asked` between its steps.

    Args:
        seconds: after how many it should end; never if None.
    """

    def __init__(self, seconds: int | float | None = None) -> None:
        self.interrupted = False
        """Whether Ctrl-C was pressed."""
        self._deadline = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def asked(self) -> bool:
        """Whether Ctrl-C was pressed, or the time is up."""
        return self.interrupted or time.monotonic() >= self._deadline


@contextlib.contextmanager
def interruptible(seconds: int | float | None = None) -> Iterator[Stop]:
    """Let Ctrl-C end a loop between two steps, with what it has, instead of in the middle of one, with nothing.

        with interruptible() as stop:
            while not stop.asked:
                step()

    The first Ctrl-C (SIGINT) sets ``stop.interrupted``; the second raises ``KeyboardInterrupt`` at once, as ever. What
    Ctrl-C did before is restored at the end. Outside the main thread, where Python delivers no signals, and where
    SIGINT is ignored or is not Python's to handle, nothing is changed.

    Args:
        seconds: after how many ``stop.asked`` is true without Ctrl-C; never if None.
    """
    stop = Stop(seconds)
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield stop
        return

    def note(number: int, frame: FrameType | None) -> None:
        stop.interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    signal.signal(signal.SIGINT, note)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)


def provenance(device: torch.device, began: float) -> dict[str, Any]:
    """Attributes of a result: device, threads, versions, date and wall time in seconds since ``time.perf_counter()``
    read ``began``."""
    versions = {
        "companion": companion.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }
    return {
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(time.perf_counter() - began, 3),
    }
