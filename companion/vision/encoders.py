"""Encoders: from a picture to features, and the heads that follow them in training."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members.residual import convolution, residual_layers
from companion.vision.normalization import BatchNorm

__all__ = ["ENCODERS", "Encoder", "head", "make_encoder"]


class Encoder(nn.Module):
    """A convolutional network that ends in a mean over the plane.

    Args:
        layers: from pictures to planes of features.
        width: how many features.
    """

    def __init__(self, layers: nn.Module, width: int) -> None:
        super().__init__()
        self.layers = layers.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.width = width

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch feature"]:
        """Features of pictures whose values lie in [0, 1]."""
        centred = (4 * images - 2).contiguous(memory_format=torch.channels_last)
        return self.layers(centred).mean((2, 3))


def small(parts: int) -> Encoder:
    """Three convolutions, each of which halves the plane, with 32, 64 and 128 channels: for a CPU."""
    layers: list[nn.Module] = []
    for (before, after), kernel in zip(pairwise((3, 32, 64, 128)), (4, 3, 3), strict=True):
        layers += [convolution(before, after, kernel, 2), BatchNorm(after, parts), nn.ReLU()]
    return Encoder(nn.Sequential(*layers), 128)


def resnet18(parts: int) -> Encoder:
    """ResNet-18 (He et al. 2016, table 1) in its form for CIFAR-10: a 3×3 stem of stride 1 and no pooling after it."""
    return Encoder(nn.Sequential(*residual_layers(lambda features: BatchNorm(features, parts))), 512)


ENCODERS: dict[str, Callable[[int], Encoder]] = {"small": small, "resnet18": resnet18}
"""Name to a function of the number of parts of a batch that are normalised by themselves."""


def make_encoder(name: str, parts: int = 1) -> Encoder:
    """An encoder by its name in :data:`ENCODERS`.

    Args:
        name: ``"small"`` or ``"resnet18"``.
        parts: see :class:`~companion.vision.normalization.BatchNorm`.
    """
    return ENCODERS[name](parts)


def head(sizes: Sequence[int], *, parts: int = 1, normalized: bool = True) -> nn.Sequential:
    """A perceptron after an encoder: a projector or a predictor.

    Args:
        sizes: of the input, of each hidden layer and of the output.
        parts: see :class:`~companion.vision.normalization.BatchNorm`.
        normalized: whether hidden layers are batch-normalised.
    """
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes[:-1]):
        layers.append(nn.Linear(before, after, bias=not normalized))
        layers += [BatchNorm(after, parts)] * normalized
        layers.append(nn.ReLU())
    return nn.Sequential(*layers, nn.Linear(sizes[-2], sizes[-1]))
