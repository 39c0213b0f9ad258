"""The code of `book/recipes.md`, by name: the page is its only source, and what tests it reads it here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

PAGE = Path(__file__).resolve().parent.parent / "book" / "recipes.md"
RECIPES: dict[str, str] = dict(
    re.findall(r"^```\{code-block\} python\n:name: recipe-([\w-]+)\n\n(.*?)^```$", PAGE.read_text("utf-8"), re.M | re.S)
)


def cook(name: str, given: dict[str, Any], instead: Mapping[str, str] = MappingProxyType({})) -> None:
    """Run a recipe with what it takes for given; what it makes is put beside that.

    Args:
        name: of the recipe.
        given: its variables, by name.
        instead: pieces of the recipe, and what to put in their place: to see what goes wrong then.

    Raises:
        ValueError: the recipe does not have such a piece, or has it more than once.
    """
    code = RECIPES[name]
    for piece, other in instead.items():
        if code.count(piece) != 1:
            raise ValueError(f"the recipe {name!r} has {piece!r} {code.count(piece)} times, expected once")
        code = code.replace(piece, other)
    exec(compile(code, f"{PAGE.name}, {name}", "exec"), given)
