"""The interquartile mean and its interval, against plain float64 references."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy import stats

from companion.study import interval, iqm, statistics

finite = st.floats(-1e6, 1e6, width=32)
tables = arrays(np.float32, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=17), elements=finite)


def labelled(table):
    return xr.DataArray(table, dims=("seed", "step"), coords={"seed": range(len(table))}, name="return")


def reference(values, lost=0):
    """Sort, cut a quarter at each end, average what is left: slow, in float64."""
    kept = sorted(float(value) for value in values)
    cut = len(kept) // 4
    kept = kept[cut : len(kept) - cut]
    return sum(kept) / len(kept)


@given(tables)
def test_iqm_is_what_is_left_of_a_sorted_list(table):
    found = iqm(labelled(table.astype(np.float64)))
    assert found.dims == ("step",)
    assert found.name == "return"
    np.testing.assert_allclose(found, [reference(column) for column in table.T], rtol=1e-12, atol=1e-9)


@given(tables, st.randoms(use_true_random=False))
def test_iqm_knows_no_order_and_lies_within(table, random):
    da = labelled(table.astype(np.float64))
    order = list(range(len(table)))
    random.shuffle(order)
    np.testing.assert_allclose(iqm(da.isel(seed=order)), iqm(da), rtol=1e-12, atol=1e-9)
    assert (iqm(da) >= da.min("seed") - 1e-6).all()
    assert (iqm(da) <= da.max("seed") + 1e-6).all()


@given(tables, st.floats(-3, 3), st.floats(-100, 100))
def test_iqm_scales_and_shifts_with_its_values(table, scale, shift):
    da = labelled(table.astype(np.float64))
    np.testing.assert_allclose(iqm(scale * da + shift), scale * iqm(da) + shift, rtol=1e-9, atol=1e-6)


@given(arrays(np.float64, st.integers(4, 16), elements=finite), st.data())
def test_what_diverged_is_never_left_out(values, data):
    lost = data.draw(st.integers(1, values.size))
    worst = data.draw(st.sampled_from([np.nan, np.inf, -np.inf]))
    spoilt = values.copy()
    spoilt[data.draw(st.permutations(range(values.size)))[:lost]] = worst
    da = xr.DataArray(spoilt, dims="seed")
    assert np.isnan(iqm(da))
    left = np.sort(spoilt[np.isfinite(spoilt)])
    cut = values.size // 4
    if lost > cut:
        assert iqm(da, diverged="high") == np.inf
        assert iqm(da, diverged="low") == -np.inf
    else:
        np.testing.assert_allclose(iqm(da, diverged="high"), left[cut : values.size - cut].mean(), rtol=1e-9, atol=1e-6)
        np.testing.assert_allclose(
            iqm(da, diverged="low"), left[cut - lost : values.size - cut - lost].mean(), rtol=1e-9, atol=1e-6
        )


def test_integers_are_averaged_as_numbers():
    assert iqm(xr.DataArray([1, 2, 2, 100], dims="seed")) == 2.0
    assert iqm(xr.DataArray([True, False], dims="seed")) == 0.5


def test_single_precision_stays_single():
    assert iqm(xr.DataArray(np.ones(4, np.float32), dims="seed")).dtype == np.float32


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda da: iqm(da, "tau"), r"dim is 'tau', but da has the dimensions \['seed'\]"),
        (lambda da: iqm(da[:0]), "no entry along 'seed'"),
        (lambda da: iqm(da, diverged="drop"), "diverged is 'drop'; choose 'gap', 'low' or 'high'"),
        (lambda da: interval(da, "tau"), "dim is 'tau'"),
        (lambda da: interval(da, confidence=95.0), "confidence is 95.0; it must lie between 0 and 1"),
        (lambda da: interval(da, confidence=0.0), r"confidence is 0\.0"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call(xr.DataArray(np.ones(4), dims="seed"))


def test_interval_is_yuens_of_a_trimmed_mean_wider_for_few_members():
    """Written out for one list of numbers: sort, cut, winsorize, and Student's t of what is kept."""
    da = xr.DataArray(
        np.random.default_rng(1).normal(size=(3, 9, 4)),
        dims=("tau", "seed", "step"),
        coords={"tau": [1.0, 0.1, 0.01], "seed": range(9), "step": range(4)},
        name="return",
    )
    found = interval(da, confidence=0.9)
    for tau in range(3):
        for step in range(4):
            ranked = sorted(da.values[tau, :, step].tolist())
            wins = [ranked[2]] * 2 + ranked[2:7] + [ranked[6]] * 2
            centre = sum(ranked[2:7]) / 5
            mean = sum(wins) / 9
            error = (sum((w - mean) ** 2 for w in wins) / (5 * 4)) ** 0.5
            half = (1 + 2.5 / 9) * stats.t.ppf(0.95, 4) * error
            np.testing.assert_allclose(found[tau, step], [centre - half, centre + half], rtol=1e-12)
    assert found.dims == ("tau", "step", "bound")
    assert found["bound"].values.tolist() == ["low", "high"]
    assert found.name == "return"
    xr.testing.assert_equal(found["tau"], da["tau"])


