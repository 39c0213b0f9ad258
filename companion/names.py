"""Names that somebody may have misspelt."""

import difflib
from collections.abc import Iterable

__all__ = ["nearest"]


def nearest(word: str, known: Iterable[str]) -> str:
    """Of the known words, of which there is one at least, that which is spelt most like this one."""
    return difflib.get_close_matches(str(word), list(known), n=1, cutoff=0.0)[0]
