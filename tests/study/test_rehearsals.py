"""How rehearsals are read: held, margin, and what luck can explain."""

import numpy as np
import pytest
from scipy import stats

from companion.study.rehearsals import ALARMS, TAIL, Bound, Rehearsed, number, threshold

BELOW = Bound(high=-15.0)


def of(values) -> Rehearsed:
    return Rehearsed("words", "digest", [[v] for v in values])


def test_the_worst_value_is_the_one_nearest_to_breaking_the_bound() -> None:
    values = np.array([-20.0, -16.0, -40.0])
    assert BELOW.worst(values) == -16
    assert Bound(low=-50.0).worst(values) == -40
    assert Bound(-41.0, 0.0).worst(values) == -40


def test_the_margin_is_in_standard_deviations() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(-30, 4, 24)
    expected = (-15 - values.mean()) / values.std(ddof=1)
    assert of(values).margin(BELOW) == pytest.approx(expected)
    assert of(values).held(BELOW) == int((values < -15).sum())


def test_infinities_that_hold_are_left_out_and_others_are_not() -> None:
    assert of([-np.inf, -30.0, -32.0, -31.0]).margin(BELOW) == pytest.approx(16.0)
    assert of([np.inf, -30.0, -32.0]).margin(BELOW) == -np.inf
    assert of([-30.0, -30.0]).margin(BELOW) == np.inf


def test_false_alarms_are_as_rare_as_they_are_said_to_be() -> None:
    """By simulation, at a rate that can be seen: twenty claims, sixteen rehearsals, normal values and heavier tails."""
    rng = np.random.default_rng(1)
    runs, claims, n = 4_000, 20, 16
    limit = stats.t.isf(0.02 / claims / 2, TAIL)
    for draw in (rng.standard_normal, lambda size: rng.standard_t(12, size)):
        past, now = draw((runs, claims, n)), draw((runs, claims))
        far = np.abs(now - past.mean(-1)) / (past.std(-1, ddof=1) * np.sqrt(1 + 1 / n))
        assert (far > limit).any(1).mean() < 0.02
    for claim in range(claims):  # and this is what surprise computes, where the bound is not far
        found = of(past[0, claim]).surprise(Bound(low=-1.0), [now[0, claim]])
        assert found == pytest.approx(far[0, claim])
    assert threshold(claims) == pytest.approx(stats.t.isf(ALARMS / claims / 2, TAIL))


def test_what_no_rehearsal_came_near_is_an_alarm() -> None:
    limit = threshold(300)
    rng = np.random.default_rng(2)
    kept = of(rng.normal(-150, 12, 16))
    bound = Bound(low=-250.0)
    assert kept.surprise(bound, [-170.0]) < limit
    assert kept.surprise(bound, [-1_400.0]) > limit
    assert kept.surprise(bound, [-np.inf]) == np.inf


def test_a_count_that_never_changed_may_change_by_one() -> None:
    kept = of([8.0] * 16)
    assert kept.surprise(Bound(low=4.5), [7.0]) < threshold(300)
    assert kept.surprise(Bound(low=4.5), [0.0]) > threshold(300)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-15.0, "−15"),
        (1234.5, "1,234"),
        (0.00012345, "0.000123"),
        (0.99991, "0.99991"),
        (1.0, "1"),
        (np.inf, "∞"),
        (-np.inf, "−∞"),
    ],
)
def test_numbers_for_a_line_of_text(value: float, text: str) -> None:
    assert number(value) == text
