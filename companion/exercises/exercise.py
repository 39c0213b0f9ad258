"""What an exercise is."""

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Answer = Any
"""What a reader hands in: a function, a class, or a value."""

Check = Callable[[Answer], None]
"""A function of an answer: its docstring says what is right when it passes, and it raises a ``Hint`` when not."""


def called(topic: str, file: str) -> str:
    """What the exercise in a file of a topic's package is called: the topic comes first, or the topic's ``PREFIX``."""
    prefix = getattr(import_module(topic), "PREFIX", topic.rpartition(".")[2] + "-")
    return f"{prefix}{file}".replace("_", "-")


@dataclass(frozen=True)
class Exercise:
    """One exercise, its solution and what an answer is checked for.

    Attributes:
        place: where it stands among its topic's, from 1.
        title: its heading.
        difficulty: ``"easy"``, ``"medium"`` or ``"hard"``.
        minutes: how long it may take.
        expects: what is to be handed in, such as ``"a function of (online, target, tau) that returns an array"``.
        solution: a function that is right. Its source is what the reader is shown, and what the tests prove.
        why: why it is right, as Markdown.
        checks: functions of the answer, from the plainest to the deepest. The docstring of each says what is right
            when it passes; it raises :class:`Hint` when it is not.
        value: True where a value is handed in and not a function: the one that ``solution()`` returns.

    Raises:
        ValueError: a text is empty, ``place`` or ``minutes`` not positive, or there is no check, or one without a
            docstring.
    """

    place: int
    title: str
    difficulty: Literal["easy", "medium", "hard"]
    minutes: int
    expects: str
    solution: Callable[..., Any]
    why: str
    checks: Sequence[Check]
    value: bool = False

    def __post_init__(self) -> None:
        for key in ("title", "task", "expects", "why"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} of exercise {self.name!r} is empty; write it")
        for key in ("place", "minutes"):
            if getattr(self, key) <= 0:
                raise ValueError(f"{key} of {self.name!r} is {getattr(self, key)}; it must be positive")
        if not self.checks:
            raise ValueError(f"checks of {self.name!r} is empty; an answer must be checked for something")
        for each in self.checks:
            if not inspect.getdoc(each):
                raise ValueError(f"a check of {self.name!r} has no docstring; it says what is right when it passes")

    @property
    def name(self) -> str:
        """How the reader calls it, after its file: ``"dqn-clock"`` for ``dqn/clock.py``."""
        package, _, file = self.solution.__module__.rpartition(".")
        return called(package, file)

    @property
    def task(self) -> str:
        """What to do: the docstring of the file that the solution stands in."""
        return inspect.getdoc(inspect.getmodule(self.solution)) or ""

    def right_answer(self) -> Any:
        """What a reader who solved it hands in."""
        return self.solution() if self.value else self.solution
