"""Where to begin with a slow copy: the rules that the chapters measured, and how they are told."""

import math
from typing import Any

import pytest

import companion
from companion import Advice, advise

ROLES = ("observer", "critic", "dqn", "encoder", "teacher", "consistency", "anchor")


@pytest.mark.parametrize(
    ("asked", "share"),
    [
        ({}, 0.05),
        ({"falling_rate": True}, 0.01),
        ({"normalization": "layer"}, 0.05),
    ],
)
@pytest.mark.parametrize("steps", [2_000, 50_000, 1_000_000])
def test_an_observers_half_life_is_a_share_of_the_run(asked: dict[str, Any], share: float, steps: int) -> None:
    advice = advise("observer", steps, **asked)
    assert advice.share == pytest.approx(share, rel=0.05)  # tau is told with two digits
    assert 0.5 ** (1 / advice.half_life) == pytest.approx(advice.decay)
    assert advice.warm_up


def test_a_teacher_remembers_less_than_an_observer() -> None:
    assert advise("teacher", 10_000).share == pytest.approx(0.03, rel=0.05)


@pytest.mark.parametrize(
    ("steps", "horizon", "tau"),
    [(8_000, 100, 0.037), (1_000_000, 100, 0.005), (500, 100, 0.1), (30_000, 20, 0.005), (30_000, 1_000, 0.1)],
)
def test_a_critic_is_followed_through_three_horizons_between_two_bounds(steps: int, horizon: int, tau: float) -> None:
    assert advise("critic", steps, horizon=horizon).tau == tau


def test_a_critic_with_joint_batch_norm_learns_without_a_slow_copy() -> None:
    plain, layer, batch = (advise("critic", 8_000, normalization=each) for each in ("none", "layer", "batch"))
    assert plain == advise("critic", 8_000)
    assert plain.tau == layer.tau < batch.tau == 1.0
    assert batch.half_life == 0
    assert "TD3" in layer.watch
    assert "TD3" not in plain.watch


@pytest.mark.parametrize("steps", [1, 500, 3_500, 6_000, 1_000_000])
def test_a_dqn_stays_on_this_side_of_its_cliff_unless_it_is_normalised(steps: int) -> None:
    """With 0.0645 and clipped errors the agents of "DQN and hard updates" ran away."""
    assert 0.005 <= advise("dqn", steps).tau <= 0.02
    assert advise("dqn", steps, normalization="layer").tau == 0.1
    assert advise("dqn", steps).tau <= advise("critic", steps).tau


@pytest.mark.parametrize(("steps", "queue", "tau"), [(94_000, 1, 0.0033), (1_000_000, 16, 0.00025), (1, 1, 1.0)])
def test_an_encoder_lies_midway_between_a_keys_wait_and_the_run(steps: int, queue: int, tau: float) -> None:
    advice = advise("encoder", steps, queue=queue)
    assert advice.tau == tau
    assert advice.tau == pytest.approx(1 / math.sqrt(queue * steps), rel=0.05)


def test_a_consistency_target_is_fast_and_an_anchor_stays() -> None:
    assert advise("consistency", 5_000).tau == 0.05
    anchor = advise("anchor", 5_000)
    assert (anchor.tau, anchor.half_life, anchor.share) == (0.0, math.inf, math.inf)
    assert "it stays" in str(anchor)
    assert advise("anchor", 5_000, fresh_labels=True).tau == 0.005


@pytest.mark.parametrize("role", ["observer", "critic", "encoder", "teacher"])
def test_batch_norm_changes_what_is_said_of_buffers(role: str) -> None:
    none, batch = (advise(role, 5_000, normalization=each).buffers for each in ("none", "batch"))
    assert none == advise(role, 5_000).buffers != batch


@pytest.mark.parametrize("role", ROLES)
def test_advice_prints_as_a_table_of_ascii_and_its_tau_is_accepted_by_a_target_network(role: str) -> None:
    advice = advise(role, 5_000)
    assert isinstance(advice, Advice)
    assert advice.chapters
    plain, table = str(advice), advice._repr_markdown_()
    plain.encode("ascii")
    assert repr(advice) == plain
    for name in ("tau", "decay", "half-life", "warm-up", "buffers", "watch", "measured in"):
        assert f"\n{name} " in plain
        assert f"\n| {name} | " in table
    assert {line.count("|") for line in table.splitlines()} == {3}
    companion.convert(tau=advice.tau)
