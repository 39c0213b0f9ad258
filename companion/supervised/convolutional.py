"""Convolutional networks with batch norm, and with a member axis: a plain one and a residual one."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members import Streams
from companion.members.residual import convolution, residual_layers

__all__ = ["ConvNet"]


class ConvNet(nn.Module):
    """A convolutional network for every member: all of them are one network of grouped convolutions.

    Each width is a convolution of 3×3, batch norm and rectification, with the largest of each 2×2 places taken between
    two; or, where it is ``residual``, two blocks of ResNet-18. The mean over all places goes through a linear layer.
    Batch norm is torch's own, of all members' channels.

    The weights start as torch's do, uniform within ±1/√in, drawn from ``Streams(seeds, "init")``: a member's first
    weights depend on its seed and on the widths alone.

    Args:
        seeds: one integer a member.
        classes: outputs of each.
        channels: of a picture.
        widths: channels after each convolution, or of each two residual blocks.
        residual: whether it is ``residual_layers``: ResNet-18 for CIFAR-10, if the
            widths are 64, 128, 256 and 512.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        classes: int,
        *,
        channels: int = 3,
        widths: Sequence[int] = (8, 16, 16),
        residual: bool = False,
    ) -> None:
        super().__init__()
        self.members = len(seeds)
        members = self.members
        with torch.random.fork_rng(devices=[]):  # torch draws first weights, too, from its global generator
            if residual:
                layers = residual_layers(nn.BatchNorm2d, channels=channels, widths=widths, members=members)
            else:
                layers = plain_layers(channels, widths, members)
            last = nn.Conv2d(members * widths[-1], members * classes, 1, groups=members)
            self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), last)
        streams = Streams(seeds, "init")
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    own = layer.weight.view(self.members, -1)
                    fan_in = layer.weight[0].numel()
                    own.copy_(torch.from_numpy(2 * streams.uniform(own.shape[1]) - 1) * fan_in**-0.5)
                    if layer.bias is not None:
                        layer.bias.zero_()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def forward(
        self, pictures: Float[Tensor, "picture channels height width"]
    ) -> Float[Tensor, "member picture class"]:
        """Each member's logits for its own pictures, whose channels stand one member's after another's."""
        logits = self.layers(pictures.contiguous(memory_format=torch.channels_last))
        return logits.flatten(1).unflatten(1, (self.members, -1)).transpose(0, 1)

    def rows(self) -> Float[Tensor, "member number"]:
        """A copy of each member's weights, and behind them (see :attr:`weights`) its batch norms' statistics."""
        return self._joined(self._parts())

    def statistics(self) -> Float[Tensor, "member number"]:
        """A copy of each member's batch norms' statistics alone."""
        return self._joined(self._statistics())

    @property
    def weights(self) -> int:
        """How many numbers of a row are weights."""
        return sum(p.numel() for p in self.parameters()) // self.members

    @torch.no_grad()
    def put(self, rows: Float[Tensor, "member number"]) -> None:
        """Set weights and statistics; a row of weights alone leaves the statistics as they are."""
        for part in self._parts():
            if rows.shape[1] == 0:
                return
            mine, rows = rows.split([size := part.numel() // self.members, rows.shape[1] - size], 1)
            part.copy_(mine.reshape(part.shape))

    def gradient(self, loss: Float[Tensor, ""]) -> Float[Tensor, "member weight"]:
        """That of the weights, laid out as they are in a row."""
        return self._joined(torch.autograd.grad(loss, list(self.parameters())))

    def _joined(self, parts: Sequence[Tensor]) -> Float[Tensor, "member number"]:
        return torch.cat([part.reshape(self.members, -1) for part in parts], 1)

    def _parts(self) -> list[Tensor]:
        return [*(p.detach() for p in self.parameters()), *self._statistics()]

    def _statistics(self) -> list[Tensor]:
        norms = [layer for layer in self.modules() if isinstance(layer, nn.BatchNorm2d)]
        return [part for norm in norms for part in (norm.running_mean, norm.running_var) if part is not None]


def plain_layers(channels: int, widths: Sequence[int], members: int) -> list[nn.Module]:
    """A convolution of each width, normalised and rectified, and between two the largest of each 2×2 places."""
    layers: list[nn.Module] = []
    for before, after in pairwise((channels, *widths)):
        layers += [nn.MaxPool2d(2)] if layers else []
        conv = convolution(before * members, after * members, 3, groups=members)
        layers += [conv, nn.BatchNorm2d(after * members), nn.ReLU()]
    return layers
