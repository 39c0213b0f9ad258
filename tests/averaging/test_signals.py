"""The moving average of a signal and the soft update of dicts, against loops in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from companion import ema, ema_demo, ema_weights, soft_update_numpy

TAUS = st.floats(0.0, 1.0)
SIGNALS = arrays(np.float64, st.integers(1, 40), elements=st.floats(-100, 100))


def loop(signal: np.ndarray, tau: float, before: float | None) -> np.ndarray:
    """y_k = tau·x_k + (1 − tau)·y_{k−1}, as it is written; without ``before``, y_1 = x_1."""
    average, y = [], before
    for x in signal:
        y = x if y is None else tau * x + (1 - tau) * y
        average.append(y)
    return np.array(average, dtype=np.float64)


class TestEma:
    @given(signal=SIGNALS, tau=TAUS)
    def test_started_at_the_first_value(self, signal: np.ndarray, tau: float) -> None:
        expected = loop(signal, tau, None)
        np.testing.assert_allclose(ema(signal, tau), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(ema_demo(signal, tau), expected, rtol=1e-12, atol=1e-12)

    @given(signal=SIGNALS, tau=TAUS)
    def test_started_at_zero(self, signal: np.ndarray, tau: float) -> None:
        np.testing.assert_allclose(ema(signal, tau, start="zero"), loop(signal, tau, 0.0), rtol=1e-12, atol=1e-12)

    @given(signal=SIGNALS, tau=TAUS, before=st.floats(-100, 100))
    def test_started_at_a_value(self, signal: np.ndarray, tau: float, before: float) -> None:
        np.testing.assert_allclose(ema(signal, tau, start=before), loop(signal, tau, before), rtol=1e-12, atol=1e-12)

    @given(signal=SIGNALS, tau=st.floats(1e-6, 1.0), before=st.sampled_from(["zero", -3.0, 100.0]))
    def test_bias_correction_gives_the_weighted_mean_of_the_values_alone(
        self, signal: np.ndarray, tau: float, before: str | float
    ) -> None:
        corrected = ema(signal, tau, start=before, bias_correction=True)
        for k in range(1, len(signal) + 1):
            weights = tau * (1 - tau) ** np.arange(k - 1, -1, -1)
            expected = np.average(signal[:k], weights=weights)
            np.testing.assert_allclose(corrected[k - 1], expected, rtol=1e-6, atol=1e-6)

    @given(
        signal=arrays(np.float64, array_shapes(min_dims=1, max_dims=3, max_side=5), elements=st.floats(-10, 10)),
        tau=TAUS,
        data=st.data(),
    )
    def test_along_any_axis(self, signal: np.ndarray, tau: float, data: st.DataObject) -> None:
        axis = data.draw(st.integers(-signal.ndim, signal.ndim - 1))
        expected = np.apply_along_axis(loop, axis, signal, tau, None)
        np.testing.assert_allclose(ema(signal, tau, axis=axis), expected, rtol=1e-12, atol=1e-12)

    def test_a_start_for_each_row(self) -> None:
        signal, start = np.random.default_rng(0).normal(size=(2, 6)), np.array([1.0, -1.0])
        average = ema(signal, 0.3, start=start, axis=1)
        for row, before, expected in zip(signal, start, average, strict=True):
            np.testing.assert_allclose(expected, loop(row, 0.3, before), rtol=1e-13)

    @given(signal=SIGNALS)
    def test_at_the_ends_of_tau(self, signal: np.ndarray) -> None:
        np.testing.assert_array_equal(ema(signal, 1.0), signal)
        np.testing.assert_array_equal(ema(signal, 0.0), np.full_like(signal, signal[0]))

    def test_a_constant_stays_itself(self) -> None:
        np.testing.assert_allclose(ema(np.full(10_000, 3.7), 0.005), 3.7, rtol=1e-13)

    def test_the_signal_is_left_alone_and_any_number_type_will_do(self) -> None:
        signal = np.arange(5, dtype=np.float32)
        average = ema(signal, 0.5)
        assert average.dtype == np.float64
        np.testing.assert_array_equal(signal, np.arange(5))
        np.testing.assert_allclose(average, loop(signal.astype(np.float64), 0.5, None))

    def test_a_step_is_reached_as_the_half_life_says(self) -> None:
        average = ema(np.ones(1000), 0.005, start="zero")
        assert np.searchsorted(average, 0.5) + 1 == 139  # ln 2 / −ln 0.995 = 138.3


class TestWeights:
    @given(signal=SIGNALS, tau=TAUS, start=st.sampled_from(["first", "zero"]))
    def test_they_are_what_the_last_average_is_made_of(self, signal: np.ndarray, tau: float, start: str) -> None:
        weights = ema_weights(tau, len(signal), start=start)
        np.testing.assert_allclose(weights @ signal, ema(signal, tau, start=start)[-1], rtol=1e-9, atol=1e-9)

    @given(tau=TAUS, n=st.integers(1, 200))
    def test_what_they_add_up_to(self, tau: float, n: int) -> None:
        assert ema_weights(tau, n).sum() == pytest.approx(1.0, abs=1e-12)
        assert ema_weights(tau, n, start="zero").sum() == pytest.approx(1 - (1 - tau) ** n, abs=1e-12)
        assert (ema_weights(tau, n) >= 0).all()

    def test_the_newest_comes_last(self) -> None:
        np.testing.assert_allclose(ema_weights(0.25, 3, start="zero"), [0.140625, 0.1875, 0.25])
        np.testing.assert_allclose(ema_weights(0.25, 3), [0.5625, 0.1875, 0.25])


class TestSoftUpdateNumpy:
    @given(tau=TAUS, seed=st.integers(0, 2**16))
    def test_it_follows_the_formula_in_place(self, tau: float, seed: int) -> None:
        random = np.random.default_rng(seed)
        online = {"w": random.normal(size=(3, 2)), "b": random.normal(size=3)}
        target = {"b": random.normal(size=3), "w": random.normal(size=(3, 2))}
        arrays_before, before = dict(target), {name: array.copy() for name, array in target.items()}
        soft_update_numpy(online, target, tau)
        for name, array in target.items():
            assert array is arrays_before[name]
            np.testing.assert_allclose(array, tau * online[name] + (1 - tau) * before[name], rtol=0, atol=1e-14)

    def test_default_is_0_005(self) -> None:
        target = {"w": np.zeros(1)}
        soft_update_numpy({"w": np.ones(1)}, target)
        assert target["w"].item() == 0.005

    def test_the_ends_hold_beside_values_that_are_not_finite(self) -> None:
        target = {"w": np.array([np.inf, np.nan])}
        soft_update_numpy({"w": np.ones(2)}, target, 1.0)
        assert target["w"].tolist() == [1.0, 1.0]
        soft_update_numpy({"w": np.full(2, np.inf)}, target, 0.0)
        assert target["w"].tolist() == [1.0, 1.0]

    def test_integers_are_copied_and_a_tied_array_moves_once(self) -> None:
        shared, online = np.zeros(2), np.ones(2)
        target = {"a": shared, "b": shared, "steps": np.array(3)}
        soft_update_numpy({"a": online, "b": online, "steps": np.array(9)}, target, 0.25)
        assert shared.tolist() == [0.25, 0.25]
        assert target["steps"] == 9

    def test_the_target_keeps_its_dtype(self) -> None:
        target = {"w": np.zeros(2, dtype=np.float32), "z": np.zeros(1, dtype=np.complex128)}
        soft_update_numpy({"w": np.ones(2), "z": np.array([2j])}, target, 0.5)
        assert target["w"].dtype == np.float32
        assert target["z"].tolist() == [1j]

    def test_online_is_a_fixed_point_bit_for_bit(self) -> None:
        online = {"w": np.random.default_rng(0).normal(size=1000).astype(np.float32)}
        target = {"w": online["w"].copy()}
        for _ in range(1000):
            soft_update_numpy(online, target)
        np.testing.assert_array_equal(target["w"], online["w"])
