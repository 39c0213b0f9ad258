"""What can be said of the built pages without a browser: all are there, and what they point to is too."""

from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

from .conftest import HTML, PAGES, ROOT

pytestmark = pytest.mark.site
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())


@cache
def page(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")


@cache
def anchors(path: Path) -> set[str]:
    soup = page(path)
    return {str(tag["id"]) for tag in soup.find_all(id=True)} | {
        str(t["name"]) for t in soup.find_all("a", attrs={"name": True})
    }


@pytest.fixture(params=PAGES)
def path(request: pytest.FixtureRequest, html: Path) -> Path:
    return html / f"{request.param}.html"


def test_every_page_is_there(path: Path) -> None:
    assert path.exists()
    assert page(path).find("h1") is not None


def test_links_lead_somewhere(path: Path) -> None:
    broken = []
    for tag, attribute in [("a", "href"), ("img", "src"), ("script", "src"), ("link", "href"), ("source", "srcset")]:
        for element in page(path).find_all(tag, attrs={attribute: True}):
            url = urlsplit(element[attribute].split(" ")[0])
            if url.scheme or url.netloc:
                continue
            target = (path.parent / unquote(url.path)).resolve() if url.path else path
            if not target.exists() or (
                url.fragment and target.suffix == ".html" and unquote(url.fragment) not in anchors(target)
            ):
                broken.append(element[attribute])
    assert broken == []


def test_nothing_is_loaded_from_elsewhere(path: Path) -> None:
    soup = page(path)
    loads = [("script", "src"), ("img", "src"), ("iframe", "src"), ("source", "srcset"), ("video", "src")]
    asked = [e[attribute] for tag, attribute in loads for e in soup.find_all(tag, attrs={attribute: True})]
    asked += [
        e["href"] for e in soup.find_all("link", href=True) if set(e.get("rel", [])) & {"stylesheet", "preload", "icon"}
    ]
    assert [url for url in asked if urlsplit(url).netloc] == []


def test_pictures_have_alt_text(path: Path) -> None:
    article = page(path).find("article") or page(path)
    assert [str(image)[:120] for image in article.find_all("img") if not image.get("alt", "").strip()] == []


def test_chapters_show_their_figures(path: Path) -> None:
    if path.parent.name == "notebooks":
        figures = page(path).select("article figure.study img")
        assert len(figures) >= 3
        assert all(len(image["alt"]) > 40 for image in figures), "an alt text says what is seen"


def test_colab_button(path: Path) -> None:
    buttons = [a["href"] for a in page(path).find_all("a", href=True) if "colab.research.google.com" in a["href"]]
    repository = CONFIG["repository"]["url"].removeprefix("https://github.com/")
    name = path.relative_to(HTML).with_suffix(".ipynb")
    if path.parent.name == "notebooks":
        assert set(buttons) == {
            f"https://colab.research.google.com/github/{repository}/blob/{CONFIG['repository']['branch']}/{name}"
        }


def test_no_code_cell_prints_an_error(path: Path) -> None:
    assert page(path).select(".output.stderr, .output.traceback") == []
