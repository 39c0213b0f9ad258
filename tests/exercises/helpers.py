"""What is proved of each exercise."""

from typing import Any

from companion.exercises import core


def proves(name: str, wrong: dict[str, tuple[Any, str]], stub: Any = ...) -> None:
    """The solution passes, each typical wrong answer fails with its own hint, an untouched stub is left in peace.

    Args:
        name: the exercise's.
        wrong: a label for each wrong answer, the answer, and a part of the hint that it must get.
        stub: what the notebook hands out, untouched.
    """
    exercise = core.find(name)
    report = core.check(name, exercise.right_answer())
    assert report, f"the solution fails: {report.hint}"
    assert len(report.right) == len(exercise.checks)
    assert len(wrong) >= 2, "give several typical wrong answers"
    for label, (answer, hint) in wrong.items():
        report = core.check(name, answer)
        assert report.status == "not yet", f"{label}: {report.status}"
        assert hint.lower() in report.hint.lower(), f"{label}: the hint is {report.hint!r}"
    for untouched in (stub, ..., None):
        report = core.check(name, untouched)
        assert report.status == "not attempted"
        assert not report.right
        assert not report.hint


def proves_the_line(name: str, listing: str, guilty: int, suspects: dict[str, str], *, clue: str = "") -> None:
    """An exercise whose answer is the number of a line: beside the usual, every innocent line has a hint of its own.

    Args:
        name: of the exercise.
        listing: what the reader sees.
        guilty: the right answer.
        suspects: how some innocent lines begin, and words of the hints for them.
        clue: words of every hint for an innocent line.
    """
    lines = [line.strip() for line in listing.splitlines()]
    wrong: dict[str, tuple[Any, str]] = {
        start: (1 + next(i for i, line in enumerate(lines) if line.startswith(start)), words)
        for start, words in suspects.items()
    }
    wrong["an empty line"] = (1 + lines.index(""), "is empty")
    wrong["beyond the end"] = (len(lines) + 1, "there is no line")
    wrong["a word"] = ("twins", "line's number")
    proves(name, wrong)
    for at, line in enumerate(lines, 1):
        if line and at != guilty:
            hint = core.check(name, at).hint
            assert hint, f"line {at} has no hint: {line}"
            assert clue in hint
