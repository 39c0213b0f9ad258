"""The chapters' claims: their words and computations, every one rehearsed, and what counts as changed."""

import re
from pathlib import Path

import nbformat
import numpy as np
import pytest
from scipy import stats

import claims
from chapters import all_notebooks, slug
from companion.study.rehearsals import ENOUGH, TAIL, Bound, Rehearsed, rehearsed

NOTEBOOKS = all_notebooks()

CHAPTER = [
    "import numpy as np\nfrom companion import rl, study\nfrom companion.members import Streams\n%matplotlib inline",
    "rate = 0.1\nunused = 3\ndef train(seed):\n    return rl.train('td3', 'Pendulum-v1', lr=rate, seeds=Streams(seed))",
    "run = train(4)\nfig, ax = None, None",
    "ax.plot(run['return'])\nlast = run['return'].isel(step=-1)\nlast -= 1\nstudy.say('a table')",
    "study.claim('it learns', last.mean(), above=-300)\nstudy.recorded('it learned', 2, above=1)",
    "if unused:\n    study.claim('and well', (last > -200).mean(), above=0.4)",
]


def written(folder: Path, cells: list[str]) -> Path:
    path = folder / "01_a_chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    return path


def digests(folder: Path, cells: list[str]) -> dict[str, str]:
    return {s.words: s.computation for s in claims.stated(written(folder, cells))}


def test_words_and_kinds_are_read(tmp_path: Path) -> None:
    found = claims.stated(written(tmp_path, CHAPTER))
    assert [(s.words, s.frozen) for s in found] == [("it learns", False), ("it learned", True), ("and well", False)]


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        (1, "rate = 0.1", "rate = 0.01"),  # a setting that a function reads when it is called
        (1, "'Pendulum-v1'", "'Hopper-v5'"),
        (0, "import Streams", "import Noise as Streams"),
        (2, "train(4)", "train(5)"),
        (3, "isel(step=-1)", "isel(step=-2)"),
        (3, "last -= 1", "last -= 2"),  # changed in place
        (4, "last.mean()", "last.max()"),
    ],
)
def test_a_changed_computation_has_another_digest(tmp_path: Path, cell: int, old: str, new: str) -> None:
    changed = list(CHAPTER)
    assert old in changed[cell]
    changed[cell] = changed[cell].replace(old, new)
    assert digests(tmp_path, CHAPTER)["it learns"] != digests(tmp_path, changed)["it learns"]


@pytest.mark.parametrize(
    ("cell", "old", "new"),
    [
        (3, "ax.plot(run['return'])", "ax.plot(run['return'], '--')"),
        (3, "'a table'", "'another'"),
        (4, "above=-300", "above=-250"),  # a bound is held against the values that are kept
        (5, "above=0.4", "above=0.3"),
        (1, "rate = 0.1", "rate = 0.1  # the paper's"),
        (0, "companion.members", "companion.elsewhere"),  # where in the package a name lives
    ],
)
def test_what_does_not_reach_the_value_changes_nothing(tmp_path: Path, cell: int, old: str, new: str) -> None:
    changed = list(CHAPTER)
    assert old in changed[cell]
    changed[cell] = changed[cell].replace(old, new)
    assert digests(tmp_path, CHAPTER) == digests(tmp_path, changed)


@pytest.mark.parametrize(
    "drawn",
    [
        "for name, run in {'a': 5}.items():\n    ax.plot(run, label=name)",
        "for ax, part in zip(axes, kept.values()):\n    ax.plot(part)",
        "names = [name for name in (5, 6)]",
        "def name(run):\n    kept = 5\n    return kept",
        "with open(5) as name:\n    pass",
    ],
)
def test_what_loops_and_functions_call_their_own_leads_nowhere(tmp_path: Path, drawn: str) -> None:
    cells = [
        "kept = {'a': [1]}\naxes = []",
        drawn,
        "total = sum(name for run in kept.values() for name in run)\nworst = max(map(lambda part: part, kept['a']))",
        "for name, part in kept.items():\n    study.claim('in a loop', part[0], above=0)",
        "study.claim('it adds up', total + worst, above=0)",
    ]
    changed = [cell.replace("5", "7") for cell in cells]
    assert digests(tmp_path, cells) == digests(tmp_path, changed)
    assert digests(tmp_path, cells) != digests(tmp_path, [cell.replace("[1]", "[2]") for cell in cells])


