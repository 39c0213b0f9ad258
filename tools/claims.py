"""The chapters' claims: read them off the notebooks, and hold what a run measured against the rehearsals.

    python tools/claims.py            # after the notebooks were executed: fails on what luck cannot explain
    python tools/claims.py --margins  # the table of rehearsals: chapter, claims, rehearsals, least margin

A claim is rehearsed if the chapter's file in ``companion/study/rehearsals`` holds its words, with the same computation:
the digest of the code that its value comes from, found by following names backwards through the chapter's cells.
"""

from __future__ import annotations

import argparse
import ast
import copy
import hashlib
import json
import math
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat

from chapters import all_notebooks, slug
from companion.study.claims import HELD, KEY, Claim
from companion.study.pages import spelt_out
from companion.study.rehearsals import ENOUGH, FOLDER, MARGIN, Bound, Rehearsed, rehearsed, threshold
from notebooks import EXECUTED, cost_file

SHOW_ONLY = {"study", "plt"}
"""Modules whose calls as a statement show something and change no value."""


@dataclass(frozen=True)
class Stated:
    """A claim as it stands in a chapter.

    Attributes:
        words: as they stand there.
        frozen: whether it is of a recording.
        computation: the digest of the code that its value comes from.
        bound: None where the code does not say it in numbers.
    """

    words: str
    frozen: bool
    computation: str
    bound: Bound | None


def stated(notebook: Path) -> list[Stated]:
    """The claims of a chapter, in order.

    Raises:
        ValueError: the words of one are no literal, or stand twice.
    """
    statements: list[ast.stmt] = []
    for cell in nbformat.read(notebook, as_version=4).cells:
        if cell.cell_type == "code":
            statements += ast.parse(re.sub(r"^(\s*)[%!].*", r"\1pass", cell.source, flags=re.M)).body  # magics
    chapter = _Chapter(statements)
    found = []
    for place, statement in enumerate(statements):
        for call in _claims_in(statement):
            words = call.args[0] if call.args else None
            if not (isinstance(words, ast.Constant) and isinstance(words.value, str)):
                raise ValueError(f"{notebook.name}: a claim's words must be a plain text: {ast.unparse(call)[:80]}")
            frozen = call.func.attr == "recorded"  # type: ignore[attr-defined]
            found.append(Stated(words.value, frozen, chapter.digest(place, call), _bound(call)))
    twice = {s.words for s in found if sum(t.words == s.words for t in found) > 1}
    if twice:
        raise ValueError(f"{notebook.name}: these words stand twice: {sorted(twice)}")
    return found


def _claims_in(node: ast.AST) -> Iterator[ast.Call]:
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Attribute):
            of_study = isinstance(inner.func.value, ast.Name) and inner.func.value.id == "study"
            if of_study and inner.func.attr in ("claim", "recorded"):
                yield inner


def _bound(call: ast.Call) -> Bound | None:
    """The bound of a claim, if it is written in numbers."""
    ends = {k.arg: k.value for k in call.keywords if k.arg in ("above", "below", "within")}
    try:
        values = {name: eval(ast.unparse(end), {"__builtins__": {}}) for name, end in ends.items()}
    except NameError:
        return None
    if "within" in values:
        return Bound(*values["within"])
    return Bound(values.get("above", -math.inf), values.get("below", math.inf))


class _Unbound(ast.NodeTransformer):
    """Takes the bounds out of claims."""

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if any(call is node for call in _claims_in(node)):
            node.keywords = [k for k in node.keywords if k.arg not in ("above", "below", "within")]
        return node


class _Homeless(ast.NodeTransformer):
    """Takes out of imports where in the package a name lives, which decides no value."""

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST:
        if (node.module or "").startswith("companion."):
            node.module = "companion"
        return node


class _Chapter:
    """The statements of a chapter's cells, and what each gives to the later ones."""

    def __init__(self, statements: list[ast.stmt]) -> None:
        self.statements = statements
        self.uses = [_used(s) for s in statements]
        self.gives = [_given(s) for s in statements]
        self.inside = {  # what a function or class needs when it is called, wherever that was assigned
            s.name: _used(s) for s in statements if isinstance(s, ast.FunctionDef | ast.ClassDef)
        }

    def digest(self, place: int, call: ast.Call) -> str:
        """Digest of a claim's value and of every statement that it comes from."""
        value = [*call.args[1:], *(k.value for k in call.keywords if k.arg in ("value", "diverged"))]
        needed: set[str] = set()
        self._need(needed, set().union(*(_used(part) for part in value)))
        parts = [ast.dump(part) for part in value]
        if not isinstance(self.statements[place], ast.Expr):  # a claim in a loop, say: what is assigned around it
            parts.append(ast.dump(_Unbound().visit(copy.deepcopy(self.statements[place]))))
            self._need(needed, self.uses[place])
        for statement, gives, uses in reversed(
            list(zip(self.statements[:place], self.gives[:place], self.uses[:place], strict=True))
        ):
            if gives & needed:
                parts.append(ast.dump(_Homeless().visit(copy.deepcopy(statement))))
                if _only_assigns(statement):
                    needed -= gives
                self._need(needed, uses)
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]

    def _need(self, needed: set[str], names: set[str]) -> None:
        """Add names, and what the functions among them use."""
        for name in names - needed:
            needed.add(name)
            if name in self.inside:
                self._need(needed, self.inside[name])


