"""Few labels and many pictures, with a member axis, and the noisy views that a student and its teacher see of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from companion.members import Noise, Streams
from companion.supervised import DATASETS

__all__ = ["Pair", "Parts", "Pictures", "parts"]


@dataclass(frozen=True)
class Parts:
    """Which samples of the data set are whose, a row a member."""

    labelled: Int64[np.ndarray, "member labelled"]
    """Those of the pool whose labels are known, as many of each class as can be."""
    pool: Int64[np.ndarray, "member pool"]
    """Those that are learned from, with or without a label."""
    test: Int64[np.ndarray, "member test"]


def parts(labels: Int64[np.ndarray, " sample"], seeds: Sequence[int], known: int) -> Parts:
    """Shuffle the samples, keep one half for the test, and of the other half tell the labels of a few.

    Args:
        labels: of every sample, from 0 on.
        seeds: one integer a member, on which its shuffle depends.
        known: how many labels are told; classes differ by one at the most, as long as they have enough.

    Raises:
        ValueError: there are not so many.
    """
    order = np.argsort(Streams(seeds, "parts").uniform(labels.size), axis=1, kind="stable")
    pool, test = np.split(order, [labels.size // 2], axis=1)
    if known > pool.shape[1]:
        raise ValueError(
            f"labels={known} is more than the {pool.shape[1]} samples that are learned from; ask for fewer"
        )
    of_class = np.eye(labels.max() + 1, dtype=np.int64)[labels[pool]]
    rank = (of_class.cumsum(1) * of_class).sum(2)  # the how manieth of its class: 1, 2, ...
    first = np.argsort(rank, axis=1, kind="stable")[:, :known]
    return Parts(np.take_along_axis(pool, first, 1), pool, test)


@dataclass(frozen=True)
class Pair:
    """Two views of the same pictures, ``(member, batch, pixel)``, and which pictures they are.

    Attributes:
        samples: places in the member's pool; none twice in a batch.
        times: how often each of them was seen in batches before.
        first: shifted and noisy; what a student learns from.
        second: another shift and other noise.
        weak: as ``second``, without the noise.
    """

    samples: Int64[Tensor, " batch"]
    times: Int64[Tensor, " batch"]
    first: Float[Tensor, "member batch pixel"]
    second: Float[Tensor, "member batch pixel"]
    weak: Float[Tensor, "member batch pixel"]


class Pictures:
    """Square pictures, each member's part of them, and views drawn anew at every step.

    A view moves a picture by up to ``shift`` pixels in each direction, and adds to every pixel a normal number of
    standard deviation ``noise``. The pool is gone through in turn, each member in its own order: so a batch holds no
    picture twice, and each is seen again after a pass.

    Args:
        seeds: one integer a member.
        dataset: a name in ``supervised.DATASETS``.
        known: how many labels each member knows.
        batch: pictures of the pool in a step.
        with_labels: pictures with a label in a step, drawn with replacement; may be 0.
        noise: standard deviation, of each member.
        shift: whether pictures move, of each member.
        device: where the tensors live.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        dataset: str = "digits",
        known: int,
        batch: int,
        with_labels: int,
        noise: Float[Tensor, " member"],
        shift: Bool[Tensor, " member"],
        device: torch.device,
    ) -> None:
        inputs, labels = DATASETS[dataset]()
        mine = parts(labels, seeds, known)
        self.labelled, self.pool, self.test = (
            torch.from_numpy(each).to(device) for each in (mine.labelled, mine.pool, mine.test)
        )
        self.labels = torch.from_numpy(labels).to(device)
        self.classes, self.pixels = int(labels.max()) + 1, inputs.shape[1]
        self.moved = torch.from_numpy(moved(inputs)).to(device)
        self.batch, self.with_labels = batch, with_labels
        self.noise, self.shift = noise[:, None, None], shift[:, None]
        views = with_labels + 2 * batch
        widths = {"labelled": with_labels, "shifts": views, "pixels": views * self.pixels}
        self.step = 0
        """How many steps were drawn."""
        self._noise = Noise(seeds, widths, device, normal=["pixels"], length=8)

    def plain(self, samples: Int64[Tensor, "member sample"]) -> Float[Tensor, "member sample pixel"]:
        """Pictures as they are."""
        return self.moved[0, samples]

    def draw(self, step: int) -> tuple[Float[Tensor, "member with_labels pixel"], Int64[Tensor, "member _"], Pair]:
        """The noisy pictures with a label of step 1, 2, …, their labels, and a pair of views of pictures without."""
        if (step - 1) % self._noise.length == 0:
            self._noise.refill()
        self.step = step
        drawn = self._noise.draw()
        known = self.labelled.gather(1, _integers(drawn["labelled"], self.labelled.shape[1]))
        turn = torch.arange(self.batch, device=known.device) + (step - 1) * self.batch
        times, samples = turn // self.pool.shape[1], turn % self.pool.shape[1]
        seen = self.pool[:, samples]
        shifts = (_integers(drawn["shifts"], len(self.moved)) * self.shift).long()
        moved = self.moved[shifts, torch.cat([known, seen, seen], 1)]
        noisy = moved + self.noise * drawn["pixels"].view_as(moved)
        sizes = [self.with_labels, self.batch, self.batch]
        labelled, first, second = noisy.split(sizes, 1)
        return labelled, self.labels[known], Pair(samples, times, first, second, moved.split(sizes, 1)[2])

    def seek(self, step: int) -> None:
        """Go to where so many steps lead."""
        self._noise.seek(step)
        self.step = step


def moved(pictures: Float[np.ndarray, "sample pixel"]) -> Float[np.ndarray, "shift sample pixel"]:
    """Every picture as it is, and moved by a pixel in each of eight directions; what comes in is dark.

    Raises:
        ValueError: the pictures are no squares.
    """
    side = math.isqrt(pictures.shape[1])
    if side**2 != pictures.shape[1]:
        raise ValueError(f"pictures have {pictures.shape[1]} pixels each, which is no square; cut or fill them to one")
    square = pictures.reshape(-1, side, side)
    padded = np.pad(square, ((0, 0), (1, 1), (1, 1)))
    places = sorted(product((0, 1, 2), repeat=2), key=lambda place: place != (1, 1))
    return np.stack([padded[:, y : y + side, x : x + side].reshape(pictures.shape) for y, x in places])


def _integers(uniform: Float[Tensor, "..."], high: int) -> Int64[Tensor, "..."]:
    return (uniform * high).long().clamp_(max=high - 1)
