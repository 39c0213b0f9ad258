"""The training loop of self-supervision."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor
from torch.nn.functional import pad
from torch.nn.parallel import DistributedDataParallel

import companion.seeds
from companion.population import Grid
from companion.population.described import fingerprint
from companion.population.lasting import Lasting
from companion.population.modes import plain_modes
from companion.population.runs import Run, choose_device
from companion.population.settings import at_least_one, check, one_of, true_or_false
from companion.population.shares import rank_and_world
from companion.vision import byol, moco
from companion.vision.augmentation import Augmentation
from companion.vision.cifar import cifar10
from companion.vision.datasets import Dataset
from companion.vision.encoders import make_encoder
from companion.vision.evaluation import MEASURED, calibrated, evaluate
from companion.vision.momentum import MomentumLearner
from companion.vision.parallel import one_batch_for_all, total, world
from companion.vision.shapes import shapes
from companion.vision.views import Views

__all__ = ["ALGORITHMS", "DATASETS", "load", "make_learner", "train"]

ALGORITHMS: dict[str, tuple[type, Callable[[SimpleNamespace, int], MomentumLearner]]] = {
    "byol": (byol.BYOL, byol.Learner),
    "moco": (moco.MoCo, moco.Learner),
}
"""Name to (settings, learner)."""

DATASETS = {"shapes": shapes, "cifar10": cifar10}
"""Name to a function that returns the :class:`Dataset`."""

_KEPT = 400_000_000
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
        return learner_type(SimpleNamespace(**checked), updates)


class Training:
    """One learner in training: the program that a run goes on with.

    Args:
        learner: on its device.
        views: its batches.
        steps: of the whole run.
        bf16: whether networks compute in bf16 where autocast says so; by default on a GPU.
    """

    def __init__(self, learner: MomentumLearner, views: Views, steps: int, *, bf16: bool | None = None) -> None:
        self.learner = learner
        self._lasting = Lasting(learner)
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
        forward = DistributedDataParallel(learner, broadcast_buffers=False) if world() > 1 else learner
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
        self._loss += total(loss.detach()) / world() if world() > 1 else loss.detach()

    def read_loss(self, steps: int) -> Tensor:
        """Mean loss of so many steps since it was last read; of a split batch, of all its parts."""
        mean = self._loss / steps
        self._loss = torch.zeros_like(mean)
        return mean

    def rate(self, step: int) -> float:
        """Learning rate of a step: up in a straight line, then down along half a cosine, to 0 after the last."""
        s = self.settings
        progress = (step - 1 - s.warmup) / max(1, self.steps - s.warmup)
        return s.learning_rate * min(step / s.warmup if s.warmup else 1.0, 0.5 + 0.5 * np.cos(np.pi * max(0, progress)))

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs; the batches need nothing, and the schedules no more than the step.

        Raises:
            TypeError: the learner holds what a checkpoint cannot, such as a generator.
            ValueError: it keeps something that lasts elsewhere than in its ``state_dict``.
        """
        saved = [*self.learner.parameters(), *self.learner.buffers()]
        memory = {tensor.untyped_storage().data_ptr() for tensor in saved}
        for place, tensor in self._lasting.tensors().items():
            if tensor.untyped_storage().data_ptr() not in memory:
                raise ValueError(
                    f"{place} of the learner is a tensor that its state_dict does not hold, and a checkpoint would not "
                    "either: make it a buffer, by register_buffer, or train without a checkpoint"
                )
        moments = [self.optimizer.state[parameter] for parameter in self._parameters()]
        return {
            "learner": dict(self.learner.state_dict()),
            "moments": [dict(moment) for moment in moments],
            "loss": self._loss,
        }

    def load_state(self, state: dict[str, Any], steps: int) -> None:
        """Go on from where :meth:`state` was taken."""
        self.learner.load_state_dict(state["learner"])
        for parameter, moments in zip(self._parameters(), state["moments"], strict=True):
            self.optimizer.state[parameter] = {name: moment.to(self.device) for name, moment in moments.items()}
        self._loss.copy_(state["loss"])

    def _parameters(self) -> list[Tensor]:
        return [parameter for group in self.optimizer.param_groups for parameter in group["params"]]


