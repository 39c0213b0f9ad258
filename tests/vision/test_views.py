"""The batches of a run: a function of the seed and the step, and of nothing that came before."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from companion import vision
from companion.vision import Augmentation, Pair, Views

HOW = Augmentation(least_area=0.5, hue=0.5, blur=0.3, solarize=0.3)
NOTHING = replace(HOW, least_area=1.0, flip=0.0, jitter=0.0, grayscale=0.0, blur=0.0, solarize=0.0)
PICTURES = 50


def numbered(pictures: int = PICTURES) -> Tensor:
    """Each picture is its own number, all over."""
    return torch.arange(pictures, dtype=torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()


def noise(pictures: int = PICTURES) -> Tensor:
    return torch.randint(0, 256, (pictures, 3, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def make(images: Tensor, how: Augmentation = HOW, **given: int | bool) -> Views:
    return Views(images, how, **{"batch_size": 8, "seed": 3, **given})


def shown(view: Tensor) -> Tensor:
    """Which pictures of :func:`numbered` a view shows."""
    return (255 * view).round().long()[:, 0, 0, 0]


def same(a: Pair, b: Pair) -> bool:
    return torch.equal(a.first, b.first) and torch.equal(a.second, b.second) and torch.equal(a.order, b.order)


@pytest.mark.parametrize("batch_size", [5, 8, 50])
def test_an_epoch_shows_each_picture_once_but_for_what_does_not_fill_a_batch(batch_size):
    views = make(numbered(), NOTHING, batch_size=batch_size)
    assert views.per_epoch == PICTURES // batch_size
    epochs = []
    for epoch in range(4):
        steps = range(1 + epoch * views.per_epoch, 1 + (epoch + 1) * views.per_epoch)
        seen = torch.cat([shown(views(step).first) for step in steps])
        assert len(seen) == len(set(seen.tolist())) == views.per_epoch * batch_size
        assert torch.equal(seen, torch.cat([views.pictures(step) for step in steps]))
        epochs.append(seen.tolist())
    assert len({tuple(order) for order in epochs}) == 4
    left_out = [set(range(PICTURES)) - set(order) for order in epochs]
    assert batch_size != 8 or left_out[0] != left_out[1]


def test_what_is_kept_is_what_would_be_drawn_and_no_more_than_asked_for():
    plain = make(noise(), shuffle=True)
    size = sum(tensor.nbytes for tensor in vars(plain(1)).values())
    views = make(noise(), shuffle=True, keep=2 * size + size // 2)
    first = [views(step) for step in (3, 1, 9, 2)]
    again = [views(step) for step in (3, 1, 9, 2)]
    assert [a is b for a, b in zip(first, again, strict=True)] == [True, True, False, False]
    for step, a, b in zip((3, 1, 9, 2), first, again, strict=True):
        assert same(a, plain(step))
        assert same(b, plain(step))


def test_the_order_of_an_epoch_has_no_preference():
    views = make(numbered(), batch_size=PICTURES)
    places = torch.stack([views.pictures(step) for step in range(1, 401)]).double()
    # The mean of 400 uniform numbers of 0 … 49, each with a standard deviation of √((50² − 1)/12).
    assert (places.mean(0) - 24.5).abs().max() < 5 * ((PICTURES**2 - 1) / 12 / 400) ** 0.5


@pytest.mark.parametrize("shuffle", [False, True])
def test_any_step_can_be_had_at_any_time_and_again(shuffle):
    images = noise()
    views = make(images, shuffle=shuffle)
    through = [views(step) for step in range(1, 20)]
    for step in (17, 2, 2, 6, 7, 19, 1):
        assert same(views(step), through[step - 1])
        assert same(make(images, shuffle=shuffle)(step), through[step - 1])


def test_steps_seeds_and_the_two_views_differ():
    views, others = make(noise()), make(noise(), seed=4)
    first, second, _ = views(1).first, views(1).second, views(1).order
    assert (first - second).abs().amax((1, 2, 3)).min() > 0.01
    assert not torch.equal(views.pictures(1), others.pictures(1))
    one = make(noise(1).expand(PICTURES, -1, -1, -1))  # so that views differ by their numbers alone
    assert (one(1).first - one(2).first).abs().amax((1, 2, 3)).median() > 0.1
    other = make(noise(1).expand(PICTURES, -1, -1, -1), seed=4)
    assert (one(1).first - other(1).first).abs().amax((1, 2, 3)).median() > 0.1


def test_both_views_of_a_row_are_of_the_same_picture():
    pair = make(numbered(), NOTHING)(3)
    assert torch.equal(shown(pair.first), shown(pair.second))
    assert torch.equal(pair.order, torch.arange(8))


def test_a_shuffle_puts_the_second_views_into_another_order_and_changes_nothing_else():
    plain, shuffled = make(noise()), make(noise(), shuffle=True)
    orders = []
    for step in range(1, 15):
        straight, pair = plain(step), shuffled(step)
        assert sorted(pair.order.tolist()) == list(range(8))
        assert torch.equal(pair.first, straight.first)
        torch.testing.assert_close(pair.second[pair.order.argsort()], straight.second, rtol=0, atol=1e-6)
        torch.testing.assert_close(pair.second, straight.second[pair.order], rtol=0, atol=1e-6)
        orders.append(tuple(pair.order.tolist()))
    assert len(set(orders)) == 14


def test_the_shuffle_tells_which_picture_a_row_shows():
    views = make(numbered(), NOTHING, shuffle=True)
    for step in (1, 4, 9):
        pair = views(step)
        assert torch.equal(shown(pair.second), views.pictures(step)[pair.order])
        assert not torch.equal(shown(pair.second), views.pictures(step))


def test_views_are_floats_from_0_to_1_of_the_pictures_size():
    data = vision.shapes(40, 2)
    pair = Views(data.train.images, data.augmentation, batch_size=40, seed=0)(1)
    for view in (pair.first, pair.second):
        assert view.dtype == torch.float32
        assert view.shape == data.train.images.shape
        assert 0 <= view.min() < view.max() <= 1


def test_a_batch_that_cannot_be_filled_is_refused():
    with pytest.raises(ValueError, match=r"batch_size=51 is more than the 50 pictures there are; lower it"):
        make(numbered(), batch_size=51)
    with pytest.raises(ValueError, match=r"batch_size=0 must be at least 1"):
        make(numbered(), batch_size=0)
