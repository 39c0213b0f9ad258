"""What is measured of a network on the way, without changing it."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor, nn

from companion.members import Streams
from companion.vision import probes
from companion.vision.augmentation import NUMBERS, Augmentation, augment
from companion.vision.datasets import Dataset
from companion.vision.momentum import unit
from companion.vision.normalization import BatchNorm

__all__ = ["MEASURED", "calibrated", "evaluate"]

MEASURED = ("knn", "spread", "effective_rank", "alignment", "uniformity")
"""What is measured at every mark."""

_JUDGED = 2_000  # pictures whose embeddings are measured


def evaluate(
    online: nn.Sequential,
    data: Dataset,
    augmentation: Augmentation,
    seed: int,
    *,
    final: bool = False,
    look: Callable[[], None] = lambda: None,
) -> dict[str, Tensor]:
    """The numbers of :data:`MEASURED`; at the end also ``linear``, and the test pictures' ``features``.

    Where a network has diverged they are NaN.

    Args:
        online: an encoder, and its projector.
        data: its pictures and their classes.
        augmentation: how far the judged views are from their pictures.
        seed: decides those views.
        final: whether this is the end.
        look: called now and then; what it raises ends the evaluation, which leaves no trace.
    """
    bank, queries = (probes.features(online[0], part.images, look=look) for part in (data.train, data.test))
    look()
    classes = len(data.classes)
    judged = data.test.images[:_JUDGED]
    first, second = (
        unit(probes.features(online, augment(judged, numbers.to(judged.device), augmentation)))
        for numbers in torch.from_numpy(Streams([seed], "judged views").uniform(2, len(judged), NUMBERS)[0])
    )
    measured = dict.fromkeys(MEASURED, torch.tensor(torch.nan))
    if first.isfinite().all():  # there is no singular value of infinity
        measured = {
            "knn": _share(probes.knn(bank, data.train.labels, queries, classes=classes), data),
            "spread": probes.spread(first),
            "effective_rank": probes.effective_rank(first),
            "alignment": probes.alignment(first, second),
            "uniformity": probes.uniformity(first),
        }
    look()
    if final:
        measured |= {"linear": torch.tensor(torch.nan), "features": queries}
        if bank.isfinite().all() and queries.isfinite().all():
            measured["linear"] = _share(probes.linear_probe(bank, data.train.labels, queries, classes=classes), data)
    return measured


def calibrated(online: nn.Sequential, data: Dataset) -> nn.Sequential:
    """A copy whose batch normalisation has the statistics of some training pictures.

    Before training it has seen nothing: so a random network is judged as one that is not trained, and not as one that
    is not normalised.
    """
    network = deepcopy(online)
    for module in network.modules():
        if isinstance(module, BatchNorm):
            module.parts, module.momentum = 1, 1.0
    with torch.no_grad():
        network(data.train.images[:_JUDGED] / 255)
    return network


def _share(told: Tensor, data: Dataset) -> Tensor:
    return (told == data.test.labels).float().mean()
