"""One table of chapters: whatever repeats it is as it would be written from it."""

import re

import nbformat
import pytest
import yaml

import chapters
from chapters import CHAPTERS, PLACES, ROOT, all_notebooks, slug
from companion.exercises.registry import topics
from generated import PIECES

NEW = """
[[chapter]]
part = "Learning to see"
notebook = "10_its_name"
title = "Its title"
line = "what it is about"
promise = "A back\\\\slash and a $tau$."
"""


@pytest.mark.parametrize("name", PLACES)
def test_what_repeats_the_table_is_as_it_is_written_from_it(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert chapters.written(text, PLACES[name](CHAPTERS)) == text, "run `make chapters`"


def test_the_table_holds_every_notebook_once() -> None:
    assert sorted(all_notebooks()) == sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert len(set(map(slug, all_notebooks()))) == len(CHAPTERS)


@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.notebook)
def test_a_chapters_notebook_has_its_number_and_its_name(chapter: chapters.Chapter) -> None:
    cells = nbformat.read(chapter.path, as_version=4).cells
    assert cells[0].source.startswith(f"# {chapter.number}. ")
    assert any(f'study.budget("{slug(chapter.path)}")' in cell.source for cell in cells)


def test_the_welcome_page_shows_a_card_a_chapter() -> None:
    assert "{include} _generated/chapters.md\n" in (ROOT / "book" / "welcome.md").read_text(encoding="utf-8")
    cards = re.findall(r"\{grid-item-card\} (\d+) · (.+)\n:link: \.\./notebooks/(\S+)\n", PIECES["chapters"]())
    assert cards == [(str(c.number), c.title, c.notebook) for c in CHAPTERS]


def test_pages_of_costs_and_claims_go_through_the_chapters_in_their_order() -> None:
    for page in ("costs", "claims"):
        links = re.findall(r"\[\d+\. .+?\]\(\.\./notebooks/\S+\.ipynb\)", PIECES[page]())
        assert list(dict.fromkeys(links)) == [chapter.link for chapter in CHAPTERS], page


def test_the_exercises_are_shown_in_the_order_of_the_chapters() -> None:
    topic_of = {exercise.name: topic for topic, exercises in topics().items() for exercise in exercises}
    checks = [
        name for n in all_notebooks() for name in re.findall(r'companion\.check\(\\"([\w-]+)', n.read_text("utf-8"))
    ]
    assert list(dict.fromkeys(topic_of[name] for name in checks)) == list(topics())


def test_a_new_chapter_is_one_entry_and_may_stand_anywhere() -> None:
    table = chapters.TABLE.read_text(encoding="utf-8")
    first, *rest = chapters.chapters(NEW + table)
    assert (first.number, first.title, rest[0].number) == (1, "Its title", 2)
    of = chapters.chapters(table + NEW)
    toc = yaml.safe_load(chapters.written((ROOT / "_toc.yml").read_text(encoding="utf-8"), chapters.toc(of)))
    files = [chapter["file"] for part in toc["parts"] for chapter in part["chapters"]]
    assert [f for f in files if f.startswith("notebooks/")] == [f"notebooks/{chapter.notebook}" for chapter in of]
    readme = chapters.written((ROOT / "README.md").read_text(encoding="utf-8"), chapters.rows(of))
    assert f"| {len(of)} | [Its title](notebooks/10_its_name.ipynb) | what it is about |\n<!-- end chapters" in readme
    assert "A back\\slash and a $tau$.\n:::\n::::\n" in chapters.cards(of)


def test_a_file_without_a_place_for_the_chapters_is_refused() -> None:
    with pytest.raises(ValueError, match="a line 'begin chapters'"):
        chapters.written("end chapters\nbegin chapters\n", "")
