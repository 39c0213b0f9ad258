"""Averages of what has become zero, which would decay into subnormal numbers."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["forget"]


def forget(average: Float[Tensor, "..."], below: float) -> None:
    """Set to zero, in place, what is nearer to zero than ``below``.

    The average of a gradient that has become exactly zero, that of a dead unit, is a tenth less at every step and never
    zero: after 800 steps it is a subnormal number (below 1.2e-38 in float32), with which many processors compute ten
    to a hundred times more slowly. A fifth of DQN's first moments go this way, and the step takes twice as long. The
    thresholds lie so low that no weight changes by it: a first moment of 1e-30 moves a weight by 1e-22 learning rates,
    and the root of a second moment of 1e-36 is nothing beside ``eps``.
    """
    torch.ops.aten.hardshrink.out(average, below, out=average)