@pytest.mark.parametrize(
    "loop",
    [
        "for part in kept.values():\n    part.append(5)",
        "for part, rate in zip(kept.values(), [1, 2], strict=True):\n    part.append(5)",
        "for i, part in enumerate(kept.values()):\n    part[i] = 5",
        "for part in kept.values():\n    for each in part:\n        each.append(5)",
    ],
)
def test_what_is_changed_through_a_loops_variable_counts(tmp_path: Path, loop: str) -> None:
    cells = ["kept = {'a': []}", loop, "study.claim('it is kept', kept['a'][0], above=0)"]
    assert digests(tmp_path, cells) != digests(tmp_path, [cell.replace("5", "7") for cell in cells])


def test_words_must_be_plain_and_stand_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain text"):
        claims.stated(written(tmp_path, ["study.claim(f'{x} learns', 1, above=0)"]))
    with pytest.raises(ValueError, match=r"stand twice: \['it learns'\]"):
        claims.stated(written(tmp_path, [*CHAPTER, "study.claim('it learns', 1, above=0)"]))


def test_words_may_not_promise_more_than_was_rehearsed() -> None:
    def kept(words: str, values: list[float]) -> Rehearsed:
        return Rehearsed(words, "digest", [[v] for v in values])

    steady, loose, broken = [-30.0, -31.0, -29.0], [-30.0, -16.0, -22.0], [-30.0, -10.0, -31.0]
    bound = Bound(high=-15.0)
    assert claims.promises(kept("it falls", steady), bound) == []
    (fault,) = claims.promises(kept("it falls", loose), bound)
    assert "held in 3 of 3 rehearsals" in fault
    assert "held in 2 of 3" in claims.promises(kept("it falls", broken), bound)[0]
    assert claims.promises(kept("it falls in {held}", broken), bound) == []


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
class TestEveryChapter:
    def test_every_claim_was_rehearsed_as_it_stands(self, notebook: Path) -> None:
        assert claims.faults_of_rehearsals(notebook) == []

    def test_no_words_promise_more_than_was_rehearsed(self, notebook: Path) -> None:
        past = rehearsed(slug(notebook))
        known = [claim for claim in claims.stated(notebook) if claim.bound and not claim.frozen]
        assert known
        faults = [claims.promises(past[claim.words], claim.bound) for claim in known if claim.words in past]
        assert [fault for found in faults for fault in found] == []

    def test_rehearsals_are_of_three_kernels_other_seeds_and_one_thread_and_two(self, notebook: Path) -> None:
        runs = claims.runs_of(slug(notebook))
        assert len(runs) >= ENOUGH
        assert len({run["seed_shift"] for run in runs}) == len(runs)
        assert 0 not in {run["seed_shift"] for run in runs}
        assert {run["kernels"] for run in runs} == {"plain", "AVX2", "the processor's own"}
        assert {run["threads"] for run in runs} == {1, 2}
        assert all(run["date"] and run["versions"] and run["processor"] for run in runs)

    def test_it_begins_every_generator_through_the_helper_and_ends_with_a_tally(self, notebook: Path) -> None:
        cells = [c.source for c in nbformat.read(notebook, as_version=4).cells if c.cell_type == "code"]
        code = "\n".join(cells)
        begun = re.findall(r"(?:default_rng|manual_seed)\((.{0,30})", code)
        assert [how for how in begun if not how.startswith("study.seed(")] == []
        assert cells[-1].rstrip().endswith("study.tally()")


def test_the_tails_of_the_rehearsals_are_no_heavier_than_is_assumed() -> None:
    """Leave out each rehearsal of each claim and hold it against the others: how many lie far out?"""
    far = []
    for notebook in NOTEBOOKS:
        past = rehearsed(slug(notebook))
        for claim in claims.stated(notebook):
            if claim.frozen or claim.bound is None or claim.words not in past:
                continue
            values = past[claim.words].values
            for i, left_out in enumerate(values):
                others = Rehearsed(claim.words, claim.computation, [v for j, v in enumerate(values) if j != i])
                far.append(others.surprise(claim.bound, left_out))
    assert len(far) > 2_000
    for distance in (3, 4, 5, 6, 8, claims.limit()):
        expected = len(far) * 2 * stats.t.sf(distance, TAIL)
        assert np.sum(np.array(far) > distance) <= expected + 2 * np.sqrt(expected), distance
