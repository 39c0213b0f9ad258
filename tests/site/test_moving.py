"""What a reader can move, type and answer in the pages: by keyboard, offline, and what is left without scripts."""

import html as escapes
import json
import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

import companion
from browser import settled

from .conftest import HTML, PAGES

pytestmark = pytest.mark.site
WITH_FIGURES = [name for name in PAGES if (p := HTML / f"{name}.html").exists() and 'class="explore"' in p.read_text()]


def states_of(name: str) -> list[dict[str, Any]]:
    """What each of a page's figures holds."""
    page = (HTML / f"{name}.html").read_text(encoding="utf-8")
    return [json.loads(escapes.unescape(held)) for held in re.findall(r'data-states="([^"]*)"', page)]


WITH_DOTS = [name for name in WITH_FIGURES if any(held["spots"] for held in states_of(name))]
CHAPTERS = [name for name in PAGES if name.startswith("notebooks/")]
MOST = 400_000


@pytest.fixture
def tab(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 390, "height": 844})
    yield context.new_page()
    context.close()


def test_some_page_has_a_figure_to_move(html: Path) -> None:
    assert WITH_FIGURES


@pytest.mark.parametrize("name", WITH_FIGURES)
def test_a_figure_is_moved_by_keyboard(name: str, tab: Page, address: str) -> None:
    settled(tab, f"{address}/{name}.html")
    for figure in tab.locator(".explore").all():
        drawn = figure.locator("svg").first
        assert drawn.get_attribute("role") == "img"
        assert drawn.get_attribute("aria-label")
        for slider in figure.locator("input[type=range]").all():
            slider.focus()
            seen = set()
            slider.press("Home")
            for _ in range(3):
                words = figure.locator(".explore-controls").inner_text()
                assert slider.get_attribute("aria-valuetext") in words
                seen.add((words, drawn.inner_html()))
                slider.press("ArrowRight")
            assert len(seen) == min(3, 1 + int(slider.get_attribute("max"))), "words and picture follow the slider"
        inside = "e => e.getBoundingClientRect().right <= innerWidth + 1"
        assert all(figure.locator("input, svg, output").nth(i).evaluate(inside) for i in range(3))


def test_some_page_has_dots_to_point_at(html: Path) -> None:
    assert WITH_DOTS


@pytest.mark.parametrize("name", WITH_DOTS)
def test_a_dot_is_pointed_at(name: str, tab: Page, address: str) -> None:
    settled(tab, f"{address}/{name}.html")
    for figure, held in zip(tab.locator(".explore").all(), states_of(name), strict=True):
        spots = held["spots"]
        if not spots:
            continue
        apart = [min(math.dist(one, other) for other in spots if other is not one) for one in spots]
        far = sorted(range(len(spots)), key=apart.__getitem__)[-3:]  # the dots that a finger cannot miss
        picture = figure.locator("svg").first
        picture.scroll_into_view_if_needed()
        for state in far:
            place = (
                "(svg, p) => { const at = new DOMPoint(...p).matrixTransform(svg.getScreenCTM()); return [at.x, at.y] }"
            )
            tab.mouse.click(*picture.evaluate(place, spots[state]))
            expect(figure.locator(".explore-controls p")).to_have_text(held["says"][state])
            chosen = [slider.get_attribute("aria-valuetext") for slider in figure.locator("input").all()]
            *_, (_, last) = held["controls"]
            assert chosen[-1] == last[state % len(last)]


@pytest.mark.parametrize("name", WITH_FIGURES)
def test_a_figure_is_a_still_picture_without_scripts(name: str, browser: Browser, address: str) -> None:
    context = browser.new_context(java_script_enabled=False)
    tab = context.new_page()
    tab.goto(f"{address}/{name}.html")
    for figure in tab.locator(".explore").all():
        picture = figure.locator("img")
        picture.scroll_into_view_if_needed()
        assert picture.get_attribute("alt")
        assert picture.bounding_box()["height"] > 100
        assert figure.locator("input").count() == 0, "no slider that moves nothing"
    context.close()


@pytest.mark.parametrize("name", WITH_FIGURES)
def test_a_page_grows_by_no_more_than_is_allowed(name: str) -> None:
    page = (HTML / f"{name}.html").read_text()
    assert sum(len(part) for part in re.findall(r'<div class="explore".*?</script>', page, re.S)) < MOST


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_prediction_is_kept_and_comes_back(name: str, tab: Page, address: str) -> None:
    tab.goto(f"{address}/{name}.html")
    back = tab.locator("section#remember p.prediction")
    expect(back).to_be_hidden()
    for letter in tab.locator("form.prediction button").all()[:1]:
        letter.press("Enter")
        expect(letter).to_have_attribute("aria-pressed", "true")
    tab.locator("form.prediction textarea").fill("since <b>noise</b> cancels")
    tab.reload()
    expect(back).to_contain_text("since <b>noise</b> cancels")
    if tab.locator("form.prediction button").count():
        expect(back).to_contain_text("A: since")


@pytest.mark.parametrize(
    ("written", "value", "known"),
    [
        ("polyak", 0.995, {"decay": 0.995}),
        ("tau", 0.005, {"tau": 0.005}),
        ("C", 10_000, {"period": 10_000}),
        ("half-life", 1_000, {"half_life": 1_000}),
    ],
)
def test_the_conventions_decode_any_number(
    written: str, value: float, known: dict[str, float], tab: Page, address: str
) -> None:
    tab.goto(f"{address}/book/conventions.html")
    form = tab.locator("form.decoder")
    option = form.locator("option", has_text=re.compile(rf"^{re.escape(written)}( ·|$)")).first
    form.locator("select").select_option(label=option.inner_text())
    form.locator("input").first.fill(str(value))
    rows = {
        row.locator("td").nth(0).inner_text(): row.locator("td").nth(1).inner_text()
        for row in form.locator("tr").all()[1:9]
    }
    wanted = companion.convert(**known)
    for name, shown in rows.items():
        if name != "steps":
            assert float(shown) == pytest.approx(getattr(wanted, name.replace(" ", "_").replace("-", "_")), rel=1e-5)
    assert len(rows) == 8
    form.locator("input").nth(1).fill("4")
    expect(form).to_contain_text(f"target_update_interval = {float(f'{4 * wanted.period:.6g}'):g}")


def test_the_decoder_names_what_it_cannot_read(tab: Page, address: str) -> None:
    tab.goto(f"{address}/book/conventions.html")
    form = tab.locator("form.decoder")
    form.locator("input").first.fill("1.5")
    expect(form.locator("[role=alert]")).to_have_text("Give a number from 0 to 1.")
