"""The exercises on DDPG and the soft update."""

import math
from types import SimpleNamespace

import pytest
import torch
from scipy.stats import binom

import companion
from companion.exercises import check, transitions
from companion.exercises.ddpg.find_the_line import LISTING, guilty_line, suspect
from companion.exercises.ddpg.foresight import weight_ahead
from companion.exercises.ddpg.label import given
from companion.exercises.ddpg.targets import Targets
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_label() -> Wrong:
    def right(target_actor, target_critic, batch, gamma, **other):
        given = {"state": batch.next_observation, "mask": batch.terminated, **other}
        with torch.no_grad():
            action = given.get("action", target_actor(given["state"]).tanh())
            value = target_critic(torch.cat((given.get("at", batch.next_observation), action), -1)).squeeze(-1)
            return batch.reward + gamma * (1 - given["mask"]) * value

    def asks_the_actor_about_s(a, c, b, gamma):
        return right(a, c, b, gamma, state=b.observation)

    def takes_the_action_taken(a, c, b, gamma):
        return right(a, c, b, gamma, action=b.action)

    def forgets_tanh(a, c, b, gamma):
        return right(a, c, b, gamma, action=a(b.next_observation))

    def forgets_the_reward(a, c, b, gamma):
        return right(a, c, b, gamma) - b.reward

    def adds_the_mask(a, c, b, gamma):
        value = (right(a, c, b, 1.0, mask=0) - b.reward) * 1
        return b.reward + gamma * (1 - b.terminated) + value

    def masks_the_reward(a, c, b, gamma):
        return (1 - b.terminated) * right(a, c, b, gamma)

    def ignores_ends(a, c, b, gamma):
        return right(a, c, b, gamma, mask=0)

    def stops_at_the_clock(a, c, b, gamma):
        return right(a, c, b, gamma, mask=torch.maximum(b.terminated, b.truncated))

    def keeps_the_graph(a, c, b, gamma):
        action = a(b.next_observation).tanh()
        return b.reward + gamma * (1 - b.terminated) * c(torch.cat((b.next_observation, action), -1)).squeeze(-1)

    def keeps_an_axis(a, c, b, gamma):
        return right(a, c, b, gamma)[..., None]

    return {
        "actor asked about s": (asks_the_actor_about_s, "the *next* observation"),
        "the action in the batch": (takes_the_action_taken, "not the one in the batch"),
        "no tanh": (forgets_tanh, "squashed by tanh"),
        "no reward": (forgets_the_reward, "the reward added whole"),
        "mask added": (adds_the_mask, "the label is off"),
        "reward masked": (masks_the_reward, "and nothing else"),
        "ends ignored": (ignores_ends, "the reward alone"),
        "truncation masks": (stops_at_the_clock, "cut by the clock"),
        "gradient kept": (keeps_the_graph, "no_grad"),
        "shape": (keeps_an_axis, "shape"),
    }


def wrong_chain_rule() -> Wrong:
    def gradient(observation, weight, slope, *, gate=lambda a: 1 - a**2, sign=1.0, share=None):
        action = (observation @ weight).tanh()
        return sign * observation.mT @ (slope * gate(action)) / (share or observation.shape[1])

    return {
        "no tanh": (lambda s, w, q: gradient(s, w, q, gate=lambda a: 1.0), "1 − a²"),
        "tanh of the action": (lambda s, w, q: gradient(s, w, q, gate=lambda a: 1 - a.tanh() ** 2), "1 − a²"),
        "downwards": (lambda s, w, q: gradient(s, w, q, sign=-1.0), "upwards"),
        "sum over the batch": (lambda s, w, q: gradient(s, w, q, share=1), "the mean and not the sum"),
        "mean over members too": (lambda s, w, q: gradient(s, w, q, share=len(s) * s.shape[1]), "wrong for four"),
        "transposed": (lambda s, w, q: gradient(s, w, q).mT, "shape"),
    }


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
    actor, critic, *_ = given()
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


def test_the_checks_networks_differ():
    actor, critic, *_ = given()
    assert not torch.equal(actor.weights[0][0], actor.weights[0][1])
    assert critic.weights[0].dtype == torch.float64


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
