"""Progress made by a test is kept in the test's own folder."""

import pytest

from companion.exercises import core


@pytest.fixture(autouse=True)
def progress_file(tmp_path, monkeypatch):
    path = tmp_path / "data" / "progress.json"
    monkeypatch.setattr(core, "_progress_file", lambda: path)
    return path
