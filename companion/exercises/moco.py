"""MoCo and the queue.

The exercises of the chapter that grows MoCo in the open. Keys and queries are rows of length 1, ``(batch, embedding)``;
a queue is ``(key, embedding)``.
"""

import inspect
import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import normalize

from companion.averaging import TargetNetwork
from companion.exercises.core import Exercise, checks_of_a_line, expect, matches, returned

# --- moco-age ---------------------------------------------------------------------------------------------------------


def share_replaced(m: float, queue_size: int, batch_size: int) -> float:
    """How much of the slow copy is newer than the oldest key."""
    age = queue_size / batch_size  # of the oldest key, in steps
    return 1 - m**age


def _without_memory(answer: Any) -> None:
    """At m = 0 all of the copy is newer; at m = 1 nothing is."""
    matches(answer(0.0, 1_024, 128), 1.0, "At m = 0 the copy is replaced whole at every step: the share is 1.")
    matches(answer(1.0, 1_024, 128), 0.0, "At m = 1 the copy never moves, so that no part of it is newer than any key.")


def _one_batch_long(answer: Any) -> None:
    """A queue of one batch is one step old."""
    matches(
        answer(0.99, 256, 256),
        0.01,
        "A queue of one batch holds keys that are one step old. In one step a share τ = 1 − m of the copy is replaced.",
    )


def _compounds(answer: Any) -> None:
    """Over many steps what is left is multiplied, not subtracted."""
    for m, queue, batch in ((0.9, 4_096, 256), (0.999, 65_536, 256), (0.99, 1_024, 128)):
        matches(
            answer(m, queue, batch),
            1 - m ** (queue / batch),
            f"For m = {m}, K = {queue:,} and B = {batch}: the oldest key is K/B = {queue // batch} steps old, and in "
            "each step the copy keeps a share m of *what is left* of its older self.",
        )


AGE = Exercise(
    name="moco-age",
    title="How old is the oldest key?",
    difficulty="easy",
    minutes=5,
    task="Write `share_replaced(m, queue_size, batch_size)`: what share of the slow copy's weights has been put in "
    "since the oldest key of a full queue was made? `m` is the papers' momentum, 1 − τ.",
    expects="a function of (m, queue_size, batch_size) that returns a number from 0 to 1",
    solution=share_replaced,
    why="The queue's age, K/B steps, and the copy's, 1/τ steps, are two clocks, and only their ratio matters. The "
    "paper's table over m was made with K = 4,096 and B = 256, an age of 16 steps. It gives shares of 1, 0.81, 0.15, "
    "0.016 and 0.0016. The first of them failed.",
    checks=[_without_memory, _one_batch_long, _compounds],
)

# --- moco-info-nce ----------------------------------------------------------------------------------------------------


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of telling each query's own key from those of the queue, the mean over the batch."""
    own = (query * key).sum(1, keepdim=True)
    logits = torch.cat((own, query @ queue.T), 1) / temperature
    return (logits.logsumexp(1) - logits[:, 0]).mean()


def _rows(count: int, seed: int, width: int = 8) -> Float[Tensor, "row embedding"]:
    draw = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, width, generator=draw, dtype=torch.float64), dim=1)


def _all_alike(answer: Any) -> None:
    """Where all keys are alike, it is the loss of guessing, log(K + 1)."""
    one = _rows(1, 0)
    for keys in (1, 7, 100):
        matches(
            answer(_rows(1, 1), one, one.expand(keys, -1), 1.0),
            math.log(keys + 1),
            f"The own key and the {keys} of the queue are all the same here, so that there are {keys + 1} equal "
            "chances, and the loss is log(K + 1). The own key stands in the sum below the fraction too.",
        )


def _one_query(answer: Any) -> None:
    """One query, by the formula."""
    query, key, queue = _rows(1, 2), _rows(1, 3), _rows(20, 4)
    for temperature in (1.0, 0.2):
        matches(
            answer(query, key, queue, temperature),
            info_nce(query, key, queue, temperature),
            f"One query and 20 keys, temperature {temperature}: the loss is off. It is minus the *log* of the own "
            "key's share, and every cosine, that of the own key included, is divided by the temperature.",
        )


