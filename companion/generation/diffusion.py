"""Diffusion: a network that predicts the noise in a noisy point or picture, and the way back from noise.

Departures from Ho, Jain and Abbeel 2020 (arXiv:2006.11239): 50 noise levels in place of 1,000, with variances scaled
accordingly; a small network, fully connected or of convolutions; samples by the deterministic sampler of Song, Meng and
Ermon 2021, so that two networks can be compared on the same noise.
"""

from collections.abc import Callable, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.generation.settings import GeneratorSettings
from companion.generation.worlds import WORLDS
from companion.members import Adam
from companion.runs.settings import setting

__all__ = ["Diffusion", "DiffusionSettings", "signal"]


class DiffusionSettings(GeneratorSettings):
    """Settings of a denoiser's training."""

    levels: int = setting(50, least=2, most=1000, shapes=True)
    """Noise levels T, from a little noise to nothing but noise."""
    world: str = setting("ring", among=tuple(WORLDS), shapes=True)
    """What is made: points on a ``"ring"``, by a network of hidden layers, or pictures of ``"digits"``, by one of
    convolutions, whose channels ``hidden`` are then."""


def signal(levels: int) -> Float[Tensor, " level"]:
    """How much of a point's variance is left at noise level 0 (all), 1, … T: ``ᾱ_t = (1 − β_1)···(1 − β_t)``.

    The β grow in a straight line from 0.1/T to 20/T, as those of Ho et al. do for T = 1,000.
    """
    beta = torch.linspace(0.1 / levels, min(20 / levels, 0.999), levels, dtype=torch.float64)
    return torch.cat((torch.ones(1, dtype=torch.float64), (1 - beta).cumprod(0))).float()


class Diffusion(nn.Module):
    """Denoisers of a population.

    Args:
        seeds: one integer a member.
        settings: the members' own.
        device: where they live.
    """

    kept: Float[Tensor, " level"]
    noise: Float[Tensor, " level"]

    def __init__(self, seeds: Sequence[int], settings: DiffusionSettings, device: torch.device) -> None:
        super().__init__()
        self.levels = settings.levels
        self.world = WORLDS[settings.world](device)
        self.normal = (*self.world.normal, "noise")
        self.generator = self.world.network(settings.levels + 1, settings.hidden, seeds, device)
        self.optimizer = Adam(self.generator, settings.learning_rate.expand(len(seeds)))
        left = signal(settings.levels).to(device)
        self.register_buffer("kept", left.sqrt(), persistent=False)
        self.register_buffer("noise", (1 - left).sqrt(), persistent=False)

    def widths(self, batch: int) -> dict[str, int]:
        """Random numbers that a step takes, by purpose; those for ``normal`` are normal."""
        each = {**self.world.widths, "level": 1, "noise": self.world.size}
        return {purpose: batch * width for purpose, width in each.items()}

    def learn(self, drawn: Mapping[str, Float[Tensor, "member _"]]) -> None:
        """One step of every denoiser on a batch of its own: ``|ε − ε_θ(√ᾱ_t x₀ + √(1 − ᾱ_t) ε, t)|²``.

        Source: Ho, Jain and Abbeel 2020 (arXiv:2006.11239), Algorithm 1; equation (12.3) of the book.
        """
        x = self.world.points(drawn)
        level = 1 + (drawn["level"] * self.levels).long()
        noise = drawn["noise"].unflatten(1, (-1, self.world.size))
        noisy = self.kept[level].unsqueeze(-1) * x + self.noise[level].unsqueeze(-1) * noise
        error = self.generator(noisy, level) - noise
        self.optimizer.descend(error.square().mean((1, 2)).sum())

    def sample(
        self,
        network: nn.Module,
        noise: Float[Tensor, "member number size"],
        watch: Callable[[Tensor], None] | None = None,
    ) -> Float[Tensor, "member number size"]:
        """Points, from noise, level by level, without further noise.

        Args:
            network: the denoiser, or an average of it.
            noise: standard normal.
            watch: is shown the points at every level, the first before any step.

        Source: Song, Meng and Ermon 2021, "Denoising diffusion implicit models" (arXiv:2010.02502), equation (12) with
        σ = 0; equation (12.4) of the book.
        """
        x = noise
        for level in range(self.levels, 0, -1):
            if watch:
                watch(x)
            noise = network(x, level)
            clean = ((x - self.noise[level] * noise) / self.kept[level]).clamp(-self.world.reach, self.world.reach)
            x = self.kept[level - 1] * clean + self.noise[level - 1] * noise
        if watch:
            watch(x)
        return x
