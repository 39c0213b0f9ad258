"""The batches of a run: which pictures, and two views of each, as a function of the seed and the step."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from companion.members import Streams
from companion.runs.processes import ALONE, Processes
from companion.runs.settings import at_least_one
from companion.vision.augmentation import NUMBERS, Augmentation, augment

__all__ = ["Pair", "Views"]


@dataclass(frozen=True)
class Pair:
    """Two views of each picture of a batch; of a batch split over processes, those of this one."""

    first: Float[Tensor, "own 3 height width"]
    second: Float[Tensor, "own 3 height width"]
    order: Int64[Tensor, " batch"]
    """Which row of the whole batch each row of ``second`` shows; 0, 1, 2, … where it is not shuffled."""


class Views:
    """The batches of a run. Nothing is drawn ahead and nothing need be remembered: any step's can be had at any time.

    In every epoch each picture is seen once, in another order; what does not fill a batch is left out.

    Args:
        images: red, green and blue, 0 to 255.
        how: how far a view may be from its picture.
        batch_size: pictures in a step.
        seed: decides the order of the pictures, both views of each, and the shuffle.
        shuffle: whether the second views are in another order than the first.
        processes: those that share each batch.
        keep: bytes of batches to keep, the first ones drawn, for networks of the same seed that follow.

    Raises:
        ValueError: ``batch_size`` is below 1, or more than the pictures there are.
    """

    def __init__(
        self,
        images: UInt8[Tensor, "picture 3 height width"],
        how: Augmentation,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool = False,
        processes: Processes = ALONE,
        keep: int = 0,
    ) -> None:
        at_least_one(batch_size=batch_size)
        if batch_size > len(images):
            raise ValueError(f"batch_size={batch_size} is more than the {len(images)} pictures there are; lower it")
        self.images = images
        self.how = how
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.processes = processes
        self.per_epoch = len(images) // batch_size
        """Steps in an epoch."""
        self._order, self._shuffle = (Streams([seed], purpose) for purpose in ("order", "shuffle"))
        self._views = [Streams([seed], purpose) for purpose in ("first view", "second view")]
        self._epoch, self._pictures = -1, torch.empty(0, dtype=torch.int64)
        self._room, self._kept = keep, dict[int, Pair]()

    def __call__(self, step: int) -> Pair:
        """The batch of step 1, 2, 3, …, which nobody may change."""
        if step in self._kept:
            return self._kept[step]
        pair = self.draw(step)
        size = sum(tensor.nbytes for tensor in (pair.first, pair.second, pair.order))
        if size <= self._room:
            self._room -= size
            self._kept[step] = pair
        return pair

    def draw(self, step: int) -> Pair:
        """The batch of a step, made anew."""
        pictures = self.pictures(step)
        order = torch.arange(self.batch_size, device=self.images.device)
        own = self.processes.rows(order)
        numbers = [self._numbers(0, step)[own]]
        if self.shuffle:
            order = _permutation(self._shuffle, self.batch_size, step - 1).to(order.device)
        rows = torch.cat([own, self.processes.rows(order)])
        numbers.append(self._numbers(1, step)[rows[len(own) :]])
        both = augment(self.images[pictures[rows]], torch.cat(numbers), self.how)  # at once: fewer operations
        first, second = both.split(len(own))
        return Pair(first, second, order)

    def pictures(self, step: int) -> Int64[Tensor, " batch"]:
        """Which pictures the batch of a step holds."""
        epoch, place = divmod(step - 1, self.per_epoch)
        if epoch != self._epoch:
            self._pictures = _permutation(self._order, len(self.images), epoch).to(self.images.device)
            self._epoch = epoch
        return self._pictures[place * self.batch_size :][: self.batch_size]

    def _numbers(self, which: int, step: int) -> Float[Tensor, "batch numbers"]:
        """What decides the first or the second views of a step."""
        stream = self._views[which]
        stream.position = (step - 1) * self.batch_size * NUMBERS
        return torch.from_numpy(stream.uniform(self.batch_size, NUMBERS)[0]).to(self.images.device)


def _permutation(stream: Streams, length: int, number: int) -> Int64[Tensor, " length"]:
    stream.position = number * length
    return torch.from_numpy(np.argsort(stream.uniform(length)[0], kind="stable"))
