"""Data sets with a member axis: every member has a held-out half, and flipped labels, of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64
from sklearn.datasets import load_digits

from companion.population import Streams

__all__ = ["DATASETS", "Split", "split"]


def digits() -> tuple[Float32[np.ndarray, "sample 64"], Int64[np.ndarray, " sample"]]:
    """scikit-learn's digits: 1,797 pictures of 8×8 grey levels, scaled to [0, 1], and the digit that each shows.

    Source: the test part of E. Alpaydin and C. Kaynak's *Optical Recognition of Handwritten Digits* (UCI, 1998);
    scikit-learn carries it, so nothing is downloaded.
    """
    pictures, labels = load_digits(return_X_y=True)
    return (pictures / 16).astype(np.float32), labels.astype(np.int64)


DATASETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {"digits": digits}
"""Name to loader of (inputs, labels)."""


@dataclass(frozen=True)
class Split:
    """What each member trains on and what it is judged on."""

    inputs: Float32[np.ndarray, "member train feature"]
    labels: Int64[np.ndarray, "member train"]
    """The labels that training sees: the true ones but for those that noise has redrawn."""
    held_out_inputs: Float32[np.ndarray, "member test feature"]
    held_out_labels: Int64[np.ndarray, "member test"]
    """True labels, always."""
    classes: int
    """How many classes there are."""


def split(
    name: str, seeds: Sequence[int], *, held_out: float = 0.5, label_noise: Float[np.ndarray, " member"] | float = 0.0
) -> Split:
    """Shuffle a data set, hold a part of it out, and redraw a share of the training labels, for each member.

    A member's shuffle depends on its seed alone. So do its noisy labels: of two members with one seed, the one with
    more label noise has all of the other's redrawn labels and some more.

    Args:
        name: a name in :data:`DATASETS`.
        seeds: one integer a member.
        held_out: share of the samples to hold out.
        label_noise: share of the training labels redrawn uniformly, once (one in ``classes`` stays what it was).
    """
    inputs, labels = DATASETS[name]()
    classes = int(labels.max()) + 1
    order = np.argsort(Streams(seeds, "split").uniform(labels.size), axis=1, kind="stable")
    test, train = np.split(order, [round(held_out * labels.size)], axis=1)
    noise = Streams(seeds, "labels")
    redrawn = noise.uniform(train.shape[1]) < np.reshape(np.float32(label_noise), (-1, 1))
    noisy = np.where(redrawn, noise.integers(classes, train.shape[1]), labels[train])
    return Split(inputs[train], noisy, inputs[test], labels[test], classes)
