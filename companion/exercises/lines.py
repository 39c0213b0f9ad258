"""Exercises in which one line of a listing does the harm, and its number is the answer."""

from collections.abc import Mapping
from typing import Any

from companion.exercises.exercise import Check
from companion.exercises.hints import Hint, expect


def checks_of_a_line(listing: str, innocent: Mapping[str, str]) -> list[Check]:
    """Checks of an answer that is the number, from 1, of the line of a listing that does the harm.

    Args:
        listing: what the reader sees.
        innocent: how each harmless line begins, and the hint for who suspects it.
    """
    lines = [line.strip() for line in listing.splitlines()]

    def is_a_line(answer: Any) -> None:
        """It is the number of a line that does something."""
        a_number = isinstance(answer, int) and not isinstance(answer, bool)
        expect(a_number, f"Hand in the line's number, a whole number; this is {answer!r}.")
        expect(1 <= answer <= len(lines), f"The listing has {len(lines)} lines, and there is no line {answer}.")
        expect(lines[answer - 1], f"Line {answer} is empty.")

    def is_guilty(answer: Any) -> None:
        """It is the one that does the harm."""
        line = lines[answer - 1]
        for start, hint in innocent.items():
            if line.startswith(start):
                raise Hint(f"Line {answer}, `{line}`: {hint}")

    return [is_a_line, is_guilty]
