"""What MoCo and BYOL share: an online network, and its slow copy that says what it should have said."""

import abc
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from companion.averaging import TargetNetwork
from companion.averaging.schedules import Schedule
from companion.runs.processes import ALONE, Processes
from companion.runs.settings import Settings, setting
from companion.vision.encoders import ENCODERS, head, make_encoder
from companion.vision.normalization import BatchNorm
from companion.vision.views import Pair, Views

__all__ = ["MomentumLearner", "MomentumSettings", "unit"]


class MomentumSettings(Settings):
    """Settings that MoCo and BYOL share."""

    learning_rate: float = setting(2e-3, least=0)
    """Of the optimizer, at its largest."""
    warmup: int = setting(50, least=0)
    """Steps over which the learning rate rises to that; from there it falls to 0 along half a cosine."""
    optimizer: str = setting("adam", among=("adam", "sgd"))
    """``"adam"``, with decoupled weight decay, or ``"sgd"`` with momentum 0.9."""
    weight_decay: float = setting(0.0, least=0)
    """Share of the weights lost in a step, relative to the learning rate."""
    batch_size: int = setting(128, least=2)
    """Pictures in a step."""
    encoder: str = setting("small", among=tuple(ENCODERS))
    """``"small"``, or ``"resnet18"`` in its form for CIFAR-10."""
    hidden: int = setting(128, least=1)
    """Units of each hidden layer behind the encoder; in MoCo's second paper 2,048, in BYOL's 4,096."""
    embedding: int = setting(64, least=1)
    """Outputs of the projector, and of BYOL's predictor; in MoCo's papers 128, in BYOL's 256."""


class MomentumLearner(nn.Module, abc.ABC):
    """An encoder and its projector, the *online* network, and the slow copy of both, the *target* network.

    The copy's batch normalisation works as the online network's: it takes the statistics of each batch. Its running
    statistics are those of its own batches, neither copied nor averaged, as in the authors' code of both papers; they
    are not used in training, and features are read from the online encoder.

    Called with two views of a batch it returns the loss. After the optimizer's step follows :meth:`follow`.

    Args:
        settings: the algorithm's own.
        tau: of the slow copy.
        parts: of a batch that are normalised by themselves.
        normalized: whether the projector's hidden layer is batch-normalised.
    """

    MEASURES: ClassVar[dict[str, tuple[str, ...]]] = {}
    """What :meth:`measure` returns, with the dimensions of each; the last is ``"epoch"``."""
    shuffle = False
    """Whether it is to be shown the second views in another order than the first."""
    settings: MomentumSettings

    def __init__(self, settings: MomentumSettings, tau: float | Schedule, *, parts: int = 1, normalized: bool) -> None:
        super().__init__()
        self.settings = settings
        self.processes = ALONE
        """Those that share each batch."""
        encoder = make_encoder(settings.encoder, parts)
        projector = head((encoder.width, settings.hidden, settings.embedding), parts=parts, normalized=normalized)
        self.online = nn.Sequential(encoder, projector)
        self.target = TargetNetwork(self.online, tau=tau, buffers="keep", mode="train")

    @property
    def encoder(self) -> nn.Module:
        """The online encoder, what all this is for."""
        return self.online[0]

    @abc.abstractmethod
    def forward(self, views: Pair) -> Float[Tensor, ""]:
        """The loss of a batch: its mean over the pictures (of this process, where a batch is split)."""

    def follow(self) -> None:
        """Move the slow copy; once after each step of the optimizer."""
        self.target.update(self.online)

    def share(self, processes: Processes) -> None:
        """From here on take a part of every batch only, beside these processes."""
        for module in self.modules():
            if isinstance(module, (BatchNorm, MomentumLearner)):
                module.processes = processes

    @classmethod
    def parts(cls, settings: Any) -> int:
        """Parts of a batch that are normalised by themselves."""
        return 1

    @classmethod
    def sizes(cls, settings: Any) -> dict[str, Sequence[int]]:
        """Coordinates of the further dimensions of :attr:`MEASURES`."""
        return {}

    def measure(self, views: Views, step: int) -> dict[str, Tensor]:
        """What it alone knows of itself, after a step of a run with these batches."""
        return {}

    def parameter_groups(self) -> Iterator[dict[str, Any]]:
        """What the optimizer changes; ``factor`` is to the learning rate."""
        yield {"params": list(self.online.parameters()), "factor": 1.0}


def unit(rows: Float[Tensor, "batch embedding"]) -> Float[Tensor, "batch embedding"]:
    """Each row scaled to length 1, in float32 or better."""
    return normalize(rows.float() if rows.dtype.itemsize < 4 else rows, dim=1)
