"""Data sets with a member axis: every member has a held-out half, and flipped labels, of its own."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64
from sklearn.datasets import load_digits

from companion.members import Streams
from companion.runs.settings import at_least_one, one_of
from companion.supervised.pictures import redrawn

__all__ = ["DATASETS", "Split", "split"]


def digits() -> tuple[Float32[np.ndarray, "sample 64"], Int64[np.ndarray, " sample"]]:
    """scikit-learn's digits: 1,797 pictures of 8×8 grey levels, scaled to [0, 1], and the digit that each shows.

    Source: the test part of E. Alpaydin and C. Kaynak's *Optical Recognition of Handwritten Digits* (UCI, 1998);
    scikit-learn carries it, so nothing is downloaded.
    """
    pictures, labels = load_digits(return_X_y=True)
    return (pictures / 16).astype(np.float32), labels.astype(np.int64)


DATASETS: dict[str, Callable[[], tuple[np.ndarray, np.ndarray]]] = {"digits": digits}
"""Name to loader of (inputs, labels): float32 ``(sample, feature)``, and int64 ``(sample,)`` from 0 on."""


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

    def __post_init__(self) -> None:
        """Raise a ValueError unless types and shapes are as above, both halves have samples, inputs are finite and
        labels below ``classes``.

        Raises:
            TypeError: ``classes`` is no integer.
        """
        at_least_one(classes=self.classes)
        members, _, features = self.inputs.shape if self.inputs.ndim == 3 else (0, 0, 0)
        for half in ("", "held_out_"):
            inputs, labels = getattr(self, f"{half}inputs"), getattr(self, f"{half}labels")
            shape = inputs.shape
            if inputs.dtype != np.float32 or shape != (members, *shape[1:2], features) or 0 in shape:
                raise ValueError(
                    f"{half}inputs is {inputs.dtype} of shape {shape}; give float32 of shape (member, sample, feature) "
                    "with one or more of each, and in both halves as many members and features"
                )
            if labels.dtype != np.int64 or labels.shape != shape[:2]:
                raise ValueError(
                    f"{half}labels is {labels.dtype} of shape {labels.shape}; give int64 of shape {shape[:2]}"
                )
            _check(f"{half}inputs", inputs, np.isfinite(inputs), "leave such samples out, or fill them in")
            known = f"with classes={self.classes} labels are 0 to {self.classes - 1}"
            _check(f"{half}labels", labels, (labels >= 0) & (labels < self.classes), known)


def _check(name: str, values: np.ndarray, right: np.ndarray, remedy: str) -> None:
    if not right.all():
        place = tuple(np.argwhere(~right)[0].tolist())
        raise ValueError(f"{name}{list(place)} is {values[place]}; {remedy}")


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

    Raises:
        ValueError: an unknown name, a loader whose arrays are no data set (which, and why), or a half without samples.
    """
    inputs, labels = map(np.asarray, one_of(DATASETS, "dataset", name)())
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(inputs) != labels.size:
        raise ValueError(
            f"dataset={name!r} has labels of {labels.dtype} and shape {labels.shape} for {len(inputs)} inputs; its "
            f"loader must return an integer from 0 on for each"
        )
    tested = round(held_out * labels.size)
    if not 0 < tested < labels.size:
        raise ValueError(
            f"held_out={held_out} of the {labels.size} samples of {name!r} are {tested}, and a half has none; change it"
        )
    classes = int(labels.max()) + 1
    order = np.argsort(Streams(seeds, "split").uniform(labels.size), axis=1, kind="stable")
    test, train = np.split(order, [tested], axis=1)
    noisy = redrawn(labels[train], classes, seeds, label_noise)
    return Split(inputs[train], noisy, inputs[test], labels[test], classes)
