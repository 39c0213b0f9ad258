"""Encoders: from a picture to features, and the heads that follow them in training."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

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
        layers += [_convolution(before, after, kernel, 2), BatchNorm(after, parts), nn.ReLU()]
    return Encoder(nn.Sequential(*layers), 128)


def resnet18(parts: int) -> Encoder:
    """ResNet-18 (He et al. 2016, table 1) in its form for CIFAR-10: a 3×3 stem of stride 1 and no pooling after it."""
    layers: list[nn.Module] = [_convolution(3, 64, 3, 1), BatchNorm(64, parts), nn.ReLU()]
    for before, after, stride in ((64, 64, 1), (64, 128, 2), (128, 256, 2), (256, 512, 2)):
        layers += [_Block(before, after, stride, parts), _Block(after, after, 1, parts)]
    return Encoder(nn.Sequential(*layers), 512)


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016, figure 5, left)."""

    def __init__(self, before: int, after: int, stride: int, parts: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            _convolution(before, after, 3, stride),
            BatchNorm(after, parts),
            nn.ReLU(),
            _convolution(after, after, 3, 1),
            BatchNorm(after, parts),
        )
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(_convolution(before, after, 1, stride), BatchNorm(after, parts))
        )

    def forward(self, x: Float[Tensor, "batch in height width"]) -> Float[Tensor, "batch out h w"]:
        return torch.relu(self.layers(x) + self.shortcut(x))


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


def _convolution(before: int, after: int, kernel: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(before, after, kernel, stride, padding=(kernel - 1) // 2, bias=False)
