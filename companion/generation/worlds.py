"""What there is to be made: points on a ring, or handwritten digits, and the denoiser that suits each."""

import math
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from sklearn.datasets import load_digits
from torch import Tensor

from companion.generation import ring
from companion.generation.networks import NoisyConvNet, NoisyMLP
from companion.members import Streams

__all__ = ["WORLDS", "Digits", "Ring"]


class Ring:
    """Eight Gaussians on a ring, in the plane, of which there are as many points as one asks for.

    Args:
        device: where they live.
    """

    size = 2
    """Numbers that a point has."""
    reach = 3.0
    """No coordinate is larger: what a sampler thinks beyond is cut off, as by Ho et al. 2020."""
    width = 0.5
    """Standard deviation of the kernel with which samples are compared."""
    most = math.inf
    """Points that a network may be judged by."""
    widths = ring.WIDTHS
    """Random numbers that a point is made of, by purpose."""
    normal = ("offset",)
    """Purposes whose numbers are normal."""
    network = NoisyMLP
    """What learns to denoise them."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def points(self, drawn: Mapping[str, Float[Tensor, "member _"]]) -> Float[Tensor, "member number 2"]:
        """Points to learn from, of random numbers."""
        return ring.ring(drawn["mode"], drawn["offset"])

    def real(self, seeds: Sequence[int], number: int) -> Float[Tensor, "member number 2"]:
        """Points to judge by, for each member its own."""
        return ring.samples(seeds, number).to(self.device)

    def other(self, seeds: Sequence[int], number: int) -> Float[Tensor, "member number 2"]:
        """Others, for how far real points are from real points."""
        return ring.samples(seeds, number, "floor").to(self.device)


class Digits:
    """scikit-learn's 1,797 digits, of 8×8 grey levels from −1 to 1: half to learn from, half to judge by.

    Args:
        device: where they live.

    Source: E. Alpaydin and C. Kaynak's *Optical Recognition of Handwritten Digits* (UCI, 1998), of which scikit-learn
    carries the test part, so nothing is downloaded.
    """

    size = 64
    reach = 1.0
    width = 4.0
    most = 224
    widths: ClassVar = {"picture": 1}
    normal = ()
    network = NoisyConvNet

    def __init__(self, device: torch.device) -> None:
        pictures = torch.from_numpy(load_digits(return_X_y=True)[0] / 8 - 1).float().to(device)
        self.learned, self.held_out = pictures[::2], pictures[1::2]

    def points(self, drawn: Mapping[str, Float[Tensor, "member number"]]) -> Float[Tensor, "member number 64"]:
        """Pictures to learn from, drawn with replacement."""
        return self.learned[(drawn["picture"] * len(self.learned)).long()]

    def real(self, seeds: Sequence[int], number: int) -> Float[Tensor, "member number 64"]:
        """Pictures that none has learned from, each at most once, for each member its own."""
        return some(self.held_out, seeds, number, "real")

    def other(self, seeds: Sequence[int], number: int) -> Float[Tensor, "member number 64"]:
        """Some of those that are learned from."""
        return some(self.learned, seeds, number, "floor")


def some(
    pictures: Float[Tensor, "picture pixel"], seeds: Sequence[int], number: int, purpose: str
) -> Float[Tensor, "member number pixel"]:
    """So many of the pictures, without replacement, for each member its own."""
    order = np.argsort(Streams(seeds, purpose).uniform(len(pictures)), axis=1, kind="stable")
    return pictures[torch.from_numpy(order[:, :number]).to(pictures.device)]


WORLDS: dict[str, type[Ring] | type[Digits]] = {"ring": Ring, "digits": Digits}
"""Name to what is made."""
