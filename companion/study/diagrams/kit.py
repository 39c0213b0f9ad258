"""Boxes, what they send each other, where gradients flow and stop, and what is copied: drawn as one SVG."""

import html
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Literal

from companion.study.diagrams.text import extent, spans
from companion.study.figures import check_alt, show_svg
from companion.study.looks import ONLINE, TARGET

WIDTH = 360
"""Units that a drawing is wide: about a phone's pixels, so that 14 units are letters of 13 pixels there."""
SHOWN = 1.25
"""Pixels a unit where there is room."""

SIZE, SMALLER = 14.0, 12.0
LEADING = 18.0
INK, GRADIENT, RULE = "#2B333D", "#007F5C", "#D5DAE1"  # the green is told from orange and blue by the colour-blind, too

_BOXES = {
    "online": f'fill="#FBEEE4" stroke="{ONLINE}" stroke-width="2.2"',
    "target": f'fill="#E4F0F8" stroke="{TARGET}" stroke-width="2.2" stroke-dasharray="7 4"',
    "value": 'fill="#EEF1F4"',
    "loss": f'fill="#fff" stroke="{INK}" stroke-width="1.6"',
}
_LEGEND = {
    "online": "online: learns",
    "target": "target: follows",
    "flow": "sends",
    "gradient": "gradient",
    "stop": "stops here",
    "copy": "slow copy",
}
_WORDS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'Noto Sans', Arial, sans-serif"
_FORMULAS = "'STIX Two Text', Cambria, 'Times New Roman', 'DejaVu Serif', serif"

Length = int | float
Point = tuple[Length, Length]


@dataclass(frozen=True)
class Box:
    """A place that lines begin and end at; ``x`` and ``y`` are its middle."""

    x: Length
    y: Length
    width: Length
    height: Length
    circle: bool = False

    def left(self, down: Length = 0) -> Point:
        """The middle of the left side, or a point so far below it."""
        return self.x - self.width / 2, self.y + down

    def right(self, down: Length = 0) -> Point:
        return self.x + self.width / 2, self.y + down

    def top(self, along: Length = 0) -> Point:
        """The middle of the upper side, or a point so far to its right."""
        return self.x + along, self.y - self.height / 2

    def bottom(self, along: Length = 0) -> Point:
        return self.x + along, self.y + self.height / 2

    def edge(self, towards: Point) -> Point:
        """Where a line from the middle to ``towards`` leaves the box."""
        dx, dy = towards[0] - self.x, towards[1] - self.y
        if self.circle:
            share = self.width / 2 / (math.hypot(dx, dy) or 1)
        else:
            share = 1 / max(abs(dx) / (self.width / 2), abs(dy) / (self.height / 2), 1e-9)
        return self.x + share * dx, self.y + share * dy


