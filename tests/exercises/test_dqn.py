"""The exercises on DQN and hard updates."""

import math

import pytest
import torch
from torch.nn.functional import huber_loss

from companion.exercises import check
from companion.exercises.dqn.clock import HardTarget
from companion.exercises.dqn.rest import descend, resting_value
from tests.exercises.helpers import Wrong


def wrong_one_or_two() -> Wrong:
    return {
        "the gap of a longer period": (3.7, "the copy is made after every update"),
        "nothing measured": (float("nan"), "difference of NaN"),
        "a word": ("none", "one number"),
        "one for each seed": (torch.zeros(4), "one number"),
    }


def wrong_rest() -> Wrong:
    def squared(p, gamma):
        return 1 / (1 - gamma * (1 - p))

    def clipped(p, gamma, clip):
        return (1 - p * clip / (1 - p)) / (1 - gamma)

    return {
        "never clipped": (lambda p, gamma, clip: squared(p, gamma), "however wrong the value"),
        "always clipped": (clipped, "infinite clip"),
        "clipped at 1 whatever the clip": (
            lambda p, gamma, clip: squared(p, gamma) if math.isinf(clip) else clipped(p, gamma, 1.0),
            "counts as −c",
        ),
        "any finite clip is felt": (
            lambda p, gamma, clip: squared(p, gamma) if math.isinf(clip) else clipped(p, gamma, clip),
            "wider than that",
        ),
        "a share of all": (
            lambda p, gamma, clip: max(squared(p, gamma), (1 - p * clip) / (1 - gamma)),
            "however wrong the value",
        ),
    }


@pytest.mark.parametrize("clip", [0.5, 1.0, 5.0, 15.0, 40.0])
def test_one_value_rests_where_small_steps_lead(clip):
    assert resting_value(0.05, 0.99, clip) == pytest.approx(descend(0.05, 0.99, clip), rel=1e-3)


class BrokenTarget:
    """The notebook's: an alias, a late clock, and a copy that is none."""

    def __init__(self, online, period):
        self.weights = online
        self.period = period
        self.count = 0

    def update(self, online):
        self.count += 1
        if self.count > self.period:
            self.weights = online
            self.count = 0


class LateClock(HardTarget):
    def update(self, online):
        self.count += 1
        if self.count > self.period:
            self.count = 0
            for ours, theirs in zip(self.weights, online, strict=True):
                ours.copy_(theirs)


class CountsAfter(HardTarget):
    def update(self, online):
        if self.count % self.period == 0:
            for ours, theirs in zip(self.weights, online, strict=True):
                ours.copy_(theirs)
        self.count += 1


class AliasLater(HardTarget):
    def update(self, online):
        self.count += 1
        if self.count % self.period == 0:
            self.weights = list(online)


class FirstTensorOnly(HardTarget):
    def update(self, online):
        self.count += 1
        if self.count % self.period == 0:
            self.weights[0].copy_(online[0])


def wrong_clock() -> Wrong:
    return {
        "the notebook's": (BrokenTarget, "`clone` them"),
        "late": (LateClock, "exactly the period"),
        "at once": (CountsAfter, "count first"),
        "a second name": (AliasLater, "second name"),
        "one tensor": (FirstTensorOnly, "not every tensor"),
    }


def wrong_repair() -> Wrong:
    def loss(online, target, batch, gamma, done=None, value=None, mean=False, still=True, delta=1.0):
        with torch.set_grad_enabled(not still):
            done = batch.terminated if done is None else done
            y = batch.reward + gamma * (1 - done) * (value or target)(batch.next_observation).amax(-1)
        q = online(batch.observation).gather(-1, batch.action[..., None]).squeeze(-1)
        each = huber_loss(q, y, reduction="none", delta=delta).mean(-1)
        return each.mean() if mean else each.sum()

    def broken(online, target, batch, gamma):
        """The notebook's."""
        done = torch.maximum(batch.terminated, batch.truncated)
        y = batch.reward + gamma * (1 - done) * online(batch.next_observation).amax(-1)
        q = online(batch.observation).gather(-1, batch.action[..., None]).squeeze(-1)
        return huber_loss(q, y)

    return {
        "the notebook's": (broken, "mean over all"),
        "mean over members": (lambda o, t, b, g: loss(o, t, b, g, mean=True), "mean over all"),
        "no target network": (lambda o, t, b, g: loss(o, t, b, g, value=o), "which one values s′"),
        "truncation masks": (
            lambda o, t, b, g: loss(o, t, b, g, done=torch.maximum(b.terminated, b.truncated)),
            "was truncated",
        ),
        "nothing masks": (lambda o, t, b, g: loss(o, t, b, g, done=0.0), "that terminated"),
        "gradient into the target": (lambda o, t, b, g: loss(o, t, b, g, still=False), "no_grad"),
        "all detached": (lambda o, t, b, g: loss(o, t, b, g).detach().requires_grad_(), "no gradient reached"),
    }


def wrong_equal_speed() -> Wrong:
    return {
        "equal mean lag": (lambda tau, alpha: 2 / tau - 1, "what is the soft one's speed"),
        "equal window": (lambda tau, alpha: 1 / tau, "mean lag"),
        "the nearer of the two": (lambda tau, alpha: 1 / tau if alpha > tau else 2 / tau - 1, "where they meet"),
    }


def wrong_settings() -> Wrong:
    return {
        "no dict": ([("period", 100)], "dict of settings"),
        "more steps": ({"period": 100, "steps": 100_000}, "ours"),
        "a sweep": ({"period": [10, 100]}, "one value"),
        "a giant": ({"hidden": (512, 512)}, "256 hidden units"),
    }


@pytest.mark.parametrize(
    ("answer", "steps", "hint"),
    [
        ({}, 1_000, "ran away"),
        ({"period": 1_000}, 600, "horizon is short"),
        ({"period": 30, "gamma": 0.5}, 600, "the right size"),
    ],
)
def test_settings_that_do_not_learn(monkeypatch, answer, steps, hint):
    monkeypatch.setattr("companion.exercises.dqn.settings.STEPS", steps)
    report = check("dqn-settings", answer)
    assert report.status == "not yet"
    assert hint in report.hint