def _a_batch(answer: Any) -> None:
    """A batch: each query with its own key, and the mean."""
    query, key, queue = _rows(6, 5), _rows(6, 6), _rows(20, 7)
    matches(
        answer(query, key, queue, 0.5),
        info_nce(query, key, queue, 0.5),
        "Right for one query, wrong for six. Query i belongs to key i; the other queries' keys take no part; and the "
        "loss is the mean over the batch.",
    )


def _does_not_overflow(answer: Any) -> None:
    """It survives a low temperature."""
    query, queue = _rows(4, 8).float(), _rows(20, 9).float()
    got = returned(answer(query, -query, queue, 0.002))
    expect(
        torch.isfinite(torch.as_tensor(got)).all(),
        f"At a temperature of 0.002 it returned {got}: exp(1/0.002) is more than a float32 holds. `logsumexp` and "
        "`log_softmax` take the largest logit out first.",
    )


INFO_NCE = Exercise(
    name="moco-info-nce",
    title="Which of these is mine?",
    difficulty="easy",
    minutes=15,
    task="Write (8.1) for a batch: `info_nce(query, key, queue, temperature)`, with torch's `logsumexp` but without "
    "`cross_entropy`. Shapes: (batch, embedding) twice, (key, embedding); all rows have length 1.",
    expects="a function of (query, key, queue, temperature) that returns one number, the mean over the batch",
    solution=info_nce,
    why="It is a classification whose classes are made anew at every step: K + 1 of them, and class 0 is always right. "
    "Guessing costs log(K + 1). Perfection does not cost 0, since a cosine is at least −1: the temperature "
    "decides how sure one can be.",
    checks=[_all_alike, _one_query, _a_batch, _does_not_overflow],
)

# --- moco-ring --------------------------------------------------------------------------------------------------------


class Ring:
    def __init__(self, size: int, width: int) -> None:
        self.keys = torch.zeros(size, width)
        self.pushed = 0

    def push(self, keys: Tensor) -> None:
        new = keys.detach()[-len(self.keys) :]  # of more than it can hold, the last ones
        start = self.pushed + len(keys) - len(new)
        self.keys[(start + torch.arange(len(new))) % len(self.keys)] = new
        self.pushed += len(keys)

    def newest(self, count: int) -> Tensor:
        return self.keys[(self.pushed - 1 - torch.arange(count)) % len(self.keys)]


def _numbered(first: int, count: int) -> Float[Tensor, "key 2"]:
    """Keys that are told apart by a number."""
    number = torch.arange(first, first + count, dtype=torch.float32)
    return torch.stack((number, -number), 1)


def _in_order(answer: Any) -> None:
    """What was pushed comes out newest first."""
    ring = answer(8, 2)
    ring.push(_numbered(0, 3))
    matches(
        ring.newest(3), _numbered(0, 3).flip(0), "After one push of three keys, `newest(3)` is those three, last first."
    )
    ring.push(_numbered(3, 3))
    matches(ring.newest(6), _numbered(0, 6).flip(0), "A second push must not lie on top of the first.")


def _wraps_around(answer: Any) -> None:
    """When it is full, the oldest make room, also where a batch does not fit at the end."""
    ring = answer(8, 2)
    for push in range(4):
        ring.push(_numbered(3 * push, 3))
        matches(
            torch.tensor(ring.keys.shape),
            torch.tensor((8, 2)),
            f"After {push + 1} pushes of three keys `keys` is no longer 8 rows: a ring keeps its size.",
        )
    matches(
        ring.newest(8),
        _numbered(4, 8).flip(0),
        "Twelve keys went, by threes, into a ring of eight: the last eight must be there. Three does not divide eight, "
        "so that a batch is cut at the end of the memory and goes on at its start: take places modulo the size.",
    )


def _more_than_it_holds(answer: Any) -> None:
    """Of more than it can hold it keeps the last."""
    ring = answer(4, 2)
    ring.push(_numbered(0, 3))
    ring.push(_numbered(3, 11))
    matches(
        ring.newest(4),
        _numbered(10, 4).flip(0),
        "Eleven keys pushed into a ring of four: the last four must be left. Where one place is written more than "
        "once in an assignment by index, torch does not say which value wins; cut the batch first.",
    )
    ring.push(_numbered(14, 1))
    matches(ring.newest(4), _numbered(11, 4).flip(0), "After such a large push the next key went to the wrong place.")


