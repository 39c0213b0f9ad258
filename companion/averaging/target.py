"""The slow copy of a network."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from companion.averaging.schedules import Schedule
from companion.averaging.updates import Buffers, hard_update, soft_update


class TargetNetwork(nn.Module):
    """A frozen, slowly moving copy of a network."""

    def __init__(
        self,
        online: nn.Module,
        *,
        tau: float | Tensor | Schedule = 0.005,
        every: int = 1,
        buffers: Buffers = "copy",
        factory: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        self.tau, self.every, self.buffers_rule, self.count = tau, every, buffers, 0
        self.module = copy.deepcopy(online) if factory is None else factory()
        self.reset(online)
        self.module.requires_grad_(False)
        self.eval()

    def update(self, online: nn.Module) -> None:
        self.count += 1
        if self.count % self.every == 0:
            tau = self.tau(self.count) if callable(self.tau) and not isinstance(self.tau, Tensor) else self.tau
            soft_update(online, self.module, tau, buffers=self.buffers_rule)

    def reset(self, online: nn.Module) -> None:
        hard_update(online, self.module)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)

    def train(self, mode: bool = True) -> TargetNetwork:
        return super().train(False)

    def get_extra_state(self) -> dict[str, int]:
        return {"count": self.count}

    def set_extra_state(self, state: dict[str, int]) -> None:
        self.count = state["count"]
