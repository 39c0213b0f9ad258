"""Policies: to each prompt a distribution over answers, of which everything can be computed, with nothing estimated."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.functional import one_hot, pad

from companion.members import MLP

__all__ = ["POLICIES", "Network", "Table", "listed"]


class Table(nn.Module):
    """Logits of its own for every prompt, position and token: nothing is shared. It begins uniform.

    Its positions are independent of each other, so that moments and divergences are sums over positions.

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
        """The logarithm of each token's chance at each position: the whole distribution."""
        return self.logits.log_softmax(-1)

    def draw(
        self,
        traits: Float[Tensor, "member prompt trait"],
        uniform: Float[Tensor, "member prompt answer position"],
    ) -> Int64[Tensor, "member prompt answer position"]:
        """Answers, drawn by uniform numbers."""
        return _pick(self(traits).unsqueeze(2), uniform)

    def log_chance(
        self,
        traits: Float[Tensor, "member prompt trait"],
        answers: Int64[Tensor, "member prompt answer position"],
    ) -> Float[Tensor, "member prompt answer"]:
        """The logarithm of an answer's chance: the sum over its positions."""
        every = self(traits).unsqueeze(2).expand(-1, -1, answers.shape[2], -1, -1)
        return every.gather(-1, answers.unsqueeze(-1)).squeeze(-1).sum(-1)

    def judged(self, rewards: Float[Tensor, "member prompt token"]) -> Float[Tensor, "member prompt position token"]:
        """What each token adds to an answer's reward, at each position: everywhere the same."""
        return rewards.unsqueeze(2).expand(-1, -1, self.logits.shape[2], -1)

    @staticmethod
    def moments(
        logs: Float[Tensor, "member prompt position token"],
    ) -> tuple[Float[Tensor, "member prompt token"], Float[Tensor, "member prompt"]]:
        """The mean count of each token in an answer, and the variance of token 0's: of coins, the sums of theirs."""
        chances = logs.exp()
        first = chances[..., 0]
        return chances.sum(2), (first * (1 - first)).sum(-1)

    @staticmethod
    def divergence(
        logs: Float[Tensor, "member prompt position token"], others: Float[Tensor, "member prompt position token"]
    ) -> Float[Tensor, "member prompt"]:
        """KL(policy ‖ other) in nats, exactly: of independent positions it is the sum of theirs."""
        return (logs.exp() * (logs - others)).sum((-1, -2))


class Network(nn.Module):
    """One network that writes every answer to every prompt, token by token: it looks at the prompt and what is written.

    So the same weights serve all prompts and all positions, as in a language model. An answer's chance is the product
    of its tokens', each given those before it. Since answers can be listed, moments and divergences are sums over all.

    Args:
        seeds: one integer a member, on which the first weights depend.
        shape: ``(prompts, positions, vocabulary)``.
        traits: numbers that describe a prompt.
        hidden: units of each hidden layer, tanh.
    """

    def __init__(self, seeds: Sequence[int], shape: Sequence[int], traits: int, hidden: Sequence[int]) -> None:
        super().__init__()
        _, self.positions, self.vocabulary = shape
        self.seen = (self.positions - 1) * self.vocabulary
        self.layers = MLP((traits + self.seen, *hidden, self.vocabulary), seeds, activation=torch.tanh)

    def next_token(
        self,
        traits: Float[Tensor, "member prompt trait"],
        written: Int64[Tensor, "member prompt answer length"],
    ) -> Float[Tensor, "member prompt answer token"]:
        """The logarithm of the chance of each token to be the next, after those that are written."""
        members, prompts, answers, _ = written.shape
        tokens = one_hot(written, self.vocabulary).flatten(-2).to(traits.dtype)
        asked = traits.unsqueeze(2).expand(-1, -1, answers, -1)
        seen = torch.cat((asked, pad(tokens, (0, self.seen - tokens.shape[-1]))), -1)
        return self.layers(seen.flatten(1, 2)).view(members, prompts, answers, -1).log_softmax(-1)

    def forward(self, traits: Float[Tensor, "member prompt trait"]) -> Float[Tensor, "member prompt listed"]:
        """The logarithm of every answer's chance, in the order of :func:`listed`: the whole distribution."""
        logs = traits.new_zeros(*traits.shape[:2], 1)
        for length in range(self.positions):
            written = listed(length, self.vocabulary, traits.device).expand(*traits.shape[:2], -1, -1)
            logs = (logs.unsqueeze(-1) + self.next_token(traits, written)).flatten(-2)
        return logs

    def draw(
        self,
        traits: Float[Tensor, "member prompt trait"],
        uniform: Float[Tensor, "member prompt answer position"],
    ) -> Int64[Tensor, "member prompt answer position"]:
        """Answers, written token by token, each drawn by a uniform number."""
        written = uniform[..., :0].long()
        for number in uniform.split(1, -1):
            token = _pick(self.next_token(traits, written), number.squeeze(-1))
            written = torch.cat((written, token.unsqueeze(-1)), -1)
        return written

    def log_chance(
        self,
        traits: Float[Tensor, "member prompt trait"],
        answers: Int64[Tensor, "member prompt answer position"],
    ) -> Float[Tensor, "member prompt answer"]:
        """The logarithm of an answer's chance, (13.12): the sum over its tokens, each given those before it."""
        logs = torch.zeros_like(answers[..., 0], dtype=traits.dtype)
        for place, token in enumerate(answers.split(1, -1)):
            logs = logs + self.next_token(traits, answers[..., :place]).gather(-1, token).squeeze(-1)
        return logs

    def judged(self, rewards: Float[Tensor, "member prompt token"]) -> Float[Tensor, "member prompt listed"]:
        """What each answer is worth, of which every token adds its own reward."""
        return rewards @ self._counts(rewards).mT

    def _counts(self, like: Tensor) -> Float[Tensor, "listed token"]:
        """How often each token stands in each answer."""
        answers = listed(self.positions, self.vocabulary, like.device)
        return one_hot(answers, self.vocabulary).sum(1).to(like.dtype)

    def moments(
        self, logs: Float[Tensor, "member prompt listed"]
    ) -> tuple[Float[Tensor, "member prompt token"], Float[Tensor, "member prompt"]]:
        """The mean count of each token in an answer, and the variance of token 0's, over all answers."""
        counts, chances = self._counts(logs), logs.exp()
        means = chances @ counts
        return means, chances @ counts[:, 0].square() - means[..., 0].square()

    @staticmethod
    def divergence(
        logs: Float[Tensor, "member prompt listed"], others: Float[Tensor, "member prompt listed"]
    ) -> Float[Tensor, "member prompt"]:
        """KL(policy ‖ other) in nats, exactly: over all answers."""
        return (logs.exp() * (logs - others)).sum(-1)


POLICIES: dict[str, type[Table] | type[Network]] = {"table": Table, "network": Network}


def listed(length: int, vocabulary: int, device: torch.device | None = None) -> Int64[Tensor, "listed length"]:
    """All answers of so many tokens, in the order of a counter's: the last token changes fastest."""
    places = vocabulary ** torch.arange(length - 1, -1, -1, device=device)
    return torch.arange(vocabulary**length, device=device).unsqueeze(-1) // places % vocabulary


def _pick(logs: Float[Tensor, "*rest token"], uniform: Float[Tensor, "*any"]) -> Int64[Tensor, "*any"]:
    """The first token at which the chances add up to more than the number."""
    return (logs.exp().cumsum(-1)[..., :-1] <= uniform.unsqueeze(-1)).sum(-1)
