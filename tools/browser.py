"""The built pages, served on the loopback interface, and a headless Chromium to open them with."""

from __future__ import annotations

import functools
import http.server
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

# No background traffic of Chromium's own: what is asked for, the page asked for.
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
QUIET += ["--disable-component-update", "--disable-sync"]


class Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder can be read meanwhile."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def program() -> str | None:
    """The Chromium of this machine, or None."""
    names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"]
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser, while it lasts."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program(), args=QUIET)
        yield browser
        browser.close()


def settled(tab: Page, url: str) -> None:
    """Open a page, and wait for its pictures and equations."""
    tab.goto(url, wait_until="networkidle")
    # Lazy or not, every picture is asked for before it is counted.
    tab.evaluate("Promise.all([...document.images].map(i => (i.loading = 'eager', i.decode().catch(() => null))))")
    tab.evaluate("window.MathJax && window.MathJax.startup ? window.MathJax.startup.promise.then(() => null) : null")
