"""Figures that a reader moves: every state is drawn beforehand, a few lines of script choose which one is seen."""

import html
import io
import itertools
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

from companion.study.figures import check_alt, drawing_html, send_html

__all__ = ["explore"]

HEAVIEST = 400_000
"""Bytes that one such figure may add to a page."""
_SCRIPT = Path(__file__).with_name("explore.js")
_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def explore(
    fig: Figure,
    draw: Callable[..., str],
    controls: Mapping[str, Sequence[Any]],
    *,
    alt: str,
    caption: str = "",
    start: Sequence[int] | None = None,
    spots: Callable[..., tuple[Axes, float, float]] | None = None,
) -> None:
    """Show ``fig`` with a slider for each control, and close it.

    Every state is drawn here and now; the page holds the first one and how the others differ from it. So the
    figure needs no server and no other host, moves by keyboard too, and where scripts do not run it is a still
    picture of the state at ``start``. Fifty states take about three seconds to draw.

    Args:
        fig: a matplotlib figure.
        draw: ``draw(*values)`` changes the figure's artists into the state for one value of each control, and
            returns what the line below the sliders says of it.
        controls: each slider's name with the values it passes through, in order.
        alt: what the figure shows, for those who cannot see it.
        caption: a line below the picture.
        start: for each control, the index of the value to begin with; the first ones by default.
        spots: ``spots(*values)`` is a place in the figure, in the data's units of one of its axes: pointing near it
            chooses these values.

    Raises:
        ValueError: ``alt`` is empty, a control has no value, ``start`` names none, or the page would grow by more
            than ``HEAVIEST`` bytes.
    """
    check_alt(alt)
    for name, values in controls.items():
        if not len(values):
            raise ValueError(f"control {name!r} has no value to pass through; give it two or more")
    chosen = [operator.index(i) for i in (start or [0] * len(controls))]
    sizes = [len(values) for values in controls.values()]
    if len(chosen) != len(sizes) or any(not 0 <= i < n for i, n in zip(chosen, sizes, strict=False)):
        raise ValueError(f"start is {chosen}; give an index below {sizes}, one for each of {list(controls)}")

    states = list(itertools.product(*controls.values()))
    first = list(itertools.product(*map(range, sizes))).index(tuple(chosen))
    draw(*states[first])
    fig.draw_without_rendering()
    fig.set_layout_engine("none")  # settled once: axes that breathe with their tick labels would shake
    says, pictures, places = [], [], []
    for values in states:
        says.append(draw(*values))
        pictures.append(drawn(fig))
        if spots is not None:
            axes, x, y = spots(*values)
            right, up = axes.transData.transform((x, y)) / fig.dpi * 72
            places.append([round(float(right), 1), round(float(fig.get_figheight() * 72 - up), 1)])
    plt.close(fig)
    data = {
        "controls": [[name, [f"{value}" for value in values]] for name, values in controls.items()],
        "start": chosen,
        "says": says,
        "spots": places,
        "changes": _changes(pictures, first),
    }
    still = drawing_html(ElementTree.tostring(pictures[first]), round(100 * fig.get_figwidth()), alt, caption)
    states_of_it = html.escape(json.dumps(data, ensure_ascii=False, separators=(",", ":")), quote=True)
    page = (
        f'<div class="explore" data-states="{states_of_it}">{still}</div><script>{_SCRIPT.read_text("utf-8")}</script>'
    )
    if len(page.encode()) > HEAVIEST:
        raise ValueError(
            f"the figure would add {len(page.encode()):,} bytes to its page, more than {HEAVIEST:,}; give controls "
            f"fewer values (there are {len(states)} states), or draw lines of fewer points"
        )
    send_html(page, alt, caption)


def drawn(fig: Figure) -> ElementTree.Element:
    """The figure as an SVG tree without what a page does not need."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "companion"}):
        FigureCanvasSVG(fig).print_svg(buffer, metadata={"Date": None})  # `savefig` would draw it twice
    ElementTree.register_namespace("", _SVG)
    ElementTree.register_namespace("xlink", _LINK)
    svg = ElementTree.fromstring(buffer.getvalue())
    for parent in list(svg.iter()):
        for child in list(parent):
            if child.tag in (f"{{{_SVG}}}metadata", f"{{{_SVG}}}style"):
                parent.remove(child)
    svg.set("style", "stroke-linejoin: round; stroke-linecap: butt")  # what its style sheet said, of this picture only
    for element in svg.iter():
        element.tail = None
        if element.text and not element.text.strip():
            element.text = None
    used = "".join(value for element in svg.iter() for value in element.attrib.values() if "#" in value)
    for element in svg.iter():
        if element.get("id") and f"#{element.get('id')}" not in used:
            del element.attrib["id"]
        if "d" in element.attrib:
            element.set("d", _short(element.attrib["d"]))
    return svg


def _short(path: str) -> str:
    """A path to a tenth of a point, without line breaks."""
    return " ".join(word if word.isalpha() else f"{float(word):.1f}".removesuffix(".0") for word in path.split())


def _changes(pictures: list[ElementTree.Element], first: int) -> list[list[Any]]:
    """``[element, what, values, index]`` for all that differs between pictures.

    The element is counted in document order in the first state; ``what`` is an attribute's name, or empty for all that
    the element contains; state ``i`` has ``values[index[i]]``.
    """
    changes: list[list[Any]] = []
    numbers = {id(element): n for n, element in enumerate(pictures[first].iter())}

    def note(element: ElementTree.Element, what: str, values: list[str]) -> None:
        if len(distinct := list(dict.fromkeys(values))) > 1:
            where = {value: i for i, value in enumerate(distinct)}
            changes.append([numbers[id(element)], what, distinct, [where[value] for value in values]])

    def compare(elements: list[ElementTree.Element]) -> None:
        kept = elements[first]
        for what in sorted({name for element in elements for name in element.attrib}):
            note(kept, what, [element.get(what, "") for element in elements])
        shapes = {(element.text is None, *(child.tag for child in element)) for element in elements}
        if len(shapes) > 1 or any(element.text for element in elements):
            note(kept, "", [_inside(element) for element in elements])
        else:
            for children in zip(*elements, strict=True):
                compare(list(children))

    compare(pictures)
    return changes


def _inside(element: ElementTree.Element) -> str:
    parts = [html.escape(element.text or "", quote=False)]
    for child in element:
        parts.append(ElementTree.tostring(child, encoding="unicode").replace(f' xmlns="{_SVG}"', ""))
    return "".join(parts)
