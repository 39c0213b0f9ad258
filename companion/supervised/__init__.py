"""Supervised learning with averages riding along: a population of classifiers, and of each its moving averages.

One call trains a figure: ``supervised.train("digits", tau=[1.0, 0.1, 0.01], seeds=16)``. The averages never touch
the training, so one run serves every ``tau`` at once.
"""

from companion.supervised.data import DATASETS, Split, split
from companion.supervised.training import Classifiers, SupervisedSettings, train

__all__ = ["DATASETS", "Classifiers", "Split", "SupervisedSettings", "split", "train"]
