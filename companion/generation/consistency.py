"""Consistency training: a network that goes from any noise level to the data in one step.

It learns from itself: what it says of a point with a little more noise must be what a slow copy of it says of the same
point with a little less. That copy is in the loop; an average that is only sampled from may ride along.

Departures from Song, Dhariwal, Chen and Sutskever 2023 (arXiv:2303.01469): a fixed number of noise levels, and the
pseudo-Huber loss and weights of Song and Dhariwal 2023 (arXiv:2310.14189).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from companion.averaging import TargetNetwork
from companion.generation import ring
from companion.generation.networks import NoisyMLP
from companion.generation.settings import GeneratorSettings
from companion.generation.worlds import Ring
from companion.members import Adam
from companion.runs.settings import PerMember, setting

__all__ = ["Consistency", "ConsistencySettings", "noise_levels"]

LEAST, MOST = 0.03, 8.0
"""Standard deviation of the noise at the lowest level and at the highest."""
BEND = 7
"""How much more densely low noise is covered than high: ρ."""
DATA = ring.RADIUS / 2**0.5
"""Standard deviation of the data, along one axis, its own noise left out."""
HUBER = 0.03
"""Below which error the loss is quadratic."""


class ConsistencySettings(GeneratorSettings):
    """Settings of consistency training."""

    target_tau: PerMember = setting(1.0, least=0, most=1)
    """Weight of the newest weights in the copy that makes the targets; 1 is the network itself."""
    levels: int = setting(20, least=2, most=1000, shapes=True)
    """Noise levels N."""


def noise_levels(levels: int) -> Float[Tensor, " level"]:
    """Standard deviations of the noise, from the lowest to the highest.

    Source: Karras, Aittala, Aila and Laine 2022 (arXiv:2206.00364), equation (5), with ρ = 7.
    """
    place = torch.linspace(0, 1, levels, dtype=torch.float64)
    least, most = LEAST ** (1 / BEND), MOST ** (1 / BEND)
    return ((least + place * (most - least)) ** BEND).float()


class Consistency(nn.Module):
    """Consistency models of a population, and the slow copies that make their targets.

    Args:
        seeds: one integer a member.
        settings: the members' own.
        device: where they live.
    """

    sigma: Float[Tensor, " level"]

    def __init__(self, seeds: Sequence[int], settings: ConsistencySettings, device: torch.device) -> None:
        super().__init__()
        self.world = Ring(device)
        self.generator = NoisyMLP(settings.levels, settings.hidden, seeds, device)
        self.optimizer = Adam(self.generator, settings.learning_rate.expand(len(seeds)))
        self.target = TargetNetwork(self.generator, tau=settings.target_tau.expand(len(seeds)).clone())
        self.register_buffer("sigma", noise_levels(settings.levels).to(device), persistent=False)

    @staticmethod
    def widths(batch: int) -> dict[str, int]:
        """Random numbers that a step takes, by purpose."""
        return {"mode": batch, "offset": 2 * batch, "level": batch, "noise": 2 * batch}

    normal = ("offset", "noise")
    """Purposes whose numbers are normal."""

    def learn(self, drawn: Mapping[str, Float[Tensor, "member _"]]) -> None:
        """One step of every network on a batch of its own, then one of its slow copy.

        Source: Song, Dhariwal, Chen and Sutskever 2023 (arXiv:2303.01469), Algorithm 3; the loss and its weight
        1/(σ_{n+1} − σ_n) are those of Song and Dhariwal 2023 (arXiv:2310.14189). Equation (12.6) of the book.
        """
        x = self.world.points(drawn)
        lower = (drawn["level"] * (len(self.sigma) - 1)).long()
        noise = drawn["noise"].unflatten(1, (-1, 2))
        less, more = (self.sigma[level].unsqueeze(-1) for level in (lower, lower + 1))
        with torch.no_grad():
            wanted = self.point(self.target, x + less * noise, lower)
        error = self.point(self.generator, x + more * noise, lower + 1) - wanted
        size = (error.square().sum(-1) + HUBER**2).sqrt() - HUBER
        self.optimizer.descend((size / (more - less).squeeze(-1)).mean(1).sum())
        self.target.update(self.generator)

    def point(
        self, network: nn.Module, x: Float[Tensor, "member batch 2"], level: Int64[Tensor, "member batch"] | int
    ) -> Float[Tensor, "member batch 2"]:
        """The point that a noisy one comes from, as the network says: at the lowest level, the point itself.

        Source: Song, Dhariwal, Chen and Sutskever 2023 (arXiv:2303.01469), equation (5) and appendix C.
        """
        sigma = self.sigma[level].expand(x.shape[:2]).unsqueeze(-1)
        size = (sigma.square() + DATA**2).sqrt()
        skip = DATA**2 / ((sigma - LEAST).square() + DATA**2)
        return skip * x + DATA * (sigma - LEAST) / size * network(x / size, level)

    def sample(self, network: nn.Module, noise: Float[Tensor, "member number 2"]) -> Float[Tensor, "member number 2"]:
        """Points, from noise, in one step."""
        return self.point(network, self.sigma[-1] * noise, len(self.sigma) - 1)
