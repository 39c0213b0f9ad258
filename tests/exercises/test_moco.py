"""The exercises on MoCo and the queue."""

import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

import companion
from companion.exercises.moco import info_nce, rows
from companion.exercises.moco.by_heart import MoCo
from companion.exercises.moco.counted_twice import counted_twice
from companion.exercises.moco.find_the_line import LISTING, guilty_line, suspect
from companion.exercises.moco.floor import KEYS, TEMPERATURE, perfect
from companion.vision.moco import loss
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_floor() -> Wrong:
    return {
        "guessing": (11.09, "the loss of guessing"),
        "the chapter's": (2.25, "as in the chapter"),
        "colder": (0.09, "Take 0.2"),
        "no temperature": (10.09, "temperature of 1"),
        "right angles": (6.093, "at a right angle"),
        "nothing": (0, "weigh something"),
        "a sum": (6.19 * 128, "take the mean"),
        "all losses": (torch.ones(5), "one number"),
    }


def test_the_floor_is_what_comes_out():
    query, queue = rows(64, 30, 128), rows(KEYS, 31, 128)
    assert abs(float(info_nce(query, query, queue, TEMPERATURE).mean()) - perfect()) < 0.01


def wrong_counted_twice() -> Wrong:
    def loss(x):
        return counted_twice(x)[0]

    return {
        "the loss alone": (loss, "a tuple"),
        "twice the loss": (lambda x: (2 * x, 2.0), "one half"),
        "log 2 more": (lambda x: (x + math.log(2), 1.0), "2a + S above the same a"),
        "at least log 2": (lambda x: (max(x, math.log(2)), 1.0), "2a + S above the same a"),
        "a half": (lambda x: (loss(x), 0.5), "derivative of that function"),
        "the share": (lambda x: (loss(x), math.exp(-x)), "derivative of that function"),
        "overflow": (lambda x: (math.log(1 + math.exp(x)), 1 / (1 + math.exp(-x))), "overflows"),
    }


def test_counted_twice_is_what_info_nce_says():
    query, key, queue = (rows(n, seed).requires_grad_(seed == 40) for n, seed in ((1, 40), (1, 41), (30, 42)))
    right = info_nce(query, key, queue, 0.3)
    wrong = info_nce(query, key, torch.cat((queue, key)), 0.3)
    value, factor = counted_twice(float(right.detach()))
    assert math.isclose(float(wrong.detach()), value, rel_tol=1e-9)
    slopes = [torch.autograd.grad(loss, query, retain_graph=True)[0] for loss in (right, wrong)]
    assert torch.allclose(slopes[1], factor * slopes[0], rtol=1e-9)


def test_info_nce_is_the_packages():
    query, key, queue = rows(7, 20), rows(7, 21), rows(30, 22)
    assert torch.allclose(info_nce(query, key, queue, 0.3).mean(), loss(query, key, queue, 0.3), rtol=1e-12)


def wrong_shuffle() -> Wrong:
    def keys(network, images, order, back=torch.argsort):
        with torch.no_grad():
            return network(images[order])[back(order)]

    def keeps_the_gradient(network, images, order):
        return network(images[order])[order.argsort()]

    def does_not_shuffle(network, images, order):
        with torch.no_grad():
            return network(images)

    def the_other_way_round(network, images, order):
        with torch.no_grad():
            return network(images[order.argsort()])[order]

    def one_by_one(network, images, order):
        with torch.no_grad():
            return torch.cat([network(images[i : i + 1]) for i in range(len(images))])

    return {
        "shuffled again": (lambda *a: keys(*a, back=lambda order: order), "order.argsort()"),
        "left shuffled": (lambda n, x, o: keys(n, x, o, back=lambda order: slice(None)), "order.argsort()"),
        "not shuffled": (does_not_shuffle, "Shuffle before"),
        "inverse first": (the_other_way_round, "Shuffle before"),
        "one by one": (one_by_one, "called 5 times"),
        "gradient": (keeps_the_gradient, "no_grad"),
    }


def wrong_find_the_line() -> Wrong:
    return wrong_lines(LISTING, {"others =": "very near", "own =": "the only place"})


class Ring:
    def __init__(self, size, width):
        self.keys = torch.zeros(size, width)

    def push(self, keys):
        self.keys = torch.cat((self.keys, keys))[-len(self.keys) :]


def untrained(tau=0.1):
    torch.manual_seed(0)
    online = nn.Linear(6, 4)
    return SimpleNamespace(
        online=online,
        target=companion.TargetNetwork(online, tau=tau),
        queue=Ring(16, 4),
        optimizer=torch.optim.SGD(online.parameters(), 0.1),
    )


