"""A progress bar for a chapter's own loops."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from companion.bars import progress_bar

if TYPE_CHECKING:
    from tqdm import tqdm


def progress(iterable: Iterable[Any] | None = None, total: int | None = None, label: str = "") -> "tqdm[Any]":
    """A progress bar for a loop, on standard error, wiped when it ends; silent when ``COMPANION_PROGRESS`` is ``0``.

    Iterate over it, or call ``.update(n)`` on it and ``.close()`` it. ``companion.progress()`` is another
    thing: the table of the exercises that you have done.

    Args:
        iterable: what the loop goes over, if it goes over something.
        total: how many steps it has, where ``iterable`` has no length.
        label: what the bar says.
    """
    return progress_bar(label, total, over=iterable, unit="it")
