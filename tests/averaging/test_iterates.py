"""Averages of iterates, against means over all of them kept in float64."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from companion import (
    ExponentialAverage,
    PolyakAverage,
    TailAverage,
    cosine,
    ema,
    equivalent_period,
    half_life,
    mean_lag,
    warmup,
)

ITERATES = array_shapes(min_dims=1, max_dims=3, max_side=6).flatmap(
    lambda shape: arrays(np.float64, shape, elements=st.floats(-100, 100))
)
MAKERS = {
    "polyak": PolyakAverage,
    "tail": lambda: TailAverage(2),
    "last half": lambda: TailAverage(fraction=0.5),
    "exponential": lambda: ExponentialAverage(0.3),
    "corrected": lambda: ExponentialAverage(0.3, start="zero", bias_correction=True),
}


def running(average, iterates: np.ndarray) -> np.ndarray:
    """The average after each iterate."""
    values = []
    for x in iterates:
        average.update(x)
        values.append(average.value)
    return np.array(values)


@given(iterates=ITERATES)
def test_polyak_is_the_mean_so_far(iterates: np.ndarray) -> None:
    values = running(PolyakAverage(), iterates)
    for k, value in enumerate(values, start=1):
        np.testing.assert_allclose(value, iterates[:k].mean(axis=0), rtol=1e-10, atol=1e-10)


class TestTail:
    @given(iterates=ITERATES, start=st.integers(0, 8))
    def test_from_a_start_it_is_the_mean_of_the_rest(self, iterates: np.ndarray, start: int) -> None:
        average = TailAverage(start)
        for k, x in enumerate(iterates, start=1):
            average.update(x)
            tail = iterates[start:k] if k > start else iterates[k - 1 : k]
            np.testing.assert_allclose(average.value, tail.mean(axis=0), rtol=1e-10, atol=1e-10)
            assert average.covered == len(tail)

    @given(
        iterates=arrays(np.float64, st.integers(1, 300), elements=st.floats(-100, 100)), fraction=st.floats(0.05, 0.95)
    )
    def test_of_a_fraction_it_is_the_mean_of_the_last_it_covers(self, iterates: np.ndarray, fraction: float) -> None:
        average = TailAverage(fraction=fraction)
        for k, x in enumerate(iterates, start=1):
            average.update(x)
            np.testing.assert_allclose(average.value, iterates[k - average.covered : k].mean(), rtol=1e-9, atol=1e-9)

    @pytest.mark.parametrize("fraction", [0.1, 0.25, 0.5, 0.75, 0.9])
    def test_of_a_fraction_it_covers_what_it_says(self, fraction: float) -> None:
        average, least, most = TailAverage(fraction=fraction), math.inf, 0.0
        for k in range(1, 20_001):
            average.update(0.0)
            share = average.covered / k
            assert share >= fraction
            if k > 1000:  # beyond the rounding to whole iterates
                least, most = min(least, share), max(most, share)
        assert least == pytest.approx(fraction, abs=0.005)
        assert most == pytest.approx(1 - (1 - fraction) ** 2, abs=0.005)

    @pytest.mark.parametrize("average", [TailAverage(3), TailAverage(fraction=0.25)])
    def test_what_it_drops_leaves_no_trace(self, average: TailAverage) -> None:
        for x in (math.nan, math.nan, math.nan, *[1.0] * 40):
            average.update(np.array([x]))
        assert average.value.tolist() == [1.0]


class TestExponential:
    def test_an_iterate_for_which_the_schedule_fails_does_not_count(self) -> None:
        average = ExponentialAverage(lambda k: 0.5 if k < 3 else 2.0)
        average.update(np.ones(2))
        average.update(np.zeros(2))
        with pytest.raises(ValueError, match="tau = 2"):
            average.update(np.ones(2))
        assert average.count == 2
        assert average.value.tolist() == [0.5, 0.5]

    @given(iterates=ITERATES, tau=st.floats(0.0, 1.0), start=st.sampled_from(["first", "zero"]))
    def test_it_is_ema(self, iterates: np.ndarray, tau: float, start: str) -> None:
        values = running(ExponentialAverage(tau, start=start), iterates)
        np.testing.assert_allclose(values, ema(iterates, tau, start=start, axis=0), rtol=1e-9, atol=1e-9)

    @given(iterates=ITERATES, tau=st.floats(0.001, 1.0))
    def test_its_correction_is_emas(self, iterates: np.ndarray, tau: float) -> None:
        values = running(ExponentialAverage(tau, start="zero", bias_correction=True), iterates)
        expected = ema(iterates, tau, start="zero", bias_correction=True, axis=0)
        np.testing.assert_allclose(values, expected, rtol=1e-8, atol=1e-8)

    @pytest.mark.parametrize("tau", [0.02, 0.3, 0.9])
    def test_it_is_pandas_ewm_in_each_of_its_four_words(self, tau: float) -> None:
        """The first iterate counts in full with ``adjust=False``; by default what the iterates weigh is divided out."""
        iterates = pd.Series(np.random.default_rng(0).normal(size=60))
        words = {"alpha": tau, "com": mean_lag(tau), "span": equivalent_period(tau), "halflife": half_life(tau)}
        for word in words.items():
            plain, adjusted = (iterates.ewm(**dict([word]), adjust=adjust).mean() for adjust in (False, True))
            np.testing.assert_allclose(running(ExponentialAverage(tau), iterates), plain, rtol=1e-9)
            corrected = ExponentialAverage(tau, start="zero", bias_correction=True)
            np.testing.assert_allclose(running(corrected, iterates), adjusted, rtol=1e-9)

    def test_a_schedule_with_correction_is_a_weighted_mean(self) -> None:
        iterates, schedule = np.random.default_rng(0).normal(size=12), cosine(0.4, 12)
        values = running(ExponentialAverage(schedule, start="zero", bias_correction=True), iterates)
        weights = np.array([])
        for k, value in enumerate(values, start=1):
            weights = np.append(weights * (1 - schedule(k)), schedule(k))
            assert value == pytest.approx(np.average(iterates[:k], weights=weights))

    def test_warmed_up_from_zero_it_is_the_mean_with_the_start(self) -> None:
        iterates = np.random.default_rng(0).normal(size=20)
        values = running(ExponentialAverage(warmup(0.0), start="zero"), iterates)
        np.testing.assert_allclose(values, np.cumsum(iterates) / np.arange(2, 22))


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
class TestAll:
    @given(seed=st.integers(0, 2**16))
    def test_arrays_and_tensors_give_the_same(self, make, seed: int) -> None:
        iterates = np.random.default_rng(seed).normal(size=(9, 3, 2)).astype(np.float32)
        arrays_average, tensors_average = make(), make()
        for x in iterates:
            arrays_average.update(x)
            tensors_average.update(torch.from_numpy(x))
        np.testing.assert_array_equal(arrays_average.value, tensors_average.value.numpy())
        assert arrays_average.count == tensors_average.count == 9

    def test_members_do_not_mix(self, make) -> None:
        iterates = np.random.default_rng(0).normal(size=(9, 4, 3))
        together = running(make(), iterates)
        for member in range(4):
            np.testing.assert_array_equal(running(make(), iterates[:, member]), together[:, member])

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.int64])
    def test_no_iterate_loses_precision(self, make, dtype: torch.dtype) -> None:
        average, exact = make(), make()
        for k in range(100):
            x = torch.tensor([1.0 + (k % 7), 300.0 - k]).to(dtype)
            average.update(x)
            exact.update(x.double())
        expected = torch.float64 if dtype == torch.float64 else torch.float32
        assert average.value.dtype == expected
        torch.testing.assert_close(average.value, exact.value.to(expected), rtol=0, atol=0)

    def test_half_precision_arrays_come_back_in_single(self, make) -> None:
        average = make()
        average.update(np.ones(3, dtype=np.float16))
        assert average.value.dtype == np.float32

    def test_the_value_is_the_readers_own(self, make) -> None:
        average = make()
        average.update(np.ones(2))
        kept = average.value
        kept += 100.0
        assert average.value == pytest.approx(np.ones(2))
        average.update(np.zeros(2))
        assert kept.tolist() == [101.0, 101.0]

    def test_iterates_are_left_alone_and_may_be_reused(self, make) -> None:
        x, average, expected = np.zeros(2), make(), make()
        for k in range(8):
            x[:] = k
            average.update(x)
            expected.update(np.full(2, float(k)))
        assert x.tolist() == [7.0, 7.0]
        np.testing.assert_array_equal(average.value, expected.value)

    def test_no_gradient_is_recorded(self, make) -> None:
        average = make()
        for _ in range(3):
            average.update(torch.ones(2, requires_grad=True))
        assert not average.value.requires_grad

    def test_numbers_will_do(self, make) -> None:
        average = make()
        average.update(2.0)
        average.update(2)
        assert average.value == 2.0

    def test_a_refused_iterate_does_not_count(self, make) -> None:
        average = make()
        average.update(np.ones(2))
        with pytest.raises(ValueError, match="shape"):
            average.update(np.ones(3))
        assert average.count == 1


def test_the_mean_of_many_single_precision_iterates_keeps_moving() -> None:
    """Where a running mean in float32 has come to a stop, this one has not."""
    n, step = 60_000, np.float32(1e-3)
    iterates = np.ones(n, dtype=np.float32)
    iterates[n // 2 :] += step
    naive, average = np.float32(0.0), PolyakAverage()
    for k, x in enumerate(iterates, start=1):
        naive += (x - naive) / np.float32(k)
    for x in iterates.reshape(-1, 1):
        average.update(x)
    exact = iterates.astype(np.float64).mean()
    assert average.value[0] == pytest.approx(exact, rel=1e-7)
    assert abs(naive - exact) > 0.3 * step
