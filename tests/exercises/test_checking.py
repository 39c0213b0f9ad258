"""An answer is checked and the solution shown: on two exercises of the tests' own, in ``topics``."""

import asyncio
import json
import sys

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import companion
from companion.exercises.checking import untouched
from tests.exercises.helpers import TOPICS
from tests.helpers import child_environment

pytestmark = pytest.mark.usefixtures("own_topics")


def double(x):
    return 2 * x


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


@pytest.mark.parametrize(
    ("name", "answer", "hint"),
    [
        ("double", triple, "twice three is six"),
        ("double", scalar_only, "the shape is ()"),
        ("double", forgets, "is a `return` missing"),
        ("double", str, "a str, where numbers are expected"),
        ("guesses-nine", 11, "smaller"),
        ("guesses-nine", "x", "typeerror"),
    ],
)
def test_a_wrong_answer_gets_its_hint(name, answer, hint):
    report = companion.check(name, answer)
    assert report.status == "not yet"
    assert hint in report.hint.lower()


def test_a_value_passes_as_a_function_does():
    assert companion.check("guesses-nine", 9)
    assert companion.check("double", double)


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
    assert not untouched(answer)


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


def test_a_report_is_not_displayed_twice_by_a_notebook(capsys):
    report = companion.check("double", double)
    capsys.readouterr()
    report._ipython_display_()
    assert capsys.readouterr().out == ""
    assert repr(report) == "<double: passed>"


CELLS = '''
import companion
import companion.exercises

companion.exercises.__path__ = [TOPICS]

def double(x):
    return 2 * x
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
    for name, value in {**child_environment(), "XDG_DATA_HOME": str(tmp_path)}.items():
        monkeypatch.setenv(name, value)
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [
        nbformat.v4.new_code_cell(source.strip())
        for source in CELLS.replace("TOPICS", repr(str(TOPICS))).split("---\n")
    ]
    NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert [len(output) for output in outputs] == [0, 1, 1, 1, 1, 1], "shown once each"
    stub, stub_class, failed, passed, source = [output[0].data["text/markdown"] for output in outputs[1:]]
    assert stub == stub_class == "**Double it**: not attempted. Hand in a function of x."
    assert failed == (
        "**Double it**: not yet.\n\n"
        "- ✗ Your code stopped with `AttributeError: 'float' object has no attribute 'lower'`, in line 2: "
        "`y = x.lower()`"
    )
    assert passed.startswith(
        "**Double it**: passed.\n\n- ✓ it doubles a number\n- ✓ it doubles arrays\n\n`companion.solution('double')`"
    )
    assert source == '```python\ndef double(x):\n    """Twice x."""\n    return 2 * x\n```\n\nBecause $2x = x + x$.'
    assert json.loads((tmp_path / "slow-copy" / "progress.json").read_text()).keys() == {"double"}
