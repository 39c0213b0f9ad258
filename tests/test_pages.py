"""The prose keeps up with the code: names, commands and works that the pages speak of are there."""

import inspect
import re
from pathlib import Path

import pytest
import yaml
from pybtex.database import Entry, parse_file

import companion
from companion import averaging, exercises, generation, members, preference, study, supervised, teachers, vision

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]
PAGES = [*sorted(BOOK.glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
ENTRIES = parse_file(str(BOOK / "references.bib")).entries


@pytest.fixture(params=PAGES, ids=lambda path: path.name)
def page(request: pytest.FixtureRequest) -> str:
    return request.param.read_text(encoding="utf-8")


def test_the_api_page_names_the_whole_front_door() -> None:
    page = (BOOK / "api.md").read_text(encoding="utf-8")
    shown = re.findall(r"auto(?:function|class):: companion\.(?:averaging\.)?(\w+)$", page, re.M)
    assert sorted(shown) == sorted(set(shown))
    assert set(companion.__all__) <= set(shown)


PARTS = [averaging, exercises, generation, members, preference, study, supervised, teachers, vision]


@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_public_names_have_docstrings(part: object) -> None:
    """A name without one would be missing from the API page, and nothing would say so."""
    named = {name: getattr(part, name) for name in part.__all__}
    objects = {name: value for name, value in named.items() if inspect.isroutine(value) or inspect.isclass(value)}
    assert [name for name, value in objects.items() if not (value.__doc__ or "").strip()] == []


def test_commands_exist(page: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    assert set(re.findall(r"(?:`|\$ )make ([a-z-]+)", page)) <= targets
    scripts = re.findall(r"python (tools[\\/]\w+\.py)", page)
    assert [name for name in scripts if not (ROOT / name.replace("\\", "/")).exists()] == []


def test_names_of_the_package_exist(page: str) -> None:
    """``companion.…`` in a page is something that can be imported, or a folder of the repository."""
    for dotted in set(re.findall(r"(?<![\w./-])companion((?:\.[A-Za-z_]\w*)+)", page)):
        *parts, last = dotted[1:].split(".")
        owner = companion
        for part in parts:
            owner = getattr(owner, part, None) or __import__(f"{owner.__name__}.{part}", fromlist=["_"])
        try:
            found = hasattr(owner, last) or bool(__import__(f"{owner.__name__}.{last}", fromlist=["_"]))
        except ImportError:
            found = False
        assert found, f"companion{dotted}"


def test_guards_of_the_bug_museum_exist() -> None:
    page = (BOOK / "bug-museum.md").read_text(encoding="utf-8")
    rooms = re.findall(r"^## (\d+)\. ", page, re.M)
    assert rooms == [str(n) for n in range(1, len(rooms) + 1)]
    assert page.count("**On guard:**") == page.count("*Seen in*") == len(rooms) >= 13
    own = re.findall(rf"{re.escape(ADDRESS)}/(?:blob|tree)/main/([\w/.]+)\)", page)
    assert own
    assert [path for path in own if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("entry", ENTRIES.values(), ids=list(ENTRIES))
def test_entries_are_whole(entry: Entry) -> None:
    assert entry.persons.get("author"), "an author"
    assert entry.fields.get("title")
    assert re.fullmatch(r"(19|20)\d\d", entry.fields.get("year", ""))
    venue = {"journal", "booktitle", "publisher", "school", "institution", "note", "howpublished", "url"}
    assert venue & set(entry.fields)
    assert entry.fields.get("url", "").startswith("http") or re.match(r"10\.\d{4,}/", entry.fields.get("doi", ""))


def test_no_work_stands_twice() -> None:
    """Twice under two keys, that is: chapters bring their references from different hands."""
    for field in ("title", "doi", "url"):
        plain = [re.sub(r"[\W_]+", "", e.fields[field]).lower() for e in ENTRIES.values() if field in e.fields]
        assert sorted(plain) == sorted(set(plain)), field
