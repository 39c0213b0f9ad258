"""A world in which all that a policy says can be judged exactly: prompts, answers of a few tokens, a true reward."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from companion.members import Streams

__all__ = ["CURVATURE", "TRAITS", "World"]

CURVATURE = 0.18
"""Of the true reward in the number of tokens 0: c of them are worth c − 0.18 c², at most where c is 3."""

TRAITS = 5
"""Numbers that describe a prompt."""

TASTE = 0.3
"""Standard deviation of what a token is worth by itself."""


class World:
    """Prompts, and what an answer to each is worth: the reward that nobody can see, "gold".

    An answer is a row of tokens. With c the number of tokens 0 in it, it is worth c − 0.18 c² + the sum of its tokens'
    own values, which depend on the prompt. Since the reward needs no more than counts, its mean over all answers of a
    policy with independent positions is a formula (:meth:`mean_gold`): no answer has to be drawn.

    Args:
        seeds: one integer a member, which fixes its world.
        prompts: how many there are. Each is described by a direction; that of a single one is (1, 0, 0, 0, 0).
        positions: tokens in an answer.
        vocabulary: tokens there are.
        device: where the tensors live.
    """

    def __init__(
        self, seeds: Sequence[int], *, prompts: int, positions: int, vocabulary: int, device: torch.device
    ) -> None:
        self.positions, self.vocabulary = positions, vocabulary
        streams = Streams(seeds, "world")
        taste = TASTE * streams.normal(TRAITS, vocabulary)
        traits = np.zeros((len(seeds), prompts, TRAITS), np.float32)
        traits[..., 0] = 1
        if prompts > 1:
            traits[..., 1:] = streams.normal(prompts, TRAITS - 1)
            traits /= np.linalg.norm(traits, axis=-1, keepdims=True)
        self.traits: Float[Tensor, "member prompt trait"] = torch.from_numpy(traits).to(device)
        self.values: Float[Tensor, "member prompt token"] = self.traits @ torch.from_numpy(taste).to(device)

    def counts(self, answers: Int64[Tensor, "*rest position"]) -> Float[Tensor, "*rest token"]:
        """How often each token stands in an answer."""
        return one_hot(answers, self.vocabulary).sum(-2).float()

    def gold(self, counts: Float[Tensor, "member prompt answer token"]) -> Float[Tensor, "member prompt answer"]:
        """What answers are worth."""
        first = counts[..., 0]
        return first - CURVATURE * first.square() + (counts * self.values.unsqueeze(2)).sum(-1)

    def features(
        self, counts: Float[Tensor, "member prompt answer token"]
    ) -> Float[Tensor, "member prompt answer feature"]:
        """What a proxy may look at: the count of each token, times each of the prompt's traits."""
        return (counts.unsqueeze(-1) * self.traits[:, :, None, None]).flatten(-2)

    def mean_gold(self, chances: Float[Tensor, "member prompt position token"]) -> Float[Tensor, "member prompt"]:
        """The mean worth of a policy's answers, exactly: (13.1) with the mean and variance of a sum of coins."""
        first = chances[..., 0]
        mean, variance = first.sum(-1), (first * (1 - first)).sum(-1)
        own = (chances.sum(2) * self.values).sum(-1)
        return mean - CURVATURE * (variance + mean.square()) + own

    def mean_proxy(
        self, chances: Float[Tensor, "member prompt position token"], weights: Float[Tensor, "member feature"]
    ) -> Float[Tensor, "member prompt"]:
        """The mean of a proxy over a policy's answers, exactly: it is linear in the counts."""
        features = self.features(chances.sum(2).unsqueeze(2)).squeeze(2)
        return (features @ weights.unsqueeze(-1)).squeeze(-1)
