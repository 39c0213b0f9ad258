"""What the tests of exercises share."""

from pathlib import Path
from typing import Any

TOPICS = Path(__file__).parent / "topics"
"""Two topics of an exercise each, to try the machinery on."""

Wrong = dict[str, tuple[Any, str]]
"""Typical wrong answers to an exercise: a label for each, the answer, and a part of the hint that it must get."""


def wrong_lines(listing: str, suspects: dict[str, str]) -> Wrong:
    """Wrong answers where the number of a line is asked for.

    Args:
        listing: what the reader sees.
        suspects: how some innocent lines begin, and words of the hints for them.
    """
    lines = [line.strip() for line in listing.splitlines()]
    return {
        **{
            start: (1 + next(i for i, line in enumerate(lines) if line.startswith(start)), words)
            for start, words in suspects.items()
        },
        "an empty line": (1 + lines.index(""), "is empty"),
        "beyond the end": (len(lines) + 1, "there is no line"),
        "a word": ("twins", "line's number"),
    }
