"""The exercises on DDPG and the soft update."""

import math
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from scipy.stats import binom

import companion
from companion.exercises import check, transitions
from companion.exercises.ddpg.find_the_line import LISTING, guilty_line, suspect
from companion.exercises.ddpg.foresight import weight_ahead
from companion.exercises.ddpg.full_torque import updates_to_zero, walked
from companion.exercises.ddpg.targets import Targets
from companion.members import MLP
from tests.exercises.helpers import Wrong, wrong_lines

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def wrong_full_torque() -> Wrong:
    def squashed(w):
        return 1 - math.tanh(w) ** 2

    return {
        "the rate each time": (lambda w, rate: w / rate, "moved w by the rate"),
        "as the first": (lambda w, rate: w / (rate * squashed(w)), "like the first"),
        "the rate forgotten": (lambda w, rate: w / 2 + math.sinh(2 * w) / 4, "the rate itself"),
        "tanh for its slope": (lambda w, rate: math.log(math.cosh(w)) / rate, "straight line"),
        "one rate": (lambda w, rate: 10.0 if w < 0.1 else (w / 2 + math.sinh(2 * w) / 4) / 0.01, "half as long"),
        "cosh": (lambda w, rate: math.sinh(w) / rate, "in a loop"),
    }


@pytest.mark.parametrize(("w", "rate"), [(0.5, 0.001), (2.0, 0.002), (3.0, 0.005)])
def test_full_torque_takes_as_long_as_its_updates(w, rate):
    assert updates_to_zero(w, rate) == pytest.approx(walked(w, rate), rel=0.01)


def test_adam_does_not_feel_the_saturation():
    w = torch.tensor(3.0, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=0.01)
    updates = 0
    while w > 0:
        optimizer.zero_grad()
        w.tanh().backward()  # down the action, since the critic's slope is -1
        optimizer.step()
        updates += 1
    assert 170 < updates < 180


class TwoSlips:
    """The notebook's."""

    def __init__(self, actor, critic, tau):
        self.tau = tau
        self.actor = [torch.rand_like(weight) for weight in actor]
        self.critic = [torch.rand_like(weight) for weight in critic]
        self.update(actor, critic, tau=1.0)

    def update(self, actor, critic, tau=None):
        tau = self.tau if tau is None else tau
        for slow, new in zip(self.critic, critic, strict=True):
            slow.copy_(self.tau * new + (1 - self.tau) * slow)
        for slow, _ in zip(self.actor, actor, strict=True):
            slow.copy_(tau * slow + (1 - tau) * slow)


class AveragedWithItself(Targets):
    def update(self, actor, critic, tau=None):
        if tau == 1.0 and not hasattr(self, "begun"):
            self.begun = True
            super().update(actor, critic, tau)
            return
        tau = self.tau if tau is None else tau
        for slow, new in zip(self.critic, critic, strict=True):
            slow.copy_(tau * new + (1 - tau) * slow)
        for slow in self.actor:
            slow.copy_(tau * slow + (1 - tau) * slow)


class IgnoresTau(Targets):
    def __init__(self, actor, critic, tau):
        super().__init__(actor, critic, tau)

    def update(self, actor, critic, tau=None):
        begun = hasattr(self, "begun")
        self.begun = True
        super().update(actor, critic, self.tau if begun else tau)


class StaysChanged(Targets):
    def update(self, actor, critic, tau=None):
        begun = hasattr(self, "begun")
        if begun and tau is not None:
            self.tau = tau
        self.begun = True
        super().update(actor, critic, tau)


class Aliases(Targets):
    def __init__(self, actor, critic, tau):
        self.tau, self.actor, self.critic = tau, list(actor), list(critic)


class MovesTheOnline(Targets):
    def update(self, actor, critic, tau=None):
        super().update(actor, critic, tau)
        if tau is None:
            actor[0].copy_(self.actor[0])


class OtherWeight(Targets):
    def update(self, actor, critic, tau=None):
        super().update(actor, critic, 1 - self.tau if tau is None else tau)


