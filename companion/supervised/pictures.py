"""Pictures with labels, some of which are wrong."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn.functional import pad

from companion.members import Streams
from companion.runs.settings import at_least_one

__all__ = ["Pictures", "moved", "redrawn"]


@dataclass(frozen=True)
class Pictures:
    """What networks train on and what they are judged on: the same pictures for all of them::

        Pictures.of(vision.shapes(train=1_000, test=1_000))

    Label noise redraws some of the labels for each member (:func:`redrawn`); what is held out keeps the true ones.
    """

    images: UInt8[Tensor, "picture channel height width"]
    """0 to 255."""
    labels: Int64[Tensor, " picture"]
    """The true ones, from 0 on."""
    held_out_images: UInt8[Tensor, "other channel height width"]
    held_out_labels: Int64[Tensor, " other"]
    classes: int
    """How many classes there are."""

    def __post_init__(self) -> None:
        """Raise a ValueError unless shapes and types are as above, and labels below ``classes``.

        Raises:
            TypeError: ``classes`` is no integer.
        """
        at_least_one(classes=self.classes)
        for half in ("", "held_out_"):
            images, labels = getattr(self, f"{half}images"), getattr(self, f"{half}labels")
            if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1:] != self.images.shape[1:]:
                raise ValueError(
                    f"{half}images is {images.dtype} of shape {tuple(images.shape)}; give bytes of shape (picture, "
                    "channel, height, width), alike but for how many"
                )
            if labels.dtype != torch.int64 or labels.shape != images.shape[:1] or not len(labels):
                raise ValueError(
                    f"{half}labels is {labels.dtype} of shape {tuple(labels.shape)}; give int64, one for each of "
                    f"{len(images)} pictures, of which there is at least one"
                )
            if labels.device.type == "meta":  # which has no values
                continue
            if labels.min() < 0 or labels.max() >= self.classes:
                raise ValueError(
                    f"{half}labels lie from {labels.min()} to {labels.max()}; with classes={self.classes} they are 0 "
                    f"to {self.classes - 1}"
                )

    @classmethod
    def of(cls, dataset: Any) -> "Pictures":
        """Those of a data set with its labels, such as :func:`companion.vision.shapes` and the like return."""
        train, test = dataset.train, dataset.test
        return cls(train.images, train.labels, test.images, test.labels, len(dataset.classes))

    @classmethod
    def digits(cls) -> "Pictures":
        """scikit-learn's 1,797 digits of 8×8 grey levels: every second one to train on, the others held out.

        Source: as ``supervised.DATASETS`` has them; nothing is downloaded.
        """
        found = load_digits()
        images = torch.from_numpy(found.images * 255 / 16).round().byte().unsqueeze(1)
        labels = torch.from_numpy(found.target).long()
        return cls(images[::2], labels[::2], images[1::2], labels[1::2], 10)

    def to(self, device: str | torch.device) -> "Pictures":
        """The same on another device."""
        images, labels = self.images.to(device), self.labels.to(device)
        return Pictures(images, labels, self.held_out_images.to(device), self.held_out_labels.to(device), self.classes)


def redrawn(
    labels: Int64[np.ndarray, "member sample"],
    classes: int,
    seeds: Sequence[int],
    share: Float[np.ndarray, " member"] | float,
) -> Int64[np.ndarray, "member sample"]:
    """Labels of which each member has a share redrawn uniformly, once (one in ``classes`` stays what it was).

    Which ones depends on the member's seed alone: of two members with one seed, the one with more label noise has all
    of the other's redrawn labels and some more.
    """
    noise = Streams(seeds, "labels")
    chosen = noise.uniform(labels.shape[1]) < np.reshape(np.float32(share), (-1, 1))
    return np.where(chosen, noise.integers(classes, labels.shape[1]), labels)


def moved(
    images: UInt8[Tensor, "picture channel height width"], numbers: Float[Tensor, "picture 3"], *, reach: int = 4
) -> UInt8[Tensor, "picture channel height width"]:
    """Pictures moved over grey ground by up to ``reach`` pixels across and down, and half of them mirrored.

    Source: the crops and flips of He et al. (2016), section 4.2, but for the ground, which is black there.

    Args:
        images: 0 to 255.
        numbers: uniform in [0, 1), which decide everything.
        reach: pixels, in each direction.
    """
    height, width = images.shape[2:]
    padded = pad(images, [reach] * 4, value=128)
    across, down = (numbers[:, :2] * (2 * reach + 1)).long().T.unsqueeze(2)
    columns = torch.arange(width, device=images.device)
    columns = across + torch.where(numbers[:, 2:] < 0.5, columns, width - 1 - columns)
    rows = down + torch.arange(height, device=images.device)
    which = torch.arange(len(images), device=images.device)
    found = padded[which[:, None, None], :, rows[:, :, None], columns[:, None, :]]
    return found.permute(0, 3, 1, 2)
