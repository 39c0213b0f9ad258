"""Every random number begins at one helper, which a rehearsal shifts."""

import numpy as np
import pytest
import torch

from companion import seeds, study, vision
from companion.members import MLP, Streams
from companion.rl.linear import random_problems


def shifted(monkeypatch: pytest.MonkeyPatch, by: object) -> None:
    monkeypatch.setenv(seeds.SHIFT, str(by))


def test_without_a_shift_a_seed_is_itself() -> None:
    assert [seeds.seed(n) for n in (0, 6, 2**63)] == [0, 6, 2**63]
    assert study.seed is seeds.seed


def test_a_shift_is_added(monkeypatch: pytest.MonkeyPatch) -> None:
    shifted(monkeypatch, 100_000)
    assert seeds.seed(6) == 100_006
    assert seeds.seed(2**63 - 1) < 2**63  # what torch takes at most


@pytest.mark.parametrize("bad", ["-1", "1.5", "many", "²"])
def test_a_shift_that_is_none_is_refused(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    shifted(monkeypatch, bad)
    with pytest.raises(ValueError, match=seeds.SHIFT):
        seeds.seed(0)


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(ValueError, match="number is -1"):
        seeds.seed(-1)


def test_streams_of_a_shifted_seed_are_those_of_the_seed_that_it_becomes(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Streams([100_003], "init").uniform(20)
    problems = random_problems(100_003, 3).features
    first = list(vision.make_learner("byol", seed=100_003).parameters())
    weights = MLP((3, 4, 1), [100_003]).weights[0]
    shifted(monkeypatch, 100_000)
    assert np.array_equal(Streams([3], "init").uniform(20), plain)
    assert np.array_equal(random_problems(3, 3).features, problems)
    assert torch.equal(MLP((3, 4, 1), [3]).weights[0], weights)
    again = list(vision.make_learner("byol", seed=3).parameters())
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_a_checkpoint_of_a_rehearsal_is_not_gone_on_from_without_it(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    from companion import rl

    call = {"seeds": 1, "steps": 80, "learning_starts": 64, "checkpoint": tmp_path / "run.pt", "progress": False}
    shifted(monkeypatch, 100_000)
    rl.train("dqn", "CartPole-v1", **call)
    monkeypatch.delenv(seeds.SHIFT)
    with pytest.raises(ValueError, match=f"{seeds.SHIFT} was 100000"):
        rl.train("dqn", "CartPole-v1", **call)
