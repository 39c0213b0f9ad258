"""Profiles of averages, power functions of time, and averages made afterwards from snapshots of two."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from companion.averaging import (
    ExponentialAverage,
    PolyakAverage,
    TailAverage,
    cosine,
    posthoc_weights,
    power,
    power_gamma,
    power_sigma,
    profile_weights,
    snapshot_weights,
    warmup,
)

EDM2 = (0.05, 0.10)
"""The two relative widths that the paper keeps."""


def followed(schedule, iterates: np.ndarray) -> np.ndarray:
    """The average as it is updated: the slow reference of every profile."""
    average = iterates[0].copy()
    for k, x in enumerate(iterates[1:], start=1):
        tau = schedule(k)
        average = tau * x + (1 - tau) * average
    return average


def kept_averages(iterates: np.ndarray, widths, every: int) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Snapshots of power-function averages, and their profiles."""
    snapshots, profiles = [], []
    for last in range(every, len(iterates), every):
        for width in widths:
            schedule = power(power_gamma(width))
            snapshots.append(followed(schedule, iterates[: last + 1]))
            profiles.append(profile_weights(schedule, last))
    return snapshots, profiles


class TestPower:
    @pytest.mark.parametrize(("sigma", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
    def test_the_papers_two_widths_have_the_papers_exponents(self, sigma: float, gamma: float) -> None:
        assert power_gamma(sigma) == pytest.approx(gamma, abs=0.005)

    @given(gamma=st.floats(0.0, 1e4))
    def test_width_and_exponent_lead_back_to_each_other(self, gamma: float) -> None:
        assert power_gamma(power_sigma(gamma)) == pytest.approx(gamma, rel=1e-6, abs=1e-6)

    @pytest.mark.parametrize("gamma", [0.0, 1.0, 6.94, 16.97])
    def test_the_profile_is_that_power_of_time_and_as_wide_as_it_says(self, gamma: float) -> None:
        updates = 20_000
        weights, time = profile_weights(power(gamma), updates), np.arange(updates + 1) / updates
        np.testing.assert_allclose(weights[1000:], (time**gamma * (gamma + 1) / updates)[1000:], rtol=0.01)
        spread = math.sqrt(weights @ time**2 - (weights @ time) ** 2)
        assert spread == pytest.approx(power_sigma(gamma), rel=1e-3)

    def test_exponent_0_is_the_mean_of_all(self) -> None:
        iterates, mean = np.random.default_rng(0).normal(size=(30, 4)), PolyakAverage()
        for x in iterates[1:]:
            mean.update(x)
        np.testing.assert_allclose(followed(power(0), iterates), mean.value)

    def test_updated_rarely_it_remembers_the_same_share_of_the_run(self) -> None:
        """The paper's Δt/t is 1/k at equal distances: an average updated at every tenth step is no younger or older."""
        schedule = power(power_gamma(0.10))
        always, seldom = profile_weights(schedule, 5_000), profile_weights(schedule, 500)
        ages = [weights @ np.arange(len(weights)) / (len(weights) - 1) for weights in (always, seldom)]
        assert ages[0] == pytest.approx(ages[1], abs=2e-3)

    @pytest.mark.parametrize("sigma", [0.0, -0.1, 0.29, math.nan, math.inf])
    def test_a_width_that_no_power_has_is_refused(self, sigma: float) -> None:
        with pytest.raises(ValueError, match="sigma"):
            power_gamma(sigma)

    @pytest.mark.parametrize("function", [power, power_sigma])
    def test_an_exponent_that_is_none_is_refused(self, function) -> None:
        with pytest.raises(ValueError, match=r"gamma = -0\.5 is not a finite number, 0 or more"):
            function(-0.5)
        with pytest.raises(TypeError, match="gamma = True is a bool"):
            function(True)


SCHEDULES = {
    "ema": lambda k: 0.1,
    "copy": lambda k: 1.0,
    "cosine": cosine(0.4, 40),
    "warm-up": warmup(0.05),
    "power": power(6.94),
    "mean": power(0),
    "tail": lambda k: 1 / max(1, k - 12),
}


class TestProfile:
    @pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
    def test_it_makes_the_average_of_the_iterates(self, schedule) -> None:
        iterates = np.random.default_rng(1).normal(size=(41, 3))
        weights = profile_weights(schedule, 40)
        assert weights.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(weights @ iterates, followed(schedule, iterates), atol=1e-12)

    def test_a_number_is_the_weight_of_every_update(self) -> None:
        iterates, average = np.random.default_rng(2).normal(size=(41, 3)), ExponentialAverage(0.2)
        for x in iterates:
            average.update(x)
        np.testing.assert_allclose(profile_weights(0.2, 40) @ iterates, average.value)

    def test_the_tail_is_the_tail(self) -> None:
        iterates, average = np.random.default_rng(3).normal(size=(41, 3)), TailAverage(13)
        for x in iterates:
            average.update(x)
        np.testing.assert_allclose(profile_weights(SCHEDULES["tail"], 40) @ iterates, average.value)

    def test_a_decay_of_0_9999_remembers_the_start_of_a_short_run(self) -> None:
        """konpatp/diffae #16: after a million pictures in batches of 128 the average's samples are noise."""
        updates = 1_000_000 // 128
        assert profile_weights(0.0001, updates)[0] > 0.45
        for better in (warmup(0.0001, gamma=9), power(8)):
            assert profile_weights(better, updates)[0] < 1e-12

    def test_without_an_update_it_is_the_start(self) -> None:
        assert profile_weights(0.3, 0).tolist() == [1.0]

    def test_what_is_none_is_refused(self) -> None:
        with pytest.raises(ValueError, match="updates = -1 is negative"):
            profile_weights(0.3, -1)
        with pytest.raises(TypeError, match="updates = True is a bool"):
            profile_weights(0.3, True)
        with pytest.raises(ValueError, match=r"tau = 1\.5 is not in"):
            profile_weights(lambda k: 1.5, 3)

    def test_over_snapshots_each_stands_for_its_nearest(self) -> None:
        assert snapshot_weights(np.arange(1.0, 8.0), [1, 2, 6]).tolist() == [3.0, 3.0 + 4 + 5, 6.0 + 7]

    def test_over_all_iterates_it_is_itself(self) -> None:
        weights = profile_weights(0.1, 30)
        np.testing.assert_array_equal(snapshot_weights(weights, range(31)), weights)

    @pytest.mark.parametrize("kept", [[], [3, 3], [2, 1], [-1, 2], [0, 31]])
    def test_snapshots_that_are_none_are_refused(self, kept: list[int]) -> None:
        with pytest.raises(ValueError, match="must be increasing numbers of iterates from 0 to 30"):
            snapshot_weights(profile_weights(0.1, 30), kept)


class TestPosthoc:
    @pytest.mark.parametrize("sigma", [0.05, 0.06, 0.075, 0.10, 0.15])
    def test_another_width_is_made_from_snapshots_of_two(self, sigma: float) -> None:
        """Of a walk, whose average depends on the profile in every detail."""
        iterates = np.random.default_rng(4).normal(size=(1_601, 5)).cumsum(0)
        snapshots, profiles = kept_averages(iterates, EDM2, every=50)
        schedule = power(power_gamma(sigma))
        wanted = profile_weights(schedule, 1_600)
        x = posthoc_weights(profiles, wanted)
        assert x.sum() == pytest.approx(1)
        made, directly = x @ np.array(snapshots), followed(schedule, iterates)
        scale = np.abs(directly - iterates[-1]).mean()  # how far the average lies from the newest iterate
        np.testing.assert_allclose(made, directly, atol=0.03 * scale)

    def test_what_was_kept_is_made_exactly(self) -> None:
        iterates = np.random.default_rng(5).normal(size=(401, 5))
        snapshots, profiles = kept_averages(iterates, EDM2, every=100)
        x = posthoc_weights(profiles, profiles[-1])
        np.testing.assert_allclose(x, [0] * 7 + [1], atol=1e-8)
        np.testing.assert_allclose(x @ np.array(snapshots), followed(power(power_gamma(0.10)), iterates), atol=1e-8)

    def test_an_exponential_average_is_made_too_and_more_snapshots_bring_it_nearer(self) -> None:
        wanted = profile_weights(0.01, 1_600)
        misses = []
        for every in (400, 100, 25):
            _, profiles = kept_averages(np.zeros((1_601, 1)), EDM2, every)
            rows = np.array([np.pad(each, (0, 1_601 - len(each))) for each in profiles])
            misses.append(np.abs(posthoc_weights(profiles, wanted) @ rows - wanted).sum())
        assert misses[2] < misses[1] / 2 < misses[0] / 4
        assert misses[2] < 0.1

    def test_it_is_the_solution_of_the_normal_equations(self) -> None:
        """Algorithm 3 of the paper, with sums over the iterates for its inner products, in plain NumPy."""
        kept = [profile_weights(power(gamma), last) for last in (10, 20, 40) for gamma in (6.94, 16.97)]
        wanted = profile_weights(power(3.0), 40)
        rows = np.array([np.pad(each, (0, 41 - len(each))) for each in kept])
        x = np.linalg.solve(rows @ rows.T, rows @ wanted)
        np.testing.assert_allclose(posthoc_weights(kept, wanted), x / x.sum(), rtol=1e-6)

    def test_a_snapshot_from_the_future_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"kept has profiles of lengths \[51\]"):
            posthoc_weights([profile_weights(0.1, 50)], profile_weights(0.1, 40))
        with pytest.raises(ValueError, match="pass one or more"):
            posthoc_weights([], profile_weights(0.1, 40))
