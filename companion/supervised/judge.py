"""Judging networks by their rows of numbers: errors, losses, and statistics measured anew."""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.averaging import reestimate_batch_norm
from companion.supervised.convolutional import ConvNet
from companion.supervised.pictures import Pictures

__all__ = ["Judge", "as_inputs", "losses"]

AT_A_TIME = 64
"""Pictures in a batch, of those that statistics are measured on too."""
TOGETHER = 8
"""Networks that are evaluated as one."""


def as_inputs(images: UInt8[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Bytes as what a network is fed: about −2 to 2."""
    return (images.float() - 127.5) / 64


def losses(
    logits: Float[Tensor, "*network picture class"], labels: Int64[Tensor, "*#network picture"]
) -> Float[Tensor, "*network"]:
    """Mean cross-entropy of each network, in nats."""
    each = cross_entropy(logits.movedim(-1, 0)[None], labels.expand(logits.shape[:-1])[None], reduction="none")
    return each[0].mean(-1)


class Judge:
    """Evaluates networks, given as rows of weights and statistics with any axes before.

        judge = Judge(pictures)
        judge.errors(judge.reestimated(torch.from_numpy(run["averages"].values)))

    Args:
        pictures: what statistics are measured on, and what networks are judged on.
        widths: of the networks, as in :class:`ConvNet`.
        residual: whether they are residual networks.
    """

    def __init__(self, pictures: Pictures, *, widths: Sequence[int] = (8, 16, 16), residual: bool = False) -> None:
        self.pictures = pictures
        self.kind: dict[str, Any] = {
            "channels": pictures.images.shape[1],
            "widths": tuple(widths),
            "residual": residual,
        }

    def reestimated(self, rows: Float[Tensor, "*network number"]) -> Float[Tensor, "*network number"]:
        """The same weights with statistics measured on all training pictures."""
        images = self.pictures.images.split(AT_A_TIME)
        parts = []
        for network in self._networks(rows):
            reestimate_batch_norm(network, (_for_all(network, part) for part in images))
            parts.append(network.rows())
        return torch.cat(parts).view(rows.shape)

    @torch.no_grad()
    def logits(
        self,
        rows: Float[Tensor, "*network number"],
        images: UInt8[Tensor, "picture channel height width"] | None = None,
    ) -> Float[Tensor, "*network picture class"]:
        """What the networks say of pictures, by default of those held out."""
        shown = (self.pictures.held_out_images if images is None else images).split(AT_A_TIME)
        said = [
            torch.cat([network(_for_all(network, part)) for part in shown], 1)
            for network in (each.eval() for each in self._networks(rows))
        ]
        return torch.cat(said).unflatten(0, rows.shape[:-1])

    def errors(self, rows: Float[Tensor, "*network number"]) -> Float[Tensor, "*network"]:
        """Share of the held-out pictures that are told wrongly."""
        return (self.logits(rows).argmax(-1) != self.pictures.held_out_labels).float().mean(-1)

    def _networks(self, rows: Float[Tensor, "*network number"]) -> Iterator[ConvNet]:
        """The rows as networks, so many at a time."""
        for some in rows.flatten(0, -2).split(TOGETHER):
            network = ConvNet([0] * len(some), self.pictures.classes, **self.kind)
            network.to(rows.device).put(some)
            yield network


def _for_all(network: ConvNet, images: UInt8[Tensor, "picture channel height width"]) -> Tensor:
    return as_inputs(images).repeat(1, network.members, 1, 1)