class Diagram:
    """A picture of who sends what to whom, which gradients flow, and what is copied.

    ``x`` runs to the right from 0 to 360, ``y`` down from 0 to ``height``. Text between dollar signs is a formula,
    ``"$Q_1(s, a; θ^-)$"``; lines are separated by ``\\n``. What the signs mean is written below by itself.

    Args:
        alt: what the picture shows, for those who cannot see it.
        height: of the picture, without the key to its signs.
        caption: a line below the picture.
        title: a name, as the drawing's own.
        key: other words for the signs ``"online"``, ``"target"``, ``"flow"``, ``"gradient"``, ``"stop"``, ``"copy"``.

    Raises:
        ValueError: ``alt`` is empty, or ``key`` names something else.
    """

    def __init__(
        self,
        alt: str,
        height: Length,
        *,
        caption: str = "",
        title: str = "Diagram",
        key: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        check_alt(alt)
        for sign in key.keys() - _LEGEND.keys():
            raise ValueError(f"key names {sign!r}; the signs are {', '.join(_LEGEND)}")
        self.alt, self.caption, self.title = " ".join(alt.split()), caption, title
        self.height = height
        self.words = _LEGEND | dict(key)
        self._bands: list[str] = []
        self._boxes: list[str] = []
        self._lines: list[str] = []
        self._words: list[str] = []
        self._used: set[str] = set()

    def box(
        self,
        x: Length,
        y: Length,
        text: str,
        role: str = "value",
        *,
        width: Length | None = None,
        height: Length | None = None,
        circle: bool = False,
        opacity: Length = 1,
    ) -> Box:
        """A network (role ``"online"`` or ``"target"``), a ``"loss"``, or a ``"value"``, around ``x, y``.

        Raises:
            ValueError: there is no such role.
        """
        if role not in _BOXES:
            raise ValueError(f"role is {role!r}; choose one of {', '.join(_BOXES)}")
        lines = text.split("\n")
        width = width or max(extent(line, SIZE) for line in lines) + 20
        height = width if circle else height or LEADING * len(lines) + 14
        radius = height / 2 if circle else min(width, height, 36) / 2 if role == "value" else 9
        self._boxes.append(
            f'<rect x="{x - width / 2:g}" y="{y - height / 2:g}" width="{width:g}" height="{height:g}" '
            f'rx="{radius:g}" {_BOXES[role]} opacity="{opacity:g}"/>'
        )
        self._used |= {role} & _LEGEND.keys()
        strong = role in ("online", "target") and len(lines) > 1
        self.note(x, y, text, strong=strong)
        return Box(x, y, width, height, circle)

    def note(
        self,
        x: Length,
        y: Length,
        text: str,
        *,
        anchor: Literal["start", "middle", "end"] = "middle",
        size: Length = SIZE,
        strong: bool = False,
    ) -> None:
        """Text around, right of or left of ``x, y``; ``strong`` makes its first line bold."""
        lines = text.split("\n")
        first = y + 0.35 * size - LEADING * (len(lines) - 1) / 2
        for number, line in enumerate(lines if text else []):
            weight = ' font-weight="600"' if strong and number == 0 else ""
            self._words.append(
                f'<text x="{x:g}" y="{first + number * LEADING:g}" text-anchor="{anchor}" font-size="{size:g}"{weight}>'
                f"{spans(line, size)}</text>"
            )

    def flow(self, start: Box | Point, end: Box | Point, *via: Point, label: str = "", round: Length = 10) -> None:
        """A thin line: ``start`` sends ``end`` something. ``via`` are corners on the way, ``round`` their radius."""
        points = _points(start, end, via)
        shaft, head = _arrow(points, 9, 8, round)
        self._lines.append(f'<path d="{shaft}" fill="none" stroke="{INK}" stroke-width="1.6"/>')
        self._lines.append(f'<polygon points="{head}" fill="{INK}"/>')
        self._label(points, label)
        self._used.add("flow")

    def gradient(self, start: Box | Point, end: Box | Point, *via: Point, label: str = "", stops: bool = False) -> None:
        """A dotted line: a gradient flows from ``start`` to ``end``, or ``stops`` there, at two bars."""
        points = _points(start, end, via)
        shaft, head = _arrow(points, 0 if stops else 10, 12, 10)
        self._lines.append(
            f'<path d="{shaft}" fill="none" stroke="{GRADIENT}" stroke-width="3.6" stroke-linecap="round" '
            'stroke-dasharray="0.1 6.4"/>'
        )
        if stops:
            self._lines.append(f'<path d="{_bars(points)}" fill="none" stroke="{INK}" stroke-width="2.6"/>')
        else:
            self._lines.append(f'<polygon points="{head}" fill="{GRADIENT}"/>')
        self._label(points, label)
        self._used |= {"gradient", "stop"} if stops else {"gradient"}

    def copy(self, online: Box | Point, target: Box | Point, *via: Point, label: str = "$τ$") -> None:
        """A band from orange to blue: ``target`` is made from ``online``, slowly or at times, and learns nothing."""
        points = _points(online, target, via)
        (x1, y1), (x2, y2) = points[0], points[-1]
        shaft, head = _arrow(points, 13, 20, 12)
        name = f"band{len(self._bands)}"
        self._bands.append(
            f'<linearGradient id="{name}" gradientUnits="userSpaceOnUse" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" '
            f'y2="{y2:g}"><stop offset="0" stop-color="{ONLINE}"/><stop offset="0.8" stop-color="{TARGET}"/>'
            f'</linearGradient><path d="{shaft}" fill="none" stroke="url(#{name})" stroke-width="8"/>'
            f'<polygon points="{head}" fill="{TARGET}"/>'
        )
        if label:
            x, y = _middle(points)
            width = max(extent(label, SIZE) + 12, 22)
            self._bands.append(
                f'<rect x="{x - width / 2:g}" y="{y - 11:g}" width="{width:g}" height="22" rx="11" fill="#fff" '
                f'stroke="{TARGET}" stroke-width="1.5"/>'
            )
            self.note(x, y, label)
        self._used.add("copy")

    def tile(self, x: Length, y: Length, ground: str, shape: str, *, turn: Length = 0, grow: Length = 1) -> Box:
        """A little picture, of a star in one colour on another: what is seen by networks that look at pictures."""
        star = " ".join(
            f"{r * grow * math.sin(k * math.pi / 5):.1f},{-r * grow * math.cos(k * math.pi / 5):.1f}"
            for k, r in enumerate([17, 8] * 5)
        )
        self._boxes.append(
            f'<svg x="{x - 24:g}" y="{y - 24:g}" width="48" height="48" viewBox="-24 -24 48 48">'
            f'<rect x="-24" y="-24" width="48" height="48" fill="{ground}"/>'
            f'<polygon points="{star}" fill="{shape}" transform="rotate({turn:g})"/></svg>'
        )
        return Box(x, y, 48, 48)

    def svg(self) -> str:
        """The drawing, whole: an SVG document with title and description."""
        key, height = self._key()
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" width="{SHOWN * WIDTH:g}" '
            f'height="{SHOWN * height:g}" role="img" aria-labelledby="title desc" font-family="{_WORDS}">'
            f'<title id="title">{html.escape(self.title)}</title><desc id="desc">{html.escape(self.alt)}</desc>'
            f"<style>text {{ fill: {INK} }} .m {{ font-family: {_FORMULAS} }}</style>"
            f'<rect width="{WIDTH}" height="{height:g}" fill="#fff"/>'
            f"{''.join(self._bands + self._boxes + self._lines + self._words)}{key}</svg>"
        )

    def show(self) -> None:
        """Show it in the page, with its description and caption; a plain script prints them."""
        show_svg(self.svg(), round(SHOWN * WIDTH), self.alt, self.caption)

    def _label(self, points: list[Point], text: str) -> None:
        """Text on a line, which is interrupted for it."""
        if text:
            x, y = _middle(points)
            wide = 0.85 * extent(text, SIZE) + 4
            self._lines.append(f'<rect x="{x - wide / 2:g}" y="{y - 10:g}" width="{wide:g}" height="20" fill="#fff"/>')
            self.note(x, y, text)

    def _key(self) -> tuple[str, Length]:
        """What the signs in use mean, in rows below the picture; and the height of it all."""
        used = [sign for sign in _LEGEND if sign in self._used]
        columns = 2 if len(used) in (2, 4) else 3
        key = Diagram("key", 0)
        for number, sign in enumerate(used):
            x, y = 8 + 363 // columns * (number % columns), self.height + 24 + 25 * (number // columns)
            ends = (x, y), (x + (17 if sign == "stop" else 24), y)
            match sign:
                case "online" | "target":
                    key.box(x + 12, y, "", sign, width=24, height=16)
                case "flow":
                    key.flow(*ends)
                case "copy":
                    key.copy(*ends, label="")
                case _:
                    key.gradient(*ends, stops=sign == "stop")
            key.note(x + 30, y, self.words[sign], anchor="start", size=SMALLER)
        rule = f'<path d="M8,{self.height:g} H{WIDTH - 8}" stroke="{RULE}"/>' if used else ""
        bands = [band.replace("band", "key") for band in key._bands]  # an id stands once in a picture
        drawn = "".join([rule, *bands, *key._boxes, *key._lines, *key._words])
        return drawn, self.height + 25 * math.ceil(len(used) / columns) + 14


