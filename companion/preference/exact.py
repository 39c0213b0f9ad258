"""The same climb without samples: a policy over all answers that can be listed, and the natural gradient."""

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["natural_step", "tilt"]


def natural_step(
    logs: Float[Tensor, "*rest answer"],
    anchor: Float[Tensor, "*rest answer"],
    reward: Float[Tensor, "*rest answer"],
    learning_rate: float,
    beta: float,
) -> Float[Tensor, "*rest answer"]:
    """One step of the natural gradient up E[r] − β KL(policy ‖ anchor), of a policy with a logit for every answer.

    log π ← (1 − ηβ) log π + ηβ (log anchor + r/β), up to a constant: (13.8). That is a soft update of log-probabilities
    towards the best policy, with τ = ηβ; it is written here such that β may be 0.

    Args:
        logs: logarithm of every answer's chance.
        anchor: the same under the anchor.
        reward: of every answer.
        learning_rate: η.
        beta: price of one nat.

    Source: Kakade 2001, "A Natural Policy Gradient"; with a softmax it is mirror descent.
    """
    return (logs + learning_rate * (reward - beta * (logs - anchor))).log_softmax(-1)


def tilt(
    start: Float[Tensor, "*rest answer"], reward: Float[Tensor, "*rest answer"], strength: float | Tensor
) -> Float[Tensor, "*rest answer"]:
    """The logarithm of π₀ e^(λr) / Z, (13.7): of all policies that earn as much, the nearest to π₀.

    Args:
        start: logarithm of every answer's chance under π₀.
        reward: of every answer.
        strength: λ.
    """
    return torch.log_softmax(start + strength * reward, -1)
