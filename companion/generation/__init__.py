"""Generators of eight Gaussians on a ring, with moving averages of their weights riding along.

``generation.train("diffusion", tau=[0.01, 0.001], seeds=16)`` trains a population of denoisers; ``"gan"`` and
``"consistency"`` are the other methods.
"""

from companion.generation.consistency import Consistency, ConsistencySettings
from companion.generation.diffusion import Diffusion, DiffusionSettings
from companion.generation.distances import frechet, mean_discrepancy, sliced_wasserstein
from companion.generation.gan import GAN, GANSettings
from companion.generation.settings import AverageSettings
from companion.generation.training import METHODS, train

__all__ = [
    "GAN",
    "METHODS",
    "AverageSettings",
    "Consistency",
    "ConsistencySettings",
    "Diffusion",
    "DiffusionSettings",
    "GANSettings",
    "frechet",
    "mean_discrepancy",
    "sliced_wasserstein",
    "train",
]
