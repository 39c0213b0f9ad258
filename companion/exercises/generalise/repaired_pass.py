"""Repair a pass over the data after which batch norm's statistics are what they were."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from companion.exercises import Answer, Exercise, expect, matches, normal


def measured(network: nn.Module, batches: Iterable[Tensor]) -> None:
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
    network.train()
    with torch.no_grad():
        for batch in batches:
            network(batch)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    network.eval()


def statistics(network: nn.Sequential) -> Tensor:
    return network.get_buffer("1.running_mean")


def averaged() -> tuple[nn.Sequential, list[Tensor]]:
    """A network whose statistics belong to other weights, and data."""
    draw = normal(0)
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, momentum=0.2)).double()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(draw(*parameter.shape))
    for name, value in (("running_mean", 50), ("running_var", 50), ("num_batches_tracked", 300)):  # as after training
        network.get_buffer(f"1.{name}").fill_(value)
    return network, [draw(8, 1, 3, 3) + shift for shift in (0.0, 1.0, 4.0)]


def pass_of(answer: Answer) -> tuple[nn.Sequential, list[Tensor], Tensor]:
    network, batches = averaged()
    answer(network, batches)
    return network, batches, statistics(network)


def moves(answer: Answer) -> None:
    """The statistics change."""
    _, _, mean = pass_of(answer)
    expect(
        not torch.equal(mean, torch.full_like(mean, 50.0)),
        "The running mean is what it was before the pass. Which number says how far each batch moves it?",
    )


def forgets(answer: Answer) -> None:
    """Nothing is left of the statistics that there were, and every batch counts the same."""
    network, batches, mean = pass_of(answer)
    with torch.no_grad():
        means = torch.stack([network[0](batch).mean((0, 2, 3)) for batch in batches])
    old = (mean - means.mean(0)).abs().min() > 5
    expect(not old, "Some of the old statistics, which were far off on purpose, is still in there. What resets them?")
    last = torch.allclose(mean, means[-1])
    expect(not last, "That is the last batch's mean alone: a momentum of 1 forgets all others.")
    matches(mean, means.mean(0), "It is no plain mean of the batches. What does `momentum=None` do, after a reset?")
    with torch.no_grad():
        fed = torch.stack([network[0](batch) for batch in batches])
    right = [fed.var((1, 3, 4)).mean(0), fed.var((0, 1, 3, 4))]  # torch's own, and (10.3)
    found = any(torch.allclose(network.get_buffer("1.running_var"), variance) for variance in right)
    expect(found, "The mean is right, and the running variance is not. It belongs to the statistics, too.")


def leaves_the_rest(answer: Answer) -> None:
    """Weights, momentum and mode are left as they should be."""
    network, _, _ = pass_of(answer)
    untouched, _ = averaged()
    for parameter, before in zip(network.parameters(), untouched.parameters(), strict=True):
        matches(parameter, before, "A weight has changed: the pass is to learn nothing.")
    expect(not network[1].training, "The network is in training mode, and would go on with each batch's own numbers.")
    hint = "This batch norm had a momentum of 0.2, and has another now: further training would gather otherwise."
    expect(network[1].momentum == 0.2, hint)


EXERCISE = Exercise(
    place=3,
    title="A pass that changes nothing",
    difficulty="medium",
    minutes=20,
    expects="a function of (network, batches) that changes the network's statistics, and returns nothing",
    solution=measured,
    why="In torch `momentum` is the weight of the new value, this book's tau. At 0 nothing moves; None means the plain "
    "mean since the last reset, which must come first. Two smaller faults were in there: old statistics were not "
    "reset, and a momentum of 0.1 was written into layers that may have had another. Lightning had the first (#14866).",
    checks=[moves, forgets, leaves_the_rest],
)
