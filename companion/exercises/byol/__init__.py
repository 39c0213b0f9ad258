"""BYOL: learning from your own slow copy.

The exercises of the chapter that learns to see without labels and without negatives. An embedding is a row a picture,
``(picture, embedding)``; networks are ordinary modules.
"""

from torch import Tensor
from torch.nn.functional import normalize


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the pictures of 2 − 2 cos: (9.1)."""
    cosine = (normalize(prediction, dim=1) * normalize(target, dim=1)).sum(1)
    return (2 - 2 * cosine).mean()
