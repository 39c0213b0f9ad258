"""Supervised learning with averages riding along: a population of classifiers, and of each its moving averages.

One call trains a figure: ``supervised.train("digits", tau=[1.0, 0.1, 0.01], seeds=16)``. The averages never touch
the training, so one run serves every ``tau`` at once.
"""

from companion.supervised.convolutional import ConvNet
from companion.supervised.data import DATASETS, Split, split
from companion.supervised.judge import Judge
from companion.supervised.pictures import Pictures, redrawn
from companion.supervised.training import Classifiers, SupervisedSettings, train
from companion.supervised.trajectories import TrajectorySettings, trajectories

__all__ = [
    "DATASETS",
    "Classifiers",
    "ConvNet",
    "Judge",
    "Pictures",
    "Split",
    "SupervisedSettings",
    "TrajectorySettings",
    "redrawn",
    "split",
    "train",
    "trajectories",
]