@plain_modes()
def train(
    algorithm: str,
    dataset: str | Dataset = "shapes",
    *,
    seeds: int | Sequence[int] = 2,
    epochs: int = 10,
    device: str | torch.device | None = None,
    evaluate_every: int | None = None,
    augmentation: Augmentation | None = None,
    keep_features: bool = False,
    data_parallel: bool = False,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | float = 60.0,
    minutes: int | float | None = None,
    progress: bool = True,
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
        device: where to train; by default the GPU where there is one, else the CPU.
        evaluate_every: epochs from one measurement to the next; by default a fifth of ``epochs``. The first is before
            training, the last after it.
        augmentation: how far a view may be from its picture; by default the data set's own.
        keep_features: whether the result holds the features of the test pictures at the end.
        data_parallel: whether the processes that ``torchrun`` started share every batch.
        checkpoint: file that the run is kept in while it trains, and its result afterwards.
        checkpoint_every: seconds from one writing to the next; 0 is after every step.
        minutes: time after which to stop; no limit if None. With a ``checkpoint``, call again to go on.
        progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0).
        settings: fields of :class:`~companion.vision.byol.BYOL` or :class:`~companion.vision.moco.MoCo`.

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
    settings_type, _ = one_of(ALGORITHMS, "algorithm", algorithm)
    at_least_one(epochs=epochs)
    true_or_false(keep_features=keep_features, data_parallel=data_parallel)
    every = max(1, epochs // 5) if evaluate_every is None else evaluate_every
    at_least_one(evaluate_every=every)
    checked = check(settings_type, settings, train)
    grid = Grid(checked, seeds)
    data = load(dataset) if isinstance(dataset, str) else dataset
    if not isinstance(data, Dataset):
        raise TypeError(f"dataset={data!r} must be {' or '.join(map(repr, DATASETS))}, or a vision.Dataset")
    how = data.augmentation if augmentation is None else augmentation
    if not isinstance(how, Augmentation):
        raise TypeError(f"augmentation={augmentation!r} must be a vision.Augmentation, or None for the data set's own")
    where = choose_device(device)
    batch, rows = checked["batch_size"], [SimpleNamespace(**row) for _, row in grid.one_by_one()]
    _check_batches(batch, rows, len(data.train), rank_and_world()[1] if data_parallel else 1)
    per_epoch = len(data.train) // batch
    steps = epochs * per_epoch
    arguments = {
        "algorithm": algorithm,
        "dataset": data.name,
        "pictures": _fingerprint(data),
        "classes": len(data.classes),
        **checked,
        "augmentation": repr(replace(how, **{name: float(value) for name, value in vars(how).items()})),
        "seeds": grid.seed_values,
        "epochs": epochs,
        "evaluate_every": every,
        "keep_features": keep_features,
    }
    marks = {epoch: column for column, epoch in enumerate(sorted({*range(0, epochs, every), epochs}))}
    shapes_of: dict[str, tuple[int, ...]] = {name: (len(marks),) for name in ("loss", *MEASURED)}
    shapes_of["linear"] = (1,)
    if algorithm == "moco":
        ages = max(row.queue_size // batch for row in rows)
        shapes_of["drift"] = (ages, len(marks))
    if keep_features:
        with torch.device("meta"):  # which takes no memory, and none of the caller's random numbers
            width = max(make_encoder(name).width for name in {row.encoder for row in rows})
        shapes_of["features"] = (len(data.test), width, 1)
    data = data.to(where)
    with (
        one_batch_for_all(data_parallel),
        Run(
            algorithm,
            grid,
            shapes_of,
            steps,
            where,
            apart=None,
            together=world() > 1,
            arguments=arguments,
            checkpoint=checkpoint,
            checkpoint_every=checkpoint_every,
            minutes=minutes,
            progress=progress,
        ) as run,
    ):
        seen: dict[tuple[int, bool], Views] = {}  # of networks that differ in other settings alone
        untrained: dict[tuple[int, str], dict[str, np.ndarray]] = {}
        keep = _KEPT // len(grid.seed_values) if len(rows) > len(grid.seed_values) else 0
        for own, values in run.groups():
            seed = int(grid.seeds[own[0]])
            learner = make_learner(algorithm, updates=steps, seed=seed, **values)
            start = (seed, _weights(learner.online))
            learner = learner.to(where)
            shuffle = getattr(learner.settings, "shuffle", False)
            if (seed, shuffle) not in seen:
                seen[seed, shuffle] = Views(
                    data.train.images, how, batch_size=batch, seed=seed, shuffle=shuffle, keep=keep
                )
            views = seen[seed, shuffle]
            training = Training(learner, views, steps)
            if run.taken(own) == 0:
                if start not in untrained:
                    untrained[start] = _row(evaluate(calibrated(learner.online, data), data, how, seed))
                run.write(own, 0, untrained[start], 0)
            for step in run.steps(own, training):
                if not run.owed:
                    training.step(step)
                epoch, rest = divmod(step, per_epoch)
                if rest or epoch not in marks:
                    continue
                with run.measuring():
                    measured = evaluate(learner.online, data, how, seed, final=step == steps, look=run.look)
                    since = step - per_epoch * max(mark for mark in marks if mark < epoch)
                    at_marks = {"loss": training.read_loss(since)} | {name: measured[name] for name in MEASURED}
                    run.write(own, marks[epoch], _row(at_marks), step)
                    if isinstance(learner, moco.Learner):
                        with training.precision():
                            drift = learner.drift(views, step)
                        run.write(own, marks[epoch], _row({"drift": _filled(drift, ages)}), step, judge=False)
                    if step == steps:
                        run.write(own, 0, _row({"linear": measured["linear"]}), step)
                        if keep_features:
                            features = _filled(measured["features"], width)
                            run.write(own, 0, _row({"features": features}), step, judge=False)

    results, facts = run.gathered()
    dims = {"drift": ("age", "epoch"), "linear": (), "features": ("picture", "feature")}
    variables = {
        name: (dims.get(name, ("epoch",)), array[..., 0] if name in ("linear", "features") else array)
        for name, array in results.items()
    }
    coords = {"epoch": list(marks)}
    if "drift" in results:
        coords["age"] = list(range(1, results["drift"].shape[1] + 1))
    return grid.dataset(variables, coords=coords, attrs={**arguments, **facts})


def _check_batches(batch: int | list[int], rows: list[SimpleNamespace], pictures: int, processes: int) -> None:
    """Raise unless every batch can be filled, split over the processes, and cut into its parts.

    Raises:
        ValueError: one cannot.
    """
    if isinstance(batch, list):
        raise ValueError(f"batch_size={batch} cannot be swept: an epoch would be of another length for each; give one")
    if batch > pictures:
        raise ValueError(f"batch_size={batch} is more than the {pictures} pictures there are; lower it")
    if batch % processes:
        raise ValueError(f"batch_size={batch} cannot be split over {processes} processes; give a multiple of it")
    for parts in {getattr(row, "parts", 1) for row in rows}:
        if batch % parts or batch == parts or (parts > 1 and parts % processes):
            raise ValueError(
                f"parts={parts} must divide batch_size={batch} into 2 pictures or more each, and be 1 or a multiple of "
                f"the {processes} processes"
            )


def _row(measured: dict[str, Tensor]) -> dict[str, np.ndarray]:
    """One member's numbers, as a run writes them."""
    return {name: value.cpu().numpy()[None] for name, value in measured.items()}


def _filled(rows: Tensor, length: int) -> Tensor:
    """With NaN at the end of the last axis, where another member has more."""
    return pad(rows, (0, length - rows.shape[-1]), value=torch.nan)


def _weights(network: torch.nn.Module) -> str:
    """Tells a network from another that computes something else."""
    return fingerprint(*network.state_dict().values()) + repr(network)


def _fingerprint(data: Dataset) -> str:
    """Tells one data set from another of the same name."""
    return fingerprint(data.train.images, data.train.labels, data.test.images, data.test.labels)
