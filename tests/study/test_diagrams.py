"""Diagrams: sound SVG that says in words what it shows, with text that fits and colours that mean what they mean."""

import base64
import re
from itertools import combinations
from pathlib import Path
from xml.etree import ElementTree

import nbformat
import pytest
from matplotlib import get_data_path
from PIL import ImageFont

from companion import study
from companion.study import figures, pages
from companion.study.diagrams import DIAGRAMS
from companion.study.diagrams.kit import GRADIENT, INK, Box

SVG = "{http://www.w3.org/2000/svg}"
NOTEBOOKS = (Path(__file__).parents[2] / "notebooks").glob("*.ipynb")
PHONE = 330
"""Pixels that a picture is wide on a page of 390."""
FONTS = {  # wider than what pages are set in
    face: ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVu{face}.ttf", 100)
    for face in ("Sans", "Sans-Bold", "Serif", "Serif-Italic")
}


@pytest.fixture(params=DIAGRAMS)
def picture(request):
    return DIAGRAMS[request.param]()


@pytest.fixture
def page(monkeypatch):
    """What a notebook would be sent."""
    sent = []
    monkeypatch.setattr(pages.InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(pages, "display", lambda bundle, raw: sent.append(bundle))
    return sent


def parsed(picture):
    return ElementTree.fromstring(picture.svg())


def number(element, name):
    return float(element.get(name))


def reach(text):
    """Left, top, right and bottom of a line of text, at most."""
    size, wide = number(text, "font-size"), 0.0
    for span in text.iter(f"{SVG}tspan"):
        if span.get("class") == "m":
            face = "Serif-Italic" if span.get("font-style") else "Serif"
        else:
            face = "Sans-Bold" if text.get("font-weight") else "Sans"
        wide += FONTS[face].getlength(span.text) / 100 * float(span.get("font-size", size))
    left = number(text, "x") - wide * {"start": 0, "middle": 0.5, "end": 1}[text.get("text-anchor")]
    return left, number(text, "y") - 0.8 * size, left + wide, number(text, "y") + 0.25 * size


def words(root):
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_it_is_whole_and_says_what_it_shows(picture):
    root = parsed(picture)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    title, desc = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("aria-labelledby").split() == [title.get("id"), desc.get("id")]
    assert title.text == picture.title
    assert desc.text == picture.alt
    assert len(picture.alt.split()) > 30
    assert len(picture.caption.split()) < 25
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    assert "http" not in picture.svg().replace("http://www.w3.org/2000/svg", ""), "nothing is fetched"


def test_no_text_leaves_the_picture_or_meets_another(picture):
    root = parsed(picture)
    _, _, width, height = map(float, root.get("viewBox").split())
    placed = [(name, reach(text)) for name, text in zip(words(root), root.iter(f"{SVG}text"), strict=True)]
    for name, (left, top, right, bottom) in placed:
        assert left >= 0, name
        assert right <= width, name
        assert top >= 0, name
        assert bottom <= height, name
    for (one, a), (other, b) in combinations(placed, 2):
        apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 3 or b[3] <= a[1] + 3
        assert apart, f"{one!r} meets {other!r}"


def test_text_fits_its_box(picture):
    root = parsed(picture)
    for text, name in zip(root.iter(f"{SVG}text"), words(root), strict=True):
        left, _, right, _ = reach(text)
        x, y = (left + right) / 2, number(text, "y") - 5
        for box in root.findall(f"{SVG}rect")[1:]:
            start, top = number(box, "x"), number(box, "y")
            end = start + number(box, "width")
            seen = box.get("stroke") or box.get("fill") != "#fff"  # and not what interrupts a line for a label
            if seen and start < x < end and top < y < top + number(box, "height"):
                assert start + 2 <= left, name
                assert right <= end - 2, name


def test_letters_can_be_read_on_a_phone(picture):
    root = parsed(picture)
    scale = PHONE / float(root.get("viewBox").split()[2])
    assert min(number(text, "font-size") for text in root.iter(f"{SVG}text")) * scale >= 11
    small = [float(span.get("font-size")) for span in root.iter(f"{SVG}tspan") if span.get("font-size")]
    assert min(small, default=14) * scale >= 10.5, "an index or exponent"


def test_colours_are_those_of_the_roles(picture):
    root = parsed(picture)
    for tile in root.findall(f"{SVG}svg"):
        root.remove(tile)
    used = {e.get(name) for e in root.iter() for name in ("stroke", "stop-color") if e.get(name)}
    plain = {colour for colour in used if colour.startswith("#")}
    assert plain <= {study.ONLINE, study.TARGET, INK, GRADIENT, "#D5DAE1"}
    for box in root.findall(f"{SVG}rect"):
        dashed = box.get("stroke-dasharray") is not None
        assert dashed == (box.get("stroke") == study.TARGET and box.get("fill") != "#fff")
    for band in root.findall(f"{SVG}linearGradient"):
        assert [stop.get("stop-color") for stop in band] == [study.ONLINE, study.TARGET]


def test_the_key_explains_each_sign_that_is_used_and_no_other(picture):
    root = parsed(picture)
    drawn = {
        picture.words["online"]: any(box.get("stroke") == study.ONLINE for box in root.findall(f"{SVG}rect")),
        picture.words["target"]: any(box.get("stroke-dasharray") for box in root.findall(f"{SVG}rect")),
        picture.words["copy"]: root.find(f"{SVG}linearGradient") is not None,
        picture.words["gradient"]: '<polygon points="' in picture.svg() and f'fill="{GRADIENT}"' in picture.svg(),
        picture.words["stop"]: 'stroke-width="2.6"' in picture.svg(),
    }
    assert {sign: sign in words(root) for sign in drawn} == drawn


def test_the_page_holds_it_with_description_and_caption(page):
    study.diagram("dqn")
    (bundle,) = page
    picture = DIAGRAMS["dqn"]()
    html = bundle["text/html"]
    assert html.startswith('<figure class="study"')
    source, alt = re.search(
        r'<img class="dark-light" src="data:image/svg\+xml;base64,([^"]+)" alt="([^"]+)"', html
    ).groups()
    assert base64.b64decode(source).decode() == picture.svg()
    assert alt == picture.alt
    assert f"{picture.caption}</figcaption>" in html
    assert "max-width: 100%" in html
    assert bundle["text/plain"] == f"[figure: {picture.alt}]\n{picture.caption}"


def test_a_readers_own_takes_five_lines(page):
    picture = study.Diagram("An online network, and the copy that follows it.", 100)
    online = picture.box(90, 50, "online\n$θ$", "online")
    target = picture.box(270, 50, "target\n$θ^-$", "target")
    picture.copy(online, target, label="$τ = 0.01$")
    picture.show()
    assert "An online network" in page[0]["text/plain"]
    said = words(parsed(picture))
    assert {"online", "θ", "target", "θ−", "τ = 0.01", "slow copy"} <= set(said)


def test_a_formula_has_variables_in_italics_words_upright_and_scripts_small():
    picture = study.Diagram("A formula.", 60)
    picture.note(180, 30, "so $2max_{a′} Q_1(s;w̄)$")
    (text,) = parsed(picture).iter(f"{SVG}text")
    spans = [(s.text, s.get("font-style"), s.get("font-size")) for s in text]
    assert spans == [
        ("so ", None, None),
        ("2", None, None),
        ("max", None, None),
        ("a′", "italic", "11.5"),
        (" ", None, None),
        ("Q", "italic", None),
        ("1", None, "11.5"),
        ("(", None, None),
        ("s", "italic", None),
        (";\u2009", None, None),
        ("w̄", "italic", None),
        (")", None, None),
    ]
    raised = [float(s.get("dy", 0)) for s in text]
    assert sum(raised) == pytest.approx(0, abs=0.15), "back on the line"


def test_lines_go_from_border_to_border_and_round_their_corners():
    assert Box(100, 50, 40, 20).edge((100, 200)) == (100, 60)
    assert Box(100, 50, 40, 20).edge((300, 50)) == (120, 50)
    assert Box(0, 0, 20, 20, circle=True).edge((30, 40)) == pytest.approx((6, 8))
    picture = study.Diagram("A corner.", 200)
    first, second = picture.box(60, 40, "a", width=40, height=20), picture.box(200, 140, "b", width=40, height=20)
    picture.flow(first, second, (60, 140))
    (line,) = [path.get("d") for path in parsed(picture).findall(f"{SVG}path") if "Q" in path.get("d")]
    assert line.startswith("M60.0,50.0 L60.0,130.0 Q60.0,140.0 70.0,140.0 L17")
    head = parsed(picture).find(f"{SVG}polygon").get("points")
    assert head.startswith("180.0,140.0 "), "its tip is on the border"


def test_a_gradient_that_stops_has_bars_and_no_head():
    picture = study.Diagram("A gradient that stops.", 60)
    picture.gradient((20, 30), (200, 30), stops=True)
    bars = next(path for path in parsed(picture).findall(f"{SVG}path") if path.get("stroke-width") == "2.6")
    assert bars.get("d") == "M201.0,39.0 L201.0,21.0 M207.0,39.0 L207.0,21.0"
    assert not [head for head in parsed(picture).findall(f"{SVG}polygon") if head.get("points").startswith("200")]


@pytest.mark.parametrize("name", ["", "DQN", "no-such"])
def test_an_unknown_name_is_refused(name, page):
    with pytest.raises(ValueError, match=f"name is '{name}'; the diagrams are observer, unrolled, .*five-places$"):
        study.diagram(name)
    assert not page


def test_an_unknown_role_or_sign_is_refused_and_so_is_a_picture_without_description(page):
    with pytest.raises(ValueError, match="role is 'blue'; choose one of online, target, value, loss"):
        study.Diagram("A box.", 100).box(50, 50, "x", "blue")
    with pytest.raises(ValueError, match="key names 'arrow'; the signs are online, target, flow, gradient, stop, copy"):
        study.Diagram("A box.", 100, key={"arrow": "leads to"})
    with pytest.raises(ValueError, match="alt is empty; describe what the picture shows"):
        study.Diagram(" \n", 100)
    with pytest.raises(ValueError, match="alt is empty"):
        figures.show_svg("<svg/>", 450, "")
    assert not page


def test_the_key_has_the_words_that_it_was_given(page):
    picture = study.Diagram("A copy.", 100, key={"copy": "a wide band"})
    online, target = picture.box(60, 50, "a", "online"), picture.box(260, 50, "b", "target")
    picture.copy(online, target)
    assert "a wide band" in picture.svg()
    names = re.findall(r'id="([^"]+)"', picture.svg())
    assert len(names) == len(set(names)) > 0


def test_every_diagram_stands_in_one_chapter():
    code = [cell.source for path in NOTEBOOKS for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"]
    named = re.findall(r'study\.diagram\("([^"]+)"\)', "\n".join(code))
    assert sorted(named) == sorted(DIAGRAMS)
