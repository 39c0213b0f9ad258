"""What an answer is held against has a hint for each way to be wrong."""

import numpy as np
import pytest
import torch
import xarray as xr

from companion.exercises import Hint, agrees, differs, matches, matches_each, number, several


@pytest.mark.parametrize(
    ("got", "want", "hint"),
    [
        (None, 1.0, "`return` missing"),
        ("a", 1.0, "a str, where numbers"),
        ({"a": 1}, 1.0, "a dict, where numbers"),
        ([[1.0], [1.0, 2.0]], 1.0, "a list, where numbers"),
        ([[1.0]], [1.0], r"shape is \(1, 1\), and \(1,\) is expected"),
        (np.nan, 1.0, "^no$"),
        (1.0001, 1.0, "^no$"),
        (torch.tensor([1.0, 2.0]), [1.0, 3.0], "^no$"),
    ],
)
def test_matches_has_a_hint_for_each_way_to_differ(got, want, hint):
    with pytest.raises(Hint, match=hint):
        matches(got, want, "no")


@pytest.mark.parametrize(
    "got", [2, 2.0, np.float32(2), np.array(2.0), torch.tensor(2.0, requires_grad=True), xr.DataArray(2.0)]
)
def test_one_number_is_taken_from_any_library(got):
    assert number(got, "no") == 2.0


@pytest.mark.parametrize("got", [None, "2", [2.0], (2.0,), np.array([2.0]), torch.ones(2), {"a": 2.0}])
def test_what_is_not_one_number_gets_the_hint(got):
    with pytest.raises(Hint, match=r"^no$"):
        number(got, "no")


def test_matches_takes_tensors_with_gradients_and_tolerances():
    matches(torch.ones(2, requires_grad=True), [1, 1], "no")
    matches(1.05, 1.0, "no", rtol=0.1)


def test_agreement_is_with_what_the_right_function_returns():
    agrees(abs, np.abs, (-2.0,), "no")
    with pytest.raises(Hint, match=r"^no$"):
        agrees(lambda x: x, abs, (-2.0,), "no")


def test_each_of_several_is_matched_with_its_own():
    matches_each([1.0, torch.ones(2)], [1.0, [1.0, 1.0]], "no")
    with pytest.raises(Hint, match=r"^no$"):
        matches_each([1.0, 2.0], [2.0, 1.0], "no")


def test_a_well_known_mistake_is_told_and_all_else_differs_from_it():
    with pytest.raises(Hint, match=r"^the decay$"):
        differs(torch.tensor([0.9, 0.1], requires_grad=True), [0.9, 0.1], "the decay")
    for other in (0.9, [0.9, 0.2], [[0.9, 0.1]], None, "0.9", {}):
        differs(other, [0.9, 0.1], "the decay")


def test_several_things_are_a_tuple_or_a_list_of_so_many():
    assert several((1, 2), 2, "no") == (1, 2)
    assert several([1, 2], 2, "no") == [1, 2]
    for got in ((1,), (1, 2, 3), 1.0, np.zeros(2)):
        with pytest.raises(Hint, match=r"^no$"):
            several(got, 2, "no")
    with pytest.raises(Hint, match=r"`return` missing"):
        several(None, 2, "no")
