"""A map whose dots can be asked: the dot, the curve, and the words belong to the member that was chosen."""

import importlib
import itertools

import numpy as np
import pytest
import xarray as xr
from matplotlib import pyplot as plt

from companion import study

dots = importlib.import_module("companion.study.dots")
TAUS, SEEDS, STEPS = [1.0, 0.1, 0.01], [4, 7, 9], [100, 200, 300, 400]


def runs(seed=0):
    """Members whose first evaluation is missing, one of which diverges."""
    values = np.random.default_rng(seed).normal(size=(3, 3, 4))
    values[..., 0] = np.nan
    values[0, 2, 2:] = np.nan
    return xr.DataArray(values, coords={"tau": TAUS, "seed": SEEDS, "step": STEPS}, dims=["tau", "seed", "step"])


@pytest.fixture
def shown(monkeypatch):
    """What `explore` is given, and the page's figure, which it would close."""
    calls = []

    def keep(fig, draw, controls, **rest):
        calls.append((fig, draw, controls, rest))

    monkeypatch.setattr(dots, "explore", keep)
    yield calls
    plt.close("all")


def test_what_is_shown_belongs_to_the_member_that_was_chosen(shown):
    course, other = runs(0), runs(1)
    score = course.isel(step=-1)
    names = ("predicted", "obtained")
    study.explore_dots(score, course, beside=other, names=names, alt="Dots", start=(0.1, 9))
    (fig, draw, controls, rest), *more = shown
    assert not more
    assert controls == {"tau": sorted(TAUS), "seed": SEEDS}, "the slider goes the axis's way"
    assert rest["start"] == (1, 2)
    left, right = fig.axes
    by_name = {line.get_label(): line for line in right.lines}
    for tau, seed in itertools.product(*controls.values()):
        said = draw(tau, seed)
        for name, run in zip(names, (course, other), strict=True):
            wanted = run.sel(tau=tau, seed=seed).dropna("step")
            np.testing.assert_array_equal(by_name[name].get_xdata(), wanted["step"])
            np.testing.assert_array_equal(by_name[name].get_ydata(), wanted)
        pale = [line.get_ydata().tolist() for line in right.lines if line.get_color() == "0.78"]
        assert pale == [course.sel(tau=tau, seed=s).dropna("step").values.tolist() for s in SEEDS]
        got = float(score.sel(tau=tau, seed=seed))
        axes, at, height = rest["spots"](tau, seed)
        assert axes is left
        assert left.lines[-1].get_xydata().tolist() == [[at, height]], "the ring is around the dot"
        nearest = min(TAUS, key=lambda value: abs(np.log(value / at)))
        assert nearest == tau
        if np.isfinite(got):
            assert height == got
            better = (score.sel(tau=tau) > got).sum().item()
            assert said == f"tau = {tau}, seed {seed}: {got:,.0f}; of the 3 seeds there, {better} did better."
        else:
            assert (tau, seed) == (1.0, 9)
            assert height == left.get_ylim()[0]
            assert said == "tau = 1.0, seed 9: diverged."


def test_no_two_dots_share_a_place_and_the_axes_never_move(shown):
    course = runs()
    study.explore_dots(course.isel(step=-1), course, alt="Dots")
    ((fig, draw, controls, rest),) = shown
    states = list(itertools.product(*controls.values()))
    assert len({rest["spots"](*state)[1:] for state in states}) == len(states)
    limits = set()
    for state in states:
        draw(*state)
        fig.draw_without_rendering()
        limits.add(tuple((ax.get_xlim(), ax.get_ylim()) for ax in fig.axes))
    assert len(limits) == 1
    low, high = fig.axes[1].get_ylim()
    study.explore_dots(course.isel(step=-1), course, alt="Dots", limits=(-7.0, 5.0))
    assert shown[-1][0].axes[1].get_ylim() == (-7, 5)
    assert low < float(course.min()) < float(course.max()) < high


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"score": runs()}, r"score has the dimensions \['tau', 'seed', 'step'\]; give it \['tau', 'seed'\]"),
        ({"course": runs().isel(step=0)}, r"course has the dimensions \['tau', 'seed'\]; give it"),
        ({"beside": runs().isel(seed=[0, 1])}, r"beside has seed = \[4 7\], score has \[4 7 9\]; select the same"),
        ({"course": runs().isel(tau=[2, 1, 0])}, r"course has tau = \[0.01 0.1  1.  \], score has"),
        ({"course": runs() * np.nan}, "course has no finite value"),
        ({"start": (0.2, 4)}, r"start is \(0.2, 4\); give one of tau = \[0.01, 0.1, 1.0\], and one of the seeds"),
        ({"start": (0.1, 5)}, r"start is \(0.1, 5\)"),
        ({"over": "epoch"}, "course has the dimensions"),
    ],
)
def test_bad_input_is_named_before_anything_is_drawn(shown, change, words):
    right = {"score": runs().isel(step=-1), "course": runs(), "alt": "Dots"}
    with pytest.raises(ValueError, match=words):
        study.explore_dots(**{**right, **change})
    assert shown == []
    assert plt.get_fignums() == []