def _points(start: Box | Point, end: Box | Point, via: tuple[Point, ...]) -> list[Point]:
    """A line's corners, from border to border."""
    middle = [(place.x, place.y) if isinstance(place, Box) else place for place in (start, end)]
    first = start.edge(via[0] if via else middle[1]) if isinstance(start, Box) else start
    last = end.edge(via[-1] if via else middle[0]) if isinstance(end, Box) else end
    return [first, *via, last]


def _towards(start: Point, end: Point, length: Length) -> Point:
    """So far from ``start`` in the direction of ``end``."""
    distance = math.dist(start, end) or 1
    return tuple(a + length * (b - a) / distance for a, b in zip(start, end, strict=True))  # type: ignore[return-value]


def _arrow(points: list[Point], length: Length, width: Length, round: Length) -> tuple[str, str]:
    """The shaft's path, its corners rounded, and the corners of a head that ends where the line does."""
    *_, before, tip = points
    neck = _towards(tip, before, length)
    shaft = [*points[:-1], _towards(tip, before, 0.8 * length)]
    path = f"M{_pair(shaft[0])}"
    for back, corner, ahead in zip(shaft, shaft[1:], shaft[2:], strict=False):
        radius = min(round, math.dist(back, corner) / 2, math.dist(corner, ahead) / 2)
        path += f" L{_pair(_towards(corner, back, radius))} Q{_pair(corner)} {_pair(_towards(corner, ahead, radius))}"
    path += f" L{_pair(shaft[-1])}"
    dx, dy = (width / 2 * (b - a) / (math.dist(before, tip) or 1) for a, b in zip(before, tip, strict=True))
    return path, " ".join(map(_pair, (tip, (neck[0] - dy, neck[1] + dx), (neck[0] + dy, neck[1] - dx))))


def _bars(points: list[Point]) -> str:
    """Two strokes across the end of a line."""
    *_, before, tip = points
    path = ""
    for along in (-1.0, -7.0):
        x, y = _towards(tip, before, along)
        dx, dy = (9 * (b - a) / (math.dist(before, tip) or 1) for a, b in zip(before, tip, strict=True))
        path += f"M{_pair((x - dy, y + dx))} L{_pair((x + dy, y - dx))} "
    return path.strip()


def _middle(points: list[Point]) -> Point:
    """The middle of the longest stretch, where a label has most room."""
    (x1, y1), (x2, y2) = max(pairwise(points), key=lambda ends: math.dist(*ends))
    return (x1 + x2) / 2, (y1 + y2) / 2


def _pair(point: Point) -> str:
    return f"{point[0]:.1f},{point[1]:.1f}"
