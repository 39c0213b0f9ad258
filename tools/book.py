"""Build the site into ``_build/html`` from the prose pages and the notebooks, which are executed where they changed.

    python tools/book.py

The tree that Jupyter Book reads is put together in ``_build/source``: the prose, the executed copies of the notebooks
(``tools/notebooks.py`` makes them), and the pieces that are generated (``tools/generated.py``). Warnings are errors.
While chapters run, a first version of the site is there to be read. In the end it lists the claims that did not hold
on this machine, which is no error.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import yaml

import claims
from chapters import ROOT, all_notebooks
from companion.study.pages import spelt_out
from generated import write_all
from notebooks import EXECUTED, execute_all, is_fresh, jobs, package_key, stale_of

SOURCE = ROOT / "_build" / "source"
SPHINX = ROOT / "_build" / "sphinx"
HTML = ROOT / "_build" / "html"


def pages() -> list[str]:
    """Every page of the table of contents, without its suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def stage(source: Path, package: str) -> None:
    """Put the source tree together; chapters that were not executed are taken as they are, without outputs."""
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "book", source / "book")
    (source / "notebooks").mkdir()
    for notebook in all_notebooks():
        copy = EXECUTED / notebook.name if is_fresh(notebook, package) else notebook
        shutil.copyfile(copy, source / "notebooks" / notebook.name)
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(ROOT / name, source / name)
    write_all(source / "book" / "_generated")


def build(source: Path, sphinx: Path) -> int:
    # All pages anew, every time: Sphinx says nothing more of a page with a broken link once it has read it, and leaves
    # old titles in the sidebars of pages that did not change.
    shutil.rmtree(sphinx, ignore_errors=True)
    options = ["-q", "-W", "-n", "--keep-going", "--path-output", str(sphinx)]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", *options, str(source)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout + done.stderr)
        return done.returncode
    built = sphinx / "_build" / "html"
    missing = [page for page in pages() if not (built / f"{page}.html").exists()]
    if missing:
        print("pages of _toc.yml that were not built: " + ", ".join(missing))
        return 1
    shutil.rmtree(HTML, ignore_errors=True)
    shutil.move(built, HTML)
    return 0


def preview(package: str) -> None:
    """Build the site from what there is, so that there is something to read while the chapters run."""
    stage(SOURCE.with_name("preview"), package)
    if build(SOURCE.with_name("preview"), SPHINX.with_name("preview-sphinx")) == 0:
        print(f"to read meanwhile, chapters that still run without their results: {HTML / 'index.html'}", flush=True)


def main() -> int:
    package = package_key()
    if stale := stale_of(all_notebooks(), package):
        failed = execute_all(stale, package, at_once=jobs(), beside=partial(preview, package))
        if failed:
            print("failed: " + ", ".join(failed))
            return 1
    stage(SOURCE, package)
    if status := build(SOURCE, SPHINX):
        return status
    claims.report()
    print(f"\nThe book is at {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    spelt_out()
    sys.exit(main())
