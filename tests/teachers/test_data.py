"""Who sees which pictures, and how."""

import numpy as np
import pytest
import torch

from companion.supervised import DATASETS
from companion.teachers.data import Pictures, moved, parts

INPUTS, LABELS = DATASETS["digits"]()


def pictures(seeds=(0, 5), *, noise=0.3, shift=True, batch=50) -> Pictures:
    same = torch.ones(len(seeds))
    return Pictures(
        list(seeds), known=40, batch=batch, with_labels=16, noise=noise * same, shift=shift * same.bool(),
        device=torch.device("cpu"),
    )  # fmt: skip


@pytest.mark.parametrize("known", [10, 40, 45])
def test_labels_are_told_of_as_many_of_each_class_as_can_be(known):
    mine = parts(LABELS, [0, 5], known)
    for labelled, pool, test in zip(mine.labelled, mine.pool, mine.test, strict=True):
        counts = np.bincount(LABELS[labelled], minlength=10)
        assert counts.sum() == known == len(set(labelled))
        assert counts.max() - counts.min() <= 1
        assert set(labelled) <= set(pool)
        assert sorted([*pool, *test]) == list(range(len(LABELS)))
    assert not np.array_equal(mine.pool[0], mine.pool[1])
    np.testing.assert_array_equal(parts(LABELS, [5], known).labelled[0], mine.labelled[1])


def test_fewer_labels_are_some_of_the_many():
    few, many = (set(parts(LABELS, [3], known).labelled[0]) for known in (20, 40))
    assert few < many


def test_more_labels_than_pictures_are_refused():
    with pytest.raises(ValueError, match="labels=899 is more than the 898 samples"):
        parts(LABELS, [0], 899)


def test_a_picture_moves_by_a_pixel_and_dark_comes_in():
    shown = moved(INPUTS[:3]).reshape(9, 3, 8, 8)
    square = INPUTS[:3].reshape(3, 8, 8)
    np.testing.assert_array_equal(shown[0], square)
    found = {
        (y, x)
        for y in (-1, 0, 1)
        for x in (-1, 0, 1)
        for each in shown
        if np.array_equal(each[:, 1:-1, 1:-1], np.roll(square, (y, x), (1, 2))[:, 1:-1, 1:-1])
    }
    assert len(found) == 9
    assert len({each.tobytes() for each in shown}) == 9


def test_a_batch_holds_no_picture_twice_and_a_pass_shows_all():
    mine, seen = pictures(), []
    for step in range(1, 19):
        pair = mine.draw(step)[2]
        assert len(set(pair.samples.tolist())) == 50
        seen += pair.samples.tolist()
    assert seen[:898] == list(range(898))
    assert seen[898:] == [0, 1]
    assert pair.times.tolist() == [0] * 48 + [1] * 2


def test_views_differ_in_shift_and_noise_and_the_weak_one_has_none():
    mine = pictures()
    labelled, _, pair = mine.draw(1)
    assert labelled.shape == (2, 16, 64)
    plain = mine.plain(mine.pool[:, pair.samples])
    assert not torch.equal(pair.first, pair.second)
    assert (pair.second - pair.weak).std() == pytest.approx(0.3, rel=0.05)
    still = pictures(shift=False).draw(1)[2]
    assert torch.equal(still.weak, plain)
    silent = pictures(shift=False, noise=0.0)
    shown, told, same = silent.draw(1)
    assert torch.equal(same.first, same.second)
    known = [INPUTS[i].tolist() for i in silent.labelled[0]]
    places = [silent.labelled[0][known.index(each.tolist())] for each in shown[0]]
    assert told[0].tolist() == [LABELS[place] for place in places]


def test_a_members_views_are_its_own_and_found_again():
    mine, alone = pictures(), pictures(seeds=(5,))
    for step in range(1, 12):
        among = mine.draw(step)[2]
        by_itself = alone.draw(step)[2]
        assert torch.equal(among.first[1], by_itself.first[0])
    later = pictures(seeds=(5,))
    later.seek(10)
    assert torch.equal(later.draw(11)[2].second, by_itself.second)
