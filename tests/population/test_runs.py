"""What every run does around its program."""

import time

import torch

from companion.population.runs import choose_device, progress_bar, provenance


def test_a_device_asked_for_is_taken_and_else_the_gpu_where_there_is_one():
    assert choose_device("cpu") == torch.device("cpu")
    assert choose_device().type == ("cuda" if torch.cuda.is_available() else "cpu")


def test_provenance_says_where_when_and_with_what():
    facts = provenance(torch.device("cpu"), time.perf_counter() - 2)
    assert facts["device"] == "cpu"
    assert 2 <= facts["wall_seconds"] < 60
    assert f"torch {torch.__version__}" in facts["versions"]
    assert facts["date"].endswith("+00:00")


def test_the_bar_goes_away_and_can_be_switched_off(capsys, monkeypatch):
    monkeypatch.delenv("COMPANION_PROGRESS", raising=False)
    with progress_bar("dqn", 10) as bar:
        bar.update(10)
    assert capsys.readouterr().err.endswith("\r")
    monkeypatch.setenv("COMPANION_PROGRESS", "0")
    with progress_bar("dqn", 10) as bar:
        bar.update(10)
    assert capsys.readouterr().err == ""
