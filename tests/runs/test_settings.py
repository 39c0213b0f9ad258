"""Settings know which values they take."""

import copy
import math
import pickle
import sys
import types
from dataclasses import FrozenInstanceError, replace

import numpy as np
import pytest
import torch

from companion import rl
from companion.members import Grid
from companion.names import nearest
from companion.runs import settings as module
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


def test_settings_are_replaced_by_others():
    made = rl.td3.TD3Settings(tau=[0.5, 0.005], target_actor=[True, False], hidden=(8,))
    other = replace(made, gamma=0.9, period=torch.tensor([3, 4]))
    assert torch.equal(other.gamma, torch.tensor([0.9, 0.9]))
    assert torch.equal(other.tau, made.tau)
    assert (other.period.tolist(), other.target_actor.tolist(), other.hidden) == ([3, 4], [True, False], (8,))
    assert torch.equal(replace(rl.td3.TD3Settings(), gamma=0.9).gamma, torch.tensor([0.9]))
    assert replace(made) == made


def test_a_tensor_is_given_as_its_list_is():
    assert Members(tau=torch.tensor([1.0, 0.1])) == Members(tau=[1.0, 0.1])
    for given, error in (([1.0, 7.0], ValueError), ([[1.0]], TypeError), (1.0, TypeError), ([torch.inf], ValueError)):
        with pytest.raises(error, match="tau="):
            Members(tau=torch.tensor(given))
    with pytest.raises(TypeError, match=r"width=.* is a list; it has one value for all"):
        Members(width=torch.tensor([8, 16]))


class Narrow(Settings):
    rate: PerMember = setting(0.1, least=0.1, most=0.7)


def test_a_limit_that_a_tensor_rounds_is_in_range():
    made = Narrow(rate=[0.1, 0.7])
    assert made.rate[0].item() > 0.1, "rounding leaves the range: the test can fail"
    assert made.rate[1].item() < 0.7
    assert replace(made) == made
    assert torch.equal(replace(made).rate, made.rate)
    assert replace(Narrow(rate=0.1)) == Narrow()


def test_equal_settings_are_equal_and_hash_alike():
    one, same, other = Members(tau=[1.0, 0.1]), Members(tau=[1.0, 0.1]), Members(tau=[1.0, 0.2])
    assert one == same
    assert hash(one) == hash(same)
    assert one != other
    assert one != replace(one, width=9)
    assert len({one, same, other}) == 2
    assert Members() != Narrow()
    assert Members(tau=[0.5, 0.5]) != Members(tau=0.5)


def test_settings_are_copied_and_pickled():
    made = rl.td3.TD3Settings(tau=[0.5, 0.005], hidden=(8,))
    for twin in (copy.deepcopy(made), copy.copy(made), pickle.loads(pickle.dumps(made))):
        assert type(twin) is rl.td3.TD3Settings
        assert twin == made
        assert hash(twin) == hash(made)
    twin = copy.deepcopy(made)
    twin.tau.zero_()
    assert torch.equal(made.tau, torch.tensor([0.5, 0.005]))


def test_types_may_be_texts(monkeypatch):
    """As they are under ``from __future__ import annotations``."""
    source = """
from __future__ import annotations
from companion.runs.settings import PerMember, Settings, setting
class Late(Settings):
    tau: PerMember = setting(0.5, least=0, most=1)
    width: int = setting(8, least=1)
class Later(Late):
    period: PerMember = setting(3, least=1)
"""
    late = types.ModuleType("late")
    monkeypatch.setitem(sys.modules, "late", late)
    exec(source, late.__dict__)
    made = late.Later(tau=[1.0, 0.0])
    assert (made.tau.tolist(), made.period.tolist(), made.width) == ([1.0, 0.0], [3, 3], 8)


class Plain(Settings):
    tau: PerMember = setting(0.5, least=0, most=1)
    width: int = setting(8, least=1)
    pace: str = setting("walk", among=("walk", "trot"))
    layers: tuple[int, ...] = setting((8, 8), least=1)


def test_a_plain_setting_that_members_share_needs_not_decide_shapes():
    grid = Grid(check(Plain, {"tau": [1.0, 0.0], "width": 16}), seeds=2)
    ((own, fixed),) = grid.groups(shape_settings(Plain))
    settings = Plain.of(grid, own, fixed, torch.device("cpu"))
    assert settings == Plain(tau=[1.0, 1.0, 0.0, 0.0], width=16)
    assert (settings.width, settings.pace, settings.layers) == (16, "walk", (8, 8))


