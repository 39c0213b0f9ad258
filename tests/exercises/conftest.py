"""Progress made by a test is kept in the test's own folder; topics of the tests' own."""

from pathlib import Path

import pytest

from companion import exercises
from tests.exercises.helpers import TOPICS


@pytest.fixture(autouse=True)
def progress_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "slow-copy" / "progress.json"


@pytest.fixture
def own_topics(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests' own topics in the place of the book's."""
    monkeypatch.setattr(exercises, "__path__", [str(TOPICS)])
