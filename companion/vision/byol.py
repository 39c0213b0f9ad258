"""BYOL: the online network predicts what its slow copy says of another view. SimSiam is its corner tau = 1.

Source: Grill et al. 2020, "Bootstrap Your Own Latent" (arXiv:2006.07733), equations 1 and 2; Chen and He 2021,
"Exploring Simple Siamese Representation Learning" (arXiv:2011.10566). Departures: Adam or SGD without LARS, a cosine
schedule of the learning rate after a warm-up in steps, and both views drawn alike.
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.averaging import cosine
from companion.runs.settings import setting
from companion.vision.encoders import head
from companion.vision.momentum import MomentumLearner, MomentumSettings, unit
from companion.vision.views import Pair

__all__ = ["BYOLSettings", "Learner", "loss"]


class BYOLSettings(MomentumSettings):
    """Settings of BYOL. The defaults are for the small encoder and a run of some hundred steps."""

    tau: float = setting(0.2, least=0, most=1)
    """Weight of the online network in the slow copy at the start. The paper's is 0.004, over 300,000 steps and more."""
    anneal: bool = setting(True)
    """Whether tau falls to 0 along half a cosine over the run (the paper's schedule), or stays."""
    predictor: bool = setting(True)
    """Whether the online network has a predictor after its projector; without one the two can agree on anything."""
    predictor_rate: float = setting(10.0, least=0)
    """Learning rate of the predictor, relative to the rest's. The paper's is 1."""
    stop_gradient: bool = setting(True)
    """Whether the target is taken as given. Otherwise it is the online network itself, and the loss pulls at both."""


class Learner(MomentumLearner):
    """An online network with a predictor, and its slow copy.

    Args:
        settings: of :class:`BYOLSettings`.
        updates: steps of the whole run, which the schedule of tau looks at.
    """

    settings: BYOLSettings

    def __init__(self, settings: BYOLSettings, updates: int) -> None:
        tau = cosine(settings.tau, updates) if settings.anneal else settings.tau
        super().__init__(settings, tau, normalized=True)
        sizes = (settings.embedding, settings.hidden, settings.embedding)
        self.predictor = head(sizes) if settings.predictor else nn.Identity()

    def forward(self, views: Pair) -> Float[Tensor, ""]:
        """Equation 2, the symmetric loss: each view's prediction against the other's target."""
        first, second = self.online(views.first), self.online(views.second)
        if self.settings.stop_gradient:
            with torch.no_grad():
                of_first, of_second = self.target(views.first), self.target(views.second)
        else:
            of_first, of_second = first, second
        return loss(self.predictor(first), of_second) + loss(self.predictor(second), of_first)

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """The predictor has a learning rate of its own."""
        yield from super().parameter_groups()
        if self.settings.predictor:
            yield {"params": list(self.predictor.parameters()), "factor": self.settings.predictor_rate}


def loss(prediction: Float[Tensor, "batch embedding"], target: Float[Tensor, "batch embedding"]) -> Float[Tensor, ""]:
    """Mean squared distance of the two on the unit sphere, 2 − 2·cos: equation 2 of Grill et al. 2020."""
    return (2 - 2 * (unit(prediction) * unit(target)).sum(1)).mean()
