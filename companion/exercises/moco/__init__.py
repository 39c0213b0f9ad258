"""MoCo and the queue.

The exercises of the chapter that grows MoCo in the open. Keys and queries are rows of length 1, ``(batch, embedding)``;
a queue is ``(key, embedding)``.
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises.materials import normal


def rows(count: int, seed: int, width: int = 8) -> Float[Tensor, "row embedding"]:
    """So many random directions, as rows of length 1."""
    return normalize(normal(seed)(count, width), dim=1)


ORDER = torch.tensor([2, 0, 4, 1, 3])
"""A permutation that is not its own inverse."""
