"""The exercise framework, on two exercises of its own."""

import asyncio
import json
import os
import stat
import subprocess
import sys
from dataclasses import replace

import nbformat
import numpy as np
import pytest
import torch
from nbclient import NotebookClient

import companion
from companion.exercises import Exercise, Hint, core, expect, matches
from tests.exercises.helpers import proves
from tests.helpers import child_environment


def double(x):
    """Twice x."""
    return 2 * x


def is_double(answer):
    """it doubles
    a number"""
    matches(answer(3.0), 6.0, "Twice three is six.")


def keeps_shape(answer):
    """it doubles arrays"""
    matches(answer(np.arange(3.0)), [0.0, 2.0, 4.0], "Every entry is doubled.")


def below_ten(answer):
    """the guess is below ten"""
    expect(answer < 10, "It is smaller.")


def nine():
    return 9


DOUBLE = Exercise(
    name="double",
    title="Double it",
    difficulty="easy",
    minutes=5,
    task="Write it.",
    expects="a function of x",
    solution=double,
    why="Because $2x = x + x$.",
    checks=[is_double, keeps_shape],
)
GUESS = Exercise("guess", "Guess", "hard", 1, "Guess.", "a number", nine, "It is.", [below_ten], value=True)


@pytest.fixture(autouse=True)
def two_exercises(monkeypatch):
    monkeypatch.setattr(core, "topics", lambda: {"Sums": [DOUBLE], "Guesses": [GUESS]})


def nothing(x):
    """Yours to write."""
    # here


def nothing_with_pass(x):
    pass


def refuses(x):
    raise NotImplementedError


def refuses_in_words(x):
    """Yours."""
    raise NotImplementedError("your code here")


class Empty:
    """Yours."""

    def update(self, x):
        """Yours."""

    def value(self): ...


def triple(x):
    return 3 * x


def scalar_only(x):
    return 2 * x if np.ndim(x) == 0 else 0.0


def divides(x):
    y = 1
    return x / (y - 1)


def forgets(x):
    2 * x


def test_helper_proves_function_and_value():
    proves(
        "double",
        wrong={
            "triples": (triple, "twice three is six"),
            "scalars": (scalar_only, "the shape is ()"),
            "no return": (forgets, "is a `return` missing"),
            "text": (str, "a str, where numbers are expected"),
        },
        stub=nothing,
    )
    proves("guess", wrong={"too large": (11, "smaller"), "text": ("x", "TypeError")})


@pytest.mark.parametrize("wrong", [{"a": (triple, "twice"), "b": (double, "twice")}, {"a": (triple, "twice")}])
def test_helper_itself_can_fail(wrong):
    with pytest.raises(AssertionError):
        proves("double", wrong=wrong)


def test_right_things_come_first_then_the_first_wrong_one(capsys):
    report = companion.check("double", scalar_only)
    assert not report
    assert report.right == ["it doubles a number"]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Double it: not yet."
    assert lines[1] == "  ✓ it doubles a number"
    assert lines[2].startswith("  ✗ The shape is ()")
    assert len(lines) == 3


@pytest.mark.parametrize("stub", [nothing, nothing_with_pass, refuses, refuses_in_words, Empty, ..., None])
def test_an_untouched_stub_is_not_attempted(stub, capsys, progress_file):
    report = companion.check("double", stub)
    assert report.status == "not attempted"
    assert not report
    assert capsys.readouterr().out == "Double it: not attempted. Hand in a function of x.\n"
    assert not progress_file.exists()


@pytest.mark.parametrize("answer", [double, forgets, lambda x: None, 0, False, len, np.zeros(2), int, object()])
def test_what_was_touched_is_not_taken_for_a_stub(answer):
    assert not core.untouched(answer)


def test_a_stub_that_refuses_deep_inside_is_not_attempted_even_without_its_source():
    space: dict = {}
    exec("def answer(x):\n    raise NotImplementedError", space)
    assert companion.check("double", space["answer"]).status == "not attempted"


def test_an_error_in_the_readers_code_names_its_line(capsys):
    report = companion.check("double", divides)
    line = divides.__code__.co_firstlineno + 2
    assert report.hint == f"Your code stopped with `ZeroDivisionError: float division by zero`, in line {line}: " + (
        "`return x / (y - 1)`"
    )
    assert "Traceback" not in capsys.readouterr().out


