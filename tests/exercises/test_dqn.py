"""The exercises on DQN and hard updates."""

import math

import pytest
import torch
from torch.nn.functional import huber_loss

from companion.exercises import check
from companion.exercises.dqn.clock import HardTarget
from companion.exercises.dqn.double_target import double_target
from tests.exercises.helpers import Wrong


def wrong_horizon() -> Wrong:
    def regressions(share, gamma):
        return math.ceil(math.log(1 - share) / math.log(gamma))

    return {
        "whole periods": (lambda share, C, gamma: regressions(share, gamma) * C, "no copy at all"),
        "the copy, not the update after it": (
            lambda share, C, gamma: max(1, (regressions(share, gamma) - 1) * C),
            "n is whole",
        ),
        "no rounding": (
            lambda share, C, gamma: max(1, math.log(1 - share) / math.log(gamma) * C),
            "no copy at all",
        ),
        "one regression too many": (
            lambda share, C, gamma: 1 if share < 0.01 else regressions(share, gamma) * max(1, C),
            "how many copies",
        ),
        "a table": (
            lambda share, C, gamma: {0.005: 1, 0.5: 69, 0.95: 29}.get(share, 230 if C == 1 else 2_290_001),
            "by (4.5)",
        ),
    }


def wrong_target() -> Wrong:
    def wrong(mask):
        return lambda r, term, trunc, q, gamma: r + gamma * (1 - mask(term, trunc)) * q.amax(-1)

    return {
        "truncation masks": (wrong(lambda term, trunc: torch.maximum(term, trunc)), "cut by the clock"),
        "nothing masks": (wrong(lambda term, trunc: 0 * term), "the reward alone"),
        "only truncation masks": (wrong(lambda term, trunc: trunc), "the reward alone"),
        "reward masked too": (
            lambda r, term, trunc, q, gamma: (1 - term) * (r + gamma * q.amax(-1)),
            "the reward is not",
        ),
        "reward discounted": (lambda r, term, trunc, q, gamma: gamma * (r + (1 - term) * q.amax(-1)), "discounted"),
        "mean over actions": (lambda r, term, trunc, q, gamma: r + gamma * (1 - term) * q.mean(-1), "largest"),
        "wrong axis": (lambda r, term, trunc, q, gamma: r[:, :1] + gamma * q.amax(1), "shape"),
    }


def wrong_double_target() -> Wrong:
    def plain(r, term, online, target, gamma):
        return r + gamma * (1 - term) * target.amax(-1)

    def swapped(r, term, online, target, gamma):
        return double_target(r, term, target, online, gamma)

    def clipped(r, term, online, target, gamma):
        return r + gamma * (1 - term) * torch.minimum(online.amax(-1), target.amax(-1))

    def online_alone(r, term, online, target, gamma):
        return r + gamma * (1 - term) * online.amax(-1)

    def no_mask(r, term, online, target, gamma):
        return double_target(r, 0 * term, online, target, gamma)

    def keeps_axis(r, term, online, target, gamma):
        value = target.gather(-1, online.argmax(-1, keepdim=True))
        return r[..., None] + gamma * (1 - term[..., None]) * value

    return {
        "plain": (plain, "plain target"),
        "swapped": (swapped, "roles are swapped"),
        "clipped": (clipped, "comes with TD3"),
        "online alone": (online_alone, "gather"),
        "no mask": (no_mask, "reward alone"),
        "keeps the action axis": (keeps_axis, "shape"),
    }


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
