"""Self-supervision on pictures: MoCo and BYOL, whose targets are slow copies of the network that learns.

    from companion import vision

    run = vision.train("byol", "shapes", tau=[1.0, 0.1, 0.01], seeds=2)
    run["knn"].sel(tau=0.1).mean("seed")

Pictures are in ``shapes.py`` and ``cifar.py``, an algorithm in a file each, what they share in ``momentum.py``, what is
measured on the way in ``evaluation.py``, and what a representation is worth in :mod:`~companion.vision.probes`.
"""

from companion.vision.augmentation import Augmentation, augment
from companion.vision.cifar import cifar10
from companion.vision.datasets import Dataset, Pictures
from companion.vision.shapes import shapes
from companion.vision.training import load, make_learner, train
from companion.vision.views import Pair, Views

__all__ = [
    "Augmentation",
    "Dataset",
    "Pair",
    "Pictures",
    "Views",
    "augment",
    "cifar10",
    "load",
    "make_learner",
    "shapes",
    "train",
]
