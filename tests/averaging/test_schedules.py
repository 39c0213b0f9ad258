"""Schedules of tau, against the formulas of the papers and libraries they come from."""

import math
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import constant, cosine, warmup
from companion.averaging import debiased

TAUS = st.floats(0.0, 1.0)


@given(tau=TAUS, count=st.integers(1, 10**9))
def test_constant(tau: float, count: int) -> None:
    assert constant(tau)(count) == tau


@given(tau=TAUS, total=st.integers(1, 10**6), data=st.data())
def test_cosine_is_byols(tau: float, total: int, data: st.DataObject) -> None:
    count = data.draw(st.integers(0, total))
    base_ema = 1 - tau
    decay = 1 - (1 - base_ema) * (math.cos(math.pi * count / total) + 1) / 2  # arXiv:2006.07733
    assert cosine(tau, total)(count) == pytest.approx(1 - decay, abs=1e-12)


@given(tau=TAUS, total=st.integers(1, 1000))
def test_cosine_falls_to_rest(tau: float, total: int) -> None:
    weights = [cosine(tau, total)(count) for count in range(total + 3)]
    assert weights[0] == tau
    assert weights == sorted(weights, reverse=True)
    assert weights[total:] == [0.0] * 3


@given(tau=TAUS, count=st.integers(1, 10**6), gamma=st.floats(0.1, 1000), power=st.floats(0.1, 2))
def test_warmup_is_one_minus_the_decay_of_timm_and_diffusers(
    tau: float, count: int, gamma: float, power: float
) -> None:
    decay = min(1 - (1 + count / gamma) ** -power, 1 - tau)
    assert warmup(tau, gamma=gamma, power=power)(count) == pytest.approx(1 - decay, abs=1e-12)


def test_warmup_gives_every_network_so_far_the_same_weight() -> None:
    weights, schedule = [1.0], warmup(0.0)
    for count in range(1, 50):
        tau = schedule(count)
        weights = [weight * (1 - tau) for weight in weights] + [tau]
    assert weights == pytest.approx([1 / 50] * 50)


@given(tau=st.floats(0.001, 1.0), steps=st.integers(1, 200))
def test_debiased_is_adams_correction(tau: float, steps: int) -> None:
    """Kingma and Ba 2015, section 3: the average of what came, that started at zero, over 1 − (1 − tau)^k."""
    values = [math.cos(k) for k in range(1, steps + 1)]
    average, moment = 7.0, 0.0
    for count, value in enumerate(values, 1):
        weight = debiased(tau)(count)
        average = weight * value + (1 - weight) * average
        moment = tau * value + (1 - tau) * moment
    assert average == pytest.approx(moment / (1 - (1 - tau) ** steps), abs=1e-9)
    assert [debiased(0.0)(count) for count in (1, 2, 4)] == [1.0, 0.5, 0.25]


@given(tau=TAUS, count=st.integers(1, 10**12))
def test_all_stay_in_the_unit_interval(tau: float, count: int) -> None:
    for schedule in (constant(tau), cosine(tau, 1000), debiased(tau), warmup(tau), warmup(tau, gamma=50, power=2 / 3)):
        assert 0.0 <= schedule(count) <= 1.0


@pytest.mark.parametrize("schedule", [constant(0.1), cosine(0.1, 10), debiased(0.1), warmup(0.1)])
def test_they_can_be_pickled(schedule) -> None:
    assert pickle.loads(pickle.dumps(schedule))(3) == schedule(3)