def _no_gradient(answer: Any) -> None:
    """Keys are numbers: no gradient, and storage of their own."""
    ring, keys = answer(8, 2), _numbered(0, 3).requires_grad_(True)
    ring.push(2 * keys)
    expect(
        not ring.newest(3).requires_grad,
        "The ring holds on to the graph that made its keys: memory grows with every step. Store `keys.detach()`.",
    )
    ring, plain = answer(8, 2), _numbered(0, 3)
    ring.push(plain)
    plain.add_(100)
    matches(ring.newest(3), _numbered(0, 3).flip(0), "What was pushed changed afterwards, and the ring with it: copy.")


RING = Exercise(
    name="moco-ring",
    title="A ring of keys",
    difficulty="medium",
    minutes=20,
    task="Write `Ring(size, width)`: `keys` is a tensor (size, width), zeros at first; `push(keys)` puts a batch in "
    "the place of the oldest; `newest(count)` returns the newest `count` keys, newest first. A batch need not divide "
    "the size, and may be larger than it.",
    expects="a class with `__init__(size, width)`, `push(keys)`, `newest(count)` and `keys`",
    solution=Ring,
    why="The authors' code asserts that the batch divides the queue, and needs no modulo within a batch. With it the "
    "ring is as short, and takes anything. The count of keys so far is all the state that there is: place and age both "
    "follow from it.",
    checks=[_in_order, _wraps_around, _more_than_it_holds, _no_gradient],
)

# --- moco-shuffle -----------------------------------------------------------------------------------------------------


def shuffled_keys(network: Callable[[Tensor], Tensor], images: Tensor, order: Int64[Tensor, " batch"]) -> Tensor:
    """What a network says of pictures that it sees in another order, in their own order."""
    with torch.no_grad():
        return network(images[order])[order.argsort()]


_ORDER = torch.tensor([2, 0, 4, 1, 3])  # no permutation that is its own inverse


def _comes_back(answer: Any) -> None:
    """Row i of the answer is the key of picture i."""
    images = _rows(5, 10, 3)
    got = returned(answer(lambda x: 2 * x, images, _ORDER))
    matches(
        got,
        2 * images,
        "The network only doubles each row, and the rows come back in another order than the pictures'. What undoes "
        "`x[order]` is the *inverse* permutation, `order.argsort()`.",
    )


def _sees_them_shuffled(answer: Any) -> None:
    """The network saw them in the other order."""
    images, seen = _rows(5, 11, 3), []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    answer(network, images, _ORDER)
    expect(len(seen) == 1, f"The network was called {len(seen)} times; once is enough, with the whole batch.")
    matches(
        seen[0],
        images[_ORDER],
        "The keys are in order, but the network saw the pictures in another order than `images[order]`. Shuffle before "
        "it, and undo it after.",
    )


def _keys_are_constants(answer: Any) -> None:
    """No gradient runs into the slow copy."""
    got = answer(nn.Linear(3, 2).double(), _rows(5, 12, 3), _ORDER)
    expect(not got.requires_grad, "A gradient would run into the slow copy. Compute keys under `torch.no_grad()`.")


SHUFFLE = Exercise(
    name="moco-shuffle",
    title="Shuffle, and undo it",
    difficulty="medium",
    minutes=15,
    task="Write `shuffled_keys(network, images, order)`: the network must see `images[order]`, so that keys are "
    "normalised in other company than their queries; the keys must come back in the pictures' own order.",
    expects="a function of (network, images, order) that returns a tensor (batch, embedding)",
    solution=shuffled_keys,
    why="`x[order]` puts row `order[i]` at place i, so row j is found at the place where `order` says j: that is "
    "`order.argsort()`. Indexing by `order` once more undoes only permutations that are their own inverse. With two "
    "pictures that is every one of them, which is why this slip passes small tests.",
    checks=[_comes_back, _sees_them_shuffled, _keys_are_constants],
)

# --- moco-find-the-line -----------------------------------------------------------------------------------------------


def suspect(moco: Any, views: Any, temperature: float = 0.07) -> Tensor:
    query = normalize(moco.online(views.first), dim=1)
    with torch.no_grad():
        key = normalize(moco.target(views.second), dim=1)
        moco.queue.push(key)

    own = (query * key).sum(1, keepdim=True)
    others = query @ moco.queue.keys.T
    logits = torch.cat((own, others), 1) / temperature
    losses = logits.logsumexp(1) - logits[:, 0]

    moco.optimizer.zero_grad()
    losses.mean().backward()
    moco.optimizer.step()
    moco.target.update(moco.online)
    return losses.detach()


