"""A network that is told how noisy its input is."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from companion.members import MLP

__all__ = ["FEATURES", "NoisyMLP"]

FEATURES = 8
"""Numbers by which a network is told the noise level."""


class NoisyMLP(nn.Module):
    """A network of points in the plane and of how noisy they are: ``(member, batch, 2)`` to the same shape.

    The level, an integer, goes in as sines and cosines of 1, 2, 4 and 8 half turns over all levels.

    Args:
        levels: how many noise levels there are.
        hidden: units of each hidden layer.
        seeds: one integer a member; the first weights depend on it.
        device: where it lives.
    """

    table: Float[Tensor, "level feature"]

    def __init__(self, levels: int, hidden: Sequence[int], seeds: Sequence[int], device: torch.device) -> None:
        super().__init__()
        self.body = MLP((2 + FEATURES, *hidden, 2), seeds)
        place = torch.linspace(0, math.pi, levels)[:, None] * 2.0 ** torch.arange(FEATURES // 2)
        self.register_buffer("table", torch.cat((place.sin(), place.cos()), 1), persistent=False)
        self.to(device)

    def forward(
        self, x: Float[Tensor, "member batch 2"], level: Int64[Tensor, "member batch"] | int
    ) -> Float[Tensor, "member batch 2"]:
        """Its output for points at their noise levels, or all at one."""
        told = self.table[level].expand(*x.shape[:2], FEATURES)
        return self.body(torch.cat((x, told), -1))
