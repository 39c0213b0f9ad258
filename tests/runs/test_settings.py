"""Settings know which values they take."""

import math
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from companion import rl
from companion.members import Grid
from companion.names import nearest
from companion.runs.settings import PerMember, Settings, check, setting, shape_settings


class Example(Settings):
    rate: float = setting(0.5, least=0, most=1)
    bound: float = setting(1.0, least=0, finite=False)
    count: int = setting(3, least=1)
    widths: tuple[int, ...] = setting((8, 8), least=1, shapes=True)
    fast: bool = setting(False)
    pace: str = setting("walk", among=("walk", "trot"))


def test_given_settings_come_first_in_their_order_and_then_the_defaults():
    checked = check(Example, {"count": [2, 1], "rate": 1})
    assert list(checked) == ["count", "rate", "bound", "widths", "fast", "pace"]
    assert checked == {
        "count": [2, 1],
        "rate": 1.0,
        "bound": 1.0,
        "widths": (8, 8),
        "fast": False,
        "pace": "walk",
    }
    assert type(checked["rate"]) is float


def test_the_settings_that_decide_shapes_are_known():
    assert shape_settings(Example) == ["widths"]


def test_an_unknown_name_is_refused_with_the_nearest_one():
    with pytest.raises(ValueError, match="unknown setting 'conut' of Example: did you mean 'count'"):
        check(Example, {"conut": 1})
    assert nearest("width", Example.__dataclass_fields__) == "widths"


@pytest.mark.parametrize(
    "given", [{"rate": 1.1}, {"rate": [0.1, math.nan]}, {"count": 0}, {"widths": (4, 0)}, {"count": [1, -1]}]
)
def test_values_out_of_range_are_refused(given):
    (name,) = given
    with pytest.raises(ValueError, match=f"{name}=.* is out of range; it must be"):
        check(Example, given)


@pytest.mark.parametrize(
    "given",
    [
        {"rate": "x"},
        {"rate": None},
        {"count": 1.0},
        {"count": True},
        {"widths": 8},
        {"fast": 1},
        {"widths": "8"},
        {"pace": 1},
    ],
)
def test_values_of_the_wrong_type_are_refused(given):
    (name,) = given
    with pytest.raises(TypeError, match=f"{name}=.* must be"):
        check(Example, given)


def test_a_setting_that_is_a_name_takes_the_names_there_are():
    assert check(Example, {"pace": ["trot", "walk"]})["pace"] == ["trot", "walk"]
    for given in ("run", ["walk", "run"], ""):
        with pytest.raises(ValueError, match=r"pace='(run)?' is unknown; it must be 'walk' or 'trot'"):
            check(Example, {"pace": given})


def test_infinity_is_a_value_only_where_it_is_meant_to_be():
    assert check(Example, {"bound": math.inf})["bound"] == math.inf
    with pytest.raises(ValueError, match="count"):
        check(Example, {"count": 0})


class Members(Settings):
    tau: PerMember = setting(0.5, least=0, most=1)
    period: PerMember = setting(3, least=1)
    fast: PerMember = setting(False)
    width: int = setting(8, least=1, shapes=True)


def test_what_may_differ_between_members_is_a_tensor_with_an_entry_for_each():
    one, three = Members(period=2), Members(tau=[1.0, 0.1, 0.0], fast=True)
    assert (one.tau.tolist(), one.period.tolist(), one.width) == ([0.5], [2], 8)
    assert three.tau.tolist() == pytest.approx([1.0, 0.1, 0.0])
    assert (three.period.tolist(), three.fast.tolist(), three.width) == ([3] * 3, [True] * 3, 8)
    assert (three.tau.dtype, three.period.dtype, three.fast.dtype) == (torch.float32, torch.int64, torch.bool)


def test_some_members_of_a_grid_have_the_settings_of_these():
    grid = Grid(check(Members, {"tau": [1.0, 0.1], "width": [8, 16]}), seeds=2)
    (_, _), (own, fixed) = grid.groups(shape_settings(Members))
    settings = Members.of(grid, own[np.array([0, 3])], fixed, torch.device("cpu"))
    assert (settings.width, settings.period.tolist()) == (16, [3, 3])
    torch.testing.assert_close(settings.tau, torch.tensor([1.0, 0.1]))


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"tau": 7}, ValueError, "tau=7 is out of range; it must be between 0 and 1"),
        ({"tau": [0.1, 7]}, ValueError, "tau=7 is out of range"),
        ({"tau": "0.1"}, TypeError, "tau='0.1' must be a number"),
        ({"tua": 0.1}, ValueError, "unknown setting 'tua' of Members: did you mean 'tau'"),
        ({"tau": []}, ValueError, r"tau=\[\] must be one value, or a list"),
        (
            {"tau": [0.1, 0.2], "period": [1, 2, 3]},
            ValueError,
            "tau=.* must be one value, or a list of one for each",
        ),
        ({"width": [8, 16]}, TypeError, "width=.* is a list; it has one value for all"),
    ],
)
def test_settings_are_checked_wherever_they_are_made(given, error, message):
    with pytest.raises(error, match=message):
        Members(**given)


def test_an_algorithms_settings_are_refused_as_its_training_refuses_them():
    with pytest.raises(ValueError, match="tau=7") as of_settings:
        rl.td3.TD3Settings(tau=7)
    with pytest.raises(ValueError, match="tau=7") as of_training:
        rl.train("td3", "Pendulum-v1", tau=7)
    assert str(of_settings.value) == str(of_training.value)


def test_settings_that_are_made_stay_as_they_are():
    with pytest.raises(FrozenInstanceError):
        Members().width = 9
