"""A progress bar that leaves nothing behind."""

import os
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm


def progress(iterable: Iterable[Any] | None = None, total: int | None = None, label: str = "") -> tqdm:
    """``tqdm`` on standard error, wiped when it ends; silent when ``COMPANION_PROGRESS`` is ``0``.

    Iterate over it, or call ``.update(n)`` on it and ``.close()`` it.
    """
    silent = os.environ.get("COMPANION_PROGRESS") == "0"
    return tqdm(
        iterable, total=total, desc=label or None, file=sys.stderr, leave=False, mininterval=0.5, disable=silent
    )
