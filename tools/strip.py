"""Strip outputs, counters and stray metadata from notebooks.

    python tools/strip.py notebooks/*.ipynb    # in place
    python tools/strip.py --filter             # from standard input to standard output, as a filter of git's

Where the filter is set up (`make setup` does it), what was run in a notebook stays in the file and out of git.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat

KERNEL = {"display_name": "Python 3", "language": "python", "name": "python3"}


def stripped(text: str, *, count: bool = True) -> str:
    """The notebook's text with its sources and tags alone.

    Args:
        text: of the notebook.
        count: whether cell ids count up, so that edits give small diffs, or stay as they are.
    """
    notebook = nbformat.reads(text, as_version=4)
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": {"name": "python"}})
    notebook.nbformat_minor = 5
    for number, cell in enumerate(notebook.cells):
        if count:
            cell["id"] = f"cell-{number:03d}"
        cell["metadata"] = nbformat.from_dict({"tags": cell.metadata.tags} if cell.metadata.get("tags") else {})
        if cell.cell_type == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return str(nbformat.writes(notebook)) + "\n"


def clean(text: str) -> str:
    """What git keeps of a notebook: without its outputs; what has none, or is no notebook, is kept as it is."""
    try:
        new = stripped(text, count=False)
        return text if json.loads(new) == json.loads(text) else new
    except Exception:  # whatever is wrong with it, it is somebody's work
        return text


if __name__ == "__main__":
    if sys.argv[1:] == ["--filter"]:
        sys.stdout.buffer.write(clean(sys.stdin.buffer.read().decode()).encode())
        sys.exit()
    changed = False
    for path in map(Path, sys.argv[1:]):
        old = path.read_text(encoding="utf-8")
        new = stripped(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"stripped {path}")
            changed = True
    sys.exit(changed)  # as pre-commit expects of a hook that changed a file
