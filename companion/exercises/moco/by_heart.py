"""Write the learner from an empty cell: `MyMoCo(online, queue, tau, temperature)` with `online`, `target` and `queue`,
a tensor (key, embedding) of its own. `loss(views)` takes a batch with `first`, `second` and `order` (row i of `second`
shows the picture of row `order[i]` of `first`) and returns the mean of (8.1). `follow()`, called after each step of the
optimizer, moves the copy and puts the keys of the last loss in the place of the oldest: the queue is handed over with
its oldest first. Where in it a key stands is up to you.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from companion.averaging import TargetNetwork
from companion.exercises import Answer, Exercise, expect, matches, matches_each
from companion.exercises.moco import ORDER, info_nce, rows


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
        return info_nce(query, self.key, self.queue, self.temperature).mean()

    def follow(self) -> None:
        self.target.update(self.online)
        places = (self.pushed + torch.arange(len(self.key))) % len(self.queue)
        self.queue[places] = self.key
        self.pushed += len(self.key)


def setup(normalised: bool = False, shuffled: bool = False, step: int = 0) -> tuple[tuple[Any, ...], Any]:
    """What the learner is made of, and a batch of five; two pushes of five wrap around its queue of eight."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        layers = [nn.Linear(4, 6), *[nn.BatchNorm1d(6)] * normalised, nn.ReLU(), nn.Linear(6, 3)]
        network = nn.Sequential(*layers).double()
    order = ORDER if shuffled else torch.arange(5)
    first, second = (rows(5, 100 + 2 * step + which, 4) for which in (0, 1))
    return (network, rows(8, 30, 3), 0.1, 0.2), SimpleNamespace(first=first, second=second[order], order=order)


def begins_as_a_copy(answer: Answer) -> None:
    """The copy begins equal to the network, and has storage of its own."""
    given, _ = setup()
    learner = answer(*given)
    for slow, new in zip(learner.target.parameters(), given[0].parameters(), strict=True):
        matches(slow, new, "Before any step the slow copy is not equal to the online network.")
        hint = "The slow copy holds the online network's own tensors: it will never be slow."
        expect(slow.data_ptr() != new.data_ptr(), hint)


def first_loss(answer: Answer) -> None:
    """The first loss is (8.1), against the queue as it was given."""
    given, views = setup()
    learner = answer(*given)
    hint = (
        "No batch normalisation, no shuffle, first step: the loss is off. Queries are the online network's, of the "
        "first views; keys the copy's, of the second; both scaled to length 1; the batch's own keys are not in the "
        "queue yet; and it is the mean over the batch."
    )
    matches(learner.loss(views), MoCo(*setup()[0]).loss(views), hint)


def no_gradient_to_keys(answer: Answer) -> None:
    """Gradients flow into the online network alone."""
    given, views = setup()
    learner = answer(*given)
    learner.loss(views).backward()
    hint = "The slow copy got a gradient. Keys are made under `torch.no_grad()`."
    expect(all(slow.grad is None for slow in learner.target.parameters()), hint)
    expect(
        all(new.grad is not None for new in learner.online.parameters()), "The online network got no gradient at all."
    )


def own_statistics(answer: Answer) -> None:
    """Keys are normalised by the statistics of their own batch."""
    given, views = setup(normalised=True)
    hint = (
        "With batch normalisation in the network the loss is off. The copy must stay in training mode, so that it "
        'takes mean and variance of each batch, as the online network does: `mode="train"`.'
    )
    matches(answer(*given).loss(views), MoCo(*setup(normalised=True)[0]).loss(views), hint)


def undoes_the_shuffle(answer: Answer) -> None:
    """Keys come back in the order of their queries."""
    given, views = setup(shuffled=True)
    hint = (
        "Row i of `views.second` shows the picture of row `views.order[i]`: before they are compared, the keys must be "
        "put back, by `order.argsort()`."
    )
    matches(answer(*given).loss(views), MoCo(*setup()[0]).loss(views), hint)


def follows(answer: Answer) -> None:
    """Then the copy follows, and the keys take the place of the oldest."""
    given, views = setup()
    learner, right = answer(*given), MoCo(*setup()[0])
    for each in (learner, right):
        each.loss(views)
        with torch.no_grad():
            for weight in each.online.parameters():
                weight.add_(1.0)
        each.follow()
    hint = "After `follow` the copy is not where (8.2) puts it: τ is the weight of the online network."
    matches_each(learner.target.parameters(), right.target.parameters(), hint)
    hint = (
        "After `follow` the queue is off. The keys are those that the copy made *before* it moved; the first batch "
        "takes the place of the rows that were first when the queue was handed over, and the others stay."
    )
    matches(_in_any_order(learner.queue), _in_any_order(right.queue), hint)


def _in_any_order(queue: Any) -> Any:
    """The rows of a queue, sorted: a loss does not ask where a key stands."""
    return queue[queue[:, 0].argsort()] if isinstance(queue, Tensor) and queue.ndim == 2 else queue


def keeps_step(answer: Answer) -> None:
    """Six steps of training are the reference's."""
    learner, right = (make(*setup(normalised=True)[0]) for make in (answer, MoCo))
    for step in range(6):
        _, views = setup(normalised=True, shuffled=True, step=step)
        losses = []
        for each in (learner, right):
            loss = each.loss(views)
            for weight, slope in zip(
                each.online.parameters(), torch.autograd.grad(loss, list(each.online.parameters())), strict=True
            ):
                weight.data.sub_(0.5 * slope)
            each.follow()
            losses.append(loss.detach())
        hint = (
            f"Each part was right by itself, and in training the loss of step {step + 1} is off. The queue of eight is "
            "pushed five keys at a time: does it wrap around, and does its count go on?"
        )
        matches(losses[0], losses[1], hint)


EXERCISE = Exercise(
    place=5,
    title="MoCo by heart",
    difficulty="hard",
    minutes=120,
    expects="a class with `__init__(online, queue, tau, temperature)`, `loss(views)`, `follow()`, `online`, `target` "
    "and `queue`",
    solution=MoCo,
    why="Twenty lines, and hardly one that can be moved. Keys before the copy moves, since they belong to the "
    "encoder of *this* step; the push after the loss, so that a query does not meet its own key among the wrong "
    "ones; the copy in training mode, so that its statistics are those of its own weights.",
    checks=[
        begins_as_a_copy,
        first_loss,
        no_gradient_to_keys,
        own_statistics,
        undoes_the_shuffle,
        follows,
        keeps_step,
    ],
)
