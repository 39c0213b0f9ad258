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

EXERCISE = Exercise(PLACE, "Title", "easy", 1, "nothing", nothing, "Why.", [passes])
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a topic; what was written is all that there is."""
    monkeypatch.setattr(exercises, "__path__", [str(tmp_path)])

    def write(topic, *files, code=""):
        (tmp_path / topic).mkdir()
        (tmp_path / topic / "__init__.py").write_text(f"'''{topic.capitalize()}.'''\n{code}")
        for place, file in enumerate(files, 1):
            (tmp_path / topic / f"{file}.py").write_text(EXERCISE.replace("PLACE", str(place)))

    return write


def test_a_file_is_an_exercise_and_is_named_after_its_topic_unless_that_has_a_prefix_of_its_own(write):
    write("placed", "soon", "late_one")
    write("bare", "alone", code="PREFIX = ''")
    assert {title: [each.name for each in found] for title, found in topics().items()} == {
        "Bare": ["alone"],
        "Placed": ["placed-soon", "placed-late-one"],
    }
    assert find("placed-late-one").place == 2
    assert find("alone").task == "Do."
    for none in ("late-one", "bare-alone", "placed-late_one", ""):
        with pytest.raises(ValueError, match=r"there is no such exercise\. Did you mean"):
            find(none)


def test_a_name_that_is_taken_twice_is_refused(write):
    for topic in ("once", "twice"):
        write(topic, "same", code="PREFIX = ''")
    with pytest.raises(ValueError, match=r"exercise name 'same' is taken twice; rename the one in .*twice"):
        topics()


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
print([name for name in sys.modules if name.startswith("companion.exercises.") and name.count(".") == 3])
print(sorted({"companion.rl", "companion.vision"} & set(sys.modules)))
"""
    child = [sys.executable, "-c", code]
    done = subprocess.run(child, env=child_environment(), check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-2:] == ["['companion.exercises.ema.soft_update']", "[]"]


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
