"""A generative adversarial network in the plane: a generator and a critic that learn against each other.

The non-saturating loss of Goodfellow et al. 2014 (arXiv:1406.2661), alternating steps, Adam for both.
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from companion.generation.settings import GeneratorSettings
from companion.generation.worlds import Ring
from companion.members import MLP, Adam
from companion.runs.settings import PerMember, setting

__all__ = ["GAN", "GANSettings"]

BETAS = (0.0, 0.9)
"""Decay of the averages in both players' Adam: no momentum, as in Gulrajani et al. 2017 (arXiv:1704.00028)."""


class GANSettings(GeneratorSettings):
    """Settings of a generator and its critic."""

    learning_rate: PerMember = setting(2e-3, least=0)
    """Step size of both players' Adam."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Points in a step of either player."""
    hidden: tuple[int, ...] = setting((64, 64), least=1, shapes=True)
    """Units of each hidden layer of both players, rectified linear."""


class GAN(nn.Module):
    """Generators of a population, and their critics.

    Args:
        seeds: one integer a member.
        settings: the members' own.
        device: where they live.
    """

    def __init__(self, seeds: Sequence[int], settings: GANSettings, device: torch.device) -> None:
        super().__init__()
        self.world = Ring(device)
        self.generator = MLP((2, *settings.hidden, 2), seeds, purpose="generator").to(device)
        self.critic = MLP((2, *settings.hidden, 1), seeds, purpose="critic").to(device)
        rate = settings.learning_rate.expand(len(seeds))
        self.optimizer = Adam(self.generator, rate, betas=BETAS)
        self.critic_optimizer = Adam(self.critic, rate, betas=BETAS)

    @staticmethod
    def widths(batch: int) -> dict[str, int]:
        """Random numbers that a step takes, by purpose."""
        return {"mode": batch, "offset": 2 * batch, "critic": 2 * batch, "noise": 2 * batch}

    normal = ("offset", "critic", "noise")
    """Purposes whose numbers are normal."""

    def learn(self, drawn: Mapping[str, Float[Tensor, "member _"]]) -> None:
        """One step of every critic, then one of every generator, which sees the critic's new opinion.

        Source: Goodfellow et al. 2014 (arXiv:1406.2661), Algorithm 1 with k = 1 and the loss of its section 3.
        """
        real = self.world.points(drawn)
        with torch.no_grad():
            made = self.generator(drawn["critic"].unflatten(1, (-1, 2)))
        # The logarithm of a logistic's output: log D = −softplus(−logit), log(1 − D) = −softplus(logit).
        doubt = softplus(-self.critic(real)).mean((1, 2)) + softplus(self.critic(made)).mean((1, 2))
        self.critic_optimizer.descend(doubt.sum())
        made = self.generator(drawn["noise"].unflatten(1, (-1, 2)))
        self.optimizer.descend(softplus(-self.critic(made)).mean((1, 2)).sum())

    def sample(self, network: nn.Module, noise: Float[Tensor, "member number 2"]) -> Float[Tensor, "member number 2"]:
        """Points, from noise, in one step."""
        return network(noise)
