"""One trajectory, many averages: networks that learn from pictures, a bank of averages beside each, and its path."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from companion.averaging import Bank
from companion.averaging.conventions import Number
from companion.averaging.schedules import Schedule
from companion.members import Grid, Streams
from companion.runs.described import described, fingerprint
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, at_least_one, check, setting, shape_settings
from companion.supervised.convolutional import ConvNet
from companion.supervised.judge import Judge, as_inputs, losses
from companion.supervised.optimizers import OPTIMIZERS
from companion.supervised.pictures import Pictures, redrawn

__all__ = ["TrajectorySettings", "trajectories"]


class TrajectorySettings(Settings):
    """Settings of :func:`trajectories`, each of which may be swept."""

    learning_rate: PerMember = setting(0.1, least=0)
    """Step size."""
    anneal: PerMember = setting(False)
    """Whether the step size falls to zero at the end of the run, along half a cosine."""
    momentum: PerMember = setting(0.9, least=0, most=1)
    """Share of the velocity that is kept from step to step; schedule-free's β."""
    label_noise: PerMember = setting(0.0, least=0, most=1)
    """Share of the training labels that are redrawn uniformly, once, before training."""
    optimizer: str = setting("sgd", among=tuple(OPTIMIZERS), shapes=True)
    """``"sgd"``, ``"lookahead"`` or ``"schedule-free"``."""
    batch_size: int = setting(64, least=2, shapes=True)
    """Pictures in a step. Each is seen once an epoch, in a new order; what does not fill a batch is left out."""
    widths: tuple[int, ...] = setting((8, 16, 16), least=1, shapes=True)
    """Channels after each convolution."""


