"""What checks of several topics are made of: random numbers, a batch of transitions, a lag that is measured."""

from collections.abc import Callable
from types import SimpleNamespace

import torch
from torch import Tensor


def normal(seed: int) -> Callable[..., Tensor]:
    """A source of standard normal tensors in float64: ``draw = normal(0)``, then ``draw(3, 32)``, ``draw(5)``."""
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)


def transitions(
    seed: int, *, observation: int, action: int = 1, terminated: float = 0.0, truncated: float = 0.0
) -> SimpleNamespace:
    """A batch of 32 transitions for each of three members, in float64.

    Args:
        seed: of the draws.
        observation: numbers in an observation.
        action: numbers in an action, which lie between -1 and 1.
        terminated: share of transitions that end an episode.
        truncated: share of those that the clock cuts.

    Returns:
        ``observation`` and ``next_observation``, (member, batch, observation), ``action``, (member, batch, action),
        and ``reward``, ``terminated`` and ``truncated``, (member, batch).
    """
    draw = normal(seed)

    def chance(share: float) -> Tensor:
        return (torch.special.ndtr(draw(3, 32)) < share).double()

    return SimpleNamespace(
        observation=draw(3, 32, observation),
        action=draw(3, 32, action).tanh(),
        reward=draw(3, 32),
        next_observation=draw(3, 32, observation),
        terminated=chance(terminated),
        truncated=chance(truncated),
    )


def measured_lag(tau: float, period: int, updates: int = 4_000) -> float:
    """Mean lag of a slow copy behind an online number that counts updates, over whole periods at the end.

    Args:
        tau: the weight of the online number, from 0 to 1.
        period: updates from one step of the copy to the next.
        updates: how long to simulate.

    Returns:
        The lag in updates.
    """
    copy, total, counted = 0.0, 0.0, 0
    first = updates // 2 // period * period
    for k in range(1, updates // period * period + 1):
        if k % period == 0:
            copy += tau * (k - copy)
        if k > first:
            total += k - copy
            counted += 1
    return total / counted
