"""Ctrl-C, and the end of the time: a loop ends between two steps, with what it has."""

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["Stop", "interruptible"]


class Stop:
    """Whether a loop should end early. The loop looks at :attr:`asked` between its steps.

    Args:
        seconds: after how many it should end; never if None.
    """

    def __init__(self, seconds: int | float | None = None) -> None:
        self.interrupted = False
        """Whether Ctrl-C was pressed, or the process told to end."""
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

    The first Ctrl-C (SIGINT) sets ``stop.interrupted``; the second raises ``KeyboardInterrupt`` at once, as ever.
    SIGTERM, which a cluster sends when the time is up, is a Ctrl-C too, and the second does what it did before. What
    both did before is restored at the end. Outside the main thread, where Python delivers no signals, and where a
    signal is ignored or is not Python's to handle, nothing is changed.

    Args:
        seconds: after how many ``stop.asked`` is true without Ctrl-C; never if None.
    """
    stop = Stop(seconds)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if not callable(before[signal.SIGINT]):
        del before[signal.SIGINT]
    if before[signal.SIGTERM] in (signal.SIG_IGN, None):
        del before[signal.SIGTERM]
    if threading.current_thread() is not threading.main_thread():
        before = {}

    def note(number: int, frame: FrameType | None) -> None:
        stop.interrupted = True
        for taken in before:
            signal.signal(taken, signal.default_int_handler if taken == signal.SIGINT else before[taken])

    for number in before:
        signal.signal(number, note)
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
