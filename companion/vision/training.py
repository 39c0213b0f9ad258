"""The training loop of self-supervision."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

import companion.seeds
from companion.members import Grid
from companion.runs.described import fingerprint
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.processes import ALONE, Processes, launched
from companion.runs.settings import at_least_one, check, one_of, true_or_false
from companion.runs.state import StateGuard
from companion.vision import byol, moco
from companion.vision.augmentation import Augmentation
from companion.vision.cifar import cifar10
from companion.vision.datasets import Dataset
from companion.vision.encoders import make_encoder
from companion.vision.evaluation import MEASURED, calibrated, evaluate
from companion.vision.momentum import MomentumLearner, MomentumSettings
from companion.vision.shapes import shapes
from companion.vision.views import Views

__all__ = ["ALGORITHMS", "DATASETS", "load", "make_learner", "train"]

ALGORITHMS: dict[str, tuple[type[MomentumSettings], Any]] = {
    "byol": (byol.BYOLSettings, byol.Learner),
    "moco": (moco.MoCoSettings, moco.Learner),
}
"""Name to (settings, learner)."""

DATASETS = {"shapes": shapes, "cifar10": cifar10}
"""Name to a function that returns the :class:`Dataset`."""

KEPT = 400_000_000
"""Bytes of views that a run keeps for the next network of the same seed, which sees the same ones."""


def load(dataset: str) -> Dataset:
    """A data set by its name: ``"shapes"`` or ``"cifar10"``.

    Raises:
        ValueError: there is none of that name; the nearest is named. And as :func:`cifar10` does.
    """
    return one_of(DATASETS, "dataset", dataset)()


def make_learner(
    algorithm: str, *, updates: int = 1_000, seed: int | np.integer = 0, **settings: Any
) -> MomentumLearner:
    """A learner by itself, on the CPU, to be handled by hand.

        learner = vision.make_learner("byol", tau=0.01)
        views = vision.Views(dataset.train.images, dataset.augmentation, batch_size=128, seed=0)
        loss = learner(views(1))

    Args:
        algorithm: ``"byol"`` or ``"moco"``.
        updates: steps of the run that the schedules are for.
        seed: decides the first weights.
        settings: the algorithm's own; none may be a list.

    Raises:
        ValueError: an unknown algorithm or setting, a value out of range, or a list.
    """
    settings_type, learner_type = one_of(ALGORITHMS, "algorithm", algorithm)
    at_least_one(updates=updates)
    (seed,) = Grid({}, [seed]).seed_values
    checked = check(settings_type, settings, make_learner)
    if swept := [name for name, value in checked.items() if isinstance(value, list)]:
        raise ValueError(f"{', '.join(swept)} is a list: one learner has one value of it")
    with torch.random.fork_rng(devices=[]):  # torch's initialisation draws from its global generator
        first = companion.seeds.seed(seed)
        torch.default_generator.manual_seed(first)  # torch.manual_seed would seed every GPU's, too
        return learner_type(settings_type(**checked), updates)


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
        self._guard = StateGuard(learner, "learner")
        learner.share(views.processes)
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


@takes_options
def train(
    algorithm: str,
    dataset: str | Dataset = "shapes",
    *,
    seeds: int | Sequence[int] = 2,
    epochs: int = 10,
    evaluate_every: int | None = None,
    augmentation: Augmentation | None = None,
    keep_features: bool = False,
    data_parallel: bool = False,
    **settings: Any,
) -> xr.Dataset:
    """Train encoders without labels, one for each combination of settings and each seed, one after another.

        run = vision.train("byol", "shapes", tau=[1.0, 0.1, 0.01], seeds=2, epochs=10)
        run["knn"].sel(tau=0.1).mean("seed")

    A setting given as a list is swept and becomes a dimension of the result. The networks train in turn: on a CPU
    one program of grouped convolutions is no faster (``benchmarks/vision.py``); on a GPU that has not been measured.
    Networks of one seed see the same views: as many as fit into 0.4 GB are kept for the next of them.

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; and
    ``torchrun`` splits the networks over processes: all as in :func:`companion.rl.train`. With ``data_parallel`` the
    processes train each network together instead, each on its part of every batch.

    On a GPU the networks run in bf16 where autocast says so and are compiled; on a CPU in float32.

    Args:
        algorithm: ``"byol"`` or ``"moco"``.
        dataset: ``"shapes"``, ``"cifar10"``, or a :class:`Dataset`.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a network's first weights,
            the order of the pictures, and their views.
        epochs: how often each picture is seen.
        evaluate_every: epochs from one measurement to the next; by default a fifth of ``epochs``. The first is before
            training, the last after it.
        augmentation: how far a view may be from its picture; by default the data set's own.
        keep_features: whether the result holds the features of the test pictures at the end.
        data_parallel: whether the processes that ``torchrun`` started share every batch.
        {options}
        settings: fields of :class:`~companion.vision.byol.BYOLSettings` or of
            :class:`~companion.vision.moco.MoCoSettings`.

    Returns:
        With dimensions (swept settings, ``seed``, ``epoch``): ``loss``, the mean since the measurement before; ``knn``,
        the share of test pictures whose class 200 neighbours among the training pictures tell, by features of the
        online encoder; and of the online network's embeddings of two views of test pictures ``spread``,
        ``effective_rank``, ``alignment`` and ``uniformity`` (see :mod:`companion.vision.probes`); for MoCo also
        ``drift``, with the further dimension ``age``, in steps (see :meth:`~companion.vision.moco.Learner.drift`). With
        (swept settings, ``seed``): ``linear``, the share that a linear classifier tells at the end. With
        ``keep_features`` also ``features``, (…, ``picture``, ``feature``). The attributes hold all that the numbers
        depend on, the device, versions, the date and the wall time in seconds; and ``diverged``, ``interrupted`` and
        ``trained`` where there is something to be said, as those of :func:`companion.rl.train`.

    Raises:
        ValueError: an unknown algorithm, data set or setting (the nearest known one is named), a value out of range, a
            batch larger than the data set or that cannot be split, or a checkpoint that cannot be written or gone on
            from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    settings_type, learner_type = one_of(ALGORITHMS, "algorithm", algorithm)
    every = interval(evaluate_every, 5, epochs=epochs)
    true_or_false(keep_features=keep_features, data_parallel=data_parallel)
    grid = Grid(check(settings_type, settings, train), seeds)
    data, how = _data(dataset, augmentation)
    processes = launched() if data_parallel else ALONE
    rows = [settings_type(**row) for _, row in grid.one_by_one()]
    per_epoch = _steps_of_an_epoch(rows, len(data.train), processes)
    steps = epochs * per_epoch
    keep = KEPT // len(grid.seed_values) if grid.swept else 0
    course = Course(data.to(options.where), how, steps, processes, keep=keep)
    variables, sizes = _measured(learner_type, rows, data, keep_features)
    kept = {"epochs": epochs, "evaluate_every": every, "keep_features": keep_features}
    return experiment(
        algorithm,
        grid,
        partial(_program, algorithm, grid, course, keep_features),
        variables,
        sizes=sizes,
        steps=steps,
        marks={epoch * per_epoch: epoch for epoch in marks_every(every, epochs, first=True)},
        along="epoch",
        apart=None,
        together=processes.world > 1,
        arguments={"algorithm": algorithm, **_told(data, how), **grid.settings, "seeds": grid.seed_values, **kept},
        options=options,
    )


