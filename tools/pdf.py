"""Print the built book into one PDF, with bookmarks and page numbers, and link it from the welcome page.

    python tools/pdf.py             # the whole book: _build/html/slow-copy.pdf
    python tools/pdf.py 05 costs    # only pages whose name contains one of these: _build/pages.pdf

Chromium prints page after page, as `book/_static/style.css` has it for paper, with the bookmarks of its headings; then
they are put together. What is folded away on a page (code that only draws, solutions) is left out. A link to another
page leads to where that page begins here.
"""

from __future__ import annotations

import html
import sys
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path

import yaml
from playwright.sync_api import Browser, Page
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NullObject, TextStringObject

from address import current
from address import names as names_of
from book import HTML, pages
from browser import chromium, program, served, settled
from chapters import CHAPTERS, ROOT

NAME = "slow-copy.pdf"
PLACE = '<span id="paper"></span>'
"""Stands on the welcome page where the link is to be."""
PAPER = {"format": "A4", "print_background": True, "prefer_css_page_size": True}
# A heading's name is unique on its page, not in the book: links within a page would lead into another one.
NAME_APART = """page => {
  for (const part of document.querySelectorAll('article [id]:not(svg *)')) part.id = page + '--' + part.id;
  for (const link of document.querySelectorAll('article a[href^="#"]'))
    link.setAttribute('href', '#' + page + '--' + decodeURIComponent(link.getAttribute('href').slice(1)));
}"""
# One equation that is wider than the sheet would make Chromium print the whole page of the book smaller.
FIT = """() => {
  for (const box of document.querySelectorAll('article div.math')) {
    const equation = box.querySelector('mjx-container');
    box.style.setProperty('overflow', 'hidden', 'important');
    if (equation && box.scrollWidth > box.clientWidth)
      equation.style.setProperty('font-size', `${Math.floor(98 * box.clientWidth / box.scrollWidth)}%`, 'important');
    box.style.removeProperty('overflow');
  }
}"""
WIDTH = 673
"""Pixels between the margins of a sheet, as `book/_static/style.css` has them."""
HEADINGS = """() => [...document.querySelectorAll('article :is(h1, h2, h3, h4)')].map(heading => {
  const copy = heading.cloneNode(true);
  copy.querySelectorAll('.headerlink').forEach(link => link.remove());
  return copy.textContent.replace(/\\s+/g, ' ').trim();
})"""


@dataclass(frozen=True)
class Printed:
    """A page of the book on paper."""

    name: str
    headings: list[str]
    pdf: bytes

    @property
    def title(self) -> str:
        return self.headings[0]

    @cached_property
    def sheets(self) -> int:
        return len(PdfReader(BytesIO(self.pdf)).pages)


def printed(tab: Page, address: str, name: str) -> Printed:
    """One page of the book."""
    settled(tab, f"{address}/{name}.html")
    number = next((c.number for c in CHAPTERS if name == f"notebooks/{c.notebook}"), None)
    if number:  # its figures are numbered with it
        tab.evaluate("n => document.documentElement.style.setProperty('--chapter', `\"${n}.\"`)", number)
    tab.evaluate(NAME_APART, name)
    tab.evaluate(FIT)
    return Printed(name, tab.evaluate(HEADINGS), tab.pdf(**PAPER, outline=True, tagged=True))


def front(tab: Page, parts: list[Printed], first: int) -> bytes:
    """Title and table of contents, where the first part begins on sheet ``first``."""
    rows, sheet = [], first
    for part in parts:
        rows.append(f"<li><span>{html.escape(part.title)}</span><span>{sheet}</span></li>")
        sheet += part.sheets
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    tab.set_content(f"""<!doctype html><html lang="en"><title>{config["title"]}</title><style>
      @page {{ size: A4; margin: 25mm 20mm; }}
      body {{ font: 11pt/1.6 system-ui, sans-serif; }} h1 {{ font-size: 34pt; margin: 50mm 0 4mm; }}
      p {{ margin: 0 0 3mm; }} ol {{ break-before: page; list-style: none; padding: 0; }}
      li {{ display: flex; justify-content: space-between; border-bottom: 0.3pt solid #bbb; padding: 1.2mm 0; }}
      </style><h1>{config["title"]}</h1><p>target ← tau · online + (1 − tau) · target</p><p>{config["author"]}</p>
      <p>{config["html"]["extra_footer"]}</p><p>Code that only draws figures, and the solutions of exercises, are in
      the notebooks: {config["repository"]["url"]}</p><ol>{"".join(rows)}</ol></html>""")
    return tab.pdf(**PAPER, tagged=True)


