"""Gradient descent on rows of weights, a member each: with momentum, with Lookahead, and without a schedule.

Each holds all it goes on from in tensors, :attr:`state`, changed in place. A gradient is taken at :attr:`point`; what
is evaluated is :attr:`answer`.
"""

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["OPTIMIZERS", "Lookahead", "Momentum", "ScheduleFree"]

Rows = Float[Tensor, "member weight"]
PerRow = Float[Tensor, " member"]


class Momentum:
    """``v ← momentum·v + gradient;  w ← w − rate·v``, as ``torch.optim.SGD`` has it (Polyak 1964).

    Args:
        weights: the first ones; they are copied.
        momentum: each member's.
    """

    def __init__(self, weights: Rows, momentum: PerRow) -> None:
        self.momentum = momentum.unsqueeze(1)
        self.point = weights.clone()
        self.velocity = torch.zeros_like(weights)
        self.state = {"point": self.point, "velocity": self.velocity}

    @property
    def answer(self) -> Rows:
        """What is evaluated: the weights themselves."""
        return self.point

    def step(self, gradient: Rows, rate: PerRow, step: int) -> None:
        """One step down a gradient.

        Args:
            gradient: taken at :attr:`point`.
            rate: each member's learning rate.
            step: its number, from 1 on.
        """
        self.velocity.mul_(self.momentum).add_(gradient)
        self.point.addcmul_(self.velocity, rate.unsqueeze(1), value=-1)


class Lookahead(Momentum):
    """Momentum whose weights, every few steps, are set back to a slow copy that has just moved towards them.

    ``slow ← slow + tau·(fast − slow);  fast ← slow``: a soft update in the loop. The velocity stays.

    Source: Zhang, Lucas, Hinton and Ba, "Lookahead Optimizer: k steps forward, 1 step back" (arXiv:1907.08610),
    Algorithm 1, with its values.
    """

    every: ClassVar[int] = 5
    tau: ClassVar[float] = 0.5

    def __init__(self, weights: Rows, momentum: PerRow) -> None:
        super().__init__(weights, momentum)
        self.slow = weights.clone()
        self.state["slow"] = self.slow

    @property
    def answer(self) -> Rows:
        """The slow copy."""
        return self.slow

    def step(self, gradient: Rows, rate: PerRow, step: int) -> None:
        """One step of the fast weights, and of the slow ones where it is their turn."""
        super().step(gradient, rate, step)
        if step % self.every == 0:
            self.slow.lerp_(self.point, self.tau)
            self.point.copy_(self.slow)


class ScheduleFree:
    """The gradient is taken near the mean of all iterates, which is the answer: averaging in place of a falling rate.

    ``y = (1 − β)·z + β·x;  z ← z − rate·gradient(y);  x ← x + (z − x)/t`` (Defazio, Yang, Mehta, Mishchenko, Khaled and
    Cutkosky, "The Road Less Scheduled", arXiv:2405.15682, equations 3 to 5, as their package counts t). The rate is
    meant to be constant.

    Args:
        weights: the first ones; they are copied.
        momentum: each member's β.
    """

    def __init__(self, weights: Rows, momentum: PerRow) -> None:
        self.momentum = momentum.unsqueeze(1)
        self.point, self.iterate, self.answer = weights.clone(), weights.clone(), weights.clone()
        self.state = {"point": self.point, "iterate": self.iterate, "answer": self.answer}

    def step(self, gradient: Rows, rate: PerRow, step: int) -> None:
        """One step of the iterate, then of the mean of all, then the point between them; as :class:`Momentum`'s."""
        self.iterate.addcmul_(gradient, rate.unsqueeze(1), value=-1)
        self.answer.lerp_(self.iterate, 1 / step)
        torch.lerp(self.iterate, self.answer, self.momentum, out=self.point)


OPTIMIZERS: dict[str, type[Momentum] | type[ScheduleFree]] = {
    "sgd": Momentum,
    "lookahead": Lookahead,
    "schedule-free": ScheduleFree,
}
"""Name to class."""
