"""The grid: settings and seeds become members, and members become labelled arrays again."""

import numpy as np
import pytest
import xarray as xr

from companion.members import Grid
from tests.helpers import assert_can_be_kept


def test_a_list_is_swept_and_a_tuple_is_a_value():
    grid = Grid({"tau": [1.0, 0.1], "hidden": (64, 64), "period": [1, 10, 100]}, seeds=4)
    assert grid.members == 2 * 3 * 4
    assert grid.dims == ("tau", "period", "seed")
    assert grid.seeds.tolist() == [0, 1, 2, 3] * 6
    assert grid.column("tau").tolist() == [1.0] * 12 + [0.1] * 12
    assert grid.column("period").tolist() == ([1] * 4 + [10] * 4 + [100] * 4) * 2
    assert all(value == (64, 64) for value in grid.column("hidden"))


def test_every_members_result_comes_back_under_its_own_label():
    grid = Grid({"tau": [1.0, 0.1], "gamma": 0.9, "period": [1, 10]}, seeds=[5, 3])
    numbers = np.stack([grid.column("tau"), grid.column("period"), grid.seeds], axis=1)
    run = grid.dataset({"number": (("which",), numbers)}, coords={"which": ["tau", "period", "seed"]})
    assert run["number"].dims == ("tau", "period", "seed", "which")
    for tau in (1.0, 0.1):
        for period in (1, 10):
            for seed in (5, 3):
                assert run["number"].sel(tau=tau, period=period, seed=seed).values.tolist() == [tau, period, seed]


def test_a_member_has_a_name_that_no_other_has():
    grid = Grid({"tau": [1.0, 0.1], "hidden": [(64, 64), (32,)], "gamma": 0.9}, seeds=[0, 3])
    assert grid.name(0) == "tau=1.0, hidden=(64, 64), seed=0"
    assert grid.name(7) == "tau=0.1, hidden=(32,), seed=3"
    assert len({grid.name(i) for i in range(grid.members)}) == grid.members


def test_groups_cover_every_member_once_and_agree_on_their_settings():
    grid = Grid({"tau": [1.0, 0.1], "hidden": [(64, 64), (32,)], "batch_size": 8, "gamma": 0.9}, seeds=3)
    groups = list(grid.groups(["hidden", "batch_size"]))
    assert sorted(np.concatenate([indices for indices, _ in groups])) == list(range(12))
    for indices, fixed in groups:
        assert all(value == fixed["hidden"] for value in grid.column("hidden")[indices])
        assert fixed["batch_size"] == 8


def test_groups_of_nothing_swept_are_one():
    ((indices, fixed),) = Grid({"tau": [1.0, 0.1], "hidden": (4,)}, seeds=2).groups(["hidden"])
    assert indices.tolist() == [0, 1, 2, 3]
    assert fixed == {"hidden": (4,)}


def test_one_by_one_every_member_has_one_value_of_every_setting():
    grid = Grid({"tau": [1.0, 0.1], "hidden": (4, 4), "fast": [True, False]}, seeds=[3, 8])
    alone = list(grid.one_by_one())
    assert [members.tolist() for members, _ in alone] == [[member] for member in range(8)]
    for (member,), values in alone:
        assert values == {
            "tau": grid.column("tau")[member],
            "hidden": (4, 4),
            "fast": grid.column("fast")[member],
        }
    assert [values for _, values in Grid({"tau": 0.1}, seeds=2).one_by_one()] == [{"tau": 0.1}] * 2


def test_a_dataset_survives_a_file(tmp_path):
    grid = Grid({"hidden": [(64, 64), (32,)], "double_q": [False, True]}, seeds=2)
    attrs = {"none": None, "hidden": [(64, 64), (32,)], "sizes": (3, 4), "mixed": [1, 0.5], "word": "dqn", "empty": []}
    attrs |= {"flag": True, "flags": [True, False], "off": np.False_, "n": np.int64(3), "tau": np.float32(0.5)}
    run = grid.dataset({"return": (("step",), np.ones((8, 3)))}, coords={"step": [1, 2, 3]}, attrs=attrs)
    assert_can_be_kept(run, tmp_path)
    with xr.open_dataset(tmp_path / "chosen.nc") as read:
        assert list(read["hidden"].values) == ["64-64", "32"]
        assert read["double_q"].dtype == bool
        assert read.attrs["none"] == "None"
        assert read.attrs["sizes"].tolist() == [3, 4]
        assert read.attrs["hidden"] == "[(64, 64), (32,)]"
        assert read.attrs["flags"].tolist() == [1, 0]
        assert (read.attrs["flag"], read.attrs["off"], read.attrs["n"], read.attrs["tau"]) == (1, 0, 3, 0.5)


@pytest.mark.parametrize(
    ("settings", "word"), [({"tau": []}, "tau is an empty list"), ({"tau": [0.1, 0.1]}, "holds a value twice")]
)
def test_bad_lists_are_refused(settings, word):
    with pytest.raises(ValueError, match=word):
        Grid(settings, seeds=1)


@pytest.mark.parametrize("seeds", [0, -1, [], [1, 1], [-1]])
def test_bad_seeds_are_refused(seeds):
    with pytest.raises(ValueError, match="seeds="):
        Grid({}, seeds=seeds)


@pytest.mark.parametrize("seeds", [True, "3", [0.5], 2.0])
def test_seeds_that_are_no_integers_are_refused(seeds):
    with pytest.raises(TypeError):
        Grid({}, seeds=seeds)
