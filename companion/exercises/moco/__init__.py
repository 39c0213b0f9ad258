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


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Float[Tensor, " batch"]:
    """Cross-entropy of telling each query's own key from those of the queue; as in the chapter, one for each query."""
    own = (query * key).sum(1, keepdim=True)
    logits = torch.cat((own, query @ queue.T), 1) / temperature
    return logits.logsumexp(1) - logits[:, 0]
