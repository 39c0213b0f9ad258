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
HTML = ROOT / "_build" / "html"


def pages() -> list[str]:
    """Every page of the table of contents, without its suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    return [toc["root"], *(chapter["file"] for part in toc["parts"] for chapter in part["chapters"])]


def stage() -> None:
    """Put the source tree together; files that did not change keep their date, and Sphinx skips them."""
    package = package_key()
    stale = [n.name for n in sorted((ROOT / "notebooks").glob("*.ipynb")) if not is_fresh(n, package)]
    if stale:
        raise SystemExit(f"not executed since they changed: {', '.join(stale)}; run `make book`")
    wanted: dict[Path, Path] = {Path(name): ROOT / name for name in ("_config.yml", "_toc.yml")}
    wanted |= {f.relative_to(ROOT): f for f in (ROOT / "book").rglob("*") if f.is_file()}
    wanted |= {Path("notebooks", f.name): f for f in EXECUTED.glob("*.ipynb")}
    for target, source in wanted.items():
        copy_if_changed(source, SOURCE / target)
    generated = write_all(SOURCE / "book" / "_generated")
    keep = {SOURCE / target for target in wanted} | generated
    for old in [f for f in SOURCE.rglob("*") if f.is_file() and f not in keep and ".jupyter_cache" not in f.parts]:
        old.unlink()


def copy_if_changed(source: Path, target: Path) -> None:
    content = source.read_bytes()
    if not target.exists() or target.read_bytes() != content:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def build() -> int:
    # Under _build/source/_build Sphinx keeps its own state between builds; the site is moved where readers look for it.
    options = ["-q", "-W", "-n", "--keep-going", "--path-output", str(SOURCE.parent / "sphinx")]
    command = [str(Path(sys.executable).with_name("jupyter-book")), "build", *options, str(SOURCE)]
    done = subprocess.run(command, cwd=SOURCE)
    if done.returncode:
        return done.returncode
    built = SOURCE.parent / "sphinx" / "_build" / "html"
    missing = [page for page in pages() if not (built / f"{page}.html").exists()]
    if missing:
        print("pages of _toc.yml that were not built: " + ", ".join(missing))
        return 1
    shutil.rmtree(HTML, ignore_errors=True)
    shutil.copytree(built, HTML)
    print(f"\nThe book is at {HTML / 'index.html'}")
    return 0


if __name__ == "__main__":
    stage()
    sys.exit(build())
