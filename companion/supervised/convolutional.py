"""A convolutional network with batch norm, and with a member axis."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members import Streams

__all__ = ["ConvNet"]


class ConvNet(nn.Module):
    """A small convolutional network for every member: all of them are one network of grouped convolutions.

    Each width is a convolution of 3×3, batch norm and rectification, with the larger of each 2×2 places taken between
    two; the mean over all places goes through a linear layer. Batch norm is torch's own, of all members' channels.

    The weights start as torch's do, uniform within ±1/√in, drawn from ``Streams(seeds, "init")``: a member's first
    weights depend on its seed and on the widths alone.

    Args:
        seeds: one integer a member.
        classes: outputs of each.
        channels: of a picture.
        widths: channels after each convolution.
    """

    def __init__(
        self, seeds: Sequence[int], classes: int, *, channels: int = 3, widths: Sequence[int] = (8, 16, 16)
    ) -> None:
        super().__init__()
        self.members = len(seeds)
        layers: list[nn.Module] = []
        with torch.random.fork_rng(devices=[]):  # torch draws first weights, too, from its global generator
            for index, (wide_in, wide_out) in enumerate(pairwise((channels, *widths))):
                layers += [nn.MaxPool2d(2)] if index else []
                layers += [self._convolution(wide_in, wide_out, 3), nn.BatchNorm2d(self.members * wide_out), nn.ReLU()]
            layers += [nn.AdaptiveAvgPool2d(1), self._convolution(widths[-1], classes, 1)]
        self.layers = nn.Sequential(*layers)
        streams = Streams(seeds, "init")
        with torch.no_grad():
            for layer in self.layers:
                if isinstance(layer, nn.Conv2d):
                    own = layer.weight.view(self.members, -1)
                    fan_in = layer.weight[0].numel()
                    own.copy_(torch.from_numpy(2 * streams.uniform(own.shape[1]) - 1) * fan_in**-0.5)
                    if layer.bias is not None:
                        layer.bias.zero_()
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # twice as fast on a CPU

    def _convolution(self, wide_in: int, wide_out: int, side: int) -> nn.Conv2d:
        return nn.Conv2d(
            self.members * wide_in,
            self.members * wide_out,
            side,
            padding=side // 2,
            groups=self.members,
            bias=side == 1,  # elsewhere batch norm has one
            device="cpu",
        )

    def forward(
        self, pictures: Float[Tensor, "picture channels height width"]
    ) -> Float[Tensor, "member picture class"]:
        """Each member's logits for its own pictures, whose channels stand one member's after another's."""
        logits = self.layers(pictures.contiguous(memory_format=torch.channels_last))
        return logits.flatten(1).unflatten(1, (self.members, -1)).transpose(0, 1)

    def rows(self) -> Float[Tensor, "member number"]:
        """A copy of each member's weights, and behind them (see :attr:`weights`) its batch norms' statistics."""
        return torch.cat([part.reshape(self.members, -1) for part in self._parts()], 1)

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
        gradients = torch.autograd.grad(loss, list(self.parameters()))
        return torch.cat([gradient.reshape(self.members, -1) for gradient in gradients], 1)

    def _parts(self) -> list[Tensor]:
        norms = [layer for layer in self.layers if isinstance(layer, nn.BatchNorm2d)]
        statistics = [part for norm in norms for part in (norm.running_mean, norm.running_var) if part is not None]
        return [*(p.detach() for p in self.parameters()), *statistics]
