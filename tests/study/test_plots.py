"""What the two figures of every chapter draw, read back from their artists."""

from itertools import pairwise

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from companion.study import across, band, curves, iqm, style

TAUS = [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003]


@pytest.fixture
def ax():
    with plt.rc_context():
        style()
        fig, ax = plt.subplots()
        yield ax
        fig.canvas.draw()
        plt.close(fig)


@pytest.fixture
def run():
    values = np.random.default_rng(0).normal(size=(8, 6, 5)) + np.arange(8)[:, None, None]
    coords = {"tau": TAUS, "seed": range(6), "step": [100, 200, 300, 400, 500]}
    return xr.DataArray(values, dims=("tau", "seed", "step"), coords=coords, name="return")


def words(legend):
    return [text.get_text() for text in legend.get_texts()]


def names(ax):
    ax.figure.canvas.draw()
    return [label.get_text() for label in ax.get_xticklabels()]


def test_curves_are_interquartile_means_in_bands_of_their_intervals(ax, run):
    lines = curves(ax, run)
    assert words(ax.get_legend()) == ["1", "0.3", "0.1", "0.03", "0.01", "0.003", "0.001", "0.0003"]
    assert ax.get_legend().get_title().get_text() == "tau"
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("step", "return")
    ends = band(run)
    for tau, drawn, area in zip(TAUS, lines, ax.collections, strict=True):
        np.testing.assert_array_equal(drawn.get_xdata(), run["step"])
        np.testing.assert_allclose(drawn.get_ydata(), iqm(run.sel(tau=tau)))
        (path,) = area.get_paths()
        corners = {(x, round(y, 9)) for x, y in path.vertices}
        for step in (100, 300):
            for bound in ("low", "high"):
                end = float(ends.sel(tau=tau, step=step, bound=bound))
                assert (step, round(end, 9)) in corners
    assert len({(drawn.get_color(), str(drawn.get_linestyle()), drawn.get_marker()) for drawn in lines}) == 8


def test_one_line_may_have_a_name_and_a_look_of_its_own(ax, run):
    (online,) = curves(ax, run.sel(tau=1.0), by=None, label="online", look={"color": "#D55E00", "marker": ""})
    (target,) = curves(ax, run.sel(tau=0.1), by=None, label="target", look={"color": "#0072B2", "linestyle": "--"})
    assert words(ax.get_legend()) == ["online", "target"]
    assert (online.get_color(), online.get_marker()) == ("#D55E00", "")
    assert target.get_linestyle() == "--"


@pytest.mark.parametrize("draw", [lambda ax, da: curves(ax, da, by=None), lambda ax, da: across(ax, da, x="step")])
def test_without_names_there_is_no_legend(draw, ax, run):
    draw(ax, run.sel(tau=1.0))
    assert ax.get_legend() is None


def test_one_seed_is_a_line_without_a_band(ax, run):
    lines = curves(ax, run.isel(seed=[0]), legend=False)
    np.testing.assert_array_equal(lines[0].get_ydata(), run.isel(seed=0, tau=0))
    assert not any(band.get_paths() for band in ax.collections)
    assert ax.get_legend() is None


def test_a_diverged_member_leaves_a_gap_and_is_counted_in_the_name(ax, run):
    lost = run.where((run["tau"] < 1) | (run["seed"] > 0) | (run["step"] < 300))
    lines = curves(ax, lost)
    assert words(ax.get_legend())[:2] == ["1 (1 diverged)", "0.3"]
    assert np.isnan(lines[0].get_ydata()).tolist() == [False, False, True, True, True]
    ax.clear()
    lines = curves(ax, lost, diverged="high")
    assert np.isfinite(lines[0].get_ydata()).all(), "one of six is within the quarter that is cut"


def test_across_draws_mean_interval_and_every_seed(ax, run):
    last = run.isel(step=-1)
    (drawn,) = across(ax, last)
    np.testing.assert_array_equal(drawn.get_xdata(), TAUS)
    np.testing.assert_allclose(drawn.get_ydata(), iqm(last))
    bars = np.array(ax.collections[0].get_segments())
    np.testing.assert_allclose(bars[:, :, 0], np.stack([TAUS, TAUS], 1))
    np.testing.assert_allclose(bars[:, :, 1], band(last))
    dots = [line for line in ax.lines if line is not drawn]
    np.testing.assert_array_equal(np.stack([dot.get_ydata() for dot in dots], 1), last.transpose("tau", "seed"))
    for dot in dots:
        assert np.abs(np.log(dot.get_xdata() / np.array(TAUS))).max() < 0.2, "beside the value they belong to"
    assert ax.get_xscale() == "log"
    assert names(ax) == ["1", "0.3", "0.1", "0.03", "0.01", "0.003", "0.001", "0.0003"]


