"""The decoder: each closed form against the sum or the simulation that it stands for."""

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion import (
    Convention,
    convert,
    effective_window,
    ema_decay_to_tau,
    ema_weights,
    equivalent_period,
    half_life,
    mean_lag,
    tau_to_ema_decay,
    variance_ratio,
)

FUNCTIONS = [
    ema_decay_to_tau,
    tau_to_ema_decay,
    effective_window,
    half_life,
    mean_lag,
    variance_ratio,
    equivalent_period,
]


@pytest.mark.parametrize("tau", [0.9, 0.5, 0.1, 0.02])
class TestAgainstTheWeights:
    """The formulas, from the weights tau·(1 − tau)^j of a long average."""

    def weights(self, tau: float) -> np.ndarray:
        """By age, the newest first."""
        return ema_weights(tau, 5000, start="zero")[::-1]

    def test_mean_lag_is_the_mean_age(self, tau: float) -> None:
        assert mean_lag(tau) == pytest.approx(self.weights(tau) @ np.arange(5000), rel=1e-9)

    def test_variance_ratio_is_the_sum_of_squares(self, tau: float) -> None:
        assert variance_ratio(tau) == pytest.approx(np.square(self.weights(tau)).sum(), rel=1e-9)

    def test_half_of_a_weight_is_left_after_a_half_life(self, tau: float) -> None:
        assert (1 - tau) ** half_life(tau) == pytest.approx(0.5, rel=1e-12)

    def test_a_window_holds_the_weight_it_is_said_to(self, tau: float) -> None:
        window = effective_window(tau)
        held = self.weights(tau)[: round(window)].sum()
        assert held == pytest.approx(1 - (1 - tau) ** round(window), rel=1e-9)

    def test_a_hard_update_of_the_equivalent_period_is_as_old(self, tau: float) -> None:
        period = equivalent_period(tau)
        if period == round(period):
            assert np.mean(np.arange(round(period))) == pytest.approx(mean_lag(tau), rel=1e-9)
        assert (period - 1) / 2 == pytest.approx(mean_lag(tau), rel=1e-9)


def test_the_numbers_of_0_005() -> None:
    assert effective_window(0.005) == 200.0
    assert mean_lag(0.005) == 199.0
    assert equivalent_period(0.005) == 399.0
    assert half_life(0.005) == pytest.approx(138.2826)
    assert variance_ratio(0.005) == pytest.approx(0.005 / 1.995)


@pytest.mark.parametrize(
    ("function", "at_zero", "at_one"),
    [
        (ema_decay_to_tau, 1.0, 0.0),
        (tau_to_ema_decay, 1.0, 0.0),
        (effective_window, math.inf, 1.0),
        (half_life, math.inf, 0.0),
        (mean_lag, math.inf, 0.0),
        (variance_ratio, 0.0, 1.0),
        (equivalent_period, math.inf, 1.0),
    ],
)
def test_the_ends(function, at_zero: float, at_one: float) -> None:
    assert function(0) == function(0.0) == at_zero
    assert function(1) == function(1.0) == at_one
    assert math.copysign(1.0, function(1)) == 1.0  # no −0


@pytest.mark.parametrize("function", FUNCTIONS)
@given(taus=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=6))
def test_arrays_are_taken_elementwise(function, taus: list[float]) -> None:
    result = function(np.array(taus))
    np.testing.assert_array_equal(result, [function(tau) for tau in taus])
    assert isinstance(function(taus[0]), float)


@given(tau=st.floats(0.0, 1.0))
def test_decay_there_and_back(tau: float) -> None:
    assert ema_decay_to_tau(tau_to_ema_decay(tau)) == pytest.approx(tau, abs=1e-15)


class TestConvert:
    @given(tau=st.floats(1e-6, 0.999))  # beyond, half-life and period hardly tell one tau from another
    def test_each_name_leads_to_the_others(self, tau: float) -> None:
        whole = convert(tau=tau)
        assert whole.tau == tau
        for name in ("decay", "half_life", "period"):
            again = convert(**{name: getattr(whole, name)})
            for field in dataclasses.fields(Convention):
                expected, got = getattr(whole, field.name), getattr(again, field.name)
                assert got == pytest.approx(expected, rel=1e-8, abs=1e-12), (name, field.name)

    def test_it_is_what_the_functions_say(self) -> None:
        assert convert(tau=0.01) == Convention(
            tau=0.01,
            decay=tau_to_ema_decay(0.01),
            window=effective_window(0.01),
            half_life=half_life(0.01),
            mean_lag=mean_lag(0.01),
            variance_ratio=variance_ratio(0.01),
            period=equivalent_period(0.01),
        )

    def test_the_ends(self) -> None:
        assert convert(half_life=0) == convert(period=1) == convert(decay=0) == convert(tau=1)
        assert convert(half_life=math.inf) == convert(period=math.inf) == convert(decay=1) == convert(tau=0)

    def test_a_given_decay_is_kept_to_the_digit(self) -> None:
        assert convert(decay=0.9999).decay == 0.9999

    @pytest.mark.parametrize("table", [str, repr, Convention._repr_markdown_])
    def test_the_table_has_every_library_s_own_word(self, table) -> None:
        text = table(convert(tau=0.005))
        for word in (
            "tau=0.005",
            "step_size=0.005",
            "polyak=0.995",
            "decay=0.995",
            "eps=0.995",
            "ema_momentum=0.995",
            "m=0.995",
            "momentum_teacher=0.995",
            "C=399",
            "target_update_interval=399*n",  # not 399: it counts environment steps
            "target_network_frequency=399*n",
        ):
            assert word in text
        for library in ("Stable-Baselines3", "optax", "Spinning Up", "torch.optim.swa_utils", "timm", "MoCo", "BYOL"):
            assert library in text
        for number in ("200", "199", "399", "138.283", "0.00250627"):
            assert number in text

    def test_a_decay_close_to_one_is_not_rounded_to_it(self) -> None:
        assert "0.99999999" in str(convert(tau=1e-8))

    def test_it_cannot_be_changed(self) -> None:
        with pytest.raises(dataclasses.FrozenInstanceError):
            convert(tau=0.1).tau = 0.2
