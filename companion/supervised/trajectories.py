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
from companion.runs.settings import PerMember, Settings, at_least_one, check, setting, shape_settings, true_or_false
from companion.supervised.convolutional import ConvNet
from companion.supervised.judge import Judge, as_inputs, losses
from companion.supervised.optimizers import OPTIMIZERS
from companion.supervised.pictures import Pictures, moved, redrawn

__all__ = ["TrajectorySettings", "trajectories"]


class TrajectorySettings(Settings):
    """Settings of :func:`trajectories`, each of which may be swept."""

    learning_rate: PerMember = setting(0.1, least=0)
    """Step size."""
    anneal: PerMember = setting(False)
    """Whether the step size falls, along half a cosine."""
    fall_to: PerMember = setting(0.0, least=0, most=1)
    """Share of the step size that is left where it has fallen."""
    fall_until: PerMember = setting(1.0, least=0.01, most=1)
    """Share of the run after which it has fallen; from there on it stays."""
    momentum: PerMember = setting(0.9, least=0, most=1)
    """Share of the velocity that is kept from step to step; schedule-free's β."""
    weight_decay: PerMember = setting(0.0, least=0)
    """Share of the weights that is added to their gradient, batch norm's included."""
    label_noise: PerMember = setting(0.0, least=0, most=1)
    """Share of the training labels that are redrawn uniformly, once, before training."""
    optimizer: str = setting("sgd", among=tuple(OPTIMIZERS), shapes=True)
    """``"sgd"``, ``"lookahead"`` or ``"schedule-free"``."""
    batch_size: int = setting(64, least=2, shapes=True)
    """Pictures in a step. Each is seen once an epoch, in a new order; what does not fill a batch is left out."""
    augment: bool = setting(False, shapes=True)
    """Whether a picture is moved by up to four pixels, and half of the time mirrored, whenever it is seen."""
    widths: tuple[int, ...] = setting((8, 16, 16), least=1, shapes=True)
    """Channels after each convolution, or of each two residual blocks."""
    residual: bool = setting(False, shapes=True)
    """Whether the network is a residual one: ResNet-18 for CIFAR-10, if the widths are 64, 128, 256 and 512."""