def _used(node: ast.AST | list[Any]) -> set[str]:
    """Names that must have a value before code can run: not the variables of its own loops and functions."""
    match node:
        case list():
            return set().union(*map(_used, node))
        case ast.Name():
            return {node.id} if isinstance(node.ctx, ast.Load) else set()
        case ast.For():
            return _used(node.iter) | (_used([node.target, *node.body, *node.orelse]) - _stored(node.target))
        case ast.With():
            own = _stored([item.optional_vars for item in node.items if item.optional_vars])
            return _used([item.context_expr for item in node.items]) | (_used(node.body) - own)
        case ast.ListComp() | ast.SetComp() | ast.GeneratorExp() | ast.DictComp():
            used: set[str] = set()
            own = set()
            for part in node.generators:
                used |= _used(part.iter) - own
                own |= _stored(part.target)
                used |= _used(part.ifs) - own
            made = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            return used | (_used(made) - own)
        case ast.FunctionDef() | ast.Lambda():
            body = node.body if isinstance(node.body, list) else [node.body]
            own = {argument.arg for argument in ast.walk(node.args) if isinstance(argument, ast.arg)}
            own |= _stored(body) - _stored([n for n in ast.walk(node) if isinstance(n, ast.comprehension)])
            return _used([node.args, *getattr(node, "decorator_list", [])]) | (_used(body) - own)
    return _used(list(ast.iter_child_nodes(node)))


def _stored(node: ast.AST | list[Any]) -> set[str]:
    """Names that a piece of code, or pieces, binds."""
    pieces = node if isinstance(node, list) else [node]
    names = (n for piece in pieces for n in ast.walk(piece) if isinstance(n, ast.Name))
    return {name.id for name in names if isinstance(name.ctx, ast.Store)}


def _only_assigns(statement: ast.stmt) -> bool:
    """Whether a statement replaces all that it gives."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return True
    return isinstance(statement, ast.Assign) and all(
        isinstance(part, ast.Name | ast.Tuple | ast.List | ast.Store | ast.Starred)
        for target in statement.targets
        for part in ast.walk(target)
    )


def _given(statement: ast.stmt) -> set[str]:
    """Names that a statement binds or whose objects it changes."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    imported = {(n.asname or n.name).split(".")[0] for n in ast.walk(statement) if isinstance(n, ast.alias)}
    return _stored(statement) | _changed(statement) | imported


def _changed(statement: ast.stmt) -> set[str]:
    """Names whose objects a statement changes: by assignment to a part of them, by a call that is a statement."""
    changed: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
            changed.add(_root(node))
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            root = _root(node.value.func)
            if root not in SHOW_ONLY:
                changed.add(root)
                if isinstance(node.value.func, ast.Name) or root == "companion":
                    changed |= {_root(a) for a in (*node.value.args, *(k.value for k in node.value.keywords))}
    for loop in reversed(list(ast.walk(statement))):  # from within: what a loop's variable changes, it runs over
        if isinstance(loop, ast.For):
            for names, over in _runs_over(loop.target, loop.iter):
                if names & changed:
                    changed |= over
    return changed - {""}


def _runs_over(target: ast.expr, iterated: ast.expr) -> Iterator[tuple[set[str], set[str]]]:
    """A loop's variables, and the names of what their values are parts of."""
    match iterated, target:
        case ast.Call(func=ast.Name(id="zip"), args=args), ast.Tuple(elts=elts) if len(args) == len(elts):
            for part, of in zip(elts, args, strict=True):
                yield from _runs_over(part, of)
        case ast.Call(func=ast.Name(id="enumerate"), args=[of, *_]), ast.Tuple(elts=[_, part]):
            yield from _runs_over(part, of)
        case _:
            functions = {
                _root(n.func) for n in ast.walk(iterated) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)
            }
            yield _stored(target), _used(iterated) - functions


def _root(node: ast.AST) -> str:
    """``x`` of ``x.y[z]``; of anything else nothing."""
    while isinstance(node, ast.Attribute | ast.Subscript):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def measured(executed: Path) -> list[Claim]:
    """The claims in the outputs of an executed notebook, if it was; one that was made again counts as it was last."""
    found: dict[str, Claim] = {}
    if not executed.exists():
        return []
    for cell in nbformat.read(executed, as_version=4).cells:
        for output in cell.get("outputs", []):
            for data in output.get("metadata", {}).get(KEY, {}).get("claims", []):
                found[data["words"]] = as_measured(data)
    return list(found.values())


