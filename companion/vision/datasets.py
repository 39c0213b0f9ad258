"""What a data set of pictures is."""

from dataclasses import dataclass

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from companion.vision.augmentation import Augmentation

__all__ = ["Dataset", "Pictures"]


@dataclass(frozen=True)
class Pictures:
    """Pictures and what each of them shows. They are kept as bytes: 50,000 of CIFAR-10's take 154 MB on a device."""

    images: UInt8[Tensor, "picture 3 height width"]
    """Red, green and blue, 0 to 255."""
    labels: Int64[Tensor, " picture"]
    """Classes, as indices of :attr:`Dataset.classes`. No training step of this part looks at them."""

    def __post_init__(self) -> None:
        """Raise a ValueError unless there are as many pictures as labels, and of the types above.

        Raises:
            TypeError: one of them is no tensor.
        """
        images, labels = self.images, self.labels
        for name, given in (("images", images), ("labels", labels)):
            if not isinstance(given, Tensor):
                raise TypeError(f"{name} is of the type {type(given).__name__}; give torch.as_tensor({name})")
        if images.ndim != 4 or images.shape[1] != 3 or images.dtype != torch.uint8:
            raise ValueError(
                f"images is {images.dtype} of shape {tuple(images.shape)}; give bytes, 0 to 255, of shape "
                f"(picture, 3, height, width)"
            )
        if min(images.shape[2:]) < 2:
            raise ValueError(f"images is of shape {tuple(images.shape)}; a picture's sides are 2 pixels at least")
        if labels.dtype != torch.int64 or labels.shape != images.shape[:1]:
            raise ValueError(
                f"labels is {labels.dtype} of shape {tuple(labels.shape)}; give int64 of shape ({len(images)},)"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: str | torch.device) -> "Pictures":
        """The same on another device."""
        return Pictures(self.images.to(device), self.labels.to(device))


@dataclass(frozen=True)
class Dataset:
    """Pictures to train on, and others to be judged on."""

    name: str
    """How a result on it is labelled, such as ``"CIFAR-10 (JPEG q75)"``."""
    train: Pictures
    test: Pictures
    classes: tuple[str, ...]
    """What a label means."""
    augmentation: Augmentation
    """How a picture may change and still show the same."""

    def __post_init__(self) -> None:
        """Raise a ValueError unless both sets have two pictures or more, and every label is the index of a class.

        Raises:
            TypeError: a field is of another type.
        """
        kinds = {"name": str, "train": Pictures, "test": Pictures, "classes": tuple, "augmentation": Augmentation}
        for name, kind in kinds.items():
            if not isinstance(given := getattr(self, name), kind):
                raise TypeError(f"{name} of a Dataset is of the type {type(given).__name__}; give {kind.__name__}")
        known = len(self.classes)
        for name, part in (("train", self.train), ("test", self.test)):
            if len(part) < 2:
                raise ValueError(f"{name} has {len(part)} pictures; give 2 or more, whose features can be compared")
            if part.labels.device.type == "meta":  # which has no values
                continue
            wrong = ((part.labels < 0) | (part.labels >= known)).nonzero()
            if len(wrong):
                first = int(wrong[0])
                raise ValueError(
                    f"labels[{first}] of {name} is {int(part.labels[first])}, and there are {known} classes: number "
                    f"them from 0, and name all in classes"
                )

    def to(self, device: str | torch.device) -> "Dataset":
        """The same on another device."""
        return Dataset(self.name, self.train.to(device), self.test.to(device), self.classes, self.augmentation)
