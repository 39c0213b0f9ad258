"""Networks that are told how noisy their input is."""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import conv2d

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

    A convolution of 3×3 a layer, with zeros around the picture, and rectification before all but the first. A layer
    with as many channels as come in adds to these (He et al. 2016, arXiv:1603.05027), so that noise finds its way
    through. The level goes in as in :class:`NoisyMLP`, each number as a channel that is the same at all pixels. All
    members are one network of grouped convolutions.

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
            layer = (2 * torch.from_numpy(streams.uniform(wide_out, inputs + 1)) - 1) * inputs**-0.5
            self.weights.append(nn.Parameter(layer[:, :, :-1].unflatten(2, (wide_in, 3, 3)).contiguous()))
            self.biases.append(nn.Parameter(layer[:, :, -1].contiguous()))
        self.register_buffer("table", told(levels), persistent=False)
        self.to(device)

    def forward(
        self, x: Float[Tensor, "member batch pixel"], level: Int64[Tensor, "member batch"] | int
    ) -> Float[Tensor, "member batch pixel"]:
        """Its output for pictures at their noise levels, or all at one."""
        members, batch, pixels = x.shape
        side = math.isqrt(pixels)
        features = self.table[level].expand(members, batch, FEATURES)[..., None].expand(-1, -1, -1, pixels)
        y = torch.cat((x.unsqueeze(2), features), 2).transpose(0, 1).reshape(batch, -1, side, side)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            seen = y.relu() if layer else y
            new = conv2d(seen, weight.flatten(0, 1), bias.flatten(), padding=1, groups=members)
            y = y + new if new.shape == y.shape else new
        return y.flatten(2).transpose(0, 1)


def told(levels: int) -> Float[Tensor, "level feature"]:
    """Each level, an integer, as sines and cosines of 1, 2, 4 and 8 half turns over all levels."""
    place = torch.linspace(0, math.pi, levels)[:, None] * 2.0 ** torch.arange(FEATURES // 2)
    return torch.cat((place.sin(), place.cos()), 1)
