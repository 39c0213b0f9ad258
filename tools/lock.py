"""Write ``requirements.txt``, the full lock of the book's environment, from the floors in ``pyproject.toml``.

Run it as ``make lock``. A local build's label (``+cpu``) is cut off, so that the lock holds on any machine.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Chosen, not the newest: torch's next minor version is taken when every notebook and benchmark has run on it, and
# soupsieve's later ones want Python 3.11.5, which Debian 12 does not have.
CHOSEN = ["torch==2.13.0", "soupsieve<3.0.2"]
HEADER = "# The full lock of the book's environment (Python 3.11 or newer). Written by `make lock`; do not edit.\n"


def main() -> None:
    lock = ROOT / "requirements.txt"
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "pip-tools>=7.4"], check=True)
    options = ["--extra=book", "--extra=test", "--extra=mujoco", "--strip-extras", "--allow-unsafe", "--no-header"]
    options += ["--quiet", "--no-emit-index-url", "--no-emit-find-links", "--no-emit-trusted-host"]
    options += ["--annotation-style=line"]
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as chosen:
        chosen.write("\n".join(CHOSEN))
        chosen.flush()
        command = [sys.executable, "-m", "piptools", "compile", *options, f"--constraint={chosen.name}"]
        subprocess.run([*command, f"--output-file={lock}", *sys.argv[1:], "pyproject.toml"], cwd=ROOT, check=True)
    text = re.sub(r"(==[^\s+]+)\+\w+", r"\1", lock.read_text())
    lock.write_text(HEADER + re.sub(r", -c \S+|-c \S+, ", "", text))
    print(f"wrote {lock.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
