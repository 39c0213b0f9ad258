"""A notebook's code cells, run without Jupyter and without what may be missing."""

from __future__ import annotations

import ast
import json
import linecache
import time
import traceback
import warnings
from pathlib import Path
from typing import Any


class TimeIsUp(BaseException):
    """Not an `Exception`: no cell may catch it."""


class Cells:
    """A notebook's code cells, run statement by statement in one namespace.

    A statement that needs a package which is not installed is passed over, and so is what builds on it: a machine
    without matplotlib still trains. After a statement that fails the rest of its cell is passed over, and so is what
    builds on that; the next cell is run.
    """

    def __init__(self, file: Path) -> None:
        notebook = json.loads(file.read_text(encoding="utf-8"))
        cells = enumerate(notebook["cells"], 1)
        self.sources = {n: "".join(c["source"]) for n, c in cells if c["cell_type"] == "code"}
        self.at = 0
        """The number of the running cell, among all of the notebook's."""
        self.passed = 0
        self.failed: dict[int, str] = {}
        self.missing: dict[str, int] = {}
        """Package to how many statements were passed over for want of it."""
        self.followed: dict[int, int] = {}
        """Cell that failed to how many statements were passed over since they build on it."""
        self.warned: list[str] = []
        self._space: dict[str, Any] = {"__name__": "__main__"}
        self._lost: dict[str, str | int] = {}
        """Name that was never bound to the package that was missing, or the cell that failed."""

    def run(self, deadline: float) -> None:
        """Run them all.

        Raises:
            TimeIsUp: it is.
        """
        with warnings.catch_warnings():
            warnings.showwarning = self._warn
            for number, source in self.sources.items():
                self.at = number
                name = f"<cell {self.at}>"
                linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
                print(f"[cell {self.at}]", flush=True)
                self.passed += self._run(list(ast.parse(plain(source), name).body), name, deadline)

    def _run(self, statements: list[ast.stmt], name: str, deadline: float) -> bool:
        """Run a cell; whether it came to its end, no statement passed over."""
        whole = True
        for number, statement in enumerate(statements):
            if time.monotonic() > deadline:
                raise TimeIsUp
            last = number == len(statements) - 1
            try:
                if last and isinstance(statement, ast.Expr):  # Jupyter shows its value
                    value = eval(compile(ast.Expression(statement.value), name, "eval"), self._space)
                    print(end="" if value is None else f"{value!r}\n")
                else:
                    exec(compile(ast.Module([statement], []), name, "exec"), self._space)
            except Exception as error:
                whole = False
                if why := self._excuse(error):
                    self._lost |= dict.fromkeys(_bound([statement]), why)
                    continue
                traceback.print_exc()
                self.failed[self.at] = "".join(traceback.format_exception_only(error)).strip()
                self._lost |= dict.fromkeys(_bound(statements[number:]), self.at)
                break
            for found in _bound([statement]):
                self._lost.pop(found, None)
        return whole

    def _excuse(self, error: Exception) -> str | int | None:
        """The package that was missing or the cell that failed, where that is why; it is counted."""
        if isinstance(error, ModuleNotFoundError) and error.name:
            package = error.name.partition(".")[0]
            self.missing[package] = self.missing.get(package, 0) + 1
            return package
        why = self._lost.get(error.name) if isinstance(error, NameError) and error.name else None
        if isinstance(why, str):
            self.missing[why] += 1
        elif why is not None:
            self.followed[why] = self.followed.get(why, 0) + 1
        return why

    def _warn(self, message: Any, category: type[Warning], filename: str, lineno: int, *rest: Any) -> None:
        self.warned.append(f"cell {self.at} warns, at {Path(filename).name}:{lineno}: {category.__name__}: {message}")

    def notes(self) -> list[str]:
        """What was passed over or failed, and why."""
        notes = [f"{count} statements were passed over: they need {package}" for package, count in self.missing.items()]
        for cell, error in self.failed.items():
            also = self.followed.get(cell, 0)
            notes.append(f"cell {cell} failed: {error}" + f" ({also} later statements build on it)" * bool(also))
        return notes + self.warned


def plain(source: str) -> str:
    """A cell as Python: IPython's own lines, such as ``%pip install``, do nothing."""
    lines = source.splitlines()
    return "\n".join(
        line[: -len(line.lstrip())] + "pass" if line.lstrip().startswith(("%", "!")) else line for line in lines
    )


def _bound(statements: list[ast.stmt]) -> set[str]:
    """The names that statements give a meaning to, or would have."""
    names = set()
    for node in (node for statement in statements for node in ast.walk(statement)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.alias):
            names.add((node.asname or node.name).partition(".")[0])
    return names
