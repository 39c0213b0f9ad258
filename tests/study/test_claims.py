"""Claims: what they accept, what they say, and that luck stops nothing."""

import inspect
import json
import math
import subprocess
import sys

import nbformat
import numpy as np
import pytest
import torch
import xarray as xr
from nbclient import NotebookClient

from companion import study
from companion.study import claims, rehearsals


@pytest.fixture(autouse=True)
def begun_anew():
    claims.begin(None)
    yield
    claims.begin(None)


class TestWhatHolds:
    @pytest.mark.parametrize(
        ("value", "bound", "holds"),
        [
            (1.0, {"above": 0}, True),
            (0.0, {"above": 0}, False),  # to lie on the bound is to break it
            ([1.0, 2.0, -0.1], {"above": 0}, False),
            ([1.0, 2.0], {"below": 2.5}, True),
            (np.float32(3), {"within": (2, 4)}, True),
            (torch.tensor([2.5, 5.0]), {"within": (2, 4)}, False),
            (xr.DataArray([[1, 2], [3, 4]]), {"above": 0.5}, True),
            (-math.inf, {"below": 0}, True),
            (math.inf, {"below": 0}, False),
        ],
    )
    def test_every_entry_is_held_against_the_bound(self, value, bound, holds) -> None:
        assert bool(study.claim("words", value, **bound)) is holds

    def test_nan_is_announced_or_refused(self) -> None:
        diverged = np.array([1.0, np.nan])
        with pytest.raises(ValueError, match="NaN in 1 of 2 entries"):
            study.claim("words", diverged, above=0)
        assert study.claim("low", diverged, above=0, diverged="low") == 0
        assert study.claim("high", diverged, above=0, diverged="high") == 1

    def test_a_claim_made_again_counts_once(self) -> None:
        study.claim("the same", 1.0, above=0)
        study.claim("the same", -1.0, above=0)
        assert [(c.words, c.holds) for c in claims.made()] == [("the same", False)]

    def test_a_budget_begins_anew(self) -> None:
        study.claim("of another chapter", 1.0, above=0)
        study.budget("ema-in-numpy")
        assert claims.made() == []


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("arguments", "error", "says"),
        [
            ({"words": "", "value": 1, "above": 0}, ValueError, "words is ''"),
            ({"words": 3, "value": 1, "above": 0}, ValueError, "words is 3"),
            ({"words": "w", "value": 1}, ValueError, "exactly one; given are none"),
            ({"words": "w", "value": 1, "above": 0, "below": 2}, ValueError, "exactly one; given are"),
            ({"words": "w", "value": 1, "within": 3}, ValueError, "within is 3"),
            ({"words": "w", "value": 1, "within": (2, 1)}, ValueError, "first must be less"),
            ({"words": "w", "value": 1, "above": math.nan}, ValueError, "above is nan"),
            ({"words": "w", "value": 1, "below": "3"}, TypeError, "below is '3'"),
            ({"words": "w", "value": 1, "below": True}, TypeError, "below is True"),
            ({"words": "w", "value": 1, "above": [0, 1]}, TypeError, "must be one number"),
            ({"words": "w", "value": [], "above": 0}, ValueError, "no entry"),
            ({"words": "w", "value": "five", "above": 0}, TypeError, "value is 'five'"),
            ({"words": "w", "value": True, "above": 0}, TypeError, "value is True"),
            ({"words": "w", "value": np.array([True]), "above": 0}, TypeError, "not bool"),
            ({"words": "w", "value": None, "above": 0}, TypeError, "value is None"),
            ({"words": "w", "value": 1, "above": 0, "diverged": "gap"}, ValueError, "diverged is 'gap'"),
        ],
    )
    def test_wrong_arguments_raise_before_anything_is_counted(self, arguments, error, says) -> None:
        with pytest.raises(error, match=says):
            inspect.unwrap(study.claim)(**arguments)  # past the tests' own check of types
        assert claims.made() == []