def as_measured(data: dict[str, Any]) -> Claim:
    """A claim as a run measured it, from its JSON."""
    bound = Bound(
        -math.inf if data["low"] is None else data["low"],
        math.inf if data["high"] is None else data["high"],
    )
    return Claim(data["words"], tuple(map(float, data["values"])), bound, data["frozen"])


def runs_of(chapter: str) -> list[dict[str, Any]]:
    """Where and how each rehearsal of a chapter was run; none if it was never rehearsed."""
    file = FOLDER / f"{chapter}.json"
    return json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else []


def faults_of_rehearsals(notebook: Path) -> list[str]:
    """What is wrong with a chapter's rehearsals, as far as its text tells: claims that have none, or too few."""
    past = rehearsed(slug(notebook))
    faults = []
    for claim in stated(notebook):
        if claim.frozen:
            continue
        if (kept := past.get(claim.words)) is None:
            faults.append(f"never rehearsed, or its words changed since: {claim.words}")
        elif kept.computation != claim.computation:
            faults.append(f"its computation changed since it was rehearsed: {claim.words}")
        elif len(kept.values) < ENOUGH:
            faults.append(f"rehearsed {len(kept.values)} times, {ENOUGH} are needed: {claim.words}")
    return faults


def faults_of_run(notebook: Path, limit: float) -> list[str]:
    """What luck cannot explain of a run: a value too far from the rehearsals, words that promise too much."""
    executed = cost_file(notebook)
    quick = executed.exists() and json.loads(executed.read_text())["budget"] == "quick"
    past = rehearsed(slug(notebook)) if quick else {}  # other numbers have no rehearsals
    faults = []
    for claim in measured(EXECUTED / notebook.name):
        if claim.frozen:
            if not claim.holds:
                faults.append(f"does not hold of its recording: {claim.words}")
            continue
        if (kept := past.get(claim.words)) is None:
            continue  # said already
        faults += promises(kept, claim.bound)
        surprise = kept.surprise(claim.bound, claim.values)
        if surprise > limit:
            worst = claim.bound.worst(claim.values)
            faults.append(
                f"{worst:.4g} lies {surprise:.1f} standard deviations from its rehearsals, over {limit:.1f}: "
                f"a regression, not luck: {claim.words}"
            )
    return faults


def promises(kept: Rehearsed, bound: Bound) -> list[str]:
    """Whether a claim's words promise more than its rehearsals held."""
    if HELD in kept.words or (kept.held(bound) == len(kept.values) and kept.margin(bound) >= MARGIN):
        return []
    often = f"held in {kept.held(bound)} of {len(kept.values)} rehearsals, {kept.margin(bound):.1f} standard deviations"
    return [f"{often}: weaken it, or say {HELD}: {kept.words}"]


def limit() -> float:
    """How far from its rehearsals a value may lie, in standard deviations of a prediction."""
    return threshold(max(1, sum(len(rehearsed(slug(notebook))) for notebook in all_notebooks())))


def failed_here() -> list[str]:
    """The claims that did not hold when the notebooks were last executed, a line each."""
    lines = []
    for notebook in all_notebooks():
        past = rehearsed(slug(notebook))
        for claim in measured(EXECUTED / notebook.name):
            if not claim.holds and not claim.frozen:
                kept = past.get(claim.words)
                often = f"{kept.held(claim.bound)} of {len(kept.values)} rehearsals" if kept else "not rehearsed"
                lines.append(f"{slug(notebook)}: {claim.words.replace(HELD, often)} ({often})")
    return lines


def report() -> None:
    """List what did not hold here, which is no error."""
    made = sum(not c.frozen for n in all_notebooks() for c in measured(EXECUTED / n.name))
    lines = failed_here()
    print(f"claims: {made - len(lines)} of {made} hold on this machine")
    for line in lines:
        print(f"  not in this run: {line}")


def margins() -> str:
    """A table: chapter, claims, rehearsals, least margin of those that always held, and how many hold sometimes."""
    rows = ["| chapter | claims | rehearsals | least margin | say how often |", "|-|-:|-:|-:|-:|"]
    for notebook in all_notebooks():
        past = rehearsed(slug(notebook))
        run = [c for c in measured(EXECUTED / notebook.name) if not c.frozen and c.words in past]
        sure = [past[c.words].margin(c.bound) for c in run if HELD not in c.words]
        count = min((len(past[c.words].values) for c in run), default=0)
        least = f"{min(sure):.1f}" if sure else "–"
        rows.append(f"| {slug(notebook)} | {len(run)} | {count} | {least} | {len(run) - len(sure)} |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--margins", action="store_true", help="print the table of rehearsals")
    if parser.parse_args().margins:
        print(margins())
        return 0
    far = limit()
    faults = 0
    for notebook in all_notebooks():
        for fault in faults_of_rehearsals(notebook) + faults_of_run(notebook, far):
            print(f"{notebook.name}: {fault}")
            faults += 1
    report()
    print(f"claims: {faults} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    spelt_out()
    sys.exit(main())
