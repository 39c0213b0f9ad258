"""The class `BrokenTarget` above has three bugs of the kind that train without an error message. Find them, and write
`HardTarget(online, period)` with `.weights` (a list of tensors) and `.update(online)`, called once after every gradient
update.
"""

from typing import Any

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, matches_each


class HardTarget:
    """A list of tensors that copies the online one's at updates C, 2C, 3C, …"""

    def __init__(self, online: list[Tensor], period: int) -> None:
        self.weights = [tensor.clone() for tensor in online]
        self.period = period
        self.count = 0

    def update(self, online: list[Tensor]) -> None:
        self.count += 1
        if self.count % self.period == 0:
            for ours, theirs in zip(self.weights, online, strict=True):
                ours.copy_(theirs)


def walk(answer: Answer, period: int, updates: int) -> tuple[Any, list[Tensor], list[int]]:
    """The updates at which the target took the online weights, while these count 1, 2, 3, … in place."""
    online = [torch.zeros(2, 3), torch.zeros(2, 1)]
    target = answer(online, period)
    fired = []
    for k in range(1, updates + 1):
        for tensor in online:
            tensor.fill_(float(k))
        target.update(online)
        now = [float(tensor.flatten()[0]) for tensor in target.weights]
        expect(now[0] == now[1], "Not every tensor was copied at the same update.")
        if now[0] == k:
            fired.append(k)
    return target, online, fired


def own_storage(answer: Answer) -> None:
    """It starts as an equal copy with storage of its own."""
    online = [torch.arange(6.0).view(2, 3), torch.ones(2, 1)]
    target = answer(online, 4)
    want = [tensor.clone() for tensor in online]
    matches_each(target.weights, online, "It must start equal to the online weights.")
    for tensor in online:
        tensor.add_(1)
    hint = "Adding 1 to the online weights, in place, moved the target too: it holds the same tensors. `clone` them."
    matches_each(target.weights, want, hint)


def clock(answer: Answer) -> None:
    """It copies at updates C, 2C, 3C and at no other."""
    for period in (3, 5):
        _, _, fired = walk(answer, period, 4 * period + 1)
        wanted = list(range(period, 4 * period + 1, period))
        expect(
            fired == wanted,
            f"With period={period} it copied at updates {fired}, and {wanted} is right. Count first, then compare; and "
            "what does the comparison say when the count is exactly the period?",
        )


def still_own(answer: Answer) -> None:
    """It holds its own tensors after a copy as well."""
    target, online, _ = walk(answer, 3, 5)
    held = [tensor.clone() for tensor in target.weights]
    for tensor in online:
        tensor.fill_(-1.0)
    hint = (
        "After a copy the target moves with the online weights: `=` gives a second name to the same tensors. Copy "
        "the numbers, `ours.copy_(theirs)`."
    )
    matches_each(target.weights, held, hint)


def every_update(answer: Answer) -> None:
    """With a period of 1 it is no target network."""
    _, _, fired = walk(answer, 1, 4)
    expect(fired == [1, 2, 3, 4], f"With period=1 it must copy at every update; it copied at {fired} of 1 to 4.")


EXERCISE = Exercise(
    place=3,
    title="Repair the clock",
    difficulty="medium",
    minutes=15,
    expects="a class with `__init__(online, period)`, `update(online)` and `weights`",
    solution=HardTarget,
    why="The three: the target began as the online network's own list, so it never lagged; its clock fired at C + 1; "
    "and a copy by `=` gave a second name to the same tensors. A clock that is off by one is found in a published "
    "library too: TorchRL's `HardUpdate` with period 3 acts at calls 4, 8 and 12. A target that shares storage is no "
    "target network at all, and neither raises an error.",
    checks=[own_storage, still_own, clock, every_update],
)
