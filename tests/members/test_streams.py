"""Streams: a member's random numbers are its own, and a place in them is a number."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from companion.members import Noise, Streams


def test_a_members_numbers_do_not_depend_on_the_others():
    together = Streams([0, 3, 5, 2**40], "explore").uniform(100)
    np.testing.assert_array_equal(Streams([5], "explore").uniform(100)[0], together[2])
    np.testing.assert_array_equal(Streams([2**40, 0], "explore").uniform(100), together[[3, 0]])


@given(cuts=st.lists(st.integers(0, 30), min_size=1, max_size=6))
def test_blocks_of_any_size_give_the_same_sequence(cuts):
    whole = Streams([1, 2], "noise").uniform(sum(cuts))
    streams = Streams([1, 2], "noise")
    np.testing.assert_array_equal(np.concatenate([streams.uniform(n) for n in cuts], axis=1), whole)
    assert streams.position == sum(cuts)


@given(used=st.integers(0, 100))
def test_a_stream_resumes_from_its_position(used):
    first = Streams([4, 7], "noise")
    first.uniform(used)
    second = Streams([4, 7], "noise")
    second.position = first.position
    np.testing.assert_array_equal(first.normal(3, 2), second.normal(3, 2))
    np.testing.assert_array_equal(first.uniform(5), second.uniform(5))
    assert first.position == second.position == used + 2 * 6 + 5


def test_seeds_and_purposes_share_nothing():
    streams = [Streams([seed], purpose).uniform(50_000)[0] for seed in (0, 1) for purpose in ("init", "reset")]
    # The correlation of two independent streams has a standard deviation of 1/√50,000.
    correlation = np.corrcoef(streams)
    assert np.abs(correlation - np.eye(4)).max() < 5 / np.sqrt(50_000)


def test_distributions():
    streams = Streams([11], "distribution")
    assert stats.kstest(streams.uniform(100_000)[0], "uniform").pvalue > 1e-3
    assert stats.kstest(streams.normal(100_000)[0], "norm").pvalue > 1e-3
    counts = np.bincount(streams.integers(7, 100_000)[0], minlength=7)
    assert len(counts) == 7
    assert stats.chisquare(counts).pvalue > 1e-3


def test_uniform_numbers_times_a_size_stay_below_it():
    largest = np.float32(1 - 2.0**-24)
    for size in [*range(1, 3000), 9_999, 10_000, 2**20 - 1, 2**24 - 1, 2**24]:
        assert np.float32(largest * np.float32(size)) < size


@pytest.mark.parametrize("seeds", [[], [-1], [2**64]])
def test_bad_seeds_are_refused(seeds):
    with pytest.raises(ValueError, match="seed"):
        Streams(seeds, "init")


def test_bad_positions_and_ranges_are_refused():
    streams = Streams([0], "init")
    with pytest.raises(ValueError, match="position is -1"):
        streams.position = -1
    with pytest.raises(ValueError, match="high is 0"):
        streams.integers(0, 3)


def test_noise_lays_the_streams_out_step_by_step():
    noise = Noise([3, 8], {"explore": 2, "reset": 4}, torch.device("cpu"), length=5)
    explore, reset = Streams([3, 8], "explore").uniform(12, 2), Streams([3, 8], "reset").uniform(12, 4)
    for step in range(12):
        if step % noise.length == 0:
            noise.refill()
        row = noise.draw()
        np.testing.assert_array_equal(row["explore"].numpy(), explore[:, step])
        np.testing.assert_array_equal(row["reset"].numpy(), reset[:, step])


@pytest.mark.parametrize("draws", [0, 3, 5, 12])
def test_noise_goes_on_from_anywhere(draws):
    widths = {"explore": 2, "reset": 3}
    through, resumed = (Noise([3, 8], widths, torch.device("cpu"), normal={"explore"}, length=5) for _ in range(2))
    resumed.seek(draws)
    for step in range(draws + 7):
        if step % through.length == 0:
            through.refill()
            if step >= draws:
                resumed.refill()
        row = through.draw()
        if step >= draws:
            again = resumed.draw()
            for purpose in widths:
                np.testing.assert_array_equal(again[purpose].numpy(), row[purpose].numpy())
    assert all(resumed.drawn[purpose].data_ptr() == again[purpose].data_ptr() for purpose in widths)
