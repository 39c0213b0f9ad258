"""BYOL: its updates are the paper's, its slow copy is what is said of it, and SimSiam is its corner."""

import copy

import numpy as np
import pytest
import torch

from companion import vision
from companion.vision import byol
from companion.vision.loop import Training
from tests.vision import reference
from tests.vision.helpers import assert_same_states, states
from tests.vision.reference import assert_close, in_double


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "sgd", "learning_rate": 0.05, "predictor_rate": 2.0, "weight_decay": 1e-2},
        {"anneal": False, "tau": 0.3, "weight_decay": 0.1, "warmup": 0},
        {"predictor": False, "warmup": 4},
        {"stop_gradient": False, "predictor_rate": 1.0},
    ],
)
def test_updates_are_those_of_the_paper(settings):
    """Weights, slow copy and every running statistic after each of five steps, the last of which does not move it.

    The rate is small since Adam divides by a gradient that is 0 but for rounding: that of the projector's last bias,
    which the predictor's batch normalisation takes out again.
    """
    training = in_double("byol", steps=5, **{"learning_rate": 2e-4, **settings})
    learner, plain = training.learner, reference.BYOL(training.learner, steps=5)
    for step in range(1, 6):
        views = training.views(step)
        expected = plain.step(step, views.first, views.second)
        before = [parameter.clone() for parameter in learner.target.parameters()]
        training.step(step)
        assert training.read_loss().item() == pytest.approx(expected, rel=1e-6)  # which adds up in single precision
        with torch.no_grad():
            assert_close(learner.online.parameters(), plain.online)
            assert_close(learner.predictor.parameters(), plain.predictor)
            assert_close(learner.target.parameters(), plain.target)
            assert_close(learner.online.buffers(), plain.running)
            assert_close(learner.predictor.buffers(), plain.predictor_running)
            assert_close(learner.target.buffers(), plain.target_running)
        moved = not all(map(torch.equal, before, learner.target.parameters()))
        assert moved == (step < 5 or not learner.settings.anneal)


def test_the_loss_of_a_batch_is_exact():
    training = in_double("byol", steps=5)
    views = training.views(1)
    expected = reference.BYOL(training.learner, steps=5).step(1, views.first, views.second)
    assert training.learner(views).item() == pytest.approx(expected, rel=1e-12)


def test_the_loss_is_the_squared_distance_on_the_sphere():
    a, b = np.random.default_rng(0).normal(size=(2, 7, 5))
    expected = ((a / np.linalg.norm(a, axis=1)[:, None] - b / np.linalg.norm(b, axis=1)[:, None]) ** 2).sum(1).mean()
    given = torch.from_numpy(a), torch.from_numpy(b)
    assert byol.loss(*given).item() == pytest.approx(expected, rel=1e-12)
    assert byol.loss(3 * given[0], 0.1 * given[0]).item() == pytest.approx(0, abs=1e-12)
    assert byol.loss(given[0], -given[0]).item() == pytest.approx(4, rel=1e-12)


def test_siamese_networks_are_the_corner_tau_1():
    training = in_double("byol", steps=6, tau=1.0, anneal=False)
    for step in range(1, 7):
        training.step(step)
        assert all(map(torch.equal, training.learner.online.parameters(), training.learner.target.parameters()))


def test_tau_0_leaves_the_target_at_its_first_weights():
    training = in_double("byol", steps=3, tau=0.0)
    before = reference.copies(training.learner.target.parameters())
    for step in range(1, 4):
        training.step(step)
    assert all(map(torch.equal, before, training.learner.target.parameters()))
    assert not all(map(torch.equal, before, training.learner.online.parameters()))


def test_the_target_normalises_by_its_own_batch_and_keeps_its_own_statistics():
    """Running statistics are not read in training, and are neither copied from the online network's nor averaged."""
    learner = vision.make_learner("byol", tau=1.0, anneal=False, **reference.SMALL)
    views = in_double("byol", steps=1).views(1)
    images = views.first.float()
    said = learner.target(images)
    for buffer in learner.target.buffers():
        buffer.fill_(1e6)
    assert torch.equal(learner.target(images), said)
    before = reference.copies(learner.target.buffers())
    learner.online(images)
    learner.follow()
    assert all(map(torch.equal, before, learner.target.buffers()))
    assert not any(map(torch.equal, learner.online.buffers(), learner.target.buffers()))
    learner.eval()
    assert torch.equal(learner.target(images), said)


@pytest.mark.parametrize("stop_gradient", [True, False])
def test_the_target_takes_part_only_where_the_gradient_stops_there(stop_gradient):
    training = in_double("byol", steps=2, stop_gradient=stop_gradient)
    learner, views = training.learner, training.views(1)
    before = learner(views)
    before.backward()
    assert all(parameter.grad is None for parameter in learner.target.parameters())
    assert all(parameter.grad is not None for parameter in learner.online.parameters())
    with torch.no_grad():
        for parameter in learner.target.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(0))
    assert (learner(views) == before).item() is not stop_gradient


def test_the_predictor_has_a_rate_of_its_own():
    """SGD's first step is the gradient times the rate."""
    steps = {}
    for factor in (1.0, 5.0):
        training = in_double("byol", steps=2, optimizer="sgd", predictor_rate=factor, warmup=0)
        before = reference.copies(training.learner.predictor.parameters())
        training.step(1)
        steps[factor] = [new - old for old, new in zip(before, training.learner.predictor.parameters(), strict=True)]
    assert_close(steps[5.0], [5 * step for step in steps[1.0]], atol=1e-15)


def test_the_learning_rate_rises_to_its_height_and_falls_to_nothing():
    training = in_double("byol", steps=100, warmup=10, learning_rate=0.5)
    rates = np.array([training.rate(step) for step in range(1, 102)])
    np.testing.assert_allclose(rates[:10], 0.05 * np.arange(1, 11), rtol=1e-12)
    assert rates[10] == 0.5
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[55] == pytest.approx(0.25, rel=1e-12)
    assert rates[100] == pytest.approx(0, abs=1e-15), "the step after the last"
    assert in_double("byol", steps=3, warmup=10).rate(3) == pytest.approx(0.3 * 2e-3), "a run that is all warm-up"


def test_a_state_goes_on_where_it_was_taken():
    def run(training: Training, steps: range) -> Training:
        for step in steps:
            training.step(step)
        return training

    whole = run(in_double("byol", steps=6), range(1, 7))
    state = copy.deepcopy(run(in_double("byol", steps=6), range(1, 4)).state_dict())
    resumed = in_double("byol", steps=6, seed=0)
    with torch.no_grad():
        for parameter in resumed.learner.parameters():
            parameter.zero_()
    resumed.load_state_dict(state)
    run(resumed, range(4, 7))
    assert_same_states(states(whole.learner), states(resumed.learner))
    assert torch.equal(whole.read_loss(), resumed.read_loss())
