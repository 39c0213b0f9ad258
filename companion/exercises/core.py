"""What an exercise is, how an answer is checked, and where progress is kept."""

import ast
import difflib
import functools
import importlib
import inspect
import json
import linecache
import os
import pkgutil
import textwrap
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import date
from pathlib import Path
from types import FunctionType
from typing import Any, Literal

import numpy as np

from companion.study.pages import say, send

Check = Callable[[Any], None]

READING_ORDER = ["iterates", "ema", "bootstrapping", "dqn", "ddpg", "td3", "sac", "moco", "byol"]
"""The order in which the topics are shown; a topic that is not named comes after these."""


class Hint(Exception):  # noqa: N818 - not an error of the program but a word to the reader
    """What is not right yet in an answer, and a nudge in the right direction."""


def expect(condition: object, hint: str) -> None:
    """Raise ``Hint(hint)`` unless ``condition`` holds."""
    if not condition:
        raise Hint(hint)


def returned(got: Any) -> Any:
    """What an answer returned, or a ``Hint`` if that is nothing."""
    expect(got is not None, "It returned None. Is a `return` missing?")
    return got


def matches(got: Any, want: Any, hint: str, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Raise a ``Hint`` unless ``got`` equals ``want`` to within the tolerances.

    A missing ``return``, a value that is no number and a wrong shape have hints of their own; a wrong value gives
    ``hint``. NumPy arrays, torch tensors and plain numbers all do.
    """
    numbers, wanted = _numbers(returned(got)), _numbers(want)
    if numbers is None:
        raise Hint(f"It returned {_brief(got)}, a {type(got).__name__}, where numbers are expected.")
    assert wanted is not None
    if numbers.shape != wanted.shape:
        raise Hint(f"The shape is {numbers.shape}, and {wanted.shape} is expected. {hint}")
    if not np.allclose(numbers, wanted, rtol=rtol, atol=atol):
        raise Hint(hint)


def expect_settings(answer: Any, settings: type, *, batch: int) -> None:
    """Raise a ``Hint`` unless it is a dict of these settings, one value each, of networks and batches that are quick.

    Args:
        answer: what was handed in.
        settings: the algorithm's dataclass of settings.
        batch: the largest batch allowed.
    """
    expect(isinstance(answer, dict), f"Hand in a dict of settings; this is a {type(answer).__name__}.")
    known = [field.name for field in fields(settings)]
    for name, value in answer.items():
        expect(
            name in known,
            f"`{name}` is no setting of {settings.__name__}. It has {', '.join(known)}; steps and seeds are ours.",
        )
        expect(not isinstance(value, list), f"`{name}` is a list: give one value, the sweep is for finding it.")
    quick = sum(answer.get("hidden", (64, 64))) <= 256 and answer.get("batch_size", 64) <= batch
    expect(quick, f"Keep to 256 hidden units in all and batches of {batch}, so that it stays quick.")


def checks_of_a_line(listing: str, innocent: Mapping[str, str]) -> list[Check]:
    """Checks of an answer that is the number, from 1, of the line of a listing that does the harm.

    Args:
        listing: what the reader sees.
        innocent: how each harmless line begins, and the hint for who suspects it.
    """
    lines = [line.strip() for line in listing.splitlines()]

    def is_a_line(answer: Any) -> None:
        """It is the number of a line that does something."""
        a_number = isinstance(answer, int) and not isinstance(answer, bool)
        expect(a_number, f"Hand in the line's number, such as 5; this is {answer!r}.")
        expect(1 <= answer <= len(lines), f"The listing has {len(lines)} lines, and there is no line {answer}.")
        expect(lines[answer - 1], f"Line {answer} is empty.")

    def is_guilty(answer: Any) -> None:
        """It is the one that does the harm."""
        line = lines[answer - 1]
        for start, hint in innocent.items():
            if line.startswith(start):
                raise Hint(f"Line {answer}, `{line}`: {hint}")

    return [is_a_line, is_guilty]


@dataclass(frozen=True)
class Exercise:
    """One exercise, its solution and what an answer is checked for.

    Attributes:
        name: how the reader calls it, such as ``"soft-update"``.
        title: its heading.
        difficulty: ``"easy"``, ``"medium"`` or ``"hard"``.
        minutes: how long it may take.
        task: what to do.
        expects: what is to be handed in, such as ``"a function of (online, target, tau) that returns an array"``.
        solution: a function that is right. Its source is what the reader is shown, and what the tests prove.
        why: why it is right, as Markdown.
        checks: functions of the answer, from the plainest to the deepest. The docstring of each says what is right
            when it passes; it raises :class:`Hint` when it is not.
        value: True where a value is handed in and not a function: the one that ``solution()`` returns.
    """

    name: str
    title: str
    difficulty: Literal["easy", "medium", "hard"]
    minutes: int
    task: str
    expects: str
    solution: Callable[..., Any]
    why: str
    checks: Sequence[Check]
    value: bool = False

    def __post_init__(self) -> None:
        for key in ("name", "title", "task", "expects", "why"):
            if not getattr(self, key).strip():
                raise ValueError(f"{key} of exercise {self.name!r} is empty; write it")
        if self.minutes <= 0:
            raise ValueError(f"minutes of {self.name!r} is {self.minutes}; it must be positive")
        if not self.checks:
            raise ValueError(f"checks of {self.name!r} is empty; an answer must be checked for something")
        for each in self.checks:
            if not inspect.getdoc(each):
                raise ValueError(f"a check of {self.name!r} has no docstring; it says what is right when it passes")

    def right_answer(self) -> Any:
        """What a reader who solved it hands in."""
        return self.solution() if self.value else self.solution


@dataclass(frozen=True)
class Report:
    """What ``check`` found; true when the answer passed.

    Attributes:
        exercise: what was checked.
        status: ``"passed"``, ``"not yet"`` or ``"not attempted"``.
        right: what is right, one line each.
        hint: the first thing that is not, as Markdown.
        note: what went wrong beside the answer, such as progress that could not be kept.
    """

    exercise: Exercise
    status: Literal["passed", "not yet", "not attempted"]
    right: list[str] = field(default_factory=list)
    hint: str = ""
    note: str = ""

    def __bool__(self) -> bool:
        return self.status == "passed"

    def __repr__(self) -> str:
        return f"<{self.exercise.name}: {self.status}>"

    def _ipython_display_(self) -> None:
        """Nothing: ``check`` has shown the report already, and as a cell's last line it would come twice."""

    def show(self) -> None:
        """Show the report: Markdown in a notebook, plain text in a script."""
        parts = [f"**{self.exercise.title}**: {self.status}."]
        if self.status == "not attempted":
            parts[0] += f" Hand in {self.exercise.expects}."
        marks = [f"✓ {line}" for line in self.right]
        if self.hint:
            marks.append(f"✗ {self.hint}")
        if self.status == "passed":
            parts.append(f"`companion.solution({self.exercise.name!r})` shows ours, and why.")
        if self.note:
            parts.append(self.note)
        markdown = "\n\n".join([parts[0], *(["\n".join(f"- {mark}" for mark in marks)] if marks else []), *parts[1:]])
        plain = "\n".join([parts[0].replace("**", ""), *(f"  {mark}" for mark in marks), *parts[1:]])
        send({"text/markdown": markdown, "text/plain": plain.replace("`", "")})


def check(name: str, answer: Any) -> Report:
    """Check an answer and show what is right, then the first thing that is not, with a hint.

    Args:
        name: the exercise's, such as ``"soft-update"``.
        answer: what the exercise asks for, most often a function of yours.

    Returns:
        A report, true when the answer passed.

    Raises:
        ValueError: there is no such exercise; names the nearest.
    """
    exercise = find(name)
    report = _examine(exercise, answer)
    report.show()
    return report


def solution(name: str) -> None:
    """Show the source of the exercise's solution, and why it is right.

    Raises:
        ValueError: there is no such exercise; names the nearest.
    """
    exercise = find(name)
    source = textwrap.dedent(inspect.getsource(exercise.solution)).rstrip()
    markdown = f"```python\n{source}\n```\n\n{exercise.why.strip()}"
    send({"text/markdown": markdown, "text/plain": f"{source}\n\n{exercise.why.strip()}"})


def progress() -> None:
    """Show every exercise by topic, with a ✓ and the day for those that passed."""
    passed, note = _passed()
    lines = []
    for topic, exercises in topics().items():
        done = sum(exercise.name in passed for exercise in exercises)
        lines += [
            f"**{topic}**: {done} of {len(exercises)}",
            "",
            "| passed | exercise | title | difficulty | minutes |",
            "|-|-|-|-|-|",
        ]
        for exercise in exercises:
            mark = f"✓ {passed[exercise.name]}" if exercise.name in passed else ""
            lines.append(
                f"| {mark} | `{exercise.name}` | {exercise.title} | {exercise.difficulty} | {exercise.minutes} |"
            )
        lines.append("")
    say("\n".join([*lines, note]).strip())


def find(name: str) -> Exercise:
    """The exercise called ``name``.

    Raises:
        ValueError: there is none; names the nearest.
    """
    known = {exercise.name: exercise for exercises in topics().values() for exercise in exercises}
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.0)
        nearest = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"name is {name!r}, and there is no such exercise.{nearest} companion.progress() lists all")
    return known[name]


