"""Labels of answers, and the proxy that is learned from them: a linear reward."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from companion.members import Streams
from companion.preference.policies import Network, Table
from companion.preference.worlds import World

__all__ = ["Labels", "comparisons", "scores"]

NEWTON = 12
"""Steps of Newton's method, after which a Bradley-Terry fit of a few hundred comparisons no longer moves."""


def scores(
    features: Float[Tensor, "member label feature"], outcomes: Float[Tensor, "member label"], ridge: float = 1.0
) -> Float[Tensor, "member feature"]:
    """The linear reward nearest to noisy scores: ridge regression, (13.2).

    Args:
        features: of each labelled answer. A row of zeros counts for nothing.
        outcomes: its score.
        ridge: weight of the squared norm.
    """
    identity = torch.eye(features.shape[-1], device=features.device, dtype=features.dtype)
    matrix = features.mT @ features + ridge * identity
    return torch.linalg.solve(matrix, (features.mT @ outcomes.unsqueeze(-1)).squeeze(-1))


def comparisons(
    features: Float[Tensor, "member label feature"], outcomes: Float[Tensor, "member label"], ridge: float = 1.0
) -> Float[Tensor, "member feature"]:
    """The linear reward under which the comparisons that were seen are most likely: Bradley and Terry's model, (13.3).

    The first answer is preferred with probability σ(r(first) − r(second)). Penalised by the squared norm, as
    :func:`scores`, and found by Newton's method.

    Args:
        features: of the first answer less those of the second. A row of zeros counts for nothing.
        outcomes: 1 where the first was preferred, 0 where the second was.
        ridge: weight of half the squared norm.

    Source: Bradley and Terry 1952; Christiano et al. 2017 (arXiv:1706.03741), equation (1).
    """
    identity = torch.eye(features.shape[-1], device=features.device, dtype=features.dtype)
    weights = torch.zeros_like(features[:, 0])
    for _ in range(NEWTON):
        chance = (features @ weights.unsqueeze(-1)).squeeze(-1).sigmoid()
        slope = (features.mT @ (chance - outcomes).unsqueeze(-1)).squeeze(-1) + ridge * weights
        curvature = features.mT @ (features * (chance * (1 - chance)).unsqueeze(-1)) + ridge * identity
        weights = weights - torch.linalg.solve(curvature, slope)
    return weights


class Labels:
    """All labels that were bought so far: answers of the policy at the time, scored or compared.

    Args:
        world: which knows what answers are worth.
        seeds: one integer a member.
        each: labels of each prompt that are bought at once.
        rounds: how often at most.
        compared: whether a label is a comparison of two answers; else a score of one.
        noise: standard deviation of a score's error. A comparison's is that of the Bradley-Terry model.
    """

    def __init__(
        self, world: World, seeds: Sequence[int], *, each: int, rounds: int, compared: bool, noise: float
    ) -> None:
        self.world, self.each, self.compared, self.noise = world, each, compared, noise
        self._streams = Streams(seeds, "labels")
        device, (members, prompts, _) = world.traits.device, world.traits.shape
        shown = 2 if compared else 1
        self.answers: Int64[Tensor, "member prompt label shown position"] = torch.zeros(
            members, prompts, rounds * each, shown, world.positions, dtype=torch.int64, device=device
        )
        self.outcomes: Float[Tensor, "member prompt label"] = torch.zeros(self.answers.shape[:3], device=device)
        self.bought = 0
        """Labels of each prompt so far."""

    def buy(self, policy: Table | Network) -> None:
        """Draw answers of a policy, and have them judged."""
        _, prompts, _, shown, positions = self.answers.shape
        device, rows = self.answers.device, slice(self.bought, self.bought + self.each)
        uniform = torch.from_numpy(self._streams.uniform(prompts, self.each * shown, positions)).to(device)
        answers = policy.draw(self.world.traits, uniform)
        gold = self.world.gold(self.world.counts(answers)).unflatten(2, (self.each, shown))
        if self.compared:
            chance = torch.from_numpy(self._streams.uniform(prompts, self.each)).to(device)
            outcomes = (chance < (gold[..., 0] - gold[..., 1]).sigmoid()).float()
        else:
            error = torch.from_numpy(self._streams.normal(prompts, self.each)).to(device)
            outcomes = gold[..., 0] + self.noise * error
        self.answers[:, :, rows] = answers.unflatten(2, (self.each, shown))
        self.outcomes[:, :, rows] = outcomes
        self.bought += self.each

    def fit(self) -> Float[Tensor, "member feature"]:
        """The proxy that all labels so far make."""
        answers, outcomes = self.answers[:, :, : self.bought], self.outcomes[:, :, : self.bought].flatten(1)
        features = [self.world.features(self.world.counts(shown)).flatten(1, 2) for shown in answers.unbind(3)]
        if self.compared:
            return comparisons(features[0] - features[1], outcomes)
        return scores(features[0], outcomes)

    def state_dict(self) -> dict[str, Any]:
        """The labels, how many there are, and where the random numbers are."""
        own = {"answers": self.answers, "outcomes": self.outcomes}
        return {**own, "bought": self.bought, "position": self._streams.position}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.answers.copy_(state["answers"])
        self.outcomes.copy_(state["outcomes"])
        self.bought, self._streams.position = state["bought"], state["position"]
