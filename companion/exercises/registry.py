"""Which exercises there are: a folder is a topic, a file in it an exercise, imported when it is asked for."""

from importlib import import_module
from pathlib import Path

from companion import exercises
from companion.exercises.exercise import Exercise, called
from companion.names import nearest

READING_ORDER = ["iterates", "ema", "bootstrapping", "dqn", "ddpg", "td3", "sac", "moco", "byol", "choosing"]
"""The order in which the topics are shown; a topic that is not named comes after these."""


def find(name: str) -> Exercise:
    """The exercise called ``name``; no other is imported.

    Raises:
        ValueError: there is none; names the nearest.
    """
    known = {called(topic, file): f"{topic}.{file}" for topic, files in _topics().items() for file in files}
    if name not in known:
        raise ValueError(
            f"name is {name!r}, and there is no such exercise. Did you mean {nearest(name, known)!r}? "
            f"companion.progress() lists all"
        )
    return import_module(known[name]).EXERCISE


def topics() -> dict[str, list[Exercise]]:
    """Every topic, named by the first line of its folder's docstring, and its exercises in their places.

    Raises:
        ValueError: two exercises have one name.
    """
    found: dict[str, list[Exercise]] = {}
    names: set[str] = set()
    for topic, files in _topics().items():
        title = (import_module(topic).__doc__ or topic).strip().splitlines()[0].rstrip(".")
        of_topic: list[Exercise] = [import_module(f"{topic}.{file}").EXERCISE for file in files]
        found[title] = sorted(of_topic, key=lambda exercise: exercise.place)
        for exercise in of_topic:
            if exercise.name in names:
                raise ValueError(f"exercise name {exercise.name!r} is taken twice; rename the one in {topic}")
            names.add(exercise.name)
    return found


def _topics() -> dict[str, list[str]]:
    """The topics' packages in reading order, and the exercises' files in each; ``_helpers.py`` would be none."""
    found: dict[str, list[str]] = {}
    for root in exercises.__path__:
        for file in sorted(Path(root).glob("*/[!_]*.py")):
            found.setdefault(file.parent.name, []).append(file.stem)
    order = [topic for topic in READING_ORDER if topic in found]
    return {f"{exercises.__name__}.{topic}": found[topic] for topic in [*order, *sorted(set(found) - set(order))]}
