"""What a reader runs in a notebook stays in the file and out of git, and nobody's work is lost on the way."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

import environment
import strip
from environment import ROOT
from tests.helpers import as_cloned, git

CHAPTER = sorted((ROOT / "notebooks").glob("*.ipynb"))[0]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one chapter, in which the filter is set up."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "chapter.ipynb").write_text(strip.stripped(CHAPTER.read_text("utf-8")), "utf-8")
    return as_cloned(tmp_path)


def worked_in(path: Path, answer: str | None = None) -> str:
    """The notebook as JupyterLab saves it: with outputs and counters, and perhaps with a cell that was changed."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=f"output {number}\n")]
        cell.execution_count, cell.metadata["execution"] = number, {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    if answer:
        code[-1].source = answer
    nbformat.write(notebook, path)
    return path.read_text("utf-8")


@pytest.mark.parametrize("chapter", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_a_chapter_stays_as_it_is_before_and_after_it_was_run(chapter: Path, tmp_path: Path) -> None:
    kept = git(chapter.parent, "show", f":./{chapter.name}")
    assert strip.clean(kept) == kept
    path = tmp_path / chapter.name
    path.write_text(kept, "utf-8")
    assert json.loads(strip.clean(worked_in(path))) == json.loads(kept)


def test_outputs_alone_are_no_change(repository: Path) -> None:
    path = repository / "notebooks" / "chapter.ipynb"
    saved = worked_in(path)
    assert git(repository, "diff") == ""
    git(repository, "add", ".")
    assert git(repository, "status", "--porcelain") == ""  # before `add`, git goes by the file's size
    assert path.read_text("utf-8") == saved


def test_an_answer_is_committed_and_the_outputs_stay_in_the_file(repository: Path) -> None:
    path = repository / "notebooks" / "chapter.ipynb"
    saved = worked_in(path, "answer = 42")
    git(repository, "commit", "--quiet", "--all", "--message=my answer")
    assert git(repository, "status", "--porcelain") == ""
    assert path.read_text("utf-8") == saved
    kept = git(repository, "show", "HEAD:notebooks/chapter.ipynb")
    assert "answer = 42" in kept
    assert "output 1" not in kept
    assert kept == strip.stripped(kept)


def test_a_newer_version_does_not_overwrite_an_answer(repository: Path) -> None:
    path = repository / "notebooks" / "chapter.ipynb"
    git(repository, "switch", "--quiet", "--create", "newer")
    worked_in(path, "answer = ...  # said better")
    git(repository, "commit", "--quiet", "--all", "--message=newer")
    git(repository, "switch", "--quiet", "-")
    saved = worked_in(path, "answer = 42")
    with pytest.raises(subprocess.CalledProcessError):
        git(repository, "merge", "newer")
    assert path.read_text("utf-8") == saved


def test_a_stash_brings_the_answer_back(repository: Path) -> None:
    path = repository / "notebooks" / "chapter.ipynb"
    worked_in(path, "answer = 42")
    git(repository, "stash")
    assert "answer = 42" not in path.read_text("utf-8")
    git(repository, "stash", "pop")
    assert "answer = 42" in path.read_text("utf-8")


@pytest.mark.parametrize("text", ["", "half a note", '{"cells": [{"cell_type": "code"}], "nbformat": 4}', "✗ [1]"])
def test_what_is_no_notebook_is_kept_as_it_is(text: str, repository: Path) -> None:
    path = repository / "notebooks" / "broken.ipynb"
    path.write_text(text, "utf-8")
    git(repository, "add", ".")
    assert git(repository, "show", ":notebooks/broken.ipynb") == text
    assert path.read_text("utf-8") == text


def test_without_its_program_the_filter_lets_everything_through(repository: Path) -> None:
    environment.keep_outputs_out(repository, Path("no/such/python"))
    path = repository / "notebooks" / "chapter.ipynb"
    saved = worked_in(path, "answer = 42")
    git(repository, "add", ".")
    assert git(repository, "show", ":notebooks/chapter.ipynb") == saved


def test_in_place_it_says_what_it_changed(tmp_path: Path) -> None:
    path = tmp_path / "chapter.ipynb"
    path.write_text(CHAPTER.read_text("utf-8"), "utf-8")
    worked_in(path)
    command = [sys.executable, ROOT / "tools" / "strip.py", path]
    first, again = (subprocess.run(command, capture_output=True, text=True) for _ in range(2))
    assert (first.returncode, first.stdout) == (1, f"stripped {path}\n")
    assert (again.returncode, again.stdout) == (0, "")
    assert "output 1" not in path.read_text("utf-8")
