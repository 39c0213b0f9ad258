"""`make lab`: a notebook opens in JupyterLab, runs, is interrupted and saved, and git keeps its sources alone."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

import strip
from chapters import CHAPTERS
from tests.helpers import as_cloned, git

from .conftest import ROOT

pytestmark = pytest.mark.site
CELLS = [
    "import companion\nfrom companion import rl",
    'run = rl.train("ddpg", "Pendulum-v1", tau=0.01, seeds=1, steps=1_000_000)',
    'print("It stopped,", run.attrs["interrupted"] is not None)',
]

MOVING = [
    "import matplotlib.pyplot as plt\nfrom companion import study",
    "fig, ax = plt.subplots()\n(dot,) = ax.plot([0], [0], 'o')\n\ndef draw(i):\n    dot.set_data([i / 50], [0])\n"
    "    return f'The dot is at {i}.'\n\nstudy.explore(fig, draw, {'place': [0, 1, 2]}, alt='A dot')",
]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the book's chapters, a short notebook that trains for long, and one with a figure to move."""
    root = tmp_path_factory.mktemp("repository")
    shutil.copytree(ROOT / "notebooks", root / "notebooks", ignore=shutil.ignore_patterns(".*"))
    for name, sources in (("short", CELLS), ("moving", MOVING)):
        cells = [nbformat.v4.new_code_cell(source) for source in sources]
        made = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": strip.KERNEL})  # or else it asks for one
        nbformat.write(made, root / "notebooks" / f"{name}.ipynb")
    return as_cloned(root)


@pytest.fixture(scope="module")
def lab(repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab on the repository's notebooks."""
    scratch = tmp_path_factory.mktemp("jupyter")
    own = {f"JUPYTER_{kind}_DIR": str(scratch / kind) for kind in ("CONFIG", "RUNTIME", "DATA")}
    options = ["--no-browser", "--ServerApp.port=0", "--IdentityProvider.token=", "--ServerApp.allow_root=True"]
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", *options, str(repository / "notebooks")],
        env={**os.environ, **own, "JUPYTER_PREFER_ENV_PATH": "1", "PYTHONPATH": str(ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (said := list(scratch.glob("RUNTIME/jpserver-*.json"))):
        assert server.poll() is None, "JupyterLab has ended"
        time.sleep(0.2)
    yield json.loads(said[0].read_text())["url"]
    server.terminate()
    try:
        server.wait(30)
    except subprocess.TimeoutExpired:  # now and then it waits for ever for a kernel that is idle
        server.kill()
        server.wait()


def ran(browser: Browser, address: str) -> Page:
    """A notebook of whose cells the first two are started."""
    tab = browser.new_page()
    tab.goto(address)
    tab.locator(".jp-Notebook .jp-CodeCell").first.locator(".cm-content").click(timeout=60_000)
    expect(tab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_attached(timeout=60_000)
    for _ in range(2):
        tab.keyboard.press("Shift+Enter")
    return tab


def test_a_figure_is_moved_by_keyboard(lab: str, browser: Browser) -> None:
    tab = ran(browser, f"{lab}lab/tree/moving.ipynb?reset")
    figure = tab.locator(".jp-OutputArea-output .explore")
    expect(figure).to_contain_text("The dot is at 0.", timeout=60_000)
    before = figure.locator("svg").inner_html()
    figure.locator("input").focus()
    tab.keyboard.press("End")
    expect(figure).to_contain_text("The dot is at 2.")
    assert figure.locator("svg").inner_html() != before
    tab.close()


def test_a_notebook_runs_is_interrupted_and_saved(lab: str, repository: Path, browser: Browser) -> None:
    tab = ran(browser, f"{lab}lab/tree/short.ipynb?reset")
    cells = tab.locator(".jp-Notebook .jp-CodeCell")
    bar = cells.nth(1).locator(".jp-OutputArea-output")
    expect(bar).to_contain_text("step", timeout=60_000)  # training is on
    tab.keyboard.press("Escape")
    tab.keyboard.press("i")
    tab.keyboard.press("i")
    cells.nth(2).locator(".cm-content").click()
    tab.keyboard.press("Shift+Enter")
    expect(cells.nth(2).locator(".jp-OutputArea-output")).to_contain_text("It stopped, True", timeout=60_000)
    tab.keyboard.press("Control+s")
    path = repository / "notebooks" / "short.ipynb"
    for _ in range(100):
        if "It stopped, True" in path.read_text(encoding="utf-8"):
            break
        time.sleep(0.1)
    saved = path.read_text(encoding="utf-8")
    assert "It stopped, True" in saved, "outputs stay in the file"
    git(repository, "add", ".")
    assert "It stopped, True" not in git(repository, "show", ":notebooks/short.ipynb")
    assert path.read_text(encoding="utf-8") == saved
    tab.close()


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.notebook)
def test_a_chapter_opens(chapter, lab: str, repository: Path, browser: Browser) -> None:
    tab = browser.new_page()
    tab.goto(f"{lab}lab/tree/{chapter.notebook}.ipynb?reset")  # without the notebooks that were open before
    expect(tab.locator(".jp-Notebook h1").first).to_contain_text(f"{chapter.number}. ", timeout=60_000)
    assert git(repository, "diff", "--", f"notebooks/{chapter.notebook}.ipynb") == ""
    tab.close()