class TestWhatIsSaid:
    def test_a_plain_script_prints_a_line(self, capsys) -> None:
        study.claim("the error falls", [-41.0, -19.0], below=0)
        study.claim("it falls by much", -19.0, below=-1_500)
        study.recorded("it fell once", 0.5, within=(0, 1))
        first, second, third = capsys.readouterr().out.splitlines()
        assert first == "✓ holds: the error falls (measured −41 to −19, bound: below 0)"
        assert second == "○ not in this run: it falls by much (measured −19, bound: below −1,500)"
        assert third == "✓ in the recording: it fell once (measured 0.5, bound: between 0 and 1)"

    def test_the_tally_counts_runs_and_no_recordings(self, capsys) -> None:
        study.claim("true", 1, above=0)
        study.claim("false", -1, above=0)
        study.recorded("old", 1, above=0)
        capsys.readouterr()
        study.tally()
        out = capsys.readouterr().out
        assert "1 of 2 claims hold here" in out
        assert "Not in this run: false (measured −1, bound: above 0)" in out

    def test_rehearsals_are_told(self, capsys, tmp_path, monkeypatch) -> None:
        kept = [
            {"words": "always", "computation": "x", "values": [[-41.0, -50.0], [-19.0, -20.0]]},
            {"words": "leads in {held}", "computation": "y", "values": [[1.0], ["-inf"]]},
        ]
        (tmp_path / "a-chapter.json").write_text(json.dumps({"claims": kept}))
        monkeypatch.setattr(rehearsals, "FOLDER", tmp_path)
        rehearsals.rehearsed.cache_clear()
        claims.begin("a-chapter")
        study.claim("always", -30, below=-15)
        study.claim("leads in {held}", 2, above=0)
        study.claim("always", [-30, -70], below=-15)
        first, second, third = capsys.readouterr().out.splitlines()
        assert first == ("✓ holds: always (measured −30, bound: below −15; held in 2 of 2 rehearsals, −41 to −19)")
        assert third.endswith("(measured −70 to −30, bound: below −15; held in 2 of 2 rehearsals, at worst −41 to −19)")
        assert second.startswith("✓ holds: leads in 1 of 2 rehearsals (measured 2, bound: above 0; held in 1 of 2")
        rehearsals.rehearsed.cache_clear()

    def test_another_budget_shows_no_rehearsals(self, monkeypatch) -> None:
        monkeypatch.setenv("COMPANION_BUDGET", "full")
        study.budget("ema-in-numpy")
        study.claim("of the full budget", 1, above=0)
        assert [claim.chapter for claim in claims.made()] == [None]


NOTEBOOK = [
    "from companion import study\nstudy.budget('none-such')",
    "study.claim('a < `b` & c', 1, above=0)\nx = 3\nstudy.claim('second', [1, 2], below=1.5)",
    "study.claim('alone', 1, above=0)\nstudy.tally()",
]


def test_in_a_notebook_the_claims_of_a_cell_are_one_list() -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in NOTEBOOK])
    NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    _, two, one = notebook.cells
    (shown,) = two.outputs
    assert shown.data["text/html"].count("<li") == 2
    assert "a &lt; <code>b</code> &amp; c" in shown.data["text/html"]
    assert shown.data["text/plain"].splitlines()[1].startswith("○ not in this run: second (measured 1 to 2")
    kept = shown.metadata["companion"]["claims"]
    assert [(c["words"], c["holds"]) for c in kept] == [("a < `b` & c", True), ("second", False)]
    assert [c["words"] for c in one.outputs[0].metadata["companion"]["claims"]] == ["alone"]
    assert "2 of 3 claims hold here" in one.outputs[1].data["text/markdown"]


def test_it_never_stops_a_script() -> None:
    code = "from companion import study; print(study.claim('no', -1, above=0))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("False\n")
