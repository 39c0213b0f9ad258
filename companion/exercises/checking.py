"""An answer is checked, and the report shown; or the solution is."""

import ast
import builtins
import inspect
import linecache
import symtable
import textwrap
import traceback
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any, Literal

from companion.exercises.exercise import Exercise
from companion.exercises.hints import Hint, brief
from companion.exercises.kept import keep
from companion.exercises.registry import find
from companion.study.pages import send


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
    source = _source(exercise.solution)
    markdown = f"```python\n{source}\n```\n\n{exercise.why.strip()}"
    send({"text/markdown": markdown, "text/plain": f"{source}\n\n{exercise.why.strip()}"})


def _source(solution: Any) -> str:
    """A solution's source, behind the imports of all that it takes from its file: it runs wherever it is pasted."""
    source = textwrap.dedent(inspect.getsource(solution)).rstrip()
    module = inspect.getmodule(solution)
    assert module is not None
    needed = _taken(symtable.symtable(source, module.__name__, "exec")) - {solution.__name__} - set(dir(builtins))
    lines = []
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            given = {alias.asname or alias.name.partition(".")[0]: alias for alias in statement.names}
            if found := needed & given.keys():
                statement.names = [alias for name, alias in given.items() if name in found]
                lines.append(ast.unparse(statement))
                needed -= found
    if needed:  # its file has them
        lines.append(f"from {module.__name__} import {', '.join(sorted(needed))}")
    return "\n".join([*lines, "", "", source]).lstrip()


def _taken(table: symtable.SymbolTable) -> set[str]:
    """Names that code takes from around it."""
    outermost = table.get_type() == "module"
    own = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}
    used = {s.get_name() for s in table.get_symbols() if s.is_referenced() and (outermost or s.is_global())}
    for inner in table.get_children():
        used |= _taken(inner)
    return used - own if outermost else used


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
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit() too: what an answer does stays in the answer
            return Report(exercise, "not yet", right, _explain(error, exercise, answer))
        right.append(" ".join((inspect.getdoc(each) or "").split()))
    return Report(exercise, "passed", right, note=keep(exercise.name))


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


def _explain(error: BaseException, exercise: Exercise, answer: Any) -> str:
    """An error in the reader's code, with the reader's line; or one that came of using what the code returned."""
    what = f"`{type(error).__name__}: {brief(error)}`" if str(error) else f"`{type(error).__name__}`"
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