def test_an_error_below_the_readers_code_names_the_readers_line():
    def reshapes(x):
        return np.reshape(x, (5, 5))

    hint = companion.check("double", reshapes).hint
    assert "cannot reshape" in hint
    assert "`return np.reshape(x, (5, 5))`" in hint


def test_an_error_in_a_method_names_its_line():
    class Doubler:
        def __call__(self, x):
            return x.missing

    assert "`return x.missing`" in companion.check("double", Doubler()).hint
    assert "takes no arguments" in companion.check("double", type("E", (), {"a": 1})).hint


def test_an_error_that_came_of_what_was_handed_in_says_what_is_expected():
    assert companion.check("double", 3).hint == (
        "Checking your answer stopped with `TypeError: 'int' object is not callable`. Expected is a function of x."
    )


def test_interrupting_is_not_swallowed():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        companion.check("double", interrupted)


@pytest.mark.parametrize(
    ("leave", "what"),
    [
        (lambda: sys.exit(), "SystemExit"),
        (lambda: sys.exit("done"), "SystemExit: done"),
        (lambda: sys.exit(0), "SystemExit: 0"),
        (lambda: (_ for _ in ()).throw(asyncio.CancelledError), "CancelledError"),
    ],
)
def test_an_answer_that_leaves_python_is_an_answer_with_an_error(leave, what):
    def leaves(x):
        leave()

    report = companion.check("double", leaves)
    assert report.status == "not yet"
    assert report.hint.startswith(f"Your code stopped with `{what}`, in line")


def test_unknown_exercises_are_refused_with_the_nearest():
    for call in (lambda: companion.check("duoble", double), lambda: companion.solution("duoble")):
        with pytest.raises(ValueError, match=r"'duoble'.*Did you mean 'double'"):
            call()


def test_solution_shows_the_source_and_why(capsys):
    companion.solution("double")
    assert capsys.readouterr().out == 'def double(x):\n    """Twice x."""\n    return 2 * x\n\nBecause $2x = x + x$.\n'


def test_passing_is_kept_once_and_shown(progress_file, capsys):
    companion.check("guess", 11)
    assert not progress_file.exists()
    assert companion.check("double", double)
    kept = json.loads(progress_file.read_text())
    assert list(kept) == ["double"]
    progress_file.write_text(json.dumps({"double": "2020-02-02", "of-a-later-edition": "2020-02-03"}))
    assert companion.check("double", double)
    assert companion.check("guess", 9)
    kept = json.loads(progress_file.read_text())
    assert kept["double"] == "2020-02-02"
    assert set(kept) == {"double", "guess", "of-a-later-edition"}
    capsys.readouterr()
    companion.progress()
    shown = capsys.readouterr().out
    assert "**Sums**: 1 of 1" in shown
    assert "| ✓ 2020-02-02 | `double` | Double it | easy | 5 |" in shown
    assert [path.name for path in progress_file.parent.iterdir()] == ["progress.json"]


