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