@functools.cache
def topics() -> dict[str, list[Exercise]]:
    """Every topic, named by the first line of its module, and its exercises: each module here but this one."""
    package = importlib.import_module("companion.exercises")
    found: dict[str, list[Exercise]] = {}
    names: set[str] = set()
    modules = {module.name for module in pkgutil.iter_modules(package.__path__)} - {"core"}
    for name in [*READING_ORDER, *sorted(modules - set(READING_ORDER))]:
        topic = importlib.import_module(f"companion.exercises.{name}")
        for exercise in topic.EXERCISES:
            if exercise.name in names:
                raise ValueError(f"exercise name {exercise.name!r} is taken twice; rename one in {name}.py")
            names.add(exercise.name)
        title = (topic.__doc__ or name).strip().splitlines()[0].rstrip(".")
        found[title] = list(topic.EXERCISES)
    return found


def _examine(exercise: Exercise, answer: Any) -> Report:
    if untouched(answer):
        return Report(exercise, "not attempted")
    right: list[str] = []
    for each in exercise.checks:
        try:
            each(answer)
        except Hint as hint:
            return Report(exercise, "not yet", right, str(hint))
        except NotImplementedError:
            return Report(exercise, "not attempted")
        except Exception as error:
            return Report(exercise, "not yet", right, _explain(error, exercise, answer))
        right.append(" ".join((inspect.getdoc(each) or "").split()))
    return Report(exercise, "passed", right, note=_keep(exercise.name))