class Trajectories:
    """A population of networks in training, with a bank of averages each: the program of a run.

    Args:
        pictures: what is trained on and judged on.
        seeds: one integer a member.
        settings: the members' own.
        averages: by name, the weight of the newest network.
        epochs: of the whole run.
        keep_networks: whether the path is kept, and returned with the averages.
    """

    def __init__(
        self,
        pictures: Pictures,
        seeds: Sequence[int],
        settings: TrajectorySettings,
        averages: Mapping[str, Number | Schedule],
        epochs: int,
        keep_networks: bool = True,
    ) -> None:
        device = pictures.images.device
        self.settings, self.pictures = settings, pictures
        self.judge = Judge(pictures, widths=settings.widths, residual=settings.residual)
        true = np.broadcast_to(pictures.labels.cpu().numpy(), (len(seeds), len(pictures.labels)))
        noisy = redrawn(true, pictures.classes, seeds, settings.label_noise.cpu().numpy())
        self.labels = torch.from_numpy(noisy).to(device)
        self.network = ConvNet(seeds, pictures.classes, **self.judge.kind).to(device)
        first = self.network.rows()
        self.optimizer = OPTIMIZERS[settings.optimizer](first[:, : self.network.weights], settings.momentum)
        self.bank = Bank(first, averages)
        self.keep_networks = keep_networks
        self.path = first.new_zeros(epochs if keep_networks else 0, *first.shape)
        self.per_epoch = len(pictures.labels) // settings.batch_size
        self.steps = epochs * self.per_epoch
        self._order: list[Tensor] = []
        self._draws: list[Tensor] = []
        self._streams, self._moves = Streams(seeds, "order"), Streams(seeds, "moves")

    def step(self, step: int) -> None:
        """Every member learns from a batch, and every average follows."""
        epoch, place = divmod(step - 1, self.per_epoch)
        if place == 0 or not self._order:  # the latter where a checkpoint left off
            self._order = self._ordered(epoch)
            self._draws = self._drawn(epoch) if self.settings.augment else []
        batch = self._order[place]
        images = self.pictures.images[batch]
        if self._draws:
            images = moved(images.flatten(0, 1), self._draws[place].flatten(0, 1)).view(images.shape)
        # The mean over the batch, and the sum over members: no member's gradient holds anything of another's.
        logits = self.network.train()(as_inputs(images).transpose(0, 1).flatten(1, 2))
        gradient = self.network.gradient(losses(logits, self.labels.gather(1, batch)).sum())
        gradient.addcmul_(self.optimizer.point, self.settings.weight_decay.unsqueeze(1))
        self.optimizer.step(gradient, self._rate(step), step)
        self.network.put(self.optimizer.point)
        now = self._now()
        self.bank.update(now)
        if self.keep_networks and place + 1 == self.per_epoch:
            self.path[epoch] = now

    def _rate(self, step: int) -> Tensor:
        """Each member's step size."""
        s = self.settings
        passed = ((step - 1) / self.steps / s.fall_until).clamp(max=1)
        left = s.fall_to + (1 - s.fall_to) * 0.5 * (1 + (math.pi * passed).cos())
        return s.learning_rate * torch.where(s.anneal, left, 1.0)

    def _ordered(self, epoch: int) -> list[Tensor]:
        """The batches of an epoch, ``(member, batch)`` each."""
        pictures, size = len(self.pictures.labels), self.settings.batch_size
        self._streams.position = epoch * pictures
        order = np.argsort(self._streams.uniform(pictures), axis=1, kind="stable")[:, : self.per_epoch * size]
        return list(torch.from_numpy(order).to(self.labels.device).split(size, 1))

    def _drawn(self, epoch: int) -> list[Tensor]:
        """What moves the pictures of an epoch's batches, ``(member, batch, 3)`` each."""
        size = self.settings.batch_size
        self._moves.position = epoch * self.per_epoch * size * 3
        draws = torch.from_numpy(self._moves.uniform(self.per_epoch * size, 3))
        return list(draws.to(self.labels.device).split(size, 1))

    def _now(self) -> Tensor:
        """What is evaluated, and the statistics as training keeps them."""
        return torch.cat([self.optimizer.answer, self.network.statistics()], 1)

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
        if step == self.steps and self.keep_networks:
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
    keep_networks: bool = True,
    **settings: Any,
) -> xr.Dataset:
    """Train convolutional networks with batch norm on pictures, with a bank of averages riding along with each.

        averages = {"EMA": 0.01, "SWA": swa(240, every=16)}
        run = supervised.trajectories(pictures, averages, anneal=[False, True], label_noise=0.3)
        run["error"].sel(average="SWA", anneal=False)

    A setting given as a list is swept and becomes a dimension of the result. The averages take no part in the training.
    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; a network that
    diverges is named and leaves a gap: all as in :func:`companion.rl.train`. A residual network trains by itself, not
    as one of a population, since one fills a processor.

    Args:
        pictures: the same for all.
        averages: by name, the weight of the newest network: a number in [0, 1], or a schedule, a callable of the count
            of steps, such as :func:`companion.averaging.swa`.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a network's first weights,
            its noisy labels, and the order of the pictures.
        epochs: how often each picture is seen.
        evaluate_every: epochs from one measurement to the next; by default a fifth of ``epochs``. The last is at the
            end.
        keep_networks: whether the networks themselves are returned; of large ones that is much.
        {options}
        settings: fields of :class:`TrajectorySettings`.

    Returns:
        ``error`` (share of mistakes on the held-out pictures) and ``loss`` (mean cross-entropy there, in nats) with
        dimensions (swept settings, ``seed``, ``average``, ``epoch``), where ``average`` is ``"last"``, what the
        optimizer has, or one of ``averages``; all with batch-norm statistics measured anew. Where networks are kept,
        ``averages``, over
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
    true_or_false(keep_networks=keep_networks)
    every = interval(evaluate_every, 5, epochs=epochs)
    checked = check(TrajectorySettings, settings, trajectories)
    grid = Grid(checked, seeds)
    if "last" in averages:
        raise ValueError('averages has one called "last", which is what the optimizer has; call it something else')
    Bank(torch.zeros(1), averages)  # to be refused before any training, if it must be
    batches = {len(pictures.labels) // size for size in np.atleast_1d(checked["batch_size"]).tolist()}
    if 0 in batches or len(batches) > 1:
        raise ValueError(
            f"batch_size={checked['batch_size']} of {len(pictures.labels)} pictures; an epoch is to have one batch at "
            "least, and as many for all"
        )
    per_epoch = batches.pop()
    both = ("average", "epoch")
    told = fingerprint(pictures.images, pictures.labels, pictures.held_out_images, pictures.held_out_labels)
    variables: dict[str, tuple[str, ...]] = {"error": both, "loss": both}
    sizes: dict[str, Any] = {"average": ["last", *averages]}
    if keep_networks:
        variables |= {"averages": ("average", "number"), "path": ("kept", "number")}
        sizes |= {"kept": list(range(1, epochs + 1)), "number": _numbers(pictures, grid)}
    return experiment(
        "trajectories",
        grid,
        partial(_program, pictures.to(options.chosen_device), grid, averages, epochs, keep_networks),
        variables,
        sizes=sizes,
        steps=epochs * per_epoch,
        marks={epoch * per_epoch: epoch for epoch in marks_every(every, epochs)},
        along="epoch",
        apart=None if np.any(checked["residual"]) else shape_settings(TrajectorySettings),
        arguments={
            "pictures": told,
            "average_schedules": described(dict(averages)),
            **checked,
            "seeds": grid.seed_values,
            "epochs": epochs,
            "evaluate_every": every,
            "keep_networks": keep_networks,
        },
        options=options,
    )


def _numbers(pictures: Pictures, grid: Grid) -> int:
    """How long the longest row is."""
    judges = (Judge(pictures, **kind) for _, kind in grid.groups(("widths", "residual")))
    return max(ConvNet([0], pictures.classes, **judge.kind).rows().shape[1] for judge in judges)


def _program(
    pictures: Pictures,
    grid: Grid,
    averages: Mapping[str, Number | Schedule],
    epochs: int,
    keep_networks: bool,
    own: np.ndarray,
    fixed: dict[str, Any],
) -> Trajectories:
    """The program of some members, who agree on the settings that decide shapes."""
    settings = TrajectorySettings.of(grid, own, fixed, pictures.images.device)
    return Trajectories(pictures, grid.seeds[own].tolist(), settings, averages, epochs, keep_networks)
