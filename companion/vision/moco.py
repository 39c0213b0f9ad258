"""MoCo: tell a picture's other view from a queue of earlier keys, all of which a slow copy has made.

Source: He et al. 2020, "Momentum Contrast for Unsupervised Visual Representation Learning" (arXiv:1911.05722),
equations 1 and 2, Algorithm 1; Chen et al. 2020, "Improved Baselines with Momentum Contrastive Learning"
(arXiv:2003.04297), for the projector, the temperature and the augmentation. Departures: Adam or SGD, and a warm-up.
"""

from collections.abc import Sequence
from copy import deepcopy
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import cross_entropy, normalize

from companion.averaging import TargetNetwork
from companion.runs.settings import setting
from companion.vision.momentum import MomentumLearner, MomentumSettings, unit
from companion.vision.views import Pair, Views

__all__ = ["Learner", "MoCoSettings", "loss"]


class MoCoSettings(MomentumSettings):
    """Settings of MoCo. The defaults are for the small encoder and a run of some hundred steps."""

    tau: float = setting(0.05, least=0, most=1)
    """Weight of the online network in the slow copy; the paper's m is 1 − tau, and best at 0.999."""
    queue_size: int = setting(1024, least=1)
    """Keys that a query is told from; the paper's is 65,536. Long beside the data set, it holds older keys of the
    query's own picture."""
    temperature: float = setting(0.2, least=0.001)
    """What cosines are divided by; 0.07 in the first paper, 0.2 in the second."""
    parts: int = setting(1, least=1)
    """Parts of a batch that are batch-normalised by themselves, as on so many GPUs; the paper's is 8."""
    shuffle: bool = setting(True)
    """Whether keys are in other parts than their queries ("Shuffling BN", section 3.3)."""
    normalized: bool = setting(True)
    """Whether the projector's hidden layer is batch-normalised. The second paper's is not, and needs more steps."""


class Learner(MomentumLearner):
    """A network of queries, its slow copy for keys, and the queue of keys, a ring that begins as noise.

    Args:
        settings: of :class:`MoCoSettings`.
        updates: steps of the whole run; not used.
    """

    MEASURES: ClassVar[dict[str, tuple[str, ...]]] = {"drift": ("age", "epoch")}
    queue: Tensor
    pushed: Tensor
    new_keys: Tensor

    settings: MoCoSettings

    def __init__(self, settings: MoCoSettings, updates: int) -> None:
        super().__init__(settings, settings.tau, parts=settings.parts, normalized=settings.normalized)
        noise = torch.randn(settings.queue_size, settings.embedding)
        self.register_buffer("queue", normalize(noise, dim=1))  # (key, embedding)
        self.register_buffer("pushed", torch.zeros((), dtype=torch.int64))  # keys so far
        self.register_buffer("new_keys", noise[:0].clone(), persistent=False)  # the batch's own, until they are pushed
        self.shuffle = settings.shuffle

    def forward(self, views: Pair) -> Float[Tensor, ""]:
        """Equation 1. The batch's own keys are no negatives: they join the queue in :meth:`follow`."""
        self.new_keys = self.keys(views)
        return loss(
            unit(self.online(views.first)), self.processes.rows(self.new_keys), self.queue, self.settings.temperature
        )

    @torch.no_grad()
    def keys(self, views: Pair, target: TargetNetwork | None = None) -> Float[Tensor, "batch embedding"]:
        """What the slow copy says of the whole batch's second views, in the order of the first."""
        target = self.target if target is None else target
        return self.processes.all_gather(unit(target(views.second)))[views.order.argsort()]

    def follow(self) -> None:
        """Move the slow copy, and put the batch's keys in the place of the oldest."""
        super().follow()
        new = self.new_keys[-len(self.queue) :]
        place = self.pushed + len(self.new_keys) - len(new)
        self.queue[(place + torch.arange(len(new), device=new.device)) % len(self.queue)] = new.to(self.queue.dtype)
        self.pushed += len(self.new_keys)
        self.new_keys = self.new_keys[:0]

    @classmethod
    def parts(cls, settings: MoCoSettings) -> int:
        """As the settings say."""
        return settings.parts

    @classmethod
    def sizes(cls, settings: MoCoSettings) -> dict[str, Sequence[int]]:
        """Ages of the batches that the queue holds whole."""
        return {"age": range(1, settings.queue_size // settings.batch_size + 1)}

    def measure(self, views: Views, step: int) -> dict[str, Tensor]:
        """Its :meth:`drift`; before the first step there is none."""
        return {"drift": self.drift(views, step)} if step else {}

    @torch.no_grad()
    def drift(self, views: Views, step: int) -> Float[Tensor, " age"]:
        """How far the keys of the queue are from what the slow copy would say of the same views now, by age.

        Entry a − 1 is the mean of 1 − cos over the batch that was pushed a steps ago, for the batches that the queue
        still holds whole.

        A key that was made in another precision, or by another program, has moved a little already: call it under the
        autocast of the training. Compiled keys, as a GPU's, differ from these by rounding even so.

        Args:
            views: the batches of the run.
            step: the last one that was taken.
        """
        target = deepcopy(self.target)  # a forward pass changes its running statistics
        batch = views.batch_size
        drifts = self.queue.new_zeros(min(step, len(self.queue) // batch))
        for age in range(len(drifts)):
            then = (self.pushed - (age + 1) * batch + torch.arange(batch, device=self.queue.device)) % len(self.queue)
            drifts[age] = 1 - (self.keys(views(step - age), target) * self.queue[then]).sum(1).mean()
        return drifts


def loss(
    query: Float[Tensor, "batch embedding"],
    key: Float[Tensor, "batch embedding"],
    queue: Float[Tensor, "negative embedding"],
    temperature: float,
) -> Float[Tensor, ""]:
    """InfoNCE, equation 1 of He et al. 2020: the cross-entropy of telling its own key from the queue's.

    All rows have length 1. It is computed in their own precision, under autocast too.
    """
    with torch.autocast(query.device.type, enabled=False):
        logits = torch.cat([(query * key).sum(1, keepdim=True), query @ queue.T], 1) / temperature
        return cross_entropy(logits, torch.zeros(len(query), dtype=torch.int64, device=query.device))
