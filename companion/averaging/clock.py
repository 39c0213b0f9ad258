"""When a slow copy moves, and by how much: "tau and a period"."""

from __future__ import annotations

import numbers
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.compiler import is_dynamo_compiling

from companion.averaging.conventions import Number
from companion.averaging.schedules import Schedule
from companion.averaging.updates import checked_tau, readable


class Clock:
    """Counts updates, and says of each by which weight the slow copy moves: ``tau`` at every ``every``-th, else 0.

        clock = Clock(tau=1.0, every=100)  # a hard update at each hundredth
        soft_update(online, target, clock.tick())

    In a recorded CUDA graph give the period as a tensor, or leave it at 1: then the count is a tensor too, changed in
    place, and no value is read back. Where Python decides by the count, since the period is a number above 1 or there
    is a schedule and no period in a tensor, the count is a Python number, and a recording would repeat one update.

    Args:
        tau: The weight of the online network, in [0, 1]: a number, a tensor of shape ``()`` or ``(member,)``, or a
            schedule, a callable that takes the number k = 1, 2, … of the update and returns one of these. Beside a
            period in a tensor it takes k as a tensor too, and is to return one without looking at values; and a number,
            given or returned, becomes a tensor of torch's default dtype there, as a rule float32. For networks in
            float64 give ``torch.tensor(tau, dtype=torch.float64)``, which keeps its digits.
        every: The copy moves at updates ``every``, ``2·every``, …, at least 1: a number, or an integer tensor of shape
            ``()`` or ``(member,)``, which is used unread where it lives on another device than the CPU.

    Attributes:
        tau: As given. A tensor is not copied: the clock follows what is written to it.
        every: As given.

    Raises:
        TypeError: An argument is of the wrong kind.
        ValueError: An argument is out of range, or ``tau`` and ``every`` are on two devices or of two lengths.
    """

    tau: float | Tensor | Schedule
    every: int | Tensor

    def __init__(
        self,
        tau: Number | Float[Tensor, ""] | Float[Tensor, " member"] | Schedule,
        every: int | Int[Tensor, ""] | Int[Tensor, " member"] = 1,
    ) -> None:
        weight = tau if callable(tau) else checked_tau(tau)
        self.tau = tau.detach() if isinstance(tau, Tensor) else weight
        self.every = _checked_period(every)
        tensors = [each for each in (self.tau, self.every) if isinstance(each, Tensor)]
        if len({each.device for each in tensors}) > 1 or len({each.shape for each in tensors if each.ndim}) > 1:
            first, second = (f"{tuple(each.shape)} on {each.device}" for each in tensors)
            raise ValueError(f"tau is {first} and every {second}; pass a value a member for both, on one device")
        self._by_python = isinstance(self.every, int) and (self.every > 1 or callable(tau))
        self._count: Any = 0
        if not self._by_python:
            self._count = torch.zeros((), dtype=torch.int64, device=tensors[0].device if tensors else "cpu")

    @property
    def count(self) -> int:
        """How many updates were counted; reads it back from the device.

        Raises:
            ValueError: It is set to something else than a whole number, 0 or more.
        """
        return int(self._count)

    @count.setter
    def count(self, count: int) -> None:
        if isinstance(count, bool) or not isinstance(count, numbers.Integral) or count < 0:
            raise ValueError(f"count = {count!r} is not a number of updates; pass a whole number, 0 or more")
        if self._by_python:
            self._count = int(count)
        else:
            self._count.fill_(count)

    def tick(self) -> float | Float[Tensor, ""] | Float[Tensor, " member"]:
        """Count one update, and return the weight with which the slow copy moves at it, 0 where it stays.

        Raises:
            TypeError: A schedule returned something else than a weight, at an update that is not counted then.
            ValueError: A schedule returned a weight outside of [0, 1], at an update that is not counted then.
        """
        weight = self.ahead()
        self.advance()
        return weight

    def ahead(self) -> float | Float[Tensor, ""] | Float[Tensor, " member"]:
        """The weight of the update that comes next, which is not counted: for what may yet refuse it.

        Raises:
            TypeError: A schedule returned something else than a weight.
            ValueError: A schedule returned a weight outside of [0, 1].
        """
        if self._by_python:
            count = self._next()
            return self._weight(count) if count % self.every == 0 else 0.0
        if not isinstance(self.every, Tensor):
            return self.tau  # type: ignore[return-value]  # no schedule: that one would be counted by Python
        count = self._count + 1  # in a tensor of its own, so that a schedule that is refused has counted nothing
        return torch.where(count % self.every == 0, self._weight(count), 0.0)

    def advance(self) -> None:
        """Count one update; a count in a tensor stays where it is in memory."""
        if self._by_python:
            self._count = self._next()
        else:
            self._count.add_(1)

    def _weight(self, count: int | Tensor) -> float | Tensor:
        return checked_tau(self.tau(count)) if callable(self.tau) else self.tau

    def _next(self) -> int:
        if not is_dynamo_compiling():
            return self._count + 1
        # Numbers in a module are constants to a compiler, which would begin anew with each count, and give up at 8.
        with torch._dynamo.patch_dynamo_config(allow_unspec_int_on_nn_module=True):
            return self._count + 1

    def to(self, device: torch.device | str) -> Clock:
        """Move what of it is a tensor, in a new memory; returns the clock."""
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(self, name, value.to(device))
        return self

    def state_dict(self) -> dict[str, Int[Tensor, ""]]:
        """The count, in a tensor; one that the clock counts in shares its memory."""
        return {"count": torch.tensor(self._count, device="cpu") if self._by_python else self._count}

    def load_state_dict(self, state: Mapping[str, Int[Tensor, ""]]) -> None:
        """Go on from the count that `state_dict` gave, in place.

        Raises:
            ValueError: There is no count in it.
        """
        self.count = counted(state.get("count"))


def counted(count: object, name: str = 'state["count"]') -> int:
    """The number of updates that a saved count stands for.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(count, Tensor) or count.dtype != torch.int64 or count.numel() != 1 or count.item() < 0:
        raise ValueError(f"{name} is {count!r}; expected a tensor, the number of updates so far")
    return int(count.item())


def _checked_period(every: object) -> int | Tensor:
    if isinstance(every, Tensor):
        if every.dtype == torch.bool or every.is_floating_point() or every.is_complex():
            raise TypeError(f"every is a tensor of {every.dtype}; pass whole numbers of updates, every.long()")
        if every.ndim > 1:
            raise ValueError(
                f"every has shape {tuple(every.shape)}; pass a number or a tensor of shape () or (member,)"
            )
        if readable(every) and (every < 1).any():
            raise ValueError(f"every holds {every.min().item()}, which is not a period; pass 1 update or more")
        return every
    if isinstance(every, bool) or not isinstance(every, numbers.Integral):
        raise TypeError(f"every = {every!r} is a {type(every).__name__}; pass a whole number of updates")
    if every < 1:
        raise ValueError(f"every = {every} is not a period; pass 1 update or more")
    return int(every)
