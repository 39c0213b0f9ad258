"""Normalisation of a hidden layer, with a member axis: over the units of one input, or over a batch for one unit."""

from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from companion.members.subnormal import forget

__all__ = ["BatchNorm", "FixedLayerNorm", "LayerNorm", "Norm"]


class Norm(nn.Module, ABC):
    """What is done to the inputs or the hidden units of several networks."""

    @abstractmethod
    def forward(
        self, x: Float[Tensor, "network batch unit"], which: slice, *, joint: bool
    ) -> Float[Tensor, "network batch unit"]:
        """Normalise some networks' units.

        Args:
            x: units of those networks.
            which: the networks, among all.
            joint: whether the batch is one to take statistics over.
        """


class FixedLayerNorm(Norm):
    """Mean 0 and variance 1 over the units of each input (Ba, Kiros and Hinton 2016), with ``torch.nn``'s epsilon.

    The length of what comes out is fixed, so that the next layer's weights alone bound its output.
    """

    def forward(
        self, x: Float[Tensor, "network batch unit"], which: slice, *, joint: bool
    ) -> Float[Tensor, "network batch unit"]:
        """Normalise; ``joint`` makes no difference."""
        return layer_norm(x, x.shape[-1:])


class Scaled(Norm):
    """One with a learned scale, 1 at first, and a learned shift, 0 at first, for each unit of each network.

    Args:
        networks: how many there are.
        width: units that are normalised.
        dtype: of the weights beside it.
    """

    def __init__(self, networks: int, width: int, dtype: torch.dtype) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(networks, 1, width, dtype=dtype))
        self.shift = nn.Parameter(torch.zeros(networks, 1, width, dtype=dtype))


class LayerNorm(Scaled):
    """:class:`FixedLayerNorm` with a learned scale and shift, as in ``torch.nn``, by which lengths can grow again."""

    def forward(
        self, x: Float[Tensor, "network batch unit"], which: slice, *, joint: bool
    ) -> Float[Tensor, "network batch unit"]:
        """Normalise; ``joint`` makes no difference."""
        return torch.addcmul(self.shift[which], layer_norm(x, x.shape[-1:]), self.scale[which])


class BatchNorm(Scaled):
    """Mean 0 and variance 1 over the batch for each unit (Ioffe and Szegedy 2015), or by the averages of those.

    Rates and epsilon are those of CrossQ (Bhatt et al. 2024): the averages of mean and variance, which begin at 0 and
    1, move by tau = 0.01. They are observers: no batch that is normalised by its own statistics looks at them.
    """

    mean: Float[Tensor, "network 1 unit"]
    variance: Float[Tensor, "network 1 unit"]

    TAU = 0.01
    EPSILON = 1e-3

    def __init__(self, networks: int, width: int, dtype: torch.dtype) -> None:
        super().__init__(networks, width, dtype)
        self.register_buffer("mean", torch.zeros(networks, 1, width, dtype=dtype))
        self.register_buffer("variance", torch.ones(networks, 1, width, dtype=dtype))

    def forward(
        self, x: Float[Tensor, "network batch unit"], which: slice, *, joint: bool
    ) -> Float[Tensor, "network batch unit"]:
        """Normalise by the statistics of the batch where it is ``joint``, which the averages follow; else by those."""
        mean, variance = self.mean[which], self.variance[which]
        if joint:
            mean = x.mean(1, keepdim=True)
            variance = (x - mean).square().mean(1, keepdim=True)
            for average, seen in ((self.mean, mean), (self.variance, variance)):
                average.lerp_(seen.detach(), self.TAU)
                forget(average, 1e-30)  # of a unit that died
        return torch.addcmul(self.shift[which], (x - mean) * (variance + self.EPSILON).rsqrt(), self.scale[which])
