"""Which exercises were passed is kept, shown, and never lost."""

import json
import os
import stat
import subprocess
import sys

import pytest

import companion
from tests.helpers import child_environment

pytestmark = pytest.mark.usefixtures("own_topics")


def double(x):
    return 2 * x


def test_passing_is_kept_once_and_shown(progress_file, capsys):
    companion.check("guesses-nine", 11)
    assert not progress_file.exists()
    assert companion.check("double", double)
    kept = json.loads(progress_file.read_text())
    assert list(kept) == ["double"]
    progress_file.write_text(json.dumps({"double": "2020-02-02", "of-a-later-edition": "2020-02-03"}))
    assert companion.check("double", double)
    assert companion.check("guesses-nine", 9)
    kept = json.loads(progress_file.read_text())
    assert kept["double"] == "2020-02-02"
    assert set(kept) == {"double", "guesses-nine", "of-a-later-edition"}
    capsys.readouterr()
    companion.progress()
    shown = capsys.readouterr().out
    assert "**Sums**: 1 of 1" in shown
    assert "| ✓ 2020-02-02 | `double` | Double it | easy | 5 |" in shown
    assert shown.rstrip().endswith(f"Kept in `{progress_file}`.")
    assert [path.name for path in progress_file.parent.iterdir()] == ["progress.json"]


def test_two_notebooks_that_pass_at_the_same_time_lose_nothing(tmp_path):
    script = """
import sys
from companion.exercises.kept import keep
for number in range(15):
    assert keep(f"{sys.argv[1]}{number}") == ""
"""
    environment = {**child_environment(), "XDG_DATA_HOME": str(tmp_path)}
    both = [subprocess.Popen([sys.executable, "-c", script, name], env=environment) for name in "ab"]
    assert [each.wait() for each in both] == [0, 0]
    kept = json.loads((tmp_path / "slow-copy" / "progress.json").read_text())
    assert kept.keys() == {f"{name}{number}" for name in "ab" for number in range(15)}


@pytest.mark.parametrize("damage", ["{", "[1]", '{"double": 3}', "\x00"])
def test_a_damaged_file_is_set_aside_and_not_lost(damage, progress_file):
    progress_file.parent.mkdir(parents=True)
    for i in (1, 2):
        progress_file.write_text(damage)
        report = companion.check("double", double)
        assert report
        aside = progress_file.with_name(f"progress.damaged-{i}.json")
        assert str(aside) in report.note
        assert aside.read_text() == damage
        assert list(json.loads(progress_file.read_text())) == ["double"]


@pytest.mark.parametrize("call", ["replace", "mkdir"])
def test_a_folder_that_cannot_be_written_breaks_nothing(call, monkeypatch, progress_file, capsys):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    if call == "replace":
        monkeypatch.setattr(os, "replace", refuse)
    else:
        monkeypatch.setattr(type(progress_file), "mkdir", refuse)
    report = companion.check("double", double)
    assert report
    assert "could not be kept" in report.note
    assert "could not be kept" in capsys.readouterr().out


def test_a_progress_file_that_cannot_be_read_is_left_alone(progress_file, monkeypatch, capsys):
    progress_file.parent.mkdir(parents=True)
    progress_file.mkdir()  # reading it is an OSError, for root too
    assert "could not be read" in companion.check("double", double).note
    assert stat.S_ISDIR(progress_file.stat().st_mode)
    companion.progress()
    assert "could not be read" in capsys.readouterr().out