DRAWS = {
    "normal": lambda rng, size: rng.standard_normal(size),
    "exponential": lambda rng, size: rng.standard_exponential(size),
    "log-normal": lambda rng, size: np.exp(rng.standard_normal(size)),
    "uniform": lambda rng, size: rng.random(size),
}


@pytest.mark.parametrize("members", [4, 8, 16, 32])
@pytest.mark.parametrize("kind", DRAWS)
def test_a_95_percent_interval_covers_at_95_percent(kind, members):
    """Of the interquartile mean of endlessly many, in 20,000 trials; too wide by much would be no good either."""
    rng = np.random.default_rng(2)
    many = np.sort(DRAWS[kind](rng, 2_000_000))
    truth = many[500_000:-500_000].mean()
    ends = interval(xr.DataArray(DRAWS[kind](rng, (20_000, members)), dims=("trial", "seed")))
    covers = float(((ends.sel(bound="low") < truth) & (truth < ends.sel(bound="high"))).mean())
    assert 0.945 < covers < 0.985


def test_what_is_drawn_below_eight_members_is_their_range():
    few = labelled(np.random.default_rng(3).normal(size=(7, 3)))
    ends = statistics.band(few)
    np.testing.assert_array_equal(ends.sel(bound="low"), few.min("seed"))
    np.testing.assert_array_equal(ends.sel(bound="high"), few.max("seed"))
    assert statistics.band_name(few) == "range of 7 seeds"
    eight = labelled(np.random.default_rng(3).normal(size=(8, 3)))
    xr.testing.assert_identical(statistics.band(eight), interval(eight))
    assert statistics.band_name(8) == "95 % interval"
    assert statistics.band(few.isel(seed=[0])).isnull().all()


def test_the_range_of_a_few_knows_what_diverged():
    values = np.array([[1.0, 1.0], [2.0, np.nan], [3.0, 3.0], [4.0, 4.0]])
    assert statistics.band(labelled(values)).isel(step=1).isnull().all()
    high = statistics.band(labelled(values), diverged="high").isel(step=1)
    assert high.values.tolist() == [1.0, np.inf]


def test_equal_members_have_an_interval_of_no_width():
    ends = interval(labelled(np.full((6, 2), 3.0)))
    assert (ends == 3.0).all()


def test_one_member_says_nothing_of_the_spread():
    assert interval(labelled(np.ones((1, 2)))).isnull().all()


def test_a_diverged_member_leaves_a_gap_or_an_open_end():
    values = np.arange(16.0).reshape(8, 2)
    values[0, 1] = np.nan
    da = labelled(values)
    ends = interval(da)
    assert ends.isel(step=0).notnull().all()
    assert ends.isel(step=1).isnull().all()
    ranked = interval(da, diverged="high").isel(step=1)
    assert np.isfinite(ranked).all()  # one of eight is cut off, and counts as the largest that is kept
    values[[2, 5, 6], 1] = np.inf
    assert (interval(labelled(values), diverged="high").isel(step=1) == np.inf).all()  # half of them: so is the mean


def test_a_reading_is_the_mean_and_its_interval_as_text():
    values = xr.DataArray([-100.0, -110.0, -120.0, -130.0], dims="seed")
    assert statistics.reading(values) == "-115 (-130 to -100)"
    eight = xr.DataArray(np.arange(8.0), dims="seed")
    low, high = interval(eight).values
    assert statistics.reading(eight, ".1f") == f"3.5 [{low:.1f}, {high:.1f}]"
    assert statistics.reading(eight.rename(seed="agent"), "+.1f", "agent").startswith("+3.5 [")
    nearly = xr.DataArray([-0.3, -0.1, 0.2], dims=["seed"])
    assert statistics.reading(nearly) == "0 (0 to 0)"
    assert statistics.reading(nearly, "+,.0f") == "+0 (+0 to +0)"
    with pytest.raises(ValueError, match=r"dimensions \['seed', 'step'\]; select until 'seed' alone is left"):
        statistics.reading(values.expand_dims(step=2).transpose("seed", "step"))