LISTING = inspect.getsource(suspect).rstrip()
"""The suspect's source, as the reader sees it."""

_INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "query =": "The online network is asked about the first views, and its answers have length 1: as it should be.",
    "with torch.no_grad": "Keys are constants; that line says so, and rightly.",
    "key =": "The slow copy is asked about the second views, and its answers have length 1: as it should be.",
    "own =": "Each query with its own key. But is this the only place in the logits where that key stands?",
    "others =": "You are very near. Each query with every key of the queue is right. Which keys are in the queue by "
    "now?",
    "logits =": "Own key first, then the queue, all of them divided by the temperature: (8.1).",
    "losses =": "Minus the log of the own key's share: (8.1). It is right that the own key is in the sum, *once*.",
    "moco.optimizer.zero_grad": "Gradients are cleared right before the backward pass: as it should be.",
    "losses.mean": "The mean over the batch, and its gradient.",
    "moco.optimizer.step": "One step along that gradient, of the online network alone.",
    "moco.target.update": "Once a step, after it: (8.2).",
    "return": "That line only reports.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "queue.push" in line)


FIND = Exercise(
    name="moco-find-the-line",
    title="Never more than half sure",
    difficulty="medium",
    minutes=25,
    task="The curves above come from the numbered listing, which runs without a murmur, and learns. One line stands in "
    "a place where it does harm. Hand in its number.",
    expects="the number of a line, such as 5",
    solution=guilty_line,
    why="The batch's keys are pushed *before* the loss, so that each query finds its own key twice: as the answer, and "
    "among the wrong ones. Two equal logits share what there is, and no picture can ever be more than half sure: the "
    "loss cannot fall below log 2. With L the loss as it should be, this one is log(1 + e^L): its gradient is the "
    "right one times e^L / (1 + e^L), between a half and one, which is why it learns all the same. Push after the "
    "loss. A limit that a number should not have, such as exactly one half, is worth more than any curve.",
    checks=checks_of_a_line(LISTING, _INNOCENT),
    value=True,
)

# --- moco-by-heart ----------------------------------------------------------------------------------------------------


class MoCo:
    def __init__(self, online: nn.Module, queue: Tensor, tau: float, temperature: float) -> None:
        self.online = online
        self.target = TargetNetwork(online, tau=tau, mode="train", buffers="keep")
        self.queue = queue.clone()
        self.temperature = temperature
        self.pushed = 0

    def loss(self, views: Any) -> Tensor:
        query = normalize(self.online(views.first), dim=1)
        with torch.no_grad():
            self.key = normalize(self.target(views.second), dim=1)[views.order.argsort()]
        return info_nce(query, self.key, self.queue, self.temperature)

    def follow(self) -> None:
        self.target.update(self.online)
        places = (self.pushed + torch.arange(len(self.key))) % len(self.queue)
        self.queue[places] = self.key
        self.pushed += len(self.key)


