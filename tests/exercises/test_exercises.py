"""What is proved of each exercise: its solution passes, typical wrong answers get their hints, a stub stays in peace.

The wrong answers stand with the tests of their topic: for ``dqn/clock.py`` they are what ``wrong_clock`` returns in
``test_dqn.py``.
"""

import re
import sys
from importlib import import_module
from pathlib import Path

import nbformat
import pytest

from companion.exercises import Exercise, check, find, solution, topics

EXERCISES = {exercise.name: exercise for of_topic in topics().values() for exercise in of_topic}
WITH_A_LISTING = [name for name, each in EXERCISES.items() if hasattr(sys.modules[each.solution.__module__], "LISTING")]
NOTEBOOKS = (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")
STUBS = {
    found[1]: (cell.source, found[2])
    for notebook in NOTEBOOKS
    for cell in nbformat.read(notebook, as_version=4).cells
    if (found := re.search(r'^companion\.check\("([\w-]+)", (\w+)\)$', cell.source, re.M))
}
"""Of each exercise the cell that the reader is given, and the name in it that is handed in."""


@pytest.fixture(params=EXERCISES)
def exercise(request: pytest.FixtureRequest) -> Exercise:
    return EXERCISES[request.param]


def test_its_solution_passes_where_it_is_pasted(
    exercise: Exercise, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solution(exercise.name)
    source = capsys.readouterr().out.removesuffix(f"{exercise.why.strip()}\n")
    cell = tmp_path / "cell.py"
    cell.write_text(source, encoding="utf-8")
    names: dict = {}
    exec(compile(source, cell, "exec"), names)
    pasted = names[exercise.solution.__name__]
    report = check(exercise.name, pasted() if exercise.value else pasted)
    assert report, f"the solution fails: {report.hint}"
    assert len(report.right) == len(exercise.checks)


def test_each_typical_wrong_answer_fails_with_its_own_hint(exercise: Exercise) -> None:
    *_, topic, file = exercise.solution.__module__.split(".")
    wrong = getattr(import_module(f"tests.exercises.test_{topic}"), f"wrong_{file}")()
    assert len(wrong) >= 2, "give several typical wrong answers"
    for label, (answer, words) in wrong.items():
        report = check(exercise.name, answer)
        assert report.status == "not yet", f"{label}: {report.status}"
        assert words.lower() in report.hint.lower(), f"{label}: the hint is {report.hint!r}"


def test_the_chapters_untouched_stub_is_not_attempted(exercise: Exercise, tmp_path: Path) -> None:
    assert exercise.name in STUBS, "no chapter has a stub cell that ends with its companion.check(…)"
    source, handed_in = STUBS[exercise.name]
    cell = tmp_path / "cell.py"
    cell.write_text(source.replace(f'companion.check("{exercise.name}", {handed_in})', ""), encoding="utf-8")
    names: dict = {}
    exec(compile(cell.read_text(encoding="utf-8"), cell, "exec"), names)
    for stub in (names[handed_in], ..., None):
        report = check(exercise.name, stub)
        assert (report.status, report.right, report.hint) == ("not attempted", [], "")


def test_it_is_found_by_its_name_and_says_what_to_do(exercise: Exercise) -> None:
    assert find(exercise.name) is exercise
    assert exercise.task


@pytest.mark.parametrize("name", WITH_A_LISTING)
def test_every_innocent_line_has_a_hint_of_its_own(name: str) -> None:
    listing = sys.modules[EXERCISES[name].solution.__module__].LISTING
    for at, line in enumerate(listing.splitlines(), 1):
        if line and at != EXERCISES[name].right_answer():
            assert check(name, at).hint, f"line {at} has no hint: {line}"


@pytest.mark.parametrize("name", WITH_A_LISTING)
def test_what_is_expected_gives_no_line_away(name: str) -> None:
    """An example of a number would be a guilty line or an innocent one, and either is a clue."""
    assert not re.search(r"\d", EXERCISES[name].expects)