def feet(tab: Page, parts: list[Printed], first: int) -> PdfReader:
    """Sheets with nothing but the title and the number at their feet, from sheet ``first`` on."""
    titles = [html.escape(part.title) for part in parts for _ in range(part.sheets)]
    sheets = "".join(f"<p><span>{t}</span><span>{n}</span></p>" for n, t in enumerate(titles, first))
    tab.set_content(f"""<!doctype html><style>@page {{ size: A4; margin: 0; }} body {{ margin: 0; }}
      p {{ box-sizing: border-box; height: 296.5mm; margin: 0; padding: 284mm 16mm 0; break-after: page;
      display: flex; justify-content: space-between; font: 8.5pt system-ui, sans-serif; color: #555; }}
      p:last-child {{ break-after: auto; }}</style>{sheets}""")
    return PdfReader(BytesIO(tab.pdf(format="A4", prefer_css_page_size=True)))


def together(tab: Page, parts: list[Printed], address: str, site: str) -> PdfWriter:
    """The parts behind title and contents, numbered, with bookmarks, and with links that lead from one to another.

    Args:
        tab: to print in what is not of the book's pages.
        parts: in order.
        address: where the pages were served: links that lead there are turned.
        site: where the book can be read by all; for links to what is not printed.
    """
    before = len(PdfReader(BytesIO(front(tab, parts, 1))).pages)
    writer = PdfWriter()
    writer.append(BytesIO(front(tab, parts, before + 1)))
    begins = {}
    for part in parts:
        begins[part.name] = len(writer.pages)
        writer.append(BytesIO(part.pdf))
    mend(writer.get_outline_root(), {"".join(h.split()): h for part in parts for h in part.headings})
    foot = feet(tab, parts, before + 1)
    for sheet, below in zip(writer.pages[before:], foot.pages, strict=True):
        sheet.merge_page(below)
    for sheet in writer.pages:
        for link in sheet.get("/Annots", ArrayObject()):
            turn(link.get_object(), writer, begins, address, site)
    writer.add_metadata({"/Title": "The Slow Copy"})
    writer.page_mode = "/UseOutlines"
    writer.compress_identical_objects()
    return writer


def mend(above: DictionaryObject, headings: dict[str, str]) -> None:
    """Give the bookmarks their headings' words again: where a line was broken, Chromium leaves the space out.

    Args:
        above: the bookmarks' root, or one that has some below it.
        headings: by their words without spaces.
    """
    below = above.get("/First")
    while below is not None:
        mark = below.get_object()
        title = str(mark["/Title"])
        mark[NameObject("/Title")] = TextStringObject(headings.get("".join(title.split()), title))
        mend(mark, headings)
        below = mark.get("/Next")


def turn(link: DictionaryObject, writer: PdfWriter, begins: dict[str, int], address: str, site: str) -> None:
    """Let a link to a page of the served book lead to its sheet, or else to the site."""
    action = link.get("/A", DictionaryObject())
    url = str(action.get("/URI", ""))
    if not url.startswith(address):
        return
    path = url.removeprefix(address).lstrip("/")
    name = path.partition("#")[0].removesuffix(".html")
    if name in begins:
        del link["/A"]
        sheet = writer.pages[begins[name]].indirect_reference
        link[NameObject("/Dest")] = ArrayObject([sheet, NameObject("/XYZ"), NullObject(), NullObject(), NullObject()])
    else:
        action.get_object()[NameObject("/URI")] = TextStringObject(f"{site}/{path}")


def write(browser: Browser, address: str, names: list[str], to: Path) -> int:
    """Print these pages; how many sheets that makes."""
    _, site = names_of(current())
    tab = browser.new_page(color_scheme="light", reduced_motion="reduce", viewport={"width": WIDTH, "height": 1000})
    tab.emulate_media(media="print")
    parts = [printed(tab, address, name) for name in names]
    whole = together(tab, parts, address, f"https://{site}")
    whole.write(to)
    return len(whole.pages)


def link(welcome: str, sheets: int, size: int) -> str:
    """The welcome page with its link to the PDF."""
    words = f'<p><a href="../{NAME}">The whole book as one PDF</a> ({sheets} pages, {size / 1e6:.0f} MB)</p>'
    return welcome.replace(PLACE, words)


def main() -> None:
    if not (HTML / "index.html").exists():
        sys.exit("there is no built book yet: run `make book` first")
    if program() is None:
        sys.exit("no Chromium on this machine: install Debian's `chromium`, or Chrome")
    chosen = [name for name in pages() if not sys.argv[1:] or any(part in name for part in sys.argv[1:])]
    to = ROOT / "_build" / "pages.pdf" if sys.argv[1:] else HTML / NAME
    with served(HTML) as address, chromium() as browser:
        sheets = write(browser, address, chosen, to)
    if not sys.argv[1:]:
        welcome = HTML / f"{pages()[0]}.html"
        welcome.write_text(link(welcome.read_text(encoding="utf-8"), sheets, to.stat().st_size), encoding="utf-8")
    print(f"{sheets} pages: {to}")


if __name__ == "__main__":
    main()
