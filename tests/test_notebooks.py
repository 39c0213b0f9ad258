"""Every notebook keeps the anatomy of a chapter and reads right as plain Jupyter Markdown."""

import re
import subprocess
from pathlib import Path

import nbformat
import pytest
import yaml
from pybtex.database import parse_file

from companion.exercises import topics

KNOWN = {exercise.name: exercise for topic in topics().values() for exercise in topic}

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
SECTIONS = ["Promise", "Predict", "Idea", "Grow it", "Train it for real", "Look", "What broke", "Exercises", "Remember"]
SECTIONS += ["Read next", "Kept"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request: pytest.FixtureRequest) -> nbformat.NotebookNode:
    return nbformat.read(request.param, as_version=4)


def text(notebook: nbformat.NotebookNode, kind: str) -> str:
    return "\n".join(c.source for c in notebook.cells if c.cell_type == kind)


def prose(notebook: nbformat.NotebookNode) -> str:
    """The Markdown without its code fences, where a # or a link means something else."""
    return re.sub(r"^```.*?^```", "", text(notebook, "markdown"), flags=re.M | re.S)


def test_there_are_notebooks() -> None:
    toc = (ROOT / "_toc.yml").read_text()
    assert NOTEBOOKS
    assert {n.stem for n in NOTEBOOKS} == set(re.findall(r"notebooks/(\S+)", toc))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_git_keeps_has_no_outputs(path: Path) -> None:
    """The file itself may have some: a reader works in it (`tools/strip.py`)."""
    kept = subprocess.run(["git", "show", f":./{path.name}"], cwd=path.parent, check=True, capture_output=True).stdout
    for cell in nbformat.reads(kept.decode(), as_version=4).cells:
        assert not cell.get("outputs"), "a notebook is kept without outputs: run tools/strip.py"
        assert cell.get("execution_count") is None


def test_no_cell_may_fail(notebook: nbformat.NotebookNode) -> None:
    tags = {tag for cell in notebook.cells for tag in cell.metadata.get("tags", [])}
    assert not tags & {"raises-exception", "skip-execution", "nbmake-skip"}
    assert not notebook.metadata.get("execution")
    assert notebook.metadata.kernelspec.name == "python3"


def test_plain_markdown(notebook: nbformat.NotebookNode) -> None:
    raw = text(notebook, "markdown")
    assert not re.search(r"^(```|:::)\s*\{|\{[a-z:-]+\}`|^\(\w+\)=$", raw, re.M), (
        "MyST shows raw outside the built book"
    )
    assert "\\label" not in raw
    assert "\\eqref" not in raw
    assert not re.search(r"!\[\s*\]\(", raw), "a picture without alt text"


def test_sections_stand_in_order(notebook: nbformat.NotebookNode) -> None:
    headings = re.findall(r"^## (.+)$", prose(notebook), re.M)
    places = []
    for section in SECTIONS:
        at = [i for i, heading in enumerate(headings) if heading.startswith(section)]
        assert at, f"no section {section!r}; there are {headings}"
        places.append(at[0])
    assert places == sorted(places), headings
    assert len(re.findall(r"^# ", prose(notebook), re.M)) == 1


def test_first_cells(notebook: nbformat.NotebookNode) -> None:
    install, begin = [c for c in notebook.cells if c.cell_type == "code"][:2]
    assert f"git+{ADDRESS}" in install.source
    assert 'find_spec("companion") is None' in install.source
    assert "study.budget(" in begin.source


def test_equations_are_numbered_once(notebook: nbformat.NotebookNode) -> None:
    number = re.search(r"^# (\d+)\.", notebook.cells[0].source)
    assert number, "the title carries the chapter's number"
    tags = re.findall(r"\\tag\{([^}]+)\}", text(notebook, "markdown"))
    for equation in re.findall(r"\$\$.*?\$\$", prose(notebook), re.S):
        split = r"\\" in equation and r"\tag" in equation
        assert not split, rf"the book wraps what holds \\ in a split, which takes no \tag; write \cr: {equation}"
    assert tags
    assert [t for t in tags if tags.count(t) > 1] == []
    assert all(t.startswith(f"{number[1]}.") for t in tags)
    mentioned = set(re.findall(r"\((\d+\.\d+[a-z]?)\)", prose(notebook)))
    assert {m for m in mentioned if m.startswith(f"{number[1]}.")} <= set(tags)


def test_every_link_is_in_the_bibliography(notebook: nbformat.NotebookNode) -> None:
    known = set()
    for entry in parse_file(str(ROOT / "book" / "references.bib")).entries.values():
        known |= {entry.fields.get("url", "")}
        known |= {f"https://doi.org/{entry.fields['doi']}"} if "doi" in entry.fields else set()
    links = set(re.findall(r"\]\((https?://(?:[^()\s]|\([^()\s]*\))+)\)", prose(notebook)))
    assert {link for link in links if not link.startswith(ADDRESS)} <= known


def test_figures_have_alt_text(notebook: nbformat.NotebookNode) -> None:
    code = text(notebook, "code")
    assert "study.show(" in code
    assert not re.search(r"plt\.show\(|display\(fig", code), "a figure goes through study.show, with its alt text"
    assert len(re.findall(r"study\.(?:show|animate|explore)\(", code)) <= len(re.findall(r"\balt=", code))


def test_exercises_are_known_and_have_cards(notebook: nbformat.NotebookNode) -> None:
    code = text(notebook, "code")
    checked = re.findall(r"companion\.check\(\s*\"([\w-]+)\"", code)
    solved = re.findall(r"companion\.solution\(\s*\"([\w-]+)\"", code)
    assert len(checked) >= 3
    assert sorted(checked) == sorted(solved)
    cards = re.findall(
        r"^### Exercise \d+\.\d+ · (.+)\n+\*(easy|medium|hard) · [^*]*\b(\d+) minutes\b[^*]*\*", prose(notebook), re.M
    )
    exercises = [KNOWN[name] for name in checked]
    cards = [(title.replace("τ", "tau"), difficulty, minutes) for title, difficulty, minutes in cards]
    assert cards == [(each.title, each.difficulty, str(each.minutes)) for each in exercises]
    assert [each.place for each in exercises] == list(range(1, len(exercises) + 1)), "in the order of the chapter"


def test_every_exercise_stands_in_a_chapter() -> None:
    code = "\n".join(text(nbformat.read(n, as_version=4), "code") for n in NOTEBOOKS)
    assert {name for name in KNOWN if f'companion.check("{name}"' not in code} == set()


def test_a_chapter_is_read_in_an_hour(notebook: nbformat.NotebookNode) -> None:
    words = re.sub(r"\$\$.*?\$\$|\]\([^)]*\)", " ", prose(notebook), flags=re.S).split()
    assert len(words) <= 3_000
    with_cards = re.sub(r"\$\$.*?\$\$|\$[^$\n]*\$", " ", text(notebook, "markdown"), flags=re.S).split()
    assert len(with_cards) <= 3_000, "listings and cards are read, too"
    assert len(notebook.cells) <= 60
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "code" and "hide-input" not in tags:
            assert len(cell.source.splitlines()) <= 25, cell.source
        if cell.cell_type == "code":
            assert [line for line in cell.source.splitlines() if len(line) > 88] == []
