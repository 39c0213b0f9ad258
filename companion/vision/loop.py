"""One network in training: its steps, what is measured of it, and what networks of one seed share."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from companion.runs.described import fingerprint
from companion.runs.processes import ALONE, Processes
from companion.runs.state import StateGuard
from companion.vision.augmentation import Augmentation
from companion.vision.datasets import Dataset
from companion.vision.evaluation import MEASURED, calibrated, evaluate
from companion.vision.momentum import MomentumLearner
from companion.vision.views import Views

__all__ = ["Course", "Measured", "Training"]


class Training:
    """One learner in training.

    Args:
        learner: on its device.
        views: its batches.
        steps: of the whole run.
        bf16: whether networks compute in bf16 where autocast says so; by default on a GPU.
    """

    def __init__(self, learner: MomentumLearner, views: Views, steps: int, *, bf16: bool | None = None) -> None:
        self.learner = learner
        learner.share(views.processes)
        self._guard = StateGuard(learner, "learner")
        self.views = views
        self.settings = settings = learner.settings
        self.steps = steps
        groups = list(learner.parameter_groups())
        optimizer: Any = torch.optim.AdamW
        if settings.optimizer == "sgd":
            optimizer = partial(torch.optim.SGD, momentum=0.9)
        # Fused, it is one pass over the weights, and all its state lies on their device.
        self.optimizer: torch.optim.Optimizer = optimizer(groups, weight_decay=settings.weight_decay, fused=True)
        self.device = views.images.device
        enabled = self.device.type == "cuda" if bf16 is None else bf16
        self.precision = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=enabled)
        """What the networks compute in, training or asked again."""
        self._loss = torch.zeros((), device=self.device)  # the sum since it was last read, the same in every process
        self._losses = 0  # how many are in it
        split = views.processes.world > 1
        forward = DistributedDataParallel(learner, broadcast_buffers=False) if split else learner
        self._forward: Any = torch.compile(forward) if self.device.type == "cuda" else forward

    def step(self, step: int) -> None:
        """Take step 1, 2, 3, …: the loss of two views, one step of the optimizer, one soft update."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step) * group["factor"]
        with self.precision():
            loss = self._forward(self.views(step))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.learner.follow()
        processes = self.views.processes
        self._loss += processes.all_reduce(loss.detach()) / processes.world
        self._losses += 1

    def read_loss(self) -> Tensor:
        """Mean loss of the steps since it was last read; of a split batch, of all its parts."""
        mean = self._loss / self._losses
        self._loss, self._losses = torch.zeros_like(mean), 0
        return mean

    def rate(self, step: int) -> float:
        """Learning rate of a step: up in a straight line, then down along half a cosine, to 0 after the last."""
        s = self.settings
        progress = (step - 1 - s.warmup) / max(1, self.steps - s.warmup)
        return s.learning_rate * min(step / s.warmup if s.warmup else 1.0, 0.5 + 0.5 * np.cos(np.pi * max(0, progress)))

    def state_dict(self) -> dict[str, Any]:
        """All that a checkpoint needs; the batches need nothing, and the schedules no more than the step.

        Raises:
            TypeError: the learner holds what a checkpoint cannot, such as a generator.
            ValueError: it keeps something that lasts elsewhere than in its ``state_dict``.
        """
        self._guard.check()
        moments = [self.optimizer.state[parameter] for parameter in self._parameters()]
        return {
            "learner": dict(self.learner.state_dict()),
            "moments": [dict(moment) for moment in moments],
            "loss": self._loss,
            "losses": self._losses,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken."""
        self.learner.load_state_dict(state["learner"])
        for parameter, moments in zip(self._parameters(), state["moments"], strict=True):
            self.optimizer.state[parameter] = {name: moment.to(self.device) for name, moment in moments.items()}
        self._loss.copy_(state["loss"])
        self._losses = state["losses"]

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


class Course:
    """What networks of one course see, who differ in other settings: what they share is made once.

    Args:
        data: its pictures and their classes, on their device.
        augmentation: how far a view may be from its picture.
        steps: of each network.
        processes: those that share each batch.
        keep: bytes of views of a seed that are kept for the next network.
    """

    def __init__(
        self, data: Dataset, augmentation: Augmentation, steps: int, processes: Processes = ALONE, *, keep: int = 0
    ) -> None:
        self.data = data
        self.augmentation = augmentation
        self.steps = steps
        self._processes = processes
        self._keep = keep
        self._views: dict[tuple[int, bool], Views] = {}
        self._untrained: dict[tuple[int, str], dict[str, Tensor]] = {}

    def views(self, learner: MomentumLearner, seed: int) -> Views:
        """The batches of a seed, as a learner is to see them."""
        key = seed, learner.shuffle
        if key not in self._views:
            given: dict[str, Any] = {
                "batch_size": learner.settings.batch_size,
                "seed": seed,
                "shuffle": learner.shuffle,
            }
            images = self.data.train.images
            self._views[key] = Views(images, self.augmentation, **given, processes=self._processes, keep=self._keep)
        return self._views[key]

    def untrained(self, online: torch.nn.Sequential, seed: int) -> dict[str, Tensor]:
        """What is measured of a network before training."""
        key = seed, fingerprint(*online.state_dict().values()) + repr(online)
        if key not in self._untrained:
            self._untrained[key] = evaluate(calibrated(online, self.data), self.data, self.augmentation, seed)
        return self._untrained[key]


class Measured(Training):
    """A training that is measured on the way: the program of a run.

    Args:
        learner: on its device.
        course: what it sees.
        seed: decides the batches, and the views that are judged.
        keep_features: whether the features of the test pictures are measured at the end.
    """

    def __init__(self, learner: MomentumLearner, course: Course, seed: int, *, keep_features: bool) -> None:
        super().__init__(learner, course.views(learner, seed), course.steps)
        self.course = course
        self.seed = seed
        self.at_the_end = ("linear", "features") if keep_features else ("linear",)

    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """What :func:`~companion.vision.evaluation.evaluate` finds, the loss, and what the learner knows of itself."""
        online, course, final = self.learner.online, self.course, step == self.steps
        if step == 0:
            found = course.untrained(online, self.seed)
        else:
            found = evaluate(online, course.data, course.augmentation, self.seed, final=final, look=look)
        measured = {name: found[name] for name in (*MEASURED, *(self.at_the_end if final else ()))}
        if step:
            measured["loss"] = self.read_loss()
        with self.precision():
            measured |= self.learner.measure(self.views, step)
        return {name: value.cpu().numpy()[None] for name, value in measured.items()}
