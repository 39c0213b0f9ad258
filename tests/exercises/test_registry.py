"""Exercises are found where they lie, in their order, and nothing is imported that was not asked for."""

import subprocess
import sys
from dataclasses import replace

import pytest

from companion import exercises
from companion.exercises import find, topics
from tests.helpers import child_environment

EXERCISE = """
'''Do.'''

from companion.exercises import Exercise

def nothing():
    pass

def passes(answer):
    "it passes"

EXERCISE = Exercise("NAME", PLACE, "Title", "easy", 1, "nothing", nothing, "Why.", [passes])
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes an exercise; what was written is all that there is."""
    monkeypatch.setattr(exercises, "__path__", [str(tmp_path)])

    def write(topic, file, name, place=1):
        (tmp_path / topic).mkdir(exist_ok=True)
        (tmp_path / topic / "__init__.py").write_text(f"'''{topic.capitalize()}.'''")
        (tmp_path / topic / f"{file}.py").write_text(EXERCISE.replace("NAME", name).replace("PLACE", str(place)))

    return write


def test_one_file_is_an_exercise_with_its_topic_in_its_name_or_without(write):
    write("placed", "late_one", "placed-late-one", place=2)
    write("placed", "soon", "soon", place=1)
    assert {title: [each.name for each in found] for title, found in topics().items()} == {
        "Placed": ["soon", "placed-late-one"]
    }
    assert find("placed-late-one").title == "Title"
    assert find("soon").task == "Do."
    for none in ("late-one", "placed-soon", "late_one"):
        with pytest.raises(ValueError, match=r"there is no such exercise\. Did you mean"):
            find(none)


def test_a_name_that_is_taken_twice_is_refused(write):
    write("once", "same", "same")
    write("twice", "same", "same")
    with pytest.raises(ValueError, match="exercise name 'same' is taken twice; rename the one in twice"):
        topics()


def test_a_file_with_another_name_than_its_exercise_is_refused(write):
    write("misnamed", "this", "misnamed-that")
    for call in (topics, lambda: find("misnamed-this")):
        with pytest.raises(ValueError, match=r"'misnamed-that' stands in misnamed/this\.py; name one after the other"):
            call()


def test_the_books_topics_come_in_the_order_they_are_read_each_with_its_exercises():
    assert next(iter(topics())).lower().startswith("averaging the iterates")
    for topic, found in topics().items():
        assert len(found) >= 3, f"{topic}: at least three exercises a chapter"
        assert [each.place for each in found] == list(range(1, len(found) + 1))


def test_a_check_imports_its_own_exercise_and_no_other():
    code = """
import sys, companion
assert "companion.exercises" not in sys.modules
companion.check("soft-update", None)
heavy = ("companion.exercises.", "companion.rl", "companion.vision")
print(sorted(name for name in sys.modules if name.startswith(heavy)))
"""
    child = [sys.executable, "-c", code]
    done = subprocess.run(child, env=child_environment(), check=True, capture_output=True, text=True)
    names = ["checking", "ema", "ema.soft_update", "exercise", "hints", "kept", "lines", "materials", "registry"]
    assert done.stdout.splitlines()[-1] == str([f"companion.exercises.{name}" for name in names])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"title": " "}, "title of exercise 'double' is empty"),
        ({"minutes": 0}, "minutes of 'double' is 0"),
        ({"place": 0}, "place of 'double' is 0"),
        ({"checks": []}, "checks of 'double' is empty"),
        ({"checks": [lambda answer: None]}, "has no docstring"),
    ],
)
@pytest.mark.usefixtures("own_topics")
def test_an_unfinished_exercise_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        replace(find("double"), **change)