def _program(
    algorithm: str, grid: Grid, course: Course, keep_features: bool, own: np.ndarray, settings: dict[str, Any]
) -> Measured:
    """The program of one network."""
    seed = int(grid.seeds[own[0]])
    learner = make_learner(algorithm, updates=course.steps, seed=seed, **settings)
    return Measured(learner.to(course.data.train.images.device), course, seed, keep_features=keep_features)


def _measured(
    learner: type[MomentumLearner], rows: Sequence[MomentumSettings], data: Dataset, keep_features: bool
) -> tuple[dict[str, tuple[str, ...]], dict[str, Any]]:
    """What there will be to measure, with its dimensions; and how long they are where networks have the most."""
    variables = dict.fromkeys(("loss", *MEASURED), ("epoch",)) | {"linear": ()} | learner.MEASURES
    own = [learner.sizes(row) for row in rows]
    sizes: dict[str, Any] = {dim: max((each[dim] for each in own), key=len) for dim in own[0]}
    if keep_features:
        variables["features"] = ("picture", "feature")
        with torch.device("meta"):  # which takes no memory, and none of the caller's random numbers
            width = max(make_encoder(name).width for name in {row.encoder for row in rows})
        sizes |= {"picture": len(data.test), "feature": width}
    return variables, sizes


def _told(data: Dataset, augmentation: Augmentation) -> dict[str, Any]:
    """What tells a data set from another of the same name, and its augmentation."""
    how = replace(augmentation, **{name: float(value) for name, value in vars(augmentation).items()})
    pictures = fingerprint(data.train.images, data.train.labels, data.test.images, data.test.labels)
    return {"dataset": data.name, "pictures": pictures, "classes": len(data.classes), "augmentation": repr(how)}


def _data(dataset: str | Dataset, augmentation: Augmentation | None) -> tuple[Dataset, Augmentation]:
    """The data set, and how far its views may be from its pictures.

    Raises:
        TypeError: one of them is none.
        ValueError: there is no data set of that name.
    """
    data = load(dataset) if isinstance(dataset, str) else dataset
    if not isinstance(data, Dataset):
        raise TypeError(f"dataset={data!r} must be {' or '.join(map(repr, DATASETS))}, or a vision.Dataset")
    how = data.augmentation if augmentation is None else augmentation
    if not isinstance(how, Augmentation):
        raise TypeError(f"augmentation={augmentation!r} must be a vision.Augmentation, or None for the data set's own")
    return data, how


def _steps_of_an_epoch(rows: Sequence[MomentumSettings], pictures: int, processes: Processes) -> int:
    """In how many batches the pictures are seen once, what does not fill one left out.

    Raises:
        ValueError: a batch cannot be filled, split over the processes, or cut into its parts, or there are several.
    """
    batch, *others = {row.batch_size for row in rows}
    if others:
        raise ValueError(
            f"batch_size={sorted({batch, *others})} cannot be swept: an epoch would be of another length for each; "
            "give one"
        )
    if batch > pictures:
        raise ValueError(f"batch_size={batch} is more than the {pictures} pictures there are; lower it")
    if batch % processes.world:
        raise ValueError(f"batch_size={batch} cannot be split over {processes.world} processes; give a multiple of it")
    for parts in {getattr(row, "parts", 1) for row in rows}:
        if batch % parts or batch == parts or (parts > 1 and parts % processes.world):
            raise ValueError(
                f"parts={parts} must divide batch_size={batch} into 2 pictures or more each, and be 1 or a multiple of "
                f"the {processes.world} processes"
            )
    return pictures // batch
