"""Build the site into ``_build/html`` from the prose pages and the executed notebooks, warnings as errors.

    python tools/book.py

The tree that Jupyter Book reads is put together in ``_build/source``: the prose, the executed copies of the notebooks
(``tools/notebooks.py`` makes them), and the pieces that are generated (``tools/generated.py``).
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import yaml
from generated import write_all

from notebooks import EXECUTED, ROOT, is_fresh, package_key

SOURCE = ROOT / "_build" / "source"
SPHINX = ROOT / "_build" / "sphinx"
HTML = ROOT / "_build" / "html"


def pages() -> list[str]:
    """Every page of the table of contents, without its suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def stage() -> None:
    """Put the source tree together."""
    package = package_key()
    stale = [n.name for n in sorted((ROOT / "notebooks").glob("*.ipynb")) if not is_fresh(n, package)]
    if stale:
        raise SystemExit(f"not executed since they changed: {', '.join(stale)}; run `make book`")
    shutil.rmtree(SOURCE, ignore_errors=True)
    shutil.copytree(ROOT / "book", SOURCE / "book")
    shutil.copytree(EXECUTED, SOURCE / "notebooks", ignore=shutil.ignore_patterns("*.json"))
    for name in ("_config.yml", "_toc.yml"):
        shutil.copyfile(ROOT / name, SOURCE / name)
    write_all(SOURCE / "book" / "_generated")


def build() -> int:
    # All pages anew, every time: Sphinx says nothing more of a page with a broken link once it has read it, and leaves
    # old titles in the sidebars of pages that did not change.
    shutil.rmtree(SPHINX, ignore_errors=True)
    options = ["-q", "-W", "-n", "--keep-going", "--path-output", str(SPHINX)]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", *options, str(SOURCE)]
    done = subprocess.run(command, cwd=SOURCE)
    if done.returncode:
        return done.returncode
    built = SPHINX / "_build" / "html"
    missing = [page for page in pages() if not (built / f"{page}.html").exists()]
    if missing:
        print("pages of _toc.yml that were not built: " + ", ".join(missing))
        return 1
    shutil.rmtree(HTML, ignore_errors=True)
    shutil.move(built, HTML)
    print(f"\nThe book is at {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    stage()
    sys.exit(build())
