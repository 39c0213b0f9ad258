"""Companion of the book *The Slow Copy*: ``target ← tau·online + (1 − tau)·target``.

The averaging core and the exercises are at the front door; the rest is imported where it is used
(``from companion import rl, study``).
"""

from typing import TYPE_CHECKING, Any

from companion.averaging import *  # noqa: F403
from companion.averaging import __all__ as _averaging
from companion.version import __version__ as __version__

if TYPE_CHECKING:
    from companion.exercises import check, progress, solution

__all__ = [*_averaging, "check", "progress", "solution"]


def __getattr__(name: str) -> Any:
    """The exercises import every topic of the book, so they come when they are first asked for."""
    if name in ("check", "progress", "solution"):
        from companion import exercises

        return getattr(exercises, name)
    raise AttributeError(f"module 'companion' has no attribute {name!r}")
