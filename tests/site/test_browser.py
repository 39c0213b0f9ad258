"""Every page in a headless browser: quiet, offline, whole, legible on a phone, in both modes."""

import pytest
from playwright.sync_api import Browser, Page

from browser import settled

from .conftest import PAGES

pytestmark = pytest.mark.site
SCREENS = {"desk": {"width": 1280, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(params=SCREENS)
def tab(request: pytest.FixtureRequest, browser: Browser) -> Page:
    context = browser.new_context(viewport=SCREENS[request.param])
    yield context.new_page()
    context.close()


@pytest.mark.parametrize("name", PAGES)
def test_page(name: str, tab: Page, address: str) -> None:
    said: list[str] = []
    failed: list[str] = []
    foreign: list[str] = []
    tab.on("console", lambda m: said.append(m.text) if m.type in {"error", "warning"} else None)
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("requestfailed", lambda r: failed.append(r.url))
    tab.on("response", lambda r: failed.append(f"{r.status} {r.url}") if r.status >= 400 else None)
    tab.on("request", lambda r: None if r.url.startswith((address, "data:", "blob:")) else foreign.append(r.url))
    settled(tab, f"{address}/{name}.html")

    assert said == []
    assert failed == []
    assert foreign == []
    assert tab.evaluate("[...document.images].filter(i => !i.naturalWidth).map(i => i.src.slice(0, 80))") == []
    assert tab.evaluate(
        "document.querySelectorAll('.math').length <= document.querySelectorAll('mjx-container').length"
    )
    assert tab.evaluate("document.querySelectorAll('mjx-merror, [data-mjx-error]').length") == 0
    words = "[...document.querySelectorAll('article p, article td')].map(e => e.innerText)"
    left = words + r".filter(t => /\$\$|\\frac|\\tag/.test(t))"
    assert tab.evaluate(left) == []
    too_wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    widest = (
        "[...document.querySelectorAll('article *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        ".slice(0, 5).map(e => e.tagName + '.' + e.className)"
    )
    assert tab.evaluate(too_wide) <= 0, tab.evaluate(widest)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_mode_follows_the_reader(mode: str, browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme=mode)
    tab = context.new_page()
    settled(tab, f"{address}/{PAGES[0]}.html")
    assert tab.evaluate("document.documentElement.dataset.theme") == mode
    luminance = (
        "(() => { const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number);"
        " return (r + g + b) / 765; })()"
    )
    assert (tab.evaluate(luminance) > 0.5) == (mode == "light")
    context.close()


def test_search_finds(browser: Browser, address: str) -> None:
    tab = browser.new_page()
    settled(tab, f"{address}/search.html?q=overestimation")
    tab.wait_for_selector("#search-results li a", timeout=20_000)
    found = tab.evaluate("[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))")
    assert any("dqn" in link for link in found), found
    tab.close()
