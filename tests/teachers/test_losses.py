"""What a student is told, against plain NumPy in float64, member by member and picture by picture."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from companion.supervised.training import mean_cross_entropy
from companion.teachers.losses import (
    Centre,
    agreed_labels,
    confident,
    cross,
    disagreement,
    entropy,
    ramp,
    recalled,
    sharpened,
)

MEMBERS, BATCH, CLASSES = 3, 7, 5


def logits(seed: int, scale: float = 2.0) -> Tensor:
    return scale * torch.from_numpy(np.random.default_rng(seed).normal(size=(MEMBERS, BATCH, CLASSES)))


def chances(row: np.ndarray) -> np.ndarray:
    powers = np.exp(row - row.max())
    return powers / powers.sum()


def test_disagreement_is_a_mean_over_pictures_and_classes():
    said, told = logits(0), logits(1).softmax(2)
    for member, got in enumerate(disagreement(said, told)):
        each = [np.mean((chances(s) - t) ** 2) for s, t in zip(said[member].numpy(), told[member].numpy(), strict=True)]
        assert got.item() == pytest.approx(np.mean(each), rel=1e-12)


def test_cross_entropy_with_labels():
    said, labels = logits(0), torch.from_numpy(np.random.default_rng(1).integers(0, CLASSES, (MEMBERS, BATCH)))
    for member, got in enumerate(mean_cross_entropy(said, labels)):
        each = [-math.log(chances(s)[y]) for s, y in zip(said[member].numpy(), labels[member], strict=True)]
        assert got.item() == pytest.approx(np.mean(each), rel=1e-12)


def test_the_ramp_rises_from_e_to_the_minus_five_to_one_and_stays():
    got = ramp(torch.tensor([0.0, 0.5, 1.0, 3.0, math.inf], dtype=torch.float64))
    np.testing.assert_allclose(got, [math.exp(-5), math.exp(-1.25), 1, 1, 1], rtol=1e-12)


@pytest.mark.parametrize("tau", [1.0, 0.4, 0.05])
def test_a_memory_tells_the_weighted_mean_of_what_was_said_without_the_zero_it_began_with(tau):
    said = [logits(seed).softmax(2) for seed in range(4)]
    memory = torch.zeros_like(said[0])
    weight = torch.full((MEMBERS,), tau, dtype=torch.float64)
    for times, new in enumerate(said, 1):
        memory = memory.lerp(new, tau)
        weights = tau * (1 - tau) ** np.arange(times - 1, -1, -1.0)
        want = sum(w * z.numpy() for w, z in zip(weights, said, strict=False)) / weights.sum()
        np.testing.assert_allclose(recalled(memory, weight, torch.full((BATCH,), times)), want, rtol=1e-9)
    assert not recalled(0 * memory, weight, torch.zeros(BATCH, dtype=torch.int64)).any()


@pytest.mark.parametrize("threshold", [0.0, 0.6, 1.0])
def test_only_labels_told_with_confidence_count_and_the_mean_is_over_all(threshold):
    said, told = logits(0), logits(1)
    limits = torch.full((MEMBERS,), threshold, dtype=torch.float64)
    for member, got in enumerate(agreed_labels(said, told, limits)):
        total = 0.0
        for s, t in zip(said[member].numpy(), told[member].numpy(), strict=True):
            if chances(t).max() >= threshold:
                total -= math.log(chances(s)[t.argmax()])
        assert got.item() == pytest.approx(total / BATCH, rel=1e-12)
    share = confident(told, limits).double().mean()
    assert share == {0.0: 1, 1.0: 0}.get(threshold, share)


def test_the_centre_is_taken_off_before_the_temperature():
    told, said = logits(0), logits(1)
    tau, warm, cold = torch.tensor([0.1, 0.5, 0.0], dtype=torch.float64), torch.full((3,), 0.5), torch.full((3,), 0.2)
    centre = Centre(MEMBERS, CLASSES, tau)
    centre.value = centre.value.double()
    centre.update(told)
    centre.update(said)
    for member in range(MEMBERS):
        want = np.zeros(CLASSES)
        for batch in (told, said):
            want = tau[member].item() * batch[member].numpy().mean(0) + (1 - tau[member].item()) * want
        np.testing.assert_allclose(centre.value[member, 0], want, rtol=1e-12)
        each = [chances((t - want) / 0.2) for t in told[member].numpy()]
        np.testing.assert_allclose(sharpened(told, centre.value, cold)[member], each, rtol=1e-6)
        losses = [-(t * np.log(chances(s / 0.5))).sum() for t, s in zip(each, said[member].numpy(), strict=True)]
        got = cross(sharpened(told, centre.value, cold), said, warm)[member]
        assert got.item() == pytest.approx(np.mean(losses), rel=1e-6)
    assert not centre.value[2].any()  # a weight of 0 is no centring


def test_entropy_is_zero_for_one_class_and_the_logarithm_of_their_number_for_all():
    even, sure = torch.full((1, CLASSES), 1 / CLASSES), torch.eye(CLASSES)[:1]
    np.testing.assert_allclose(entropy(torch.cat([even, sure])), [math.log(CLASSES), 0], rtol=1e-6)


@pytest.mark.parametrize("loss", [disagreement, lambda said, told: cross(told, said, torch.ones(3))])
def test_no_gradient_reaches_the_one_who_tells(loss):
    said, told = logits(0).requires_grad_(), logits(1).softmax(2).requires_grad_()
    loss(said, told).sum().backward()
    assert said.grad is not None
    assert told.grad is None
