"""Experience replay with a member axis (Lin 1992; Mnih et al. 2015, "Training algorithm for deep Q-networks")."""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

__all__ = ["Batch", "Replay"]


class Batch(NamedTuple):
    """Transitions (s, a, r, s′) and whether s′ ended its episode."""

    observation: Float[Tensor, "member batch observation"]
    action: Float[Tensor, "member batch action"]
    reward: Float[Tensor, "member batch"]
    next_observation: Float[Tensor, "member batch observation"]
    terminated: Float[Tensor, "member batch"]


class Replay(nn.Module):
    """Every member's latest transitions, in one preallocated tensor ``(member, capacity, number)``.

    A transition is one row of numbers, so that a batch is one gather. Members may remember different numbers of
    transitions in the same memory: a member's ring is its first ``size`` rows, by index arithmetic alone.
    A size of 1 is no replay: every sample is the latest transition.

    Args:
        size: transitions that each member remembers, at least 1.
        capacity: rows to allocate, at least the largest size that will be filled.
        observation_size: numbers in an observation.
        action_size: numbers in an action (1 for the index of a discrete one).
    """

    size: Int[Tensor, "member"]
    first: Int[Tensor, "member"]
    count: Int[Tensor, "member"]
    """Transitions stored so far, of each member."""
    rows: Float[Tensor, "row number"]

    def __init__(self, size: Int[Tensor, "member"], capacity: int, observation_size: int, action_size: int = 1) -> None:
        super().__init__()
        members = len(size)
        self.fields = [observation_size, action_size, 1, observation_size, 1]
        first = torch.arange(0, members * capacity, capacity, device=size.device)
        self.register_buffer("size", size, persistent=False)
        self.register_buffer("first", first, persistent=False)
        self.register_buffer("count", torch.zeros_like(size))
        self.register_buffer("rows", torch.zeros(members * capacity, sum(self.fields), device=size.device))

    def store(
        self,
        observation: Float[Tensor, "member observation"],
        action: Float[Tensor, "member action"],
        reward: Float[Tensor, "member"],
        next_observation: Float[Tensor, "member observation"],
        terminated: Float[Tensor, "member"],
        real: Bool[Tensor, "member"] | None = None,
    ) -> None:
        """Remember one transition of every member, in place of its oldest once its ring is full.

        ``next_observation`` is what the environment showed last, before any reset. ``terminated`` is 1 where the
        episode ended there by its own rules, and 0 where merely its time ran out. Where ``real`` is given and False
        there was no transition, and nothing changes.
        """
        row = torch.cat((observation, action, reward[:, None], next_observation, terminated[:, None]), dim=-1)
        place = self.first + self.count % self.size
        if real is not None:
            row = torch.where(real[:, None], row, self.rows.index_select(0, place))
        self.rows.index_copy_(0, place, row)
        self.count.add_(1 if real is None else real)

    def sample(self, noise: Float[Tensor, "member batch"]) -> Batch:
        """Draw from each member's stored transitions, uniformly and with replacement, by uniform noise in [0, 1)."""
        stored = torch.minimum(self.count, self.size)
        # The product stays below `stored`: float32 noise is at most 1 − 2⁻²⁴.
        index = self.first[:, None] + (noise * stored[:, None]).long()
        rows = self.rows.index_select(0, index.flatten()).view(*noise.shape, -1)
        observation, action, reward, next_observation, terminated = rows.split(self.fields, dim=-1)
        return Batch(observation, action, reward.squeeze(-1), next_observation, terminated.squeeze(-1))
