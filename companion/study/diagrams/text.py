"""Words and formulas in a drawing: ``$Q_1(s, a; θ^-)$`` between dollar signs, as in the book's text."""

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass

SMALL = 0.82
"""Size of an index or exponent, as a share of its line's."""
WIDEST = 0.66
"""Mean width of a character, as a share of the font's size: DejaVu Sans's, wider than what a page's font takes."""

# An index or exponent, in braces or a single sign; a run of letters; all other signs.
_FORMULA = re.compile(r"([_^])(?:\{([^}]*)\}|(.))|((?:[^\W\d_]\u0304?)+)|((?:\d|[^\w^])+)")


@dataclass(frozen=True)
class Piece:
    """Part of a line, in one style; ``level`` is 1 for an exponent, −1 for an index."""

    text: str
    italic: bool = False
    level: int = 0
    formula: bool = False


def pieces(line: str) -> Iterator[Piece]:
    """Split a line. In a formula single letters are italic, as variables are, and words such as ``max`` upright."""
    for number, part in enumerate(line.split("$")):
        if number % 2 == 0:
            if part:
                yield Piece(part)
            continue
        spaced = re.sub(r"([,;])(?=\S)", "\\1\u2009", part)
        for script, group, sign, letters, other in _FORMULA.findall(spaced):
            text = (group or sign or letters or other).replace("-", "−")
            alone = len(text.replace("\u0304", "").rstrip("′")) == 1 and text[0].isalpha()
            yield Piece(text, alone, {"^": 1, "_": -1}.get(script, 0), formula=True)


def extent(line: str, size: int | float) -> float:
    """How wide a line may be at most, in the drawing's units."""
    shares = (len(piece.text.replace("\u0304", "")) * (SMALL if piece.level else 1) for piece in pieces(line))
    return WIDEST * size * sum(shares)


def spans(line: str, size: int | float) -> str:
    """A line as SVG's ``<tspan>`` elements."""
    written, raised = [], 0.0
    for piece in pieces(line):
        wanted = {1: -0.36, 0: 0.0, -1: 0.2}[piece.level] * size
        attributes = ' class="m"' if piece.formula else ""
        attributes += ' font-style="italic"' if piece.italic else ""
        attributes += f' font-size="{SMALL * size:.1f}"' if piece.level else ""
        attributes += f' dy="{wanted - raised:.1f}"' if wanted != raised else ""
        written.append(f"<tspan{attributes}>{html.escape(piece.text)}</tspan>")
        raised = wanted
    return "".join(written)
