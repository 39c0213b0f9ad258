"""Soft and hard updates of a target from an online network."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

from companion.averaging.conventions import unit_interval

Buffers = Literal["copy", "average", "keep"]
Network = nn.Module | Iterable[Tensor]


def soft_update(online: Network, target: Network, tau: float | Tensor = 0.005, *, buffers: Buffers = "copy") -> None:
    """``target ← tau·online + (1 − tau)·target``, in place."""
    if isinstance(online, nn.Module) and isinstance(target, nn.Module):
        o, t = list(online.parameters()), list(target.parameters())
        ob, tb = list(online.buffers()), list(target.buffers())
    else:
        o, t, ob, tb = list(online), list(target), [], []
    if not isinstance(tau, Tensor):
        tau = unit_interval(tau)
    with torch.no_grad():
        if isinstance(tau, Tensor) and tau.ndim:
            for a, b in zip(o, t, strict=True):
                b.lerp_(a, tau.reshape(-1, *[1] * (b.ndim - 1)))
        else:
            torch._foreach_lerp_(t, o, float(tau))
        for a, b in zip(ob, tb, strict=True):
            if buffers == "copy" or not a.is_floating_point():
                b.copy_(a)
            elif buffers == "average":
                b.lerp_(a, float(tau))


def hard_update(online: Network, target: Network) -> None:
    """``target ← online``, in place: parameters and buffers."""
    soft_update(online, target, 1.0)
