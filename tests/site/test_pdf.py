"""The pages on paper: one PDF with bookmarks, numbers and figures, whose links stay within it or lead to the site."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser
from pypdf import PdfReader

import pdf

pytestmark = pytest.mark.site
NAMES = ["book/welcome", "notebooks/02_ema_in_numpy", "book/conventions", "notebooks/08_moco_and_the_queue"]


@pytest.fixture(scope="module")
def paper(browser: Browser, address: str, tmp_path_factory: pytest.TempPathFactory) -> PdfReader:
    to = tmp_path_factory.mktemp("paper") / "pages.pdf"
    sheets = pdf.write(browser, address, NAMES, to)
    reader = PdfReader(to)
    assert len(reader.pages) == sheets
    return reader


def bookmarks(outline: list) -> list[str]:
    return [name for item in outline for name in (bookmarks(item) if isinstance(item, list) else [item.title])]


def test_every_heading_has_a_bookmark(paper: PdfReader) -> None:
    names = bookmarks(paper.outline)
    assert {"The Slow Copy", "2. EMA in NumPy", "Promise", "Kept", "Conventions"} <= set(names)
    tops = [item for item in paper.outline if not isinstance(item, list)]
    titles = ["The Slow Copy", "2. EMA in NumPy", "Conventions", "8. MoCo: a dictionary that must stay consistent"]
    assert [item.title for item in tops] == titles, "the last one is longer than a line"
    for item in tops:
        assert item.title in " ".join(paper.pages[paper.get_destination_page_number(item)].extract_text().split())


def test_sheets_are_numbered_behind_title_and_contents(paper: PdfReader) -> None:
    last = len(paper.pages)
    assert str(last) in paper.pages[-1].extract_text().split()
    contents = paper.pages[1].extract_text()
    assert all(title in contents for title in ("The Slow Copy", "2. EMA in NumPy", "Conventions"))


def test_equations_and_figures_have_their_numbers(paper: PdfReader) -> None:
    words = "\n".join(sheet.extract_text() for sheet in paper.pages)
    assert "(2.1)" in words
    assert "Figure 2.1." in words


def links(paper: PdfReader) -> tuple[list[str], int]:
    """Addresses outside that the sheets lead to, and how many links stay within."""
    found = [a.get_object() for sheet in paper.pages for a in sheet.get("/Annots", [])]
    outside = [str(a["/A"]["/URI"]) for a in found if "/URI" in a.get("/A", {})]
    return outside, len(found) - len(outside)


def test_links_lead_into_the_paper_or_to_the_site(paper: PdfReader, address: str) -> None:
    outside, inside = links(paper)
    assert [url for url in outside if url.startswith((address, "file:"))] == []
    assert [url for url in outside if url.endswith("conventions.html")] == [], "it is printed here"
    assert any(url.endswith("/book/glossary.html") or "/book/how-to-read.html" in url for url in outside)
    assert inside >= 2, "welcome leads to the chapter and to the conventions"


def test_code_is_not_cut(browser: Browser, address: str) -> None:
    """On a sheet's width nothing is wider than the sheet."""
    tab = browser.new_page(viewport={"width": pdf.WIDTH, "height": 900})
    tab.emulate_media(media="print")
    for name in NAMES:
        tab.goto(f"{address}/{name}.html", wait_until="networkidle")
        wide = (  # but the equations' hidden text for screen readers
            "[...document.querySelectorAll('article *:not(mjx-assistive-mml, mjx-assistive-mml *)')]"
            ".filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
        )
        assert tab.evaluate(wide + ".map(e => e.tagName + '.' + e.className)") == []
    tab.close()


def test_the_welcome_page_gets_its_link(html: Path) -> None:
    assert pdf.link(f"a{pdf.PLACE}b", 400, 31_000_000) == (
        'a<p><a href="../slow-copy.pdf">The whole book as one PDF</a> (400 pages, 31 MB)</p>b'
    )
    welcome = (html / f"{pdf.pages()[0]}.html").read_text(encoding="utf-8")
    assert (pdf.PLACE in welcome) != (html / pdf.NAME).exists()
