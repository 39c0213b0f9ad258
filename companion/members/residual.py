"""Residual networks, one for each member or one alone."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

__all__ = ["convolution", "residual_layers"]


def residual_layers(
    norm: Callable[[int], nn.Module],
    *,
    channels: int = 3,
    widths: Sequence[int] = (64, 128, 256, 512),
    members: int = 1,
) -> list[nn.Module]:
    """From pictures to planes of features: ResNet-18 in its form for CIFAR-10, with these widths.

    That is a 3×3 stem of stride 1 with no pooling after it, and two blocks of each width, of which the first halves the
    plane from the second width on.

    Source: He et al., "Deep Residual Learning for Image Recognition" (2016), table 1, section 4.2 for the stem.

    Args:
        norm: makes a normalisation of so many channels.
        channels: of a picture.
        widths: channels of each two blocks.
        members: networks, each a group of every convolution; channels stand one member's after another's.
    """
    first = widths[0] * members
    layers: list[nn.Module] = [convolution(channels * members, first, 3, groups=members), norm(first), nn.ReLU()]
    before = first
    for index, width in enumerate(widths):
        after, stride = width * members, 2 if index else 1
        layers += [_Block(before, after, stride, norm, members), _Block(after, after, 1, norm, members)]
        before = after
    return layers


class _Block(nn.Module):
    """Two 3×3 convolutions beside a shortcut (He et al. 2016, figure 5, left)."""

    def __init__(self, before: int, after: int, stride: int, norm: Callable[[int], nn.Module], groups: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            convolution(before, after, 3, stride, groups),
            norm(after),
            nn.ReLU(),
            convolution(after, after, 3, 1, groups),
            norm(after),
        )
        same = stride == 1 and before == after
        self.shortcut = (
            nn.Identity() if same else nn.Sequential(convolution(before, after, 1, stride, groups), norm(after))
        )

    def forward(self, x: Float[Tensor, "batch in height width"]) -> Float[Tensor, "batch out h w"]:
        return torch.relu(self.layers(x) + self.shortcut(x))


def convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    """One without a bias, which the normalisation after it has."""
    return nn.Conv2d(before, after, kernel, stride, padding=(kernel - 1) // 2, groups=groups, bias=False)
