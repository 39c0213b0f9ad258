"""Settings know which values they take."""

import math
from dataclasses import dataclass

import pytest

from companion.runs.settings import check, nearest, setting, shape_settings


@dataclass(frozen=True)
class Example:
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
