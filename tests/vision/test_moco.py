"""MoCo: its updates are the paper's, its queue is a ring, its keys come in order, and their drift is what it says."""

import copy

import pytest
import torch
from torch.nn.functional import normalize

from companion import vision
from companion.vision import moco
from tests.vision import reference
from tests.vision.helpers import assert_same_states, states
from tests.vision.reference import assert_close, in_double


@pytest.mark.parametrize(
    "settings",
    [
        {"queue_size": 64},
        {"queue_size": 50, "parts": 4, "tau": 0.3},
        {"queue_size": 50, "parts": 4, "shuffle": False, "normalized": False, "temperature": 0.07},
        {"queue_size": 20, "optimizer": "sgd", "learning_rate": 0.05, "weight_decay": 1e-2},
        {"queue_size": 33, "normalized": False, "weight_decay": 0.1, "warmup": 0},
    ],
)
def test_updates_are_those_of_the_paper(settings):
    """Weights, slow copy, running statistics and queue after each of four steps, in which the ring comes around."""
    training = in_double("moco", steps=4, **settings)
    learner, plain = training.learner, reference.MoCo(training.learner, steps=4)
    in_order = copy.copy(training.views)
    in_order.shuffle = False
    for step in range(1, 5):
        order = training.views(step).order.tolist()
        assert (order != sorted(order)) == learner.settings.shuffle
        views = in_order(step)
        expected = plain.step(step, views.first, views.second, order)
        training.step(step)
        assert training.read_loss().item() == pytest.approx(expected, rel=1e-6)  # which adds up in single precision
        assert_close(learner.online.parameters(), plain.online)
        assert_close(learner.target.parameters(), plain.target)
        assert_close(learner.online.buffers(), plain.running)
        assert_close(learner.target.buffers(), plain.target_running)
        assert_close([learner.queue], [torch.stack(plain.queue)])


def test_the_loss_is_the_cross_entropy_of_the_own_key_among_the_queue():
    numbers = torch.Generator().manual_seed(0)
    query, key = (normalize(torch.randn(6, 5, generator=numbers, dtype=torch.float64), dim=1) for _ in range(2))
    queue = normalize(torch.randn(11, 5, generator=numbers, dtype=torch.float64), dim=1)
    similarity = query @ torch.cat([key, queue]).T  # every query against every key
    own = similarity[:, :6].diagonal()[:, None]
    rows = torch.cat([similarity[:, 6:], own], 1) / 0.07
    expected = torch.nn.CrossEntropyLoss()(rows, torch.full((6,), 11))
    assert moco.loss(query, key, queue, 0.07).item() == pytest.approx(expected.item(), rel=1e-12)
    blind = moco.loss(query[:, :1] * 0, key[:, :1], queue[:, :1], 0.07)
    assert blind.item() == pytest.approx(torch.tensor(12.0).log().item()), "who sees nothing guesses one of twelve"


@pytest.mark.parametrize("queue_size", [64, 50, 33, 20])
def test_the_queue_holds_the_latest_keys_each_in_its_place(queue_size):
    training = in_double("moco", steps=5, queue_size=queue_size)
    learner, pushed, noise = training.learner, [], training.learner.queue.clone()
    for step in range(1, 6):
        twin = copy.deepcopy(learner)  # a pass changes running statistics
        pushed += list(twin.keys(training.views(step)))
        training.step(step)
        assert learner.pushed == len(pushed) == 32 * step
        for place in range(queue_size):
            latest = [key for k, key in enumerate(pushed) if k % queue_size == place]
            torch.testing.assert_close(learner.queue[place], latest[-1] if latest else noise[place])
    torch.testing.assert_close(learner.queue.norm(dim=1), torch.ones(queue_size, dtype=torch.float64))