def _given(normalised: bool = False, shuffled: bool = False, step: int = 0) -> tuple[tuple[Any, ...], Any]:
    """What the learner is made of, and a batch of five; two pushes of five wrap around its queue of eight."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layers = [nn.Linear(4, 6), *[nn.BatchNorm1d(6)] * normalised, nn.ReLU(), nn.Linear(6, 3)]
        network = nn.Sequential(*layers).double()
    order = _ORDER if shuffled else torch.arange(5)
    first, second = (_rows(5, 100 + 2 * step + which, 4) for which in (0, 1))
    return (network, _rows(8, 30, 3), 0.1, 0.2), SimpleNamespace(first=first, second=second[order], order=order)


def _begins_as_a_copy(answer: Any) -> None:
    """The copy begins equal to the network, and has storage of its own."""
    given, _ = _given()
    learner = answer(*given)
    for slow, new in zip(learner.target.parameters(), given[0].parameters(), strict=True):
        matches(slow, new, "Before any step the slow copy is not equal to the online network.")
        expect(
            slow.data_ptr() != new.data_ptr(),
            "The slow copy holds the online network's own tensors: it will never be slow.",
        )


def _first_loss(answer: Any) -> None:
    """The first loss is (8.1), against the queue as it was given."""
    given, views = _given()
    learner = answer(*given)
    matches(
        learner.loss(views),
        MoCo(*_given()[0]).loss(views),
        "No batch normalisation, no shuffle, first step: the loss is off. Queries are the online network's, of the "
        "first views; keys the copy's, of the second; both scaled to length 1; the batch's own keys are not in the "
        "queue yet; and it is the mean over the batch.",
    )


def _no_gradient_to_keys(answer: Any) -> None:
    """Gradients flow into the online network alone."""
    given, views = _given()
    learner = answer(*given)
    learner.loss(views).backward()
    expect(
        all(slow.grad is None for slow in learner.target.parameters()),
        "The slow copy got a gradient. Keys are made under `torch.no_grad()`.",
    )
    expect(
        all(new.grad is not None for new in learner.online.parameters()), "The online network got no gradient at all."
    )


def _own_statistics(answer: Any) -> None:
    """Keys are normalised by the statistics of their own batch."""
    given, views = _given(normalised=True)
    matches(
        answer(*given).loss(views),
        MoCo(*_given(normalised=True)[0]).loss(views),
        "With batch normalisation in the network the loss is off. The copy must stay in training mode, so that it "
        'takes mean and variance of each batch, as the online network does: `mode="train"`.',
    )


def _undoes_the_shuffle(answer: Any) -> None:
    """Keys come back in the order of their queries."""
    given, views = _given(shuffled=True)
    matches(
        answer(*given).loss(views),
        MoCo(*_given()[0]).loss(views),
        "Row i of `views.second` shows the picture of row `views.order[i]`: before they are compared, the keys must be "
        "put back, by `order.argsort()`.",
    )


def _follows(answer: Any) -> None:
    """Then the copy follows, and the keys take the place of the oldest."""
    given, views = _given()
    learner, right = answer(*given), MoCo(*_given()[0])
    for each in (learner, right):
        each.loss(views)
        with torch.no_grad():
            for weight in each.online.parameters():
                weight.add_(1.0)
        each.follow()
    for slow, want in zip(learner.target.parameters(), right.target.parameters(), strict=True):
        matches(
            slow, want, "After `follow` the copy is not where (8.2) puts it: τ is the weight of the online network."
        )
    matches(
        learner.queue,
        right.queue,
        "After `follow` the queue is off. The keys are those that the copy made *before* it moved; the first batch "
        "goes into the first places, and the rest of the queue stays.",
    )


def _keeps_step(answer: Any) -> None:
    """Six steps of training are the reference's."""
    learner, right = (make(*_given(normalised=True)[0]) for make in (answer, MoCo))
    for step in range(6):
        _, views = _given(normalised=True, shuffled=True, step=step)
        losses = []
        for each in (learner, right):
            loss = each.loss(views)
            for weight, slope in zip(
                each.online.parameters(), torch.autograd.grad(loss, list(each.online.parameters())), strict=True
            ):
                weight.data.sub_(0.5 * slope)
            each.follow()
            losses.append(loss.detach())
        matches(
            losses[0],
            losses[1],
            f"Each part was right by itself, and in training the loss of step {step + 1} is off. The queue of eight is "
            "pushed five keys at a time: does it wrap around, and does its count go on?",
        )


BY_HEART = Exercise(
    name="moco-by-heart",
    title="MoCo by heart",
    difficulty="hard",
    minutes=120,
    task="Write the learner from an empty cell: `MyMoCo(online, queue, tau, temperature)` with `online`, `target` and "
    "`queue`, a tensor (key, embedding) of its own. `loss(views)` takes a batch with `first`, `second` and `order` "
    "(row i of `second` shows the picture of row `order[i]` of `first`) and returns the mean of (8.1). `follow()`, "
    "called after each step of the optimizer, moves the copy and pushes the keys of the last loss.",
    expects="a class with `__init__(online, queue, tau, temperature)`, `loss(views)`, `follow()`, `online`, `target` "
    "and `queue`",
    solution=MoCo,
    why="Twenty lines, and hardly one that can be moved. Keys before the copy moves, since they belong to the "
    "encoder of *this* step; the push after the loss, so that a query does not meet its own key among the wrong "
    "ones; the copy in training mode, so that both sides judge a picture by one rule.",
    checks=[
        _begins_as_a_copy,
        _first_loss,
        _no_gradient_to_keys,
        _own_statistics,
        _undoes_the_shuffle,
        _follows,
        _keeps_step,
    ],
)

EXERCISES = [AGE, INFO_NCE, RING, SHUFFLE, FIND, BY_HEART]
