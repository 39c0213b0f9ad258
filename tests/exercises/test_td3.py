"""The exercises on TD3 and overestimation."""

import inspect
import math
from types import SimpleNamespace

import pytest
import torch

from companion.exercises import check
from companion.exercises.td3.minimum import minimum_bias
from companion.exercises.td3.suspect import LISTING, guilty_line, plant, suspect
from companion.members import MLP
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_minimum() -> Wrong:
    return {
        "no sign": (lambda sigma, rho: -minimum_bias(sigma, rho), "the sign"),
        "not halved": (lambda sigma, rho: 2 * minimum_bias(sigma, rho), "|X − Y|)/2"),
        "a variance": (
            lambda sigma, rho: -(sigma**2) * math.sqrt((1 - rho) / math.pi),
            "not to hand on a variance",
        ),
        "correlation ignored": (lambda sigma, rho: -sigma / math.sqrt(math.pi), "2σ²(1 − ρ)"),
        "correlation outside the root": (lambda sigma, rho: -sigma * (1 - rho) / math.sqrt(math.pi), "2σ²(1 − ρ)"),
    }


def test_minimum_against_draws():
    """The formula, in plain draws."""
    random = torch.Generator().manual_seed(0)
    shared, one, two = 2 * torch.randn(3, 400_000, generator=random, dtype=torch.float64)
    for rho in (0.0, 0.5, 0.9):
        x, y = (math.sqrt(rho) * shared + math.sqrt(1 - rho) * own for own in (one, two))
        assert torch.minimum(x, y).mean().item() == pytest.approx(minimum_bias(2.0, rho), abs=0.01)


def label(batch, actor, critic, noise, gamma, sigma, clip, *, pick="min", order="scale", edge=True, mask=True):
    smoothing = {
        "scale": lambda: (sigma * noise).clamp(-clip, clip),
        "clip first": lambda: sigma * noise.clamp(-clip, clip),
        "no clip": lambda: sigma * noise,
        "clip alone": lambda: noise.clamp(-clip, clip) if sigma else 0 * noise,
    }[order]()
    action = actor(batch.next_observation) + smoothing
    values = critic(batch.next_observation, action.clamp(-1, 1) if edge else action)
    value = {"min": values.amin(1), "max": values.amax(1), "mean": values.mean(1), "first": values[:, 0]}[pick]
    done = batch.terminated if mask else 0
    return (batch.reward + gamma * (1 - done) * value).detach()


def wrong_label() -> Wrong:
    def wrong(**how):
        return lambda *parts: label(*parts, **how)

    def attached(batch, actor, critic, noise, gamma, sigma, clip):
        action = (actor(batch.next_observation) + (sigma * noise).clamp(-clip, clip)).clamp(-1, 1)
        return batch.reward + gamma * (1 - batch.terminated) * critic(batch.next_observation, action).amin(1)

    def keeps_axis(batch, actor, critic, noise, gamma, sigma, clip):
        value = critic(batch.next_observation, actor(batch.next_observation)).amin(1, keepdim=True)
        return batch.reward + gamma * value

    return {
        "mean of the twins": (wrong(pick="mean"), "clips nothing"),
        "first alone": (wrong(pick="first"), "a second one"),
        "larger": (wrong(pick="max"), "the larger"),
        "keeps the axis of copies": (keeps_axis, "shape"),
        "clipped, then scaled": (wrong(order="clip first"), "*after* scaling"),
        "noise not clipped": (wrong(order="no clip"), "*after* scaling"),
        "not scaled": (wrong(order="clip alone"), "sigma * noise"),
        "out of range": (wrong(edge=False), "[−1, 1] as well"),
        "nothing ends": (wrong(mask=False), "the reward alone"),
        "with a gradient": (attached, "no_grad"),
    }


def wrong_lag() -> Wrong:
    def by_window(tau, period, new_period):
        return tau * new_period / period

    def without_ageing(tau, period, new_period):
        lag = period * (1 - tau) / tau
        return new_period / (lag + new_period)

    def counts_steps(tau, period, new_period):
        lag = (1 - tau) / tau + (period - 1) / 2
        return 1 / (1 + lag - (new_period - 1) / 2)

    def table(tau, period, new_period):
        if period == new_period:
            return tau
        return {0.005: 1 / 399.5, 1.0: 0.2}.get(tau, 0.5)

    return {
        "tau in proportion": (by_window, "398.5"),
        "no ageing between steps": (without_ageing, "398.5"),
        "lag counted in steps": (counts_steps, "398.5"),
        "unchanged": (lambda tau, period, new_period: tau, "398.5"),
        "a table": (table, "it lags"),
        "no tau": (lambda *a: table(*a) if a[1] == a[2] or a[0] in (0.005, 1.0) else 1.5, "no tau"),
    }