def test_a_batchs_own_keys_are_no_negatives_of_it():
    """They join the queue when it is over: the loss is that of the queue as it was."""
    training = in_double("moco", steps=3, queue_size=40)
    learner, views = training.learner, training.views(1)
    before = learner.queue.clone()
    given = learner(views)
    assert torch.equal(learner.queue, before)
    query, key = normalize(learner.online(views.first), dim=1), learner.keys(views)
    assert given.item() == pytest.approx(moco.loss(query, key, before, 0.2).item(), rel=1e-12)
    learner.follow()
    assert torch.equal(learner.queue[:32], key)
    assert torch.equal(learner.queue[32:], before[32:])
    assert learner(views).item() > given.item() + 0.01, "now they are"


def test_no_gradient_reaches_the_keys_or_the_queue():
    training = in_double("moco", steps=3, queue_size=40)
    training.learner(training.views(1)).backward()
    assert not training.learner.queue.requires_grad
    assert all(parameter.grad is None for parameter in training.learner.target.parameters())
    assert all(parameter.grad is not None for parameter in training.learner.online.parameters())


@pytest.mark.parametrize(("parts", "mode"), [(1, "train"), (4, "eval"), (4, "train")])
def test_shuffled_keys_come_back_in_the_order_of_the_pictures(parts, mode):
    """Where a key does not depend on its neighbours it is the same, shuffled or not; where it does it is another."""
    shuffled = in_double("moco", steps=3, parts=parts)
    plain = in_double("moco", steps=3, parts=parts, shuffle=False)
    for training in (shuffled, plain):
        training.learner.target.mode = mode
    one, other = (training.learner.keys(training.views(1)) for training in (shuffled, plain))
    nearest = (one @ other.T).argmax(1)
    if parts == 1 or mode == "eval":
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)
        assert nearest.tolist() == list(range(32))
    else:
        assert ((one * other).sum(1) < 1 - 1e-4).all()


def test_drift_is_nothing_where_the_slow_copy_stands_still():
    for settings in ({}, {"parts": 4}):
        training = in_double("moco", steps=5, queue_size=100, tau=0.0, **settings)
        for step in range(1, 6):
            training.step(step)
            drift = training.learner.drift(training.views, step)
            assert drift.shape == (min(step, 3),)
            assert drift.abs().max() < 1e-12


def test_drift_grows_with_age_and_with_tau():
    drifts = {}
    for tau in (0.001, 0.3):
        training = in_double("moco", steps=1_000, queue_size=160, tau=tau, warmup=0)
        for step in range(1, 9):
            training.step(step)
        drifts[tau] = training.learner.drift(training.views, 8)
        assert (drifts[tau] > 0).all()
        assert (drifts[tau].diff() > 0).all()
    assert (drifts[0.3] > 10 * drifts[0.001]).all()


def test_drift_is_of_the_very_batches_that_were_pushed():
    training = in_double("moco", steps=4, queue_size=70, tau=0.5)
    for step in range(1, 5):
        training.step(step)
    learner = training.learner
    before = states(learner)
    drift = learner.drift(training.views, 4)
    assert_same_states(before, states(learner))
    with torch.no_grad():
        for age in range(2):
            now = copy.deepcopy(learner).keys(training.views(4 - age))
            first = 32 * (3 - age)
            pushed = torch.stack([learner.queue[(first + k) % 70] for k in range(32)])
            assert drift[age].item() == pytest.approx((0.5 * (now - pushed).square().sum(1)).mean().item(), rel=1e-9)


def test_a_queue_shorter_than_a_batch_has_no_drift():
    training = in_double("moco", steps=1, queue_size=20)
    training.step(1)
    assert training.learner.drift(training.views, 1).shape == (0,)


def test_the_target_keeps_statistics_of_its_own():
    learner = vision.make_learner("moco", tau=1.0, **reference.SMALL)
    images = in_double("moco", steps=1).views(1).first.float()
    before = reference.copies(learner.target.buffers())
    learner.online(images)
    learner.follow()
    assert all(map(torch.equal, learner.online.parameters(), learner.target.parameters()))
    assert all(map(torch.equal, before, learner.target.buffers()))
