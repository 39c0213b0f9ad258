"""The progress bar of everything that takes long."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

__all__ = ["progress_bar"]


def progress_bar(
    label: str,
    total: int | None = None,
    *,
    over: Iterable[Any] | None = None,
    unit: str = "step",
    done: int = 0,
    show: bool = True,
) -> "tqdm[Any]":
    """A bar on standard error, with the time left, that leaves nothing behind.

    There is none where the environment variable ``COMPANION_PROGRESS`` is 0, and of several processes that ``torchrun``
    started only the first one has it.

    Args:
        label: what it says.
        total: of what it counts; by default the length of ``over``, if that has one.
        over: what to iterate over, where it is not moved on by its ``update``.
        unit: what it counts. Bytes, ``"B"``, are shown in kB and MB.
        done: how many of the total were done earlier.
        show: whether there is one at all.
    """
    hidden = not show or os.environ.get("COMPANION_PROGRESS") == "0" or os.environ.get("RANK", "0") != "0"
    return tqdm(
        over,
        total=total,
        initial=done,
        desc=label,
        unit=unit,
        unit_scale=unit == "B",
        file=sys.stderr,
        leave=False,
        disable=hidden,
    )