@pytest.mark.parametrize("swept", [{"width": [8, 16]}, {"pace": ["walk", "trot"]}, {"layers": [(8,), (8, 8)]}])
def test_a_plain_setting_in_which_members_differ_is_refused_with_the_remedy(swept):
    (name,) = swept
    grid = Grid(check(Plain, swept))
    ((own, fixed),) = grid.groups(shape_settings(Plain))
    with pytest.raises(TypeError, match=f"^{name}=.* differs between members .* shapes=True"):
        Plain.of(grid, own, fixed, torch.device("cpu"))
    assert getattr(Plain.of(grid, own[1:], fixed, torch.device("cpu")), name) == swept[name][1]


def test_an_empty_list_is_blamed_by_its_name():
    with pytest.raises(ValueError, match=r"^gamma=\[\] must be one value, or a list"):
        rl.td3.TD3Settings(gamma=[])
    with pytest.raises(ValueError, match=r"^gamma=\[\] must be one value, or a list"):
        rl.td3.TD3Settings(tau=[0.1, 0.2], gamma=[])


@pytest.mark.parametrize("rate", [1e300, [1e-3, 1e39], 10**400])
def test_what_is_infinite_in_a_tensor_is_refused_as_not_finite(rate):
    with pytest.raises(ValueError, match=r"actor_learning_rate=1.* must be at least 0 and finite in torch.float32$"):
        rl.td3.TD3Settings(actor_learning_rate=rate)
    with pytest.raises(ValueError, match=r"actor_learning_rate=inf .* must be at least 0 and finite$"):
        rl.td3.TD3Settings(actor_learning_rate=math.inf)
    assert rl.td3.TD3Settings(actor_learning_rate=3e38).actor_learning_rate.isfinite().all()
    assert rl.dqn.DQNSettings(error_clip=1e300).error_clip.isinf().all()


def test_an_integer_that_no_tensor_holds_is_out_of_range():
    for period in (2**63, [1, 2**64], 10**400):
        with pytest.raises(ValueError, match=r"period=.* is out of range; it must be at least 1 .*below 2\*\*63$"):
            rl.td3.TD3Settings(period=period)
    assert rl.td3.TD3Settings(period=2**63 - 1).period.tolist() == [2**63 - 1]


@pytest.mark.parametrize(
    ("kind", "default", "message"),
    [
        (float, 0.5, r"Bad\.field is no setting: .* setting\("),
        (float, None, r"Bad\.field is no setting"),
        (float, setting(None), r"Bad\.field=None: a setting's default is a bool, an int"),
        (list, setting([1, 2]), r"Bad\.field=\[1, 2\]: a setting's default is"),
        (PerMember, setting(np.float64(0.5)), r"Bad\.field=.*0\.5.*: a setting's default is"),
        (str, setting("walk"), r"Bad\.field='walk' is a name: .* among="),
        (PerMember, setting("walk", among=("walk",)), r"Bad\.field='walk' is no number, and cannot be PerMember"),
        (PerMember, setting((8, 8)), r"Bad\.field=\(8, 8\) is no number, and cannot be PerMember"),
    ],
)
def test_a_field_that_is_no_setting_is_refused_where_the_class_is_made(kind, default, message):
    with pytest.raises(TypeError, match=message):
        types.new_class(
            "Bad", (Settings,), exec_body=lambda ns: ns.update(__annotations__={"field": kind}, field=default)
        )


def test_a_field_without_a_default_and_a_default_out_of_range_are_refused_too():
    with pytest.raises(TypeError, match=r"Bare\.field is no setting"):

        class Bare(Settings):
            field: float

    with pytest.raises(ValueError, match=r"field=7 is out of range"):

        class Beyond(Settings):
            field: int = setting(7, most=1)


def test_the_nearest_name_is_looked_for_in_order(monkeypatch):
    """Not in a set's, which hangs on the hash seed."""
    looked = []
    monkeypatch.setattr(module, "nearest", lambda word, known: looked.extend(known) or known[0])

    def call(steps, evaluate_every, settings, seeds, device, minutes, horizon, film): ...

    with pytest.raises(ValueError, match="did you mean 'tau'"):
        check(Members, {"zzz": 1}, call)
    fields = ["tau", "period", "fast", "width"]
    assert looked == [*fields, "steps", "evaluate_every", "seeds", "device", "minutes", "horizon", "film"]
