"""Change the repository's address everywhere: ``python tools/address.py https://github.com/you/slow-copy``.

The address stands in ``_config.yml``; the notebooks' first cells, the README and a few other files quote it.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def current() -> str:
    """The repository's address, as ``_config.yml`` has it."""
    return str(yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"])


def names(address: str) -> tuple[str, str]:
    """What stands in the files: the repository, and the site that GitHub Pages serves for it."""
    owner, repository = address.removeprefix("https://github.com/").split("/")
    return f"{owner}/{repository}", f"{owner}.github.io/{repository}"


def change(new: str) -> list[str]:
    """Replace the current address by ``new`` in every tracked text file; return the files that changed."""
    if not re.fullmatch(r"https://github\.com/[\w.-]+/[\w-]+", new):
        raise SystemExit(f"URL={new!r} is not a repository's address; give one like https://github.com/you/slow-copy")
    forms = [
        (re.compile(rf"(?<![\w.-]){re.escape(a)}(?![\w-])"), b)
        for a, b in zip(names(current()), names(new), strict=True)
    ]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split(
        "\n"
    )
    changed = []
    for name in filter(None, tracked):
        try:
            text = (ROOT / name).read_text(encoding="utf-8")
        except (UnicodeDecodeError, FileNotFoundError):
            continue  # a picture or a recording; or a file removed and not yet committed
        renamed = text
        for pattern, replacement in forms:
            renamed = pattern.sub(replacement, renamed)
        if renamed != text:
            (ROOT / name).write_text(renamed, encoding="utf-8")
            changed.append(name)
    return changed


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit(__doc__)
    for name in change(sys.argv[1].rstrip("/")):
        print(name)
