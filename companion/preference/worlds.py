"""A world in which all that a policy says can be judged exactly: prompts, answers of a few tokens, a true reward."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import one_hot

from companion.members import Streams

__all__ = ["TRAITS", "World"]

TRAITS = 5
"""Numbers that describe a prompt."""

TASTE = 0.3
"""Standard deviation of what a token is worth by itself."""


class World:
    """Prompts, and what an answer to each is worth: the reward that nobody can see, "gold".

    An answer is a row of tokens. With c the number of tokens 0 in it, it is worth c − 0.18 c² + the sum of its tokens'
    own values, which depend on the prompt. Since the reward needs no more than counts, its mean over all of a policy's
    answers needs no more than their mean and variance (:meth:`mean_gold`): no answer has to be drawn.

    Args:
        seeds: one integer a member, which fixes its world.
        prompts: how many there are. Each is described by a direction; that of a single one is (1, 0, 0, 0, 0).
        positions: tokens in an answer.
        vocabulary: tokens there are.
        curvature: of the true reward in c, 0.18 above.
        device: where the tensors live.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        prompts: int,
        positions: int,
        vocabulary: int,
        curvature: float = 0.18,
        device: torch.device,
    ) -> None:
        self.positions, self.vocabulary, self.curvature = positions, vocabulary, curvature
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
        return first - self.curvature * first.square() + (counts * self.values.unsqueeze(2)).sum(-1)

    def features(
        self, counts: Float[Tensor, "member prompt answer token"]
    ) -> Float[Tensor, "member prompt answer feature"]:
        """What a proxy may look at: the count of each token, times each of the prompt's traits."""
        return (counts.unsqueeze(-1) * self.traits[:, :, None, None]).flatten(-2)

    def mean_gold(
        self, counts: Float[Tensor, "member prompt token"], variance: Float[Tensor, "member prompt"]
    ) -> Float[Tensor, "member prompt"]:
        """The mean worth of a policy's answers, exactly: of (13.1), by their mean counts and the variance of c."""
        first = counts[..., 0]
        return first - self.curvature * (variance + first.square()) + (counts * self.values).sum(-1)

    def rewards(self, weights: Float[Tensor, "member feature"]) -> Float[Tensor, "member prompt token"]:
        """What each token adds to an answer's reward by a proxy, which is linear in the counts."""
        return torch.einsum("mpt,mvt->mpv", self.traits, weights.unflatten(-1, (self.vocabulary, TRAITS)))

    def mean_proxy(
        self, counts: Float[Tensor, "member prompt token"], weights: Float[Tensor, "member feature"]
    ) -> Float[Tensor, "member prompt"]:
        """The mean of a proxy over a policy's answers, exactly, by their mean counts."""
        return (counts * self.rewards(weights)).sum(-1)