class Trajectories:
    """A population of networks in training, with a bank of averages each: the program of a run.

    Args:
        pictures: what is trained on and judged on.
        seeds: one integer a member.
        settings: the members' own.
        averages: by name, the weight of the newest network.
        epochs: of the whole run.
    """

    def __init__(
        self,
        pictures: Pictures,
        seeds: Sequence[int],
        settings: TrajectorySettings,
        averages: Mapping[str, Number | Schedule],
        epochs: int,
    ) -> None:
        device = pictures.images.device
        self.settings, self.pictures = settings, pictures
        self.judge = Judge(pictures, widths=settings.widths)
        true = np.broadcast_to(pictures.labels.cpu().numpy(), (len(seeds), len(pictures.labels)))
        noisy = redrawn(true, pictures.classes, seeds, settings.label_noise.cpu().numpy())
        self.labels = torch.from_numpy(noisy).to(device)
        channels = pictures.images.shape[1]
        self.network = ConvNet(seeds, pictures.classes, channels=channels, widths=settings.widths).to(device)
        first = self.network.rows()
        self.optimizer = OPTIMIZERS[settings.optimizer](first[:, : self.network.weights], settings.momentum)
        self.bank = Bank(first, averages)
        self.path = first.new_zeros(epochs, *first.shape)
        self.per_epoch = len(pictures.labels) // settings.batch_size
        self.steps = epochs * self.per_epoch
        self._order: list[Tensor] = []
        self._streams = Streams(seeds, "order")

    def step(self, step: int) -> None:
        """Every member learns from a batch, and every average follows."""
        epoch, place = divmod(step - 1, self.per_epoch)
        if place == 0 or not self._order:  # the latter where a checkpoint left off
            self._order = self._ordered(epoch)
        s, batch = self.settings, self._order[place]
        pictures = as_inputs(self.pictures.images[batch]).transpose(0, 1).flatten(1, 2)
        # The mean over the batch, and the sum over members: no member's gradient holds anything of another's.
        loss = losses(self.network.train()(pictures), self.labels.gather(1, batch)).sum()
        fall = 0.5 * (1 + math.cos(math.pi * (step - 1) / self.steps))
        rate = s.learning_rate * torch.where(s.anneal, fall, 1.0)
        self.optimizer.step(self.network.gradient(loss), rate, step)
        self.network.put(self.optimizer.point)
        now = self._now()
        self.bank.update(now)
        if place + 1 == self.per_epoch:
            self.path[epoch] = now

    def _ordered(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch, ``(member, batch)`` each."""
        pictures, size = len(self.pictures.labels), self.settings.batch_size
        self._streams.position = epoch * pictures
        order = np.argsort(self._streams.uniform(pictures), axis=1, kind="stable")[:, : self.per_epoch * size]
        return list(torch.from_numpy(order).to(self.labels.device).split(size, 1))

    def _now(self) -> Tensor:
        """What is evaluated, and the statistics as training keeps them."""
        return torch.cat([self.optimizer.answer, self.network.rows()[:, self.network.weights :]], 1)

    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """``error`` and ``loss`` of every average, with statistics measured anew; at the end, what they all are."""
        judged = []
        for rows in (self._now(), *self.bank.averages):
            logits = self.judge.logits(self.judge.reestimated(rows))
            wrong = (logits.argmax(-1) != self.pictures.held_out_labels).float().mean(-1)
            judged.append(torch.stack([wrong, losses(logits, self.pictures.held_out_labels)]))
            look()
        error, loss = torch.stack(judged, 2).cpu().numpy()
        measured = {"error": error, "loss": loss}
        if step == self.steps:
            averages = torch.cat([self._now()[None], self.bank.averages]).transpose(0, 1)
            measured |= {"averages": averages.cpu().numpy(), "path": self.path.transpose(0, 1).cpu().numpy()}
        return measured

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's tensors, the network's rows, the averages, and the path so far."""
        return {
            "optimizer": self.optimizer.state,
            "network": self.network.rows(),
            "bank": self.bank.state_dict(),
            "path": self.path,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name, tensor in self.optimizer.state.items():
            tensor.copy_(state["optimizer"][name])
        self.network.put(state["network"])
        self.bank.load_state_dict(state["bank"])
        self.path.copy_(state["path"])


@takes_options
def trajectories(
    pictures: Pictures,
    averages: Mapping[str, Number | Schedule],
    *,
    seeds: int | Sequence[int] = 6,
    epochs: int = 30,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train convolutional networks with batch norm on pictures, with a bank of averages riding along with each.

        averages = {"EMA": 0.01, "SWA": swa(240, every=16)}
        run = supervised.trajectories(pictures, averages, anneal=[False, True], label_noise=0.3)
        run["error"].sel(average="SWA", anneal=False)

    A setting given as a list is swept and becomes a dimension of the result. The averages take no part in the training.
    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; a network that
    diverges is named and leaves a gap: all as in :func:`companion.rl.train`.

    Args:
        pictures: the same for all.
        averages: by name, the weight of the newest network: a number in [0, 1], or a schedule, a callable of the count
            of steps, such as :func:`companion.averaging.swa`.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a network's first weights,
            its noisy labels, and the order of the pictures.
        epochs: how often each picture is seen.
        evaluate_every: epochs from one measurement to the next; by default a fifth of ``epochs``. The last is at the
            end.
        {options}
        settings: fields of :class:`TrajectorySettings`.

    Returns:
        ``error`` (share of mistakes on the held-out pictures) and ``loss`` (mean cross-entropy there, in nats) with
        dimensions (swept settings, ``seed``, ``average``, ``epoch``), where ``average`` is ``"last"``, what the
        optimizer has, or one of ``averages``; all with batch-norm statistics measured anew. ``averages``, over
        (swept settings, ``seed``, ``average``, ``number``), and ``path``, over (swept settings, ``seed``, ``kept``,
        ``number``), are networks as rows of numbers, which :class:`Judge` evaluates: all averages at the end, and the
        last network of every epoch, with the statistics that training kept (averages have an average of those). The
        attributes are as those of :func:`train`.

    Raises:
        ValueError: an unknown setting, a value out of range, an average called ``"last"`` or none, too few pictures
            for a batch, or a checkpoint that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    at_least_one(epochs=epochs)
    every = interval(evaluate_every, 5, epochs=epochs)
    checked = check(TrajectorySettings, settings, trajectories)
    grid = Grid(checked, seeds)
    if "last" in averages:
        raise ValueError('averages has one called "last", which is what the optimizer has; call it something else')
    Bank(torch.zeros(1), averages)  # to be refused before any training, if it must be
    sizes = {tuple(np.atleast_1d(checked[name]).tolist()) for name in ("batch_size",)}.pop()
    if max(sizes) > len(pictures.labels) or len({len(pictures.labels) // size for size in sizes}) > 1:
        raise ValueError(
            f"batch_size={checked['batch_size']} of {len(pictures.labels)} pictures; an epoch is to have one batch at "
            "least, and as many for all"
        )
    per_epoch = len(pictures.labels) // sizes[0]
    both = ("average", "epoch")
    told = fingerprint(pictures.images, pictures.labels, pictures.held_out_images, pictures.held_out_labels)
    return experiment(
        "trajectories",
        grid,
        partial(_program, pictures.to(options.chosen_device), grid, averages, epochs, options.chosen_device),
        {"error": both, "loss": both, "averages": ("average", "number"), "path": ("kept", "number")},
        sizes={
            "average": ["last", *averages],
            "kept": list(range(1, epochs + 1)),
            "number": _numbers(pictures, checked["widths"]),
        },
        steps=epochs * per_epoch,
        marks={epoch * per_epoch: epoch for epoch in marks_every(every, epochs)},
        along="epoch",
        apart=shape_settings(TrajectorySettings),
        arguments={
            "pictures": told,
            "average_schedules": described(dict(averages)),
            **checked,
            "seeds": grid.seed_values,
            "epochs": epochs,
            "evaluate_every": every,
        },
        options=options,
    )


def _numbers(pictures: Pictures, widths: tuple[int, ...] | list[tuple[int, ...]]) -> int:
    """How long the longest row is."""
    channels, each = pictures.images.shape[1], widths if isinstance(widths, list) else [widths]
    return max(ConvNet([0], pictures.classes, channels=channels, widths=w).rows().shape[1] for w in each)


def _program(
    pictures: Pictures,
    grid: Grid,
    averages: Mapping[str, Number | Schedule],
    epochs: int,
    device: torch.device,
    own: np.ndarray,
    fixed: dict[str, Any],
) -> Trajectories:
    """The program of some members, who agree on the settings that decide shapes."""
    settings = TrajectorySettings.of(grid, own, fixed, device)
    return Trajectories(pictures, grid.seeds[own].tolist(), settings, averages, epochs)
