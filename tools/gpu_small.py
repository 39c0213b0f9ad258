"""Small sizes, to try on a CPU all that waits for a GPU."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

COUNTED = {
    "rl": ("steps", 16, False),
    "supervised": ("steps", 20, True),
    "vision": ("epochs", 5, True),
    "teachers": ("steps", 20, True),
    "preference": ("steps", 40, True),
}
"""What a training call counts, how often it measures by default, and whether also before it begins."""
APART = 4
"""Steps from one measurement to the next."""
BATCH = 16
"""Pictures in a batch."""


def make_small() -> None:
    """Let every training call be small, and noise stand in for CIFAR-10, whose files may not be here."""
    from companion import generation, preference, rl, supervised, teachers, vision

    for module in (preference, rl, supervised, teachers, vision):
        module.train = smaller(module.train)
    supervised.Pictures = few(supervised.Pictures)  # type: ignore[misc]
    supervised.trajectories = shorter(supervised.trajectories)
    teachers.distil = smaller(teachers.distil)
    generation.train = halved(generation.train)
    vision.cifar10 = vision.training.DATASETS["cifar10"] = noise  # type: ignore[assignment]


def few(pictures: type[Any]) -> type[Any]:
    """Pictures of which no more are taken than fill two small batches of a trajectory."""
    many = 8 * BATCH

    class Few(pictures):  # type: ignore[misc]
        def __init__(self, images: Any, labels: Any, held_out_images: Any, held_out_labels: Any, classes: int) -> None:
            super().__init__(images[:many], labels[:many], held_out_images[:many], held_out_labels[:many], classes)

    return Few


def shorter(trajectories: Callable[..., Any]) -> Callable[..., Any]:
    """Trajectories of large networks that take an epoch for each measurement, and look at all of their marks."""

    from companion.runs.experiment import marks_every

    @functools.wraps(trajectories)
    def short(*arguments: Any, **settings: Any) -> Any:
        if not settings.get("residual"):
            return trajectories(*arguments, **settings)
        total, every = settings["epochs"], settings["evaluate_every"]
        marks = list(marks_every(every, total))
        run = trajectories(*arguments, **settings | {"epochs": len(marks), "evaluate_every": 1})
        return run.assign_coords(epoch=marks).assign_attrs(epochs=total, evaluate_every=every)

    return short


def smaller(train: Callable[..., Any]) -> Callable[..., Any]:
    """A training call that takes few steps, on few pictures, and returns a result of the shape that was asked for."""
    part = train.__module__.split(".")[1]
    from companion.runs.experiment import marks_every

    unit, often, before = COUNTED[part]
    apart = APART if unit == "steps" else 1

    @functools.wraps(train)
    def small(*arguments: Any, **settings: Any) -> Any:
        total = settings.get(unit, inspect.signature(train).parameters[unit].default)
        every = settings.get("evaluate_every") or max(1, total // often)
        marks = list(marks_every(every, total, first=before))
        few = apart * (len(marks) - before - 1) + 1
        settings |= {unit: few, "evaluate_every": apart}
        if part == "rl":
            settings["learning_starts"] = 0
        elif part == "vision":
            arguments, settings = _few_pictures(*arguments, **settings)
        run = train(*arguments, **settings)
        return run.assign_coords({unit.rstrip("s"): marks}).assign_attrs({unit: total, "evaluate_every": every})

    return small


def halved(train: Callable[..., Any]) -> Callable[..., Any]:
    """A training call that measures after a half, a quarter, … of its steps, with as few steps as have these parts."""
    from companion.generation.training import marks_halved

    @functools.wraps(train)
    def small(*arguments: Any, **settings: Any) -> Any:
        total = settings.get("steps", inspect.signature(train).parameters["steps"].default)
        halvings = settings.get("halvings", 0)
        run = train(*arguments, **settings | {"steps": 2**halvings})
        return run.assign_coords(step=list(marks_halved(halvings, total))).assign_attrs(steps=total)

    return small


def _few_pictures(algorithm: str, dataset: Any = "shapes", **settings: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Small batches, and as many of them in the queue as it was to hold, and in an epoch."""
    from companion import vision

    data = vision.load(dataset) if isinstance(dataset, str) else dataset
    usual = vars(vision.make_learner(algorithm).settings)
    ratio = settings.get("batch_size", usual["batch_size"]) // BATCH
    many = BATCH
    if algorithm == "moco":
        size = settings.get("queue_size", usual["queue_size"])
        sizes = [each // ratio for each in (size if isinstance(size, list) else [size])]
        settings["queue_size"] = sizes if isinstance(size, list) else sizes[0]
        many = max(sizes)
    few = vision.Pictures(data.train.images[:many], data.train.labels[:many])
    data = vision.Dataset(data.name, few, data.test, data.classes, data.augmentation)
    return (algorithm, data), settings | {"batch_size": BATCH, "warmup": 0}


def noise() -> Any:
    """A data set of noise, as many pictures to train on as CIFAR-10, since steps are counted by them."""
    import torch

    from companion import vision

    def pictures(many: int) -> vision.Pictures:
        images = torch.randint(256, (many, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
        return vision.Pictures(images, torch.arange(many) % 10)

    return vision.Dataset("noise", pictures(50_000), pictures(10 * BATCH), tuple("0123456789"), vision.Augmentation())