def test_names_that_have_no_room_are_left_out_from_the_small_end(run):
    fig, ax = plt.subplots(figsize=(3.0, 2.0))
    across(ax, run.isel(step=-1))
    shown = [name for name in names(ax) if name]
    assert shown[0] == "1"
    assert 2 <= len(shown) < 8
    fig.canvas.draw()
    boxes = [label.get_window_extent() for label in ax.get_xticklabels() if label.get_text()]
    boxes.sort(key=lambda box: box.x0)
    assert all(left.x1 <= right.x0 for left, right in pairwise(boxes))
    assert len(ax.get_xticks()) == 8
    plt.close(fig)


def test_zero_has_its_place_on_an_axis_of_decades(ax, run):
    last = run.isel(step=-1).assign_coords(tau=[0.0, *TAUS[:7]])
    across(ax, last)
    assert ax.get_xscale() == "symlog"
    assert "0" in names(ax)


def test_values_close_together_keep_a_plain_axis(ax, run):
    across(ax, run.isel(step=-1, tau=slice(0, 3)))
    assert ax.get_xscale() == "linear"


@pytest.mark.parametrize("values", [["neither", "replay", "both"], [False, True, None]])
def test_words_stand_side_by_side_without_a_line_between(values, ax, run):
    few = run.isel(step=-1, tau=slice(0, 3)).rename(tau="parts")
    few = few.assign_coords(parts=[str(value) for value in values])
    (drawn,) = across(ax, few, x="parts")
    assert drawn.get_linestyle() == "None"
    assert names(ax) == [str(value) for value in values]


def test_a_swept_truth_value_stands_side_by_side_too(ax, run):
    across(ax, run.isel(step=-1, tau=[0, 1]).rename(tau="double").assign_coords(double=[False, True]), x="double")
    assert names(ax) == ["False", "True"]


@pytest.mark.parametrize("few_first", [False, True])
def test_a_second_line_of_fewer_values_keeps_the_marks_of_the_first(few_first, ax, run):
    last = run.isel(step=-1)
    few = last.isel(tau=slice(4, 8))
    for each in (few, last) if few_first else (last, few):
        across(ax, each)
    assert sorted(ax.get_xticks()) == sorted(TAUS)
    assert sorted(filter(None, names(ax)), key=float) == [f"{tau:g}" for tau in sorted(TAUS)]


def test_across_has_a_line_for_each_value_of_a_second_setting(ax, run):
    both = xr.concat([run, -run], dim=xr.DataArray([False, True], dims="double", name="double")).isel(step=-1)
    lines = across(ax, both, by="double")
    assert words(ax.get_legend()) == ["False", "True"]
    np.testing.assert_allclose(lines[1].get_ydata(), -lines[0].get_ydata())


def test_across_says_how_many_diverged(ax, run):
    lost = run.isel(step=-1).where((run["tau"] < 1) | (run["seed"] > 1))
    (drawn,) = across(ax, lost)
    assert [text.get_text() for text in ax.texts] == ["2 diverged"]
    assert ax.texts[0].get_position()[0] == 1.0
    assert np.isnan(drawn.get_ydata()[0])


def test_where_all_diverged_nothing_is_drawn_and_nothing_breaks(ax, run):
    lines = across(ax, run.isel(step=-1) * np.inf, diverged="high")
    assert np.isnan(lines[0].get_ydata()).all()
    assert len(ax.texts) == 8
    left, right = ax.get_xlim()
    assert 1e-4 < left < 0.0003
    assert 1 < right < 3


@pytest.mark.parametrize("draw", [curves, across])
def test_dimensions_too_few_or_too_many_are_named(draw, ax, run):
    with pytest.raises(ValueError, match="not 'period'; name one of them"):
        draw(ax, run, "period")
    with pytest.raises(ValueError, match="not 'seed'"):
        draw(ax, run.isel(seed=0), *(["step", "tau"] if draw is curves else ["tau"]))
    more = run.expand_dims(period=[1, 2])
    with pytest.raises(ValueError, match=r"further dimension 'period'; pick one value first, as in da.sel\(period="):
        draw(ax, more, "step", "tau")
    assert not ax.lines