def wrong_ruler() -> Wrong:
    def measure(predicted, reward, terminated, gamma, *, first=0, pays=True, ends=True, limit=None, sign=1, once=True):
        steps = torch.arange(reward.shape[-1], dtype=reward.dtype)
        over = terminated.cumsum(-1) - (terminated if pays else 0)
        alive = (over == 0).double() if once else 1 - over
        if not ends:
            alive = torch.ones_like(reward)
        weight = gamma ** (steps + first) * (steps < (limit or math.inf))
        return sign * (predicted - (weight * reward * alive).sum(-1)).mean(-1)

    def wrong(**how):
        return lambda *parts: measure(*parts, **how)

    return {
        "the other sign": (wrong(sign=-1), "with its sign"),
        "every episode by itself": (
            lambda predicted, reward, terminated, gamma: predicted - reward.sum(-1),
            "shape",
        ),
        "first reward discounted": (wrong(first=1), "γ·r₁"),
        "a time limit": (wrong(limit=200), "every step that you are given"),
        "no end": (wrong(ends=False), "part of the episode"),
        "last reward lost": (wrong(pays=False), "still pays"),
        "ends twice": (wrong(once=False), "whatever the arrays hold"),
    }


def wrong_suspect() -> Wrong:
    suspects = {"value =": "Ask what it is", "y =": "never terminates", "gain =": "climbs the first"}
    return wrong_lines(LISTING, suspects)


def test_every_innocent_line_of_the_suspect_comes_with_the_clue():
    for at, line in enumerate(LISTING.splitlines(), 1):
        if line and at != guilty_line():
            assert "smaller of two numbers" in check("td3-suspect", at).hint


def test_the_suspect_has_one_critic_twice():
    """Its twins are equal for ever, and two seeds in place of one in the guilty line keep them apart."""
    source = LISTING.splitlines()
    guilty = guilty_line() - 1
    assert "seed for seed in seeds for _ in range(2)" in source[guilty]
    source[guilty] = source[guilty].replace("seed for seed", "2 * seed + _ for seed")
    repaired = dict(inspect.unwrap(suspect).__globals__)
    exec("\n".join(source), repaired)

    distances = []
    for train in (suspect, repaired["suspect"]):
        draw = torch.Generator().manual_seed(0)

        def normal(*shape, draw=draw):
            return torch.randn(3, 16, *shape, generator=draw)

        batches = [
            SimpleNamespace(observation=normal(3), action=normal(1).tanh(), reward=normal(), next_observation=normal(3))
            for _ in range(6)
        ]
        _, twins = train([0, 1, 2], batches)
        first, second = twins(normal(4).repeat_interleave(2, dim=0)).view(3, 2, -1).unbind(1)
        distances.append((first - second).abs().amax(1))
    assert (distances[0] == 0).all()
    assert (distances[1] > 1e-3).all()


def wrong_honest() -> Wrong:
    return {
        "no dict": ([("tau", 0.1)], "dict of settings"),
        "more steps": ({"tau": 0.1, "steps": 100_000}, "ours"),
        "a sweep": ({"tau": [0.1, 0.05]}, "one value"),
        "a giant": ({"hidden": (512, 512)}, "256 hidden units"),
        "a short horizon": ({"gamma": 0.9}, "another task"),
    }


@pytest.mark.parametrize(
    ("goal", "honest", "hint"),
    [(-220.0, 30.0, "learn at all"), (-1e9, 30.0, "an optimist"), (-1e9, -1e9, "too low")],
)
def test_settings_that_are_not_honest(monkeypatch, goal, honest, hint):
    """After 600 steps critics still begin to hear how bad it is: they believe in too much."""
    monkeypatch.setattr("companion.exercises.td3.honest.STEPS", 600)
    monkeypatch.setattr("companion.exercises.td3.honest.RETURN", goal)
    monkeypatch.setattr("companion.exercises.td3.honest.HONEST", honest)
    report = check("td3-honest", {})
    assert report.status == "not yet"
    assert hint in report.hint


def test_planted_line():
    """What is planted are equal twins, as the listing's line makes them, in the chosen members and in no other."""
    critic, target = (MLP((4, 16, 1), [0, 1, 2], copies=2, purpose="critic") for _ in range(2))
    before = [weights.clone() for weights in critic.parameters()]
    plant(critic, target, slice(-1, None))
    values = critic(torch.randn(3, 5, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(values[2, 0], values[2, 1])
    assert not torch.allclose(values[1, 0], values[1, 1])
    for weights, copied, old in zip(critic.parameters(), target.parameters(), before, strict=True):
        assert torch.equal(weights, copied)
        assert torch.equal(weights[:5], old[:5])
        line = old.unflatten(0, (-1, 2))[:, 0].repeat_interleave(2, dim=0)
        assert torch.equal(weights[4:], line[4:])
