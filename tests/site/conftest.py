"""The built pages, served on the loopback interface, and a headless Chromium to open them with."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from playwright.sync_api import Browser

from browser import chromium, program, served

ROOT = Path(__file__).resolve().parents[2]
HTML = ROOT / "_build" / "html"
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]


@pytest.fixture(scope="session")
def html() -> Path:
    assert (HTML / "index.html").exists(), "there is no site yet: run `make book` first"
    return HTML


@pytest.fixture(scope="session")
def address(html: Path) -> Iterator[str]:
    with served(html) as url:
        yield url


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    if program() is None:
        pytest.skip("no Chromium on this machine: install Debian's `chromium` to check the pages in a browser")
    with chromium() as started:
        yield started