def untouched(answer: Any) -> bool:
    """Whether an answer is the stub as it was handed out.

    That is ``...`` or None, a function whose body is no more than a docstring, ``...``, ``pass`` or
    ``raise NotImplementedError``, or a class all of whose methods are such functions.
    """
    if answer is None or answer is ...:
        return True
    if inspect.isclass(answer):
        methods = [value for value in vars(answer).values() if isinstance(value, FunctionType)]
        return bool(methods) and all(map(untouched, methods))
    if not isinstance(answer, FunctionType):
        return False
    try:
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(answer))).body
    except (OSError, SyntaxError, ValueError):  # no source to be had, or a lambda in the midst of a call
        return False
    return isinstance(tree, ast.FunctionDef) and all(map(_says_nothing, tree.body))


def _says_nothing(statement: ast.stmt) -> bool:
    match statement:
        case ast.Pass() | ast.Expr(ast.Constant()):
            return True
        case ast.Raise(ast.Name("NotImplementedError") | ast.Call(ast.Name("NotImplementedError"))):
            return True
    return False


def _explain(error: Exception, exercise: Exercise, answer: Any) -> str:
    """An error in the reader's code, with the reader's line; or one that came of using what the code returned."""
    what = f"`{type(error).__name__}: {_brief(error)}`" if str(error) else f"`{type(error).__name__}`"
    own = _file_of(answer)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == own]
    if frames:
        line = linecache.getline(frames[-1].filename, frames[-1].lineno or 0).strip()
        return f"Your code stopped with {what}, in line {frames[-1].lineno}: `{line}`"
    return f"Checking your answer stopped with {what}. Expected is {exercise.expects}."


def _file_of(answer: Any) -> str | None:
    """The file, or the notebook's cell, that the answer was written in."""
    if not isinstance(answer, FunctionType):  # a class, or an object of one: where its methods are
        methods = vars(answer if inspect.isclass(answer) else type(answer)).values()
        answer = next((value for value in methods if isinstance(value, FunctionType)), None)
    return inspect.unwrap(answer).__code__.co_filename if answer else None


def _numbers(value: Any) -> np.ndarray | None:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # lists of unequal lengths
        return None
    return array if array.dtype.kind in "biufc" else None


def _brief(value: object) -> str:
    return textwrap.shorten(str(value).replace("`", "'"), 160, placeholder=" …")


def _progress_file() -> Path:
    import platformdirs  # here, since without it a chapter still trains

    return platformdirs.user_data_path("slow-copy") / "progress.json"


def _passed() -> tuple[dict[str, str], str]:
    """The day each exercise was passed, and what to tell the reader if the file could not be read."""
    path = _progress_file()
    try:
        passed = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(passed, dict) or not all(isinstance(day, str) for day in passed.values()):
            raise ValueError("not a table of names and days")
    except FileNotFoundError:
        return {}, ""
    except OSError as error:
        return {}, f"Your progress could not be read: {error}."
    except ValueError:
        aside = next(p for i in range(1, 10_000) if not (p := path.with_name(f"progress.damaged-{i}.json")).exists())
        try:
            os.replace(path, aside)
        except OSError as error:
            return {}, f"Your progress file {path} is damaged and could not be set aside: {error}."
        return {}, f"Your progress file was damaged; it was set aside as {aside}, and a new one begins."
    return passed, ""


def _keep(name: str) -> str:
    """Note that an exercise was passed; what to tell the reader if that failed."""
    passed, note = _passed()
    if name in passed:
        return note
    path = _progress_file()
    partial = path.with_name(f".progress.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(json.dumps({**passed, name: date.today().isoformat()}, indent=1), encoding="utf-8")
        os.replace(partial, path)
    except OSError as error:
        return note or f"Your progress could not be kept: {error}."
    return note
