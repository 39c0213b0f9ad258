"""Shapes: drawn from a seed, hard for pixels and a random network, easy for a network that learns what they are."""

from dataclasses import fields

import pytest
import torch
from scipy import stats
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from companion import vision
from companion.vision import Dataset, Pictures, Views, probes
from companion.vision.encoders import make_encoder
from companion.vision.evaluation import calibrated, evaluate


@pytest.fixture(scope="module")
def data() -> Dataset:
    return vision.shapes(5_000, 1_000)


def equal(a: Pictures, b: Pictures) -> bool:
    return torch.equal(a.images, b.images) and torch.equal(a.labels, b.labels)


def first(pictures: Pictures, count: int) -> Pictures:
    return Pictures(pictures.images[:count], pictures.labels[:count])


def test_pictures_are_bytes_with_a_class_each(data):
    for part, count in ((data.train, 5_000), (data.test, 1_000)):
        assert len(part) == count
        assert part.images.shape == (count, 3, 16, 16)
        assert part.images.dtype == torch.uint8
        assert part.labels.dtype == torch.int64
    assert data.name == "shapes"
    assert len(data.classes) == len(set(data.classes)) == 10
    same = data.to("cpu")
    assert all(getattr(same, field.name) == getattr(data, field.name) for field in fields(data)[3:])
    assert equal(same.train, data.train)


def test_a_seed_decides_the_pictures(data):
    again, other = vision.shapes(5_000, 1_000), vision.shapes(200, 100, seed=1)
    assert equal(again.train, data.train)
    assert equal(again.test, data.test)
    assert not torch.equal(other.train.labels, data.train.labels[:200])
    assert apart(other.train.images, data.train.images[:200])


def apart(images: Tensor, others: Tensor) -> bool:
    """Whether no picture of one set is a picture of the other."""
    return not {image.numpy().tobytes() for image in images} & {image.numpy().tobytes() for image in others}


@pytest.mark.parametrize("count", [2, 37, 1_000, 2_345])
def test_a_larger_set_begins_with_the_smaller(data, count):
    smaller = vision.shapes(count, min(count, 1_000))
    assert equal(smaller.train, first(data.train, count))
    assert equal(smaller.test, first(data.test, min(count, 1_000)))


def test_no_picture_is_drawn_twice_or_judged_after_training_on_it(data):
    assert apart(data.train.images, data.test.images)
    assert len({image.numpy().tobytes() for image in data.train.images}) == 5_000


def test_classes_come_alike_often(data):
    for part in (data.train, data.test):
        counts = part.labels.bincount(minlength=10)
        assert len(counts) == 10
        assert stats.chisquare(counts.numpy()).pvalue > 1e-3


def test_pixels_use_their_whole_range_in_every_colour_alike(data):
    values = data.train.images.double().transpose(0, 1).flatten(1)
    assert (values.amin(1) == 0).all()
    assert (values.amax(1) == 255).all()
    assert ((values.mean(1) - 127.5).abs() < 5).all()
    assert (values.std(1) > 60).all()


def test_the_colours_say_nothing_of_the_shape(data):
    """A linear classifier of the colours at a picture's corners and middle is near chance."""

    def colours(part: Pictures) -> Tensor:
        corners = part.images[:, :, [0, 0, -1, -1], [0, -1, 0, -1]].float() / 255
        return torch.cat([corners.flatten(1), part.images[:, :, 8, 8].float() / 255], 1)

    told = probes.linear_probe(colours(data.train), data.train.labels, colours(data.test), classes=10)
    assert share(told, data.test) < 0.15


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"train": 0}, "train=0 must be at least 1"),
        ({"test": -3}, "test=-3 must be at least 1"),
        ({"train": 1}, "train has 1 pictures; give 2 or more"),
        ({"test": 1}, "test has 1 pictures; give 2 or more"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        vision.shapes(**{"train": 10, "test": 10, **given})


# --- What there is to win: shares of test pictures whose class is told; chance is 0.1.


def share(told: Tensor, part: Pictures) -> float:
    return (told == part.labels).double().mean().item()


def supervised(data: Dataset, seed: int, steps: int = 200) -> float:
    """The share that a small encoder and a linear layer tell, trained on the labels."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(make_encoder("small"), nn.Linear(128, len(data.classes)))
    optimizer = torch.optim.AdamW(network.parameters())
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    batches = Views(data.train.images, data.augmentation, batch_size=128, seed=seed)
    for step in range(1, steps + 1):
        pictures = batches.pictures(step)
        loss = cross_entropy(network(data.train.images[pictures] / 255), data.train.labels[pictures])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        rate.step()
    return share(probes.features(network, data.test.images).argmax(1), data.test)


@pytest.mark.parametrize("seed", [0, 1])
def test_pixels_and_a_random_network_do_badly_and_a_supervised_one_well(seed):
    data = vision.shapes(7_000, 1_500, seed=seed)
    flat = [part.images.flatten(1) / 255 for part in (data.train, data.test)]
    mean = flat[0].mean()
    pixels = share(probes.knn(flat[0] - mean, data.train.labels, flat[1] - mean, classes=10), data.test)
    learner = vision.make_learner("byol", seed=seed)
    random = evaluate(calibrated(learner.online, data), data, data.augmentation, seed)["knn"].item()
    learnt = supervised(data, seed)
    assert pixels < 0.55
    assert random < 0.48
    assert learnt > 0.85
