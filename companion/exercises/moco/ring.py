"""Write `Ring(size, width)`: `keys` is a tensor (size, width), zeros at first; `push(keys)` puts a batch in the place
of the oldest; `newest(count)` returns the newest `count` keys, newest first. A batch need not divide the size, and may
be larger than it.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, matches


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


def numbered(first: int, count: int) -> Float[Tensor, "key 2"]:
    """Keys that are told apart by a number."""
    number = torch.arange(first, first + count, dtype=torch.float32)
    return torch.stack((number, -number), 1)


def in_order(answer: Answer) -> None:
    """What was pushed comes out newest first."""
    ring = answer(8, 2)
    ring.push(numbered(0, 3))
    matches(
        ring.newest(3), numbered(0, 3).flip(0), "After one push of three keys, `newest(3)` is those three, last first."
    )
    ring.push(numbered(3, 3))
    matches(ring.newest(6), numbered(0, 6).flip(0), "A second push must not lie on top of the first.")


def wraps_around(answer: Answer) -> None:
    """When it is full, the oldest make room, also where a batch does not fit at the end."""
    ring = answer(8, 2)
    for push in range(4):
        ring.push(numbered(3 * push, 3))
        hint = f"After {push + 1} pushes of three keys `keys` is no longer 8 rows: a ring keeps its size."
        matches(torch.tensor(ring.keys.shape), torch.tensor((8, 2)), hint)
    hint = (
        "Twelve keys went, by threes, into a ring of eight: the last eight must be there. Three does not divide eight, "
        "so that a batch is cut at the end of the memory and goes on at its start: take places modulo the size."
    )
    matches(ring.newest(8), numbered(4, 8).flip(0), hint)


def more_than_it_holds(answer: Answer) -> None:
    """Of more than it can hold it keeps the last."""
    ring = answer(4, 2)
    ring.push(numbered(0, 3))
    ring.push(numbered(3, 11))
    hint = (
        "Eleven keys pushed into a ring of four: the last four must be left. Where one place is written more than "
        "once in an assignment by index, torch does not say which value wins; cut the batch first."
    )
    matches(ring.newest(4), numbered(10, 4).flip(0), hint)
    ring.push(numbered(14, 1))
    matches(ring.newest(4), numbered(11, 4).flip(0), "After such a large push the next key went to the wrong place.")


def no_gradient(answer: Answer) -> None:
    """Keys are numbers: no gradient, and storage of their own."""
    ring, keys = answer(8, 2), numbered(0, 3).requires_grad_(True)
    ring.push(2 * keys)
    hint = "The ring holds on to the graph that made its keys: memory grows with every step. Store `keys.detach()`."
    expect(not ring.newest(3).requires_grad, hint)
    ring, plain = answer(8, 2), numbered(0, 3)
    ring.push(plain)
    plain.add_(100)
    matches(ring.newest(3), numbered(0, 3).flip(0), "What was pushed changed afterwards, and the ring with it: copy.")


EXERCISE = Exercise(
    place=3,
    title="A ring of keys",
    difficulty="medium",
    minutes=20,
    expects="a class with `__init__(size, width)`, `push(keys)`, `newest(count)` and `keys`",
    solution=Ring,
    why="The authors' code asserts that the batch divides the queue, and needs no modulo within a batch. With it the "
    "ring is as short, and takes anything. The count of keys so far is all the state that there is: place and age both "
    "follow from it.",
    checks=[in_order, wraps_around, more_than_it_holds, no_gradient],
)
