"""One call trains networks without labels: every combination of the settings, times every seed, one after another."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr

import companion.seeds
from companion.members import Grid
from companion.runs.described import fingerprint
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.processes import ALONE, Processes, launched
from companion.runs.settings import at_least_one, check, one_of, true_or_false
from companion.vision import byol, moco
from companion.vision.augmentation import Augmentation
from companion.vision.cifar import cifar10
from companion.vision.datasets import Dataset
from companion.vision.encoders import make_encoder
from companion.vision.evaluation import MEASURED
from companion.vision.loop import Course, Measured
from companion.vision.momentum import MomentumLearner, MomentumSettings
from companion.vision.shapes import shapes

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
    per_epoch = _steps_of_an_epoch(learner_type, rows, len(data.train), processes)
    steps = epochs * per_epoch
    keep = KEPT // len(grid.seed_values) if grid.swept else 0
    course = Course(data.to(options.chosen_device), how, steps, processes, keep=keep)
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


def _steps_of_an_epoch(
    learner: type[MomentumLearner], rows: Sequence[MomentumSettings], pictures: int, processes: Processes
) -> int:
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
    for parts in set(map(learner.parts, rows)):
        if batch % parts or batch == parts or (parts > 1 and parts % processes.world):
            raise ValueError(
                f"parts={parts} must divide batch_size={batch} into 2 pictures or more each, and be 1 or a multiple of "
                f"the {processes.world} processes"
            )
    return pictures // batch