def test_two_notebooks_that_pass_at_the_same_time_lose_nothing(tmp_path):
    script = """
import sys
from companion.exercises.core import _keep
for number in range(15):
    assert _keep(f"{sys.argv[1]}{number}") == ""
"""
    environment = {**child_environment(), "XDG_DATA_HOME": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", script, name], env=environment) for name in "ab"]
    assert [each.wait() for each in both] == [0, 0]
    kept = json.loads((tmp_path / "slow-copy" / "progress.json").read_text())
    assert kept.keys() == {f"{name}{number}" for name in "ab" for number in range(15)}


@pytest.mark.parametrize("damage", ["{", "[1]", '{"double": 3}', "\x00"])
def test_a_damaged_file_is_set_aside_and_not_lost(damage, progress_file):
    progress_file.parent.mkdir(parents=True)
    for i in (1, 2):
        progress_file.write_text(damage)
        report = companion.check("double", double)
        assert report
        aside = progress_file.with_name(f"progress.damaged-{i}.json")
        assert str(aside) in report.note
        assert aside.read_text() == damage
        assert list(json.loads(progress_file.read_text())) == ["double"]


@pytest.mark.parametrize("call", ["replace", "mkdir"])
def test_a_folder_that_cannot_be_written_breaks_nothing(call, monkeypatch, progress_file, capsys):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    if call == "replace":
        monkeypatch.setattr(os, "replace", refuse)
    else:
        monkeypatch.setattr(type(progress_file), "mkdir", refuse)
    report = companion.check("double", double)
    assert report
    assert "could not be kept" in report.note
    assert "could not be kept" in capsys.readouterr().out


def test_a_progress_file_that_cannot_be_read_is_left_alone(progress_file, monkeypatch, capsys):
    progress_file.parent.mkdir(parents=True)
    progress_file.mkdir()  # reading it is an OSError, for root too
    assert "could not be read" in companion.check("double", double).note
    assert stat.S_ISDIR(progress_file.stat().st_mode)
    companion.progress()
    assert "could not be read" in capsys.readouterr().out


def test_a_report_is_not_displayed_twice_by_a_notebook(capsys):
    report = companion.check("double", double)
    capsys.readouterr()
    report._ipython_display_()
    assert capsys.readouterr().out == ""
    assert repr(report) == "<double: passed>"


@pytest.mark.parametrize(
    ("got", "want", "hint"),
    [
        (None, 1.0, "`return` missing"),
        ("a", 1.0, "a str, where numbers"),
        ({"a": 1}, 1.0, "a dict, where numbers"),
        ([[1.0], [1.0, 2.0]], 1.0, "a list, where numbers"),
        ([[1.0]], [1.0], r"shape is \(1, 1\), and \(1,\) is expected"),
        (np.nan, 1.0, "^no$"),
        (1.0001, 1.0, "^no$"),
        (torch.tensor([1.0, 2.0]), [1.0, 3.0], "^no$"),
    ],
)
def test_matches_has_a_hint_for_each_way_to_differ(got, want, hint):
    with pytest.raises(Hint, match=hint):
        matches(got, want, "no")


def test_matches_takes_tensors_with_gradients_and_tolerances():
    matches(torch.ones(2, requires_grad=True), [1, 1], "no")
    matches(1.05, 1.0, "no", rtol=0.1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": " "}, "title of exercise 'double' is empty"),
        ({"minutes": 0}, "minutes of 'double' is 0"),
        ({"checks": []}, "checks of 'double' is empty"),
        ({"checks": [lambda answer: None]}, "has no docstring"),
    ],
)
def test_an_unfinished_exercise_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(DOUBLE, **change)


CELLS = '''
from companion.exercises import core, matches

def double(x):
    """Twice x."""
    return 2 * x

def is_double(answer):
    """it doubles"""
    matches(answer(3.0), 6.0, "Twice three is six.")

exercise = core.Exercise("double", "Double it", "easy", 5, "Do.", "a function", double, "Why.", [is_double])
core.topics = lambda: {"Sums": [exercise]}
import companion
---
def answer(x):
    """Yours."""
    ...  # your code

companion.check("double", answer)
---
class Answer:
    def __call__(self, x):
        raise NotImplementedError

companion.check("double", Answer)
---
def answer(x):
    y = x.lower()
    return y

companion.check("double", answer)
---
report = companion.check("double", double)
assert report
---
companion.solution("double")
'''


def test_in_a_real_notebook_stubs_are_seen_and_the_cells_line_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.split("---\n")]
    NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert [len(output) for output in outputs] == [0, 1, 1, 1, 1, 1], "shown once each"
    stub, stub_class, failed, passed, source = [output[0].data["text/markdown"] for output in outputs[1:]]
    assert stub == stub_class == "**Double it**: not attempted. Hand in a function."
    assert failed == (
        "**Double it**: not yet.\n\n"
        "- ✗ Your code stopped with `AttributeError: 'float' object has no attribute 'lower'`, in line 2: "
        "`y = x.lower()`"
    )
    assert passed.startswith("**Double it**: passed.\n\n- ✓ it doubles\n\n`companion.solution('double')`")
    assert source == '```python\ndef double(x):\n    """Twice x."""\n    return 2 * x\n```\n\nWhy.'
    assert json.loads((tmp_path / "slow-copy" / "progress.json").read_text()).keys() == {"double"}


def test_the_books_topics_come_in_the_order_they_are_read_each_with_its_exercises(monkeypatch, capsys):
    monkeypatch.undo()
    core.topics.cache_clear()
    topics = core.topics()
    assert len(topics) >= 4
    assert next(iter(topics)).lower().startswith("averaging the iterates")
    names = [exercise.name for exercises in topics.values() for exercise in exercises]
    assert len(set(names)) == len(names)
    for topic, exercises in topics.items():
        assert len(exercises) >= 3, f"{topic}: at least three exercises a chapter"