def wrong_targets() -> Wrong:
    return {
        "as handed out": (TwoSlips, "Right after the start the target actor"),
        "with itself": (AveragedWithItself, "What is it averaged with"),
        "tau ignored": (IgnoresTau, "must copy"),
        "tau kept": (StaysChanged, "its own tau again"),
        "aliases": (Aliases, "the same tensors"),
        "writes the online weights": (MovesTheOnline, "only the slow ones"),
        "the decay for tau": (OtherWeight, "not by (5.4)"),
    }


def wrong_find_the_line() -> Wrong:
    suspects = {
        "(-climb)": "very near",
        "agents.critic_optimizer.step": "second",
        "agents.actor_optimizer.zero_grad": "For which network",
    }
    return wrong_lines(LISTING, suspects)


def test_the_listing_is_what_the_chapter_prints():
    chapter = nbformat.read(NOTEBOOKS / "05_ddpg_and_the_soft_update.ipynb", as_version=4)
    numbered = [f"{number:2d}  {line}".rstrip() for number, line in enumerate(LISTING.splitlines(), 1)]
    assert any("\n".join(numbered) in cell.source for cell in chapter.cells)


def test_the_suspect_is_guilty_from_the_second_update_on():
    """Against the same code with the line where it belongs; the first update is equal, the second is not."""
    source = LISTING.splitlines()
    clear = source.pop(guilty_line() - 1)
    source.insert(next(i for i, line in enumerate(source) if "loss.backward" in line), clear)
    repaired: dict = {"torch": torch, "Any": object}
    exec("\n".join(source), repaired)

    agents = [untrained(), untrained()]
    for update in (1, 2):
        for learn, each in zip((suspect, repaired["suspect"]), agents, strict=True):
            learn(each, transitions(update, observation=3, action=2))
        same = [
            all(map(torch.equal, a.parameters(), b.parameters()))
            for a, b in zip(*((each.actor, each.critic) for each in agents), strict=True)
        ]
        assert same == ([True, True] if update == 1 else [False, False])


def untrained():
    actor = MLP((3, 16, 2), [0, 1, 2], purpose="actor").double()
    critic = MLP((5, 16, 1), [0, 1, 2], purpose="critic").double()
    return SimpleNamespace(
        actor=actor,
        critic=critic,
        target_actor=companion.TargetNetwork(actor, tau=0.1),
        target_critic=companion.TargetNetwork(critic, tau=0.1),
        actor_optimizer=torch.optim.SGD(actor.parameters(), 0.1),
        critic_optimizer=torch.optim.SGD(critic.parameters(), 0.1),
    )


def wrong_foresight() -> Wrong:
    return {
        "one over the updates": (lambda n, k: (n + 1) / k, "0.5^(1/k)"),
        "mean lag": (lambda n, k: 1 - 0.5 ** (1 / k) if n == 0 else 1 / (n + 1), "must be near"),
        "a step in 1/tau": (lambda n, k: 1 - 0.5 ** (1 / k) if n == 0 else n / k, "not 0.5"),
        "nothing": (lambda n, k: None, "a `return` missing"),
    }


@pytest.mark.parametrize(("tau", "updates", "ahead"), [(0.1, 50, 3), (0.03, 400, 11), (1.0, 5, 4)])
def test_weights_ahead_are_binomial(tau, updates, ahead):
    assert math.isclose(weight_ahead(ahead, updates, tau), binom.sf(ahead, updates, tau), rel_tol=1e-9)


def wrong_settings() -> Wrong:
    return {
        "no dict": ([("tau", 0.02)], "dict of settings"),
        "more steps": ({"tau": 0.02, "steps": 100_000}, "ours"),
        "a sweep": ({"tau": [0.1, 0.01]}, "one value"),
        "a giant": ({"hidden": (512, 512)}, "256 hidden units"),
    }


@pytest.mark.parametrize(
    ("answer", "hint"),
    [
        ({"tau": 0.001}, "a larger τ"),
        ({"tau": 1.0, "period": 1_000}, "a larger τ"),
        ({"tau": 1.0}, "a smaller τ"),
        ({"tau": 0.1, "actor_learning_rate": 0.0}, "far enough"),
    ],
)
def test_settings_that_do_not_learn(monkeypatch, answer, hint):
    monkeypatch.setattr("companion.exercises.ddpg.settings.STEPS", 400)
    report = check("ddpg-settings", {"learning_starts": 100, **answer})
    assert report.status == "not yet"
    assert hint in report.hint
