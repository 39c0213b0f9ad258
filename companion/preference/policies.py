"""Policies: to each prompt a distribution over answers, whose positions are independent of each other."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from companion.members import MLP

__all__ = ["POLICIES", "Network", "Table", "divergence", "draw", "log_chance"]


class Table(nn.Module):
    """Logits of its own for every prompt, position and token: nothing is shared. It begins uniform.

    Args:
        seeds: one integer a member.
        shape: ``(prompts, positions, vocabulary)``.
        traits: of the prompts, which a table does not look at.
        hidden: nor does it have layers.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], traits: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(len(seeds), *shape))

    def forward(self, traits: Float[Tensor, "member prompt trait"]) -> Float[Tensor, "member prompt position token"]:
        """The logarithm of each token's chance at each position."""
        return self.logits.log_softmax(-1)


class Network(nn.Module):
    """One network for all prompts: what is learned of one changes the answers to the others.

    Args:
        seeds: one integer a member, on which the first weights depend.
        shape: ``(prompts, positions, vocabulary)``.
        traits: numbers that describe a prompt.
        hidden: units of each hidden layer, tanh.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], traits: int, hidden: Sequence[int]) -> None:
        super().__init__()
        _, *self.answer = shape
        self.layers = MLP((traits, *hidden, self.answer[0] * self.answer[1]), seeds, activation=torch.tanh)

    def forward(self, traits: Float[Tensor, "member prompt trait"]) -> Float[Tensor, "member prompt position token"]:
        """The logarithm of each token's chance at each position."""
        return self.layers(traits).unflatten(-1, self.answer).log_softmax(-1)


POLICIES = {"table": Table, "network": Network}


def draw(
    logs: Float[Tensor, "member prompt position token"], uniform: Float[Tensor, "member prompt answer position"]
) -> Int64[Tensor, "member prompt answer position"]:
    """Answers, drawn by uniform numbers: the first token at which the chances add up to more than the number."""
    ends = logs.exp().cumsum(-1)[:, :, None, :, :-1]
    return (ends <= uniform.unsqueeze(-1)).sum(-1)


def log_chance(
    logs: Float[Tensor, "member prompt position token"], answers: Int64[Tensor, "member prompt answer position"]
) -> Float[Tensor, "member prompt answer"]:
    """The logarithm of an answer's chance: the sum over its positions."""
    every = logs.unsqueeze(2).expand(-1, -1, answers.shape[2], -1, -1)
    return every.gather(-1, answers.unsqueeze(-1)).squeeze(-1).sum(-1)


def divergence(
    logs: Float[Tensor, "*rest position token"], others: Float[Tensor, "*rest position token"]
) -> Float[Tensor, "*rest"]:
    """KL(policy ‖ other) in nats, exactly: of independent positions it is the sum of theirs."""
    return (logs.exp() * (logs - others)).sum((-1, -2))
