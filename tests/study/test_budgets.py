"""The budget of a chapter: what decides it and what it says."""

import json

import pytest
import torch

from companion.study import budget, budgets

COST = {"seconds": 52.4, "memory_mb": 610, "device": "2 CPU cores", "date": "2026-11-20"}
FULL = {"seconds": 840, "memory_mb": 2400.0, "device": "A GPU", "date": "2026-11-21"}


@pytest.fixture(autouse=True)
def a_cpu(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.delenv("COMPANION_BUDGET", raising=False)
    monkeypatch.setattr(budgets, "COSTS", tmp_path / "costs.json")
    (tmp_path / "costs.json").write_text(json.dumps({"ema": {"quick": COST, "full": FULL}, "dqn": {"quick": COST}}))


@pytest.mark.parametrize(
    ("cuda", "word", "name"),
    [
        (False, None, "quick"),
        (True, None, "full"),
        (False, "full", "full"),
        (True, "quick", "quick"),
        (False, "", "quick"),
    ],
)
def test_the_environment_decides_and_without_it_the_machine(cuda, word, name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    if word is not None:
        monkeypatch.setenv("COMPANION_BUDGET", word)
    chosen = budget("ema")
    assert chosen.name == name
    assert chosen.device == torch.device("cuda" if cuda else "cpu")
    assert chosen.pick(quick=1, full=2) == {"quick": 1, "full": 2}[name]


@pytest.mark.parametrize("word", ["Quick", "fast", "1"])
def test_another_word_is_refused_by_name(word, monkeypatch):
    monkeypatch.setenv("COMPANION_BUDGET", word)
    with pytest.raises(ValueError, match=f"COMPANION_BUDGET is '{word}'; set it to 'quick' or 'full'"):
        budget("ema")


def test_it_says_what_it_chose_what_that_costs_and_how_to_change_it(monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    assert budget("ema")._repr_markdown_() == (
        "**Budget: quick**, on the CPU (2 threads); last measured at 52 seconds and 610 MB on 2 CPU cores, 2026-11-20. "
        "For the full budget (last measured at 14 minutes and 2.4 GB on A GPU, 2026-11-21), set the environment "
        "variable `COMPANION_BUDGET=full` before starting."
    )
    monkeypatch.setenv("COMPANION_BUDGET", "full")
    assert repr(budget("dqn")) == (
        "Budget: full, on the CPU (2 threads); not measured yet. For the quick budget (last measured at 52 seconds and "
        "610 MB on 2 CPU cores, 2026-11-20), set the environment variable COMPANION_BUDGET=quick before starting."
    )


def test_it_names_the_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "A GPU")
    assert "**Budget: full**, on the GPU (A GPU); not measured yet." in budget("new-chapter")._repr_markdown_()


def test_the_costs_kept_in_the_package_have_what_a_budget_quotes(monkeypatch):
    monkeypatch.undo()
    for slug, costs in json.loads(budgets.COSTS.read_text()).items():
        assert set(costs) <= {"quick", "full"}, slug
        for cost in costs.values():
            assert set(cost) == set(COST), slug
        assert "measured" in repr(budget(slug))
