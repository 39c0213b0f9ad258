"""Make the book's environment, `.venv`, from the lock. A torch that is there, and new enough, is left alone.

    python3 tools/environment.py              # what `make setup` calls
    python3 tools/environment.py --measure    # how large it is, and how long it takes to the first figure

"There" is: in a `.venv` that the reader made and put torch into, which is then added to and never cleared; or, where
there is no such `.venv`, in the Python that runs this, whose torch the new `.venv` then finds. Otherwise `.venv` is
made anew, with the lock's torch, which for Linux is the large build for CUDA.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import venv
from datetime import datetime, timezone
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.txt"
MEASURED = ROOT / "book" / "environments.json"
OURS = "torch-of-the-lock"
"""A file in `.venv` which says that torch came with the lock, and goes with it."""
PIP = ["-m", "pip", "--quiet", "--disable-pip-version-check"]
TORCH = """
import importlib.metadata as m
try:
    found = m.distribution("torch")
    print(found.version, found.locate_file(""), sep="\\n")
except m.PackageNotFoundError:
    pass
"""


def python_of(folder: Path) -> Path:
    """The Python of an environment, which need not be there."""
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def packages_of(python: Path) -> Path:
    """The folder that a Python's packages are installed into."""
    inside = "import sysconfig; print(sysconfig.get_path('purelib'))"
    said = subprocess.run([python, "-c", inside], check=True, capture_output=True, text=True).stdout
    return Path(said.strip())


def torch_of(python: Path) -> tuple[str, str] | None:
    """Version and folder of the torch that a Python finds, if that is new enough for the book; torch is not loaded."""
    try:
        said = subprocess.run([python, "-c", TORCH], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        return None  # there is no such Python, or none that works
    if not said:
        return None
    version, folder = said.splitlines()
    floor = re.search(r'"torch>=([\d.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))[1]
    return (version, folder) if _numbers(version) >= _numbers(floor) else None


def prepare(folder: Path) -> str | None:
    """Make the environment, without its packages, where it is not there; the version of the torch to leave alone."""
    here = torch_of(python_of(folder))
    if here and not (folder / OURS).exists():
        return here[0]
    elsewhere = torch_of(Path(sys.executable))
    if elsewhere and Path(elsewhere[1]).resolve().is_relative_to(folder.resolve()):
        elsewhere = None  # the environment that is about to be cleared is active
    venv.create(folder, clear=True, with_pip=True, symlinks=os.name != "nt")
    if not elsewhere:
        (folder / OURS).touch()
        return None
    # Last on the path: what the lock names is found in the environment first.
    (packages_of(python_of(folder)) / "torch_of_the_reader.pth").write_text(elsewhere[1] + "\n", encoding="utf-8")
    return elsewhere[0]


def requirements(lock: str, torch: str | None) -> str:
    """The lock, around a torch that is left alone: its version in place of the lock's, and what only torch needs free.

    Args:
        lock: text of ``requirements.txt``.
        torch: the version to leave alone; None for the lock as it is.
    """
    if torch is None:
        return lock
    lines = [line for line in lock.splitlines() if not re.search(r"# +via torch$", line)]
    return "\n".join(f"torch=={torch}" if line.startswith("torch==") else line for line in lines) + "\n"


def install(python: Path, torch: str | None) -> None:
    """Install the lock and, in place, the package."""
    with tempfile.TemporaryDirectory() as scratch:
        wanted = Path(scratch, "requirements.txt")
        wanted.write_text(requirements(LOCK.read_text(encoding="utf-8"), torch), encoding="utf-8")
        subprocess.run([python, *PIP, "install", "-r", wanted], check=True)
    subprocess.run([python, *PIP, "install", "--no-deps", "--no-build-isolation", "-e", ROOT], check=True)


def keep_outputs_out(repository: Path, python: Path) -> None:
    """Let git take notebooks without their outputs, which stay in the files; `.gitattributes` says which files."""
    if (repository / ".git").exists():
        clean = f"{python.as_posix()} tools/strip.py --filter"
        subprocess.run(["git", "config", "filter.notebooks.clean", clean], cwd=repository, check=True)


def sizes() -> dict[str, dict[str, Any]]:
    """What was measured last, by the build of torch: ``cpu``, or ``cu`` and a version of CUDA."""
    return json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}


def named(build: str) -> str:
    """A build of torch, in words."""
    return "for the CPU alone" if build == "cpu" else f"for CUDA {build.removeprefix('cu')}: what Linux gets"


def measure() -> None:
    """Make the environment in a temporary folder, with nothing kept from earlier, draw the first figure in it, and keep
    what that took."""
    with tempfile.TemporaryDirectory() as scratch:
        wheels, folder = Path(scratch, "wheels"), Path(scratch, "environment")
        python, marks = python_of(folder), [time.monotonic()]

        def step(*words: str | Path) -> None:
            subprocess.run([python, *words], check=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
            marks.append(time.monotonic())

        venv.create(folder, with_pip=True)
        step(*PIP, "--no-cache-dir", "download", "--dest", wheels, "-r", LOCK)
        step(*PIP, "install", "--no-index", "--find-links", wheels, "-r", LOCK)
        step(ROOT / "tools" / "first.py")
        about = "import torch; print(torch.version.cuda or '', torch.get_num_threads(), sep='\\n')"
        said = subprocess.run([python, "-c", about], check=True, capture_output=True, text=True).stdout
        cuda, threads = said.splitlines()
        downloading, installing, drawing = (round(end - begin) for begin, end in pairwise(marks))
        entry = {
            "download_mb": round(_bytes(wheels) / 1e6),
            "disk_mb": round(_bytes(folder) / 1e6),
            "seconds": {"download": downloading, "install": installing, "first figure": drawing},
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}, "
            f"{threads} thread{'s' if threads != '1' else ''}",
            "date": f"{datetime.now(timezone.utc):%Y-%m-%d}",  # noqa: UP017, an older Python gets as far as main
        }
    build = f"cu{cuda}" if cuda else "cpu"
    print(f"{build}: {entry}")
    MEASURED.write_text(json.dumps({**sizes(), build: entry}, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file() and not f.is_symlink())


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036, this is run by whatever Python there is
        sys.exit("Python 3.11 or newer is needed; say which: make PYTHON=python3.12 setup")
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--measure", action="store_true", help="only measure, in a temporary folder")
    if parser.parse_args().measure:
        measure()
        return
    torch = prepare(ROOT / ".venv")
    if torch:
        print(f"torch {torch} is there and is left alone.", flush=True)
    elif large := next((size for build, size in sizes().items() if build != "cpu" and sys.platform == "linux"), None):
        print(
            f"About {large['download_mb'] / 1000:.1f} GB will be downloaded, most of it torch for CUDA. Without a "
            'GPU, stop here and see "On Linux without a GPU" in README.md: the small build is enough.',
            flush=True,
        )
    install(python_of(ROOT / ".venv"), torch)
    keep_outputs_out(ROOT, python_of(Path(".venv")))  # git calls it from the repository's root


if __name__ == "__main__":
    main()
