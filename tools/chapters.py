"""The chapters, in reading order, from `book/chapters.toml`; and what repeats that table, written anew.

    python tools/chapters.py     # the chapters' entries in `_toc.yml` and the table in `README.md`

The cards of the welcome page are made of it when the book is built.
"""

from __future__ import annotations

import itertools
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "book" / "chapters.toml"


@dataclass(frozen=True)
class Chapter:
    """A row of the table, whose meaning stands there, and its number in it, from 1."""

    number: int
    part: str
    notebook: str
    title: str
    line: str
    promise: str

    @property
    def path(self) -> Path:
        return ROOT / "notebooks" / f"{self.notebook}.ipynb"

    @property
    def link(self) -> str:
        """Number and title as a link, from a page of the book."""
        return f"[{self.number}. {self.title}](../notebooks/{self.notebook}.ipynb)"


def chapters(table: str) -> list[Chapter]:
    """The chapters of a table's text."""
    return [Chapter(number, **row) for number, row in enumerate(tomllib.loads(table)["chapter"], 1)]


CHAPTERS = chapters(TABLE.read_text(encoding="utf-8"))


def all_notebooks() -> list[Path]:
    """The chapters' files, in reading order."""
    return [chapter.path for chapter in CHAPTERS]


def slug(notebook: Path) -> str:
    """``02_ema_in_numpy.ipynb`` → ``ema-in-numpy``: a chapter's name does not carry a number."""
    return notebook.stem.partition("_")[2].replace("_", "-")


def toc(of: list[Chapter]) -> str:
    """The chapters' parts of ``_toc.yml``."""
    lines = []
    for part, within in itertools.groupby(of, lambda chapter: chapter.part):
        lines += [f"  - caption: {part}", "    chapters:"]
        lines += [f"      - file: notebooks/{chapter.notebook}" for chapter in within]
    return "\n".join(lines) + "\n"


def rows(of: list[Chapter]) -> str:
    """The table of ``README.md``."""
    lines = ["| | chapter | in one line |", "|---|---|---|"]
    lines += [f"| {c.number} | [{c.title}](notebooks/{c.notebook}.ipynb) | {c.line} |" for c in of]
    return "\n".join(lines) + "\n"


def cards(of: list[Chapter]) -> str:
    """The cards of the welcome page."""
    made = [
        f":::{{grid-item-card}} {c.number} · {c.title}\n:link: ../notebooks/{c.notebook}\n:link-type: doc\n\n"
        f"{c.promise}\n:::\n"
        for c in of
    ]
    return "\n".join(["::::{grid} 1 1 2 2\n:gutter: 3\n", *made]) + "::::\n"


PLACES = {"_toc.yml": toc, "README.md": rows}
"""Files of the repository's root that hold a piece between their lines ``begin chapters`` and ``end chapters``."""


def written(text: str, piece: str, name: str = "chapters") -> str:
    """A file's text with this piece in the place that has this name.

    Raises:
        ValueError: it has no place for it.
    """
    place = re.fullmatch(rf"(?ms)(.*?^[^\n]*begin {name}[^\n]*\n).*?(^[^\n]*end {name}.*)", text)
    if place is None:
        raise ValueError(f"a file must hold a line 'begin {name}' and, after it, a line 'end {name}'")
    return f"{place[1]}{piece}{place[2]}"


def main() -> None:
    for name, piece in PLACES.items():
        path = ROOT / name
        path.write_text(written(path.read_text(encoding="utf-8"), piece(CHAPTERS)), encoding="utf-8")


if __name__ == "__main__":
    main()