def test_the_suspect_is_never_more_than_half_sure():
    """Against the same code with the line where it belongs: it is, on a picture that is easily told."""
    source = LISTING.splitlines()
    push = source.pop(guilty_line() - 1)
    source.insert(len(source) - 1, push[4:])
    repaired: dict = {"torch": torch, "normalize": normalize, "Any": object, "Tensor": torch.Tensor}
    exec("\n".join(source), repaired)
    images = torch.randn(5, 6)
    views = SimpleNamespace(first=images, second=images)  # two views alike: told at once
    surest = {}
    for name, learn in (("suspect", suspect), ("repaired", repaired["suspect"])):
        learner = untrained()
        surest[name] = math.exp(-float(learn(learner, views).min()))
    assert surest["suspect"] <= 0.5 + 1e-6
    assert surest["repaired"] > 0.9


class EvalCopy(MoCo):
    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue, tau, temperature)
        self.target = companion.TargetNetwork(online, tau=tau)


class SameTensors(MoCo):
    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue, tau, temperature)
        self.target = online


class Reborn(MoCo):
    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue, tau, temperature)
        for weight in self.target.parameters():
            weight.data.normal_()


class PushesFirst(MoCo):
    def loss(self, views):
        super().loss(views)
        MoCo.follow(self)
        return super().loss(views)

    def follow(self): ...


class ViewsSwapped(MoCo):
    def loss(self, views):
        return super().loss(SimpleNamespace(first=views.second, second=views.first, order=views.order))


class GradientToKeys(MoCo):
    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue, tau, temperature)
        self.target.module = deepcopy(online)

    def loss(self, views):
        self.key = normalize(self.target.module(views.second), dim=1)[views.order.argsort()]
        query = normalize(self.online(views.first), dim=1)
        return info_nce(query, self.key, self.queue, self.temperature).mean()

    def follow(self):
        self.key = self.key.detach()
        super().follow()


class LeftShuffled(MoCo):
    def loss(self, views):
        return super().loss(SimpleNamespace(first=views.first, second=views.second, order=torch.arange(5)))


class OtherWayRound(MoCo):
    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue, 1 - tau, temperature)


class KeysOfTheMovedCopy(MoCo):
    def loss(self, views):
        self.views = views
        return super().loss(views)

    def follow(self):
        self.target.update(self.online)
        with torch.no_grad():
            self.key = normalize(self.target(self.views.second), dim=1)[self.views.order.argsort()]
        self.queue[(self.pushed + torch.arange(5)) % 8] = self.key
        self.pushed += 5


class AlwaysInFront(MoCo):
    def follow(self):
        super().follow()
        self.pushed = 0


class PushesAtTheEnd(MoCo):
    """Right as well: no ring, the oldest keys always first."""

    def follow(self):
        self.target.update(self.online)
        self.queue = torch.cat((self.queue[len(self.key) :], self.key))


class PushesInFront(MoCo):
    """Right as well, with the oldest keys always last."""

    def __init__(self, online, queue, tau, temperature):
        super().__init__(online, queue.flip(0), tau, temperature)

    def follow(self):
        self.target.update(self.online)
        self.queue = torch.cat((self.key.flip(0), self.queue))[: len(self.queue)]


@pytest.mark.parametrize("answer", [PushesAtTheEnd, PushesInFront])
def test_by_heart_does_not_ask_where_a_key_stands(answer):
    report = companion.check("moco-by-heart", answer)
    assert report, report.hint


class DropsTheNewest(MoCo):
    def follow(self):
        self.target.update(self.online)
        self.queue = torch.cat((self.queue[: -len(self.key)], self.key))


def wrong_by_heart() -> Wrong:
    return {
        "the same tensors": (SameTensors, "never be slow"),
        "another network": (Reborn, "not equal to the online"),
        "pushed before the loss": (PushesFirst, "not in the queue yet"),
        "views swapped": (ViewsSwapped, "of the first views"),
        "gradient to keys": (GradientToKeys, "torch.no_grad()"),
        "eval mode": (EvalCopy, "training mode"),
        "left shuffled": (LeftShuffled, "order.argsort()"),
        "m for tau": (OtherWayRound, "weight of the online"),
        "keys of the moved copy": (KeysOfTheMovedCopy, "*before* it moved"),
        "drops the newest": (DropsTheNewest, "the others stay"),
        "always the first places": (AlwaysInFront, "wrap around"),
    }
