"""The exercises on MoCo and the queue."""

import math
from copy import deepcopy
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

import companion
from companion.exercises import check
from companion.exercises.moco import rows
from companion.exercises.moco.by_heart import MoCo
from companion.exercises.moco.find_the_line import LISTING, guilty_line, suspect
from companion.exercises.moco.info_nce import info_nce
from companion.exercises.moco.ring import Ring
from companion.vision.moco import loss
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_age() -> Wrong:
    return {
        "what is left": (lambda m, k, b: m ** (k / b), "replaced whole"),
        "tau for m": (lambda m, k, b: 1 - (1 - m) ** (k / b), "replaced whole"),
        "linear": (lambda m, k, b: min(1.0, (1 - m) * k / b), "of *what is left*"),
        "keys for steps": (lambda m, k, b: 1 - m**k, "one step old"),
        "one step": (lambda m, k, b: 1 - m, "of *what is left*"),
    }


def wrong_info_nce() -> Wrong:
    def losses(query, key, queue, temperature):
        logits = torch.cat(((query * key).sum(1, keepdim=True), query @ queue.T), 1) / temperature
        return logits.logsumexp(1) - logits[:, 0]

    def without_the_own_key(query, key, queue, temperature):
        return ((query @ queue.T / temperature).logsumexp(1) - (query * key).sum(1) / temperature).mean()

    def own_key_not_cooled(query, key, queue, temperature):
        own, others = (query * key).sum(1, keepdim=True), query @ queue.T / temperature
        return (torch.cat((own, others), 1).logsumexp(1) - own[:, 0]).mean()

    def no_temperature(query, key, queue, temperature):
        return losses(query, key, queue, 1.0).mean()

    def the_batch_too(query, key, queue, temperature):
        logits = torch.cat((query @ key.T, query @ queue.T), 1) / temperature
        return (logits.logsumexp(1) - logits.diagonal()).mean()

    def overflows(query, key, queue, temperature):
        own, others = ((query * key).sum(1) / temperature).exp(), (query @ queue.T / temperature).exp().sum(1)
        return -(own / (own + others)).log().mean()

    return {
        "own key not in the sum": (without_the_own_key, "below the fraction too"),
        "own key not cooled": (own_key_not_cooled, "that of the own key included"),
        "no temperature": (no_temperature, "divided by the temperature"),
        "the batch's keys": (the_batch_too, "take no part"),
        "no log": (lambda *a: (-losses(*a)).exp().mean(), "log(K + 1)"),
        "sum": (lambda *a: losses(*a).sum(), "the mean over the batch"),
        "rows mixed": (lambda q, k, *a: losses(q, k.flip(0), *a).mean(), "Query i belongs to key i"),
        "overflow": (overflows, "logsumexp"),
    }


def test_info_nce_is_the_packages():
    query, key, queue = rows(7, 20), rows(7, 21), rows(30, 22)
    assert torch.allclose(info_nce(query, key, queue, 0.3), loss(query, key, queue, 0.3), rtol=1e-12)


class StartsOver(Ring):
    def push(self, keys):
        self.keys[: len(keys)] = keys.detach()[: len(self.keys)]
        self.pushed = len(keys)


class Grows(Ring):
    def push(self, keys):
        self.keys = keys.detach() if self.pushed == 0 else torch.cat((self.keys, keys.detach()))
        self.pushed += len(keys)


class ForgetsTheRest(Ring):
    """Fills up to the end, and drops what does not fit."""

    def push(self, keys):
        start = self.pushed % len(self.keys)
        room = self.keys[start : start + len(keys)]
        room.copy_(keys.detach()[: len(room)])
        self.pushed += len(keys)


class OldestFirst(Ring):
    def newest(self, count):
        return super().newest(count).flip(0)


class WritesTwice(Ring):
    def push(self, keys):
        for number, key in enumerate(keys.detach().flip(0)):
            self.keys[(self.pushed + len(keys) - 1 - number) % len(self.keys)] = key
        self.pushed += len(keys)


class LosesCount(Ring):
    def newest(self, count):
        return self.keys.flip(0)[:count] if self.pushed == 15 else super().newest(count)


class KeepsTheGraph:
    """Right, by concatenation, but for the graph."""

    def __init__(self, size, width):
        self.keys = torch.zeros(size, width)

    def push(self, keys):
        self.keys = torch.cat((self.keys, keys))[-len(self.keys) :]

    def newest(self, count):
        return self.keys.flip(0)[:count]


class Aliases(KeepsTheGraph):
    def push(self, keys):
        self.batches = [*getattr(self, "batches", [self.keys]), keys.detach()]
        self.keys = torch.cat(self.batches)[-len(self.keys) :]

    def newest(self, count):
        return torch.cat(self.batches).flip(0)[:count]


class ByConcatenation(KeepsTheGraph):
    def push(self, keys):
        super().push(keys.detach())


def wrong_ring() -> Wrong:
    return {
        "starts over": (StartsOver, "on top of the first"),
        "grows": (Grows, "keeps its size"),
        "what does not fit is lost": (ForgetsTheRest, "modulo the size"),
        "oldest first": (OldestFirst, "last first"),
        "written twice": (WritesTwice, "cut the batch first"),
        "count lost": (LosesCount, "the wrong place"),
        "graph kept": (KeepsTheGraph, "keys.detach()"),
        "aliases": (Aliases, "copy"),
    }
    assert check("moco-ring", ByConcatenation)  # another right answer


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


@pytest.mark.parametrize("batch", [2, 3, 8, 20])
def test_the_ring_is_the_packages_queue(batch):
    from companion import vision

    learner, ring = vision.make_learner("moco", queue_size=8, batch_size=2), Ring(8, 64)
    ring.keys.copy_(learner.queue)
    numbers = torch.Generator().manual_seed(batch)
    for _ in range(5):
        views = vision.Pair(*torch.rand(2, batch, 3, 32, 32, generator=numbers), torch.arange(batch))
        learner(views)
        ring.push(learner.keys(views))
        learner.follow()
    assert torch.equal(ring.keys, learner.queue)


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
        return info_nce(normalize(self.online(views.first), dim=1), self.key, self.queue, self.temperature)

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
        "always the first places": (AlwaysInFront, "wrap around"),
    }
