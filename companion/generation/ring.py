"""The data: eight Gaussians on a ring, in the plane."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from companion.members import Streams

__all__ = ["MODES", "RADIUS", "SPREAD", "WIDTHS", "ring", "samples"]

MODES = 8
"""How many Gaussians there are, equally likely and equally far apart."""
RADIUS = 2.0
"""Of the ring on which their centres lie."""
SPREAD = 0.15
"""Standard deviation of each, along both axes."""

WIDTHS = {"mode": 1, "offset": 2}
"""Random numbers that a point is made of: one uniform, two normal."""


def ring(
    mode: Float[Tensor, "member number"], offset: Float[Tensor, "member twice"]
) -> Float[Tensor, "member number 2"]:
    """Points of the mixture from random numbers.

    Args:
        mode: uniform in [0, 1); decides which Gaussian each point belongs to.
        offset: standard normal, two for each point.
    """
    angle = (mode * MODES).floor() * (2 * math.pi / MODES)
    centre = RADIUS * torch.stack((angle.cos(), angle.sin()), -1)
    return centre + SPREAD * offset.unflatten(1, (-1, 2))


def samples(seeds: Sequence[int], number: int, purpose: str = "real") -> Float[Tensor, "member number 2"]:
    """Real points, for each member its own, on the CPU.

    Args:
        seeds: one integer a member.
        number: how many points each has.
        purpose: names the stream that they come from: another purpose, other points.
    """
    streams = Streams(seeds, purpose)
    return ring(torch.from_numpy(streams.uniform(number)), torch.from_numpy(streams.normal(2 * number)))
