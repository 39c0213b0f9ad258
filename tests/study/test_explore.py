"""Figures that move: what the page holds must bring back every state as matplotlib drew it."""

import base64
import html
import importlib
import json
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib import pyplot as plt

from companion import study
from companion.study import pages

explore = importlib.import_module("companion.study.explore")  # the function has its name
TAUS = [0.01, 0.1, 1.0]


@pytest.fixture
def page(monkeypatch):
    """What a notebook would be sent."""
    sent = []
    monkeypatch.setattr(pages.InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(pages, "display", lambda bundle, raw: sent.append(bundle["text/html"]))
    return sent


def moving():
    """A figure of which a line, a title, a text, dots (their number too) and a colour change; and how to draw it."""
    fig, (left, right) = plt.subplots(1, 2, figsize=(7.0, 3.5), layout="constrained")
    x = np.linspace(0, 6, 50)
    (line,) = left.plot(x, np.sin(x), color=study.TARGET)
    note = right.text(0.1, 0.5, "", clip_on=True)
    right.set_xlabel(r"$\tau$ & <more>")

    def draw(tau, shift=0.0):
        line.set_ydata(np.sin(x) * tau + shift)
        line.set_color(study.ONLINE if tau == 1 else study.TARGET)
        left.set_title(rf"$\tau = {tau}$")
        note.set_text(f"< {tau} & <" if tau < 1 else "")
        for old in list(right.lines):
            old.remove()
        right.plot(np.linspace(0, 1, round(3 + 4 * tau)), np.ones(round(3 + 4 * tau)), "o")
        return f"tau is {tau}, shift {shift}"

    return fig, draw


def held(page):
    """The still picture as a tree, and the data beside it."""
    (sent,) = page
    data = json.loads(html.unescape(re.search(r'data-states="([^"]*)"', sent).group(1)))
    src = re.search(r'<img[^>]* src="data:image/svg\+xml;base64,([^"]*)"', sent).group(1)
    return ElementTree.fromstring(base64.b64decode(src)), data


def state_of(svg, data, state):
    """What the script makes of the still picture, in Python."""
    elements = list(svg.iter())
    for number, what, values, index in data["changes"]:
        element = elements[number]
        if what:
            element.set(what, values[index[state]])
        else:
            namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
            inside = ElementTree.fromstring(f"<g {namespaces}>{values[index[state]]}</g>")
            element.text = inside.text
            element[:] = list(inside)
    return ElementTree.canonicalize(ElementTree.tostring(svg))


@pytest.mark.parametrize("start", [0, 1, 2])
def test_every_state_comes_back_as_it_was_drawn(page, monkeypatch, start):
    drawn = []
    original = explore.drawn
    monkeypatch.setattr(explore, "drawn", lambda fig: drawn.append(original(fig)) or drawn[-1])
    fig, draw = moving()
    study.explore(fig, draw, {"τ": TAUS}, alt="A line", start=[start])
    wanted = [ElementTree.canonicalize(ElementTree.tostring(svg)) for svg in drawn]
    assert len(set(wanted)) == 3
    for state in range(3):
        svg, data = held(page)
        assert state_of(svg, data, state) == wanted[state]
    assert data["says"] == [f"tau is {tau}, shift 0.0" for tau in TAUS]
    assert not plt.get_fignums()


def test_two_controls_pass_through_every_pair_the_last_one_fastest(page):
    fig, draw = moving()
    study.explore(fig, draw, {"τ": TAUS, "shift": [0, 5]}, alt="A line", caption="Moved", start=[1, 1])
    svg, data = held(page)
    assert data["says"][3] == "tau is 0.1, shift 5"
    assert data["controls"] == [["τ", ["0.01", "0.1", "1.0"]], ["shift", ["0", "5"]]]
    assert "τ=0.1" in "".join(svg.itertext()), "the still picture is the state at the start"
    assert "Moved</figcaption>" in page[0]


def test_a_spot_is_where_the_point_is_in_the_picture(page):
    fig, ax = plt.subplots(layout="constrained")
    ax.plot([1, 2, 3], [4, 6, 5], "o")
    (mark,) = ax.plot([], [], "s")

    def draw(i):
        mark.set_data([i + 1], [4])
        return ""

    study.explore(fig, draw, {"dot": range(3)}, alt="Dots", spots=lambda i: (ax, i + 1, [4, 6, 5][i]))
    svg, data = held(page)
    uses = [u for u in svg.iter("{http://www.w3.org/2000/svg}use") if "#E69F00" not in u.get("style", "")]
    dots = {(round(float(u.get("x")), 1), round(float(u.get("y")), 1)) for u in uses}
    assert {tuple(spot) for spot in data["spots"]} <= dots
    assert len(set(map(tuple, data["spots"]))) == 3


def test_nothing_in_the_picture_speaks_to_the_rest_of_the_page(page):
    fig, draw = moving()
    study.explore(fig, draw, {"τ": TAUS}, alt='A "line" & more')
    svg, _ = held(page)
    names = {element.tag.rpartition("}")[2] for element in svg.iter()}
    assert not names & {"style", "metadata", "script"}
    assert 'alt="A &quot;line&quot; &amp; more"' in page[0]
    assert "http" not in re.sub(r'="http://www\.w3\.org/[^"]*"', "", page[0].partition("<script>")[2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"controls": {"τ": []}}, "control 'τ' has no value"),
        ({"start": [3]}, r"start is \[3\]; give an index below \[3\]"),
        ({"start": [0, 0]}, "one for each of"),
        ({"alt": " "}, "alt is empty"),
    ],
)
def test_bad_input_is_named_before_anything_is_drawn(page, change, words):
    fig, _ = moving()
    with pytest.raises(ValueError, match=words):
        study.explore(fig, lambda tau: pytest.fail("it drew"), **{"controls": {"τ": TAUS}, "alt": "A line", **change})
    assert page == []
    assert plt.get_fignums(), "the figure is still there to be shown"
    plt.close("all")


def test_a_page_is_not_burdened(page):
    fig, ax = plt.subplots()
    (line,) = ax.plot(np.zeros(3_000))

    def draw(i):
        line.set_ydata(np.random.default_rng(i).normal(size=3_000))
        return ""

    with pytest.raises(ValueError, match=r"more than 400,000; give controls fewer values \(there are 40 states\)"):
        study.explore(fig, draw, {"i": range(40)}, alt="Noise")
    assert page == []
