"""Which exercises there are: a folder is a topic, a file in it an exercise, imported when it is asked for."""

import difflib
from importlib import import_module
from pathlib import Path

from companion import exercises
from companion.exercises.exercise import Exercise

READING_ORDER = ["iterates", "ema", "bootstrapping", "dqn", "ddpg", "td3", "sac", "moco", "byol"]
"""The order in which the topics are shown; a topic that is not named comes after these."""


def find(name: str) -> Exercise:
    """The exercise called ``name``; of the others nothing is imported.

    Raises:
        ValueError: there is none; names the nearest.
    """
    for topic, files in _folders().items():
        file = str(name).removeprefix(f"{topic}-").replace("-", "_")
        if file in files and (exercise := _load(topic, file)).name == name:
            return exercise
    known = [exercise.name for each in topics().values() for exercise in each]
    near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
    nearest = f" Did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"name is {name!r}, and there is no such exercise.{nearest} companion.progress() lists all")


def topics() -> dict[str, list[Exercise]]:
    """Every topic, named by the first line of its folder's docstring, and its exercises in their places.

    Raises:
        ValueError: two exercises have one name, or one has another name than its file.
    """
    found: dict[str, list[Exercise]] = {}
    names: set[str] = set()
    for topic, files in _folders().items():
        module = import_module(f"{exercises.__name__}.{topic}")
        title = (module.__doc__ or topic).strip().splitlines()[0].rstrip(".")
        found[title] = sorted((_load(topic, file) for file in files), key=lambda exercise: exercise.place)
        for exercise in found[title]:
            if exercise.name in names:
                raise ValueError(f"exercise name {exercise.name!r} is taken twice; rename the one in {topic}")
            names.add(exercise.name)
    return found


def _folders() -> dict[str, list[str]]:
    """The topics' folders in reading order, and the files in each."""
    found: dict[str, list[str]] = {}
    for root in exercises.__path__:
        for file in Path(root).glob("*/*.py"):
            if file.stem != "__init__":
                found.setdefault(file.parent.name, []).append(file.stem)
    order = [topic for topic in READING_ORDER if topic in found]
    return {topic: found[topic] for topic in [*order, *sorted(set(found) - set(order))]}


def _load(topic: str, file: str) -> Exercise:
    exercise: Exercise = import_module(f"{exercises.__name__}.{topic}.{file}").EXERCISE
    if exercise.name.removeprefix(f"{topic}-").replace("-", "_") != file:
        raise ValueError(f"exercise {exercise.name!r} stands in {topic}/{file}.py; name one after the other")
    return exercise
