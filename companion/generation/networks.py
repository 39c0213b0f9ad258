"""Networks that are told how noisy their input is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import pad

from companion.members import MLP, Streams

__all__ = ["FEATURES", "NoisyConvNet", "NoisyMLP"]

FEATURES = 8
"""Numbers by which a network is told the noise level."""


class NoisyMLP(nn.Module):
    """A network of points in the plane and of how noisy they are: ``(member, batch, 2)`` to the same shape.

    The level, an integer, goes in as :func:`told` has it.

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
        self.register_buffer("table", told(levels), persistent=False)
        self.to(device)

    def forward(
        self, x: Float[Tensor, "member batch 2"], level: Int64[Tensor, "member batch"] | int
    ) -> Float[Tensor, "member batch 2"]:
        """Its output for points at their noise levels, or all at one."""
        told = self.table[level].expand(*x.shape[:2], FEATURES)
        return self.body(torch.cat((x, told), -1))


class NoisyConvNet(nn.Module):
    """A network of square pictures and of how noisy they are: ``(member, batch, pixel)`` to the same shape.

    A convolution of 3×3 a layer, with zeros around the picture, and rectification between two. The level goes in as in
    :class:`NoisyMLP`, each number as a channel that is the same at all pixels. A member's convolution is a product of
    its matrix with the patches of its pictures, so that members are an axis here as well.

    Args:
        levels: how many noise levels there are.
        hidden: channels of each hidden layer.
        seeds: one integer a member; the first weights depend on it.
        device: where it lives.
    """

    table: Float[Tensor, "level feature"]

    def __init__(self, levels: int, hidden: Sequence[int], seeds: Sequence[int], device: torch.device) -> None:
        super().__init__()
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        streams = Streams(seeds, "init")
        for wide_in, wide_out in pairwise((1 + FEATURES, *hidden, 1)):
            inputs = 9 * wide_in
            layer = (2 * torch.from_numpy(streams.uniform(inputs + 1, wide_out)) - 1) * inputs**-0.5
            self.weights.append(nn.Parameter(layer[:, :-1].contiguous()))
            self.biases.append(nn.Parameter(layer[:, -1:].contiguous()))
        self.register_buffer("table", told(levels), persistent=False)
        self.to(device)

    def forward(
        self, x: Float[Tensor, "member batch pixel"], level: Int64[Tensor, "member batch"] | int
    ) -> Float[Tensor, "member batch pixel"]:
        """Its output for pictures at their noise levels, or all at one."""
        side = math.isqrt(x.shape[2])
        picture = x.unflatten(2, (side, side)).unsqueeze(-1)
        features = self.table[level].expand(*x.shape[:2], FEATURES)[:, :, None, None].expand(*picture.shape[:4], -1)
        y = torch.cat((picture, features), -1)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            y = torch.baddbmm(bias, patches(y.relu() if layer else y), weight).unflatten(1, (-1, side, side))
        return y.flatten(2)


def patches(
    x: Float[Tensor, "member batch height width channel"],
) -> Float[Tensor, "member place nine_channels"]:
    """The 3×3 pixels around each pixel, zeros beyond the edge: row by row, and of a pixel all channels."""
    height, width = x.shape[2:4]
    wide = pad(x, (0, 0, 1, 1, 1, 1))
    moved = [wide[:, :, down : down + height, right : right + width] for down in range(3) for right in range(3)]
    return torch.cat(moved, -1).flatten(1, 3)


def told(levels: int) -> Float[Tensor, "level feature"]:
    """Each level, an integer, as sines and cosines of 1, 2, 4 and 8 half turns over all levels."""
    place = torch.linspace(0, math.pi, levels)[:, None] * 2.0 ** torch.arange(FEATURES // 2)
    return torch.cat((place.sin(), place.cos()), 1)
