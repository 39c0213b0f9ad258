"""The exercises on TD3 and overestimation."""

import inspect
import math
from types import SimpleNamespace

import pytest
import torch
import xarray as xr

from companion.exercises import check
from companion.exercises.td3.mean import overestimation_of_the_mean
from companion.exercises.td3.smallest import smallest_bias
from companion.exercises.td3.suspect import LISTING, guilty_line, plant, suspect
from companion.members import MLP
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_mean() -> Wrong:
    return {
        "a single critic": (0.23, "what a single critic has"),
        "siblings": (0.2, "whose mistakes are the same"),
        "the smaller, climbed": (0.03, "the *smaller* of the two"),
        "the other sign": (-0.13, "believed minus obtained"),
        "a letter": ("half", "one number"),
    }


def test_the_mean_halves_what_variance_makes():
    """Two strangers' mean leaves nearly two thirds of a single critic's error, whatever the draws."""
    assert overestimation_of_the_mean(4_000) == pytest.approx(0.136, abs=0.015)


def wrong_smallest() -> Wrong:
    def of_two(sigma, rho):
        return -sigma * math.sqrt((1 - rho) / math.pi)

    return {
        "no sign": (lambda count, sigma, rho: -smallest_bias(count, sigma, rho), "mind the sign"),
        "not halved": (lambda count, sigma, rho: 2 * smallest_bias(count, sigma, rho), "differentiate"),
        "in proportion": (lambda count, sigma, rho: (count - 1) * of_two(sigma, rho), "in proportion"),
        "for very many": (
            lambda count, sigma, rho: (
                smallest_bias(count, sigma, rho) if count < 3 else -sigma * math.sqrt(2 * (1 - rho) * math.log(count))
            ),
            "√(2·ln N)",
        ),
        "never alone": (lambda count, sigma, rho: of_two(sigma, rho) * max(count, 2) / 2, "nobody to be smaller"),
        "a variance": (lambda count, sigma, rho: sigma * smallest_bias(count, sigma, rho), "take care of variances"),
        "correlation ignored": (lambda count, sigma, rho: smallest_bias(count, sigma, 0.0), "passes through"),
        "correlation outside the root": (
            lambda count, sigma, rho: (1 - rho) * smallest_bias(count, sigma, 0.0),
            "√(1 − ρ)",
        ),
    }


def test_smallest_against_draws():
    """The integral, in plain draws; for two it is the price below (6.3)."""
    random = torch.Generator().manual_seed(0)
    shared, *own = 2 * torch.randn(6, 200_000, generator=random, dtype=torch.float64)
    for rho in (0.0, 0.5, 0.9):
        errors = math.sqrt(rho) * shared + math.sqrt(1 - rho) * torch.stack(own)
        for count in (2, 3, 5):
            drawn = errors[:count].amin(0).mean().item()
            assert drawn == pytest.approx(smallest_bias(count, 2.0, rho), abs=0.02)
    assert smallest_bias(2, 2.0, 0.5) == pytest.approx(-2.0 * math.sqrt(0.5 / math.pi))


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
    assert "s for s in seeds for _ in (1, 2)" in source[guilty]
    source[guilty] = source[guilty].replace("s for s", "2 * s + _ for s")
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
    ("score", "wrong", "hint"),
    [
        (-900.0, [0.0] * 6, "learn at all"),
        (-150.0, [60.0, 70.0, 80.0, 90.0, 10.0, 20.0], "most are too high"),
        (-150.0, [-60.0, -70.0, -80.0, -90.0, -10.0, -20.0], "most are too low"),
        (-150.0, [90.0, -80.0, 90.0, -80.0, 90.0, -80.0], "off by +90, -80"),
    ],
)
def test_settings_that_are_not_honest(monkeypatch, score, wrong, hint):
    """What is too high in one agent does not make up for what is too low in another."""
    zero = xr.DataArray([0.0] * 6, dims="seed")
    end = xr.Dataset({"return": zero + score, "discounted_return": zero, "predicted": zero + wrong})
    monkeypatch.setattr("companion.exercises.td3.honest.end_of_training", lambda *args, **more: end)
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
