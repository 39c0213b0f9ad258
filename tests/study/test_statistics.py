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


@pytest.mark.parametrize("batch", [50, 700, 10**9])
def test_interval_is_scipys_percentile_bootstrap(batch, monkeypatch):
    monkeypatch.setattr(statistics, "BATCH", batch)
    da = xr.DataArray(
        np.random.default_rng(1).normal(size=(3, 9, 4)),
        dims=("tau", "seed", "step"),
        coords={"tau": [1.0, 0.1, 0.01], "seed": range(9), "step": range(4)},
        name="return",
    )
    found = interval(da, confidence=0.9, resamples=300)
    theirs = stats.bootstrap(
        (da.values,),
        lambda x, axis: stats.trim_mean(x, 0.25, axis=axis),
        axis=1,
        n_resamples=300,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    expected = np.quantile(theirs.bootstrap_distribution, [0.05, 0.95], axis=-1, method="nearest")
    assert found.dims == ("tau", "step", "bound")
    assert found["bound"].values.tolist() == ["low", "high"]
    assert found.name == "return"
    xr.testing.assert_equal(found["tau"], da["tau"])
    np.testing.assert_allclose(found.transpose("bound", ...), expected, rtol=1e-12)


def test_interval_holds_the_truth_about_as_often_as_it_says():
    values = np.random.default_rng(2).normal(size=(2000, 16))
    ends = interval(xr.DataArray(values, dims=("trial", "seed")), resamples=500)
    holds = (ends.sel(bound="low") < 0) & (ends.sel(bound="high") > 0)
    assert 0.88 < float(holds.mean()) < 0.96, "percentile intervals of 16 members are a little narrow"


def test_interval_is_the_same_at_every_call_and_for_every_statistic_given():
    da = labelled(np.random.default_rng(3).normal(size=(8, 3)))
    xr.testing.assert_identical(interval(da), interval(da))
    median = interval(da, statistic=lambda x, dim: x.median(dim))
    assert (median.sel(bound="low") <= da.median("seed")).all()
    assert not np.allclose(median, interval(da))


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
    ranked = interval(da, statistic=lambda x, dim: iqm(x, dim, diverged="high"))
    assert np.isfinite(ranked.isel(step=1).sel(bound="low"))
    assert ranked.isel(step=1).sel(bound="high") == np.inf


def test_a_reading_is_the_mean_and_its_interval_as_text():
    values = xr.DataArray([-100.0, -110.0, -120.0, -130.0], dims="seed")
    low, high = interval(values).values
    assert statistics.reading(values) == f"-115 [{low:,.0f}, {high:,.0f}]"
    assert statistics.reading(values.rename(seed="agent"), "+.1f", "agent").startswith("-115.0 [-")
    with pytest.raises(ValueError, match=r"dimensions \['seed', 'step'\]; select until 'seed' alone is left"):
        statistics.reading(values.expand_dims(step=2).transpose("seed", "step"))
