"""Many averages of one trajectory, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from companion.averaging.clock import counted
from companion.averaging.conventions import Number, unit_interval
from companion.averaging.schedules import Schedule
from companion.averaging.updates import soft_update


class Bank:
    """Averages that watch the same iterates, each with a weight of its own, all moved by one fused call.

        bank = Bank(weights, {"EMA": 0.01, "EMA, warm": warmup(0.01), "SWA": swa(1_000, every=100)})
        bank.update(weights)  # after each step
        bank["SWA"]

    Nothing learns from them: they are observers, and so may be as many as fit into memory.

    Args:
        start: The iterate that all of them start as a copy of.
        schedules: By name: the weight of the new iterate, a number in [0, 1], or a callable of the count k = 1, 2, ….

    Raises:
        TypeError: A schedule is neither a number nor callable.
        ValueError: There are no schedules, or a number lies outside [0, 1].

    Attributes:
        averages: All of them, ``(average, *shape)``, in the order of the schedules.
        count: How many updates there were.
    """

    def __init__(self, start: Float[Tensor, "*shape"], schedules: Mapping[str, Number | Schedule]) -> None:
        if not schedules:
            raise ValueError("schedules is empty; name at least one average")
        self._schedules = {
            name: each if callable(each) else unit_interval(each, name) for name, each in schedules.items()
        }
        self.averages = start.detach().expand(len(self._schedules), *start.shape).clone()
        self.count = 0

    @property
    def names(self) -> tuple[str, ...]:
        """What the averages are called."""
        return tuple(self._schedules)

    def __getitem__(self, name: str) -> Float[Tensor, "*shape"]:
        """The average of that name: a view of what the next update moves."""
        return self.averages[self.names.index(name)]

    def update(self, new: Float[Tensor, "*shape"]) -> None:
        """Take the next iterate into every average.

        Raises:
            ValueError: It has another shape than the first, or a schedule gave a weight outside [0, 1].
        """
        if new.shape != self.averages.shape[1:]:
            raise ValueError(f"new has shape {tuple(new.shape)}, the averages have {tuple(self.averages.shape[1:])}")
        count = self.count + 1
        weights = [
            unit_interval(each(count), name) if callable(each) else each for name, each in self._schedules.items()
        ]
        tau = torch.tensor(weights, dtype=self.averages.dtype).to(self.averages.device)
        soft_update([new.detach().expand_as(self.averages)], [self.averages], tau)
        self.count = count

    def state_dict(self) -> dict[str, Any]:
        """The averages, which share its memory, and the count."""
        return {"averages": self.averages, "count": torch.tensor(self.count, device="cpu")}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there, in place.

        Raises:
            ValueError: There is no count in it.
        """
        self.count = counted(state.get("count"))
        self.averages.copy_(state["averages"])
