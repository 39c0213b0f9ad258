"""Companion of the book *The Slow Copy*: ``target ← tau·online + (1 − tau)·target``.

The averaging core and the exercises are at the front door; the rest is imported where it is used
(``from companion import rl, study``).
"""

from companion.averaging import *  # noqa: F403
from companion.averaging import __all__ as _averaging

__version__ = "0.1.0"
