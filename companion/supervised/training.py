"""Plain stochastic gradient descent, and moving averages of the weights that it never looks at."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import fields
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.averaging import Bank, debiased
from companion.averaging.conventions import Number
from companion.averaging.schedules import Schedule
from companion.members import MLP, Grid, Streams, flatten
from companion.members.networks import flatten_gradients
from companion.runs.described import fingerprint
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, check, one_of, setting, shape_settings
from companion.supervised.data import DATASETS, Split, split

__all__ = ["AverageSettings", "ClassifierSettings", "Classifiers", "SupervisedSettings", "mean_cross_entropy", "train"]

BLOCK = 256
"""Steps whose batches are drawn at once."""


class AverageSettings(Settings):
    """Settings of a moving average, which the training does not know of."""

    tau: PerMember = setting(0.01, least=0, most=1)
    """Weight of the newest weights in the average at each update; 1 is the raw network."""
    debias: PerMember = setting(False)
    """Whether the average forgets where it started, as Adam's do: :func:`companion.averaging.debiased`. With tau = 0
    it is the running mean of Polyak and Ruppert."""


class ClassifierSettings(Settings):
    """Settings of a classifier's training."""

    learning_rate: PerMember = setting(0.1, least=0)
    """Step size of stochastic gradient descent."""
    anneal: PerMember = setting(False)
    """Whether the learning rate falls in a straight line, to zero at the end of the run."""
    label_noise: PerMember = setting(0.0, least=0, most=1)
    """Share of the training labels that are redrawn uniformly, once, before training."""
    batch_size: int = setting(16, least=1, shapes=True)
    """Samples in a step, drawn with replacement."""
    hidden: tuple[int, ...] = setting((64,), least=1, shapes=True)
    """Units of each hidden layer, rectified linear."""
    held_out: float = setting(0.5, least=0.01, most=0.99, shapes=True)
    """Share of the samples that no training step sees, and on which loss and error are measured."""


class SupervisedSettings(ClassifierSettings, AverageSettings):
    """Settings of :func:`train`, each of which may be swept."""


class Classifiers:
    """A population of networks that learn to classify, and beside each one its moving averages.

    Args:
        data: what each member trains on and is judged on.
        seeds: one integer a member; the first weights depend on it.
        averages: by name, the weight of the newest network in each member's moving averages, as :class:`Bank` takes it.
        hidden: units of each hidden layer.
        device: where the tensors live.
    """

    def __init__(
        self,
        data: Split,
        seeds: Sequence[int],
        *,
        averages: Mapping[str, Number | Schedule],
        hidden: Sequence[int],
        device: torch.device,
    ) -> None:
        self.inputs, self.labels, self.held_out_inputs, self.held_out_labels = (
            torch.from_numpy(array).to(device)
            for array in (data.inputs, data.labels, data.held_out_inputs, data.held_out_labels)
        )
        self.online = MLP((data.inputs.shape[-1], *hidden, data.classes), seeds).to(device)
        self.judged = deepcopy(self.online).requires_grad_(False)
        self.weights: Float[Tensor, "member parameter"] = flatten(self.online)
        self.judged_weights = flatten(self.judged)
        self.bank = Bank(self.weights, averages)
        self._members = torch.arange(len(seeds), device=device).unsqueeze(1)

    def update(self, batch: Int64[Tensor, "member batch"], learning_rate: Float[Tensor, " member"]) -> None:
        """One step of gradient descent for every member.

        Args:
            batch: which training samples each member sees.
            learning_rate: each member's step size.
        """
        logits = self.online(self.inputs[self._members, batch])
        # The mean over the batch, and the sum over members: no member's gradient holds anything of another's.
        loss = mean_cross_entropy(logits, self.labels[self._members, batch]).sum()
        gradient = flatten_gradients(torch.autograd.grad(loss, list(self.online.parameters())))
        self.weights.addcmul_(gradient, learning_rate.unsqueeze(1), value=-1)

    @torch.no_grad()
    def evaluate(self) -> tuple[Float[Tensor, "member network"], Float[Tensor, "member network"]]:
        """Mean cross-entropy (nats) and share of mistakes on the held-out samples; network 0 is the online one."""
        losses, errors = [], []
        for weights in (self.weights, *self.bank.averages):
            self.judged_weights.copy_(weights)
            logits = self.judged(self.held_out_inputs)
            losses.append(mean_cross_entropy(logits, self.held_out_labels))
            errors.append((logits.argmax(2) != self.held_out_labels).float().mean(1))
        return torch.stack(losses, 1), torch.stack(errors, 1)

    @torch.no_grad()
    def fit(self) -> Float[Tensor, " member"]:
        """Share of the training labels, redrawn ones included, that the online network gives back."""
        return (self.online(self.inputs).argmax(2) == self.labels).float().mean(1)


class Training:
    """A population in training, with the averages that ride along: the program of a run.

    Args:
        data: what each member trains on and is judged on.
        seeds: one integer a member.
        settings: the members' own.
        averages: ``tau`` and ``debias`` of each average.
        steps: of the whole run.
        device: where it runs.
    """

    def __init__(
        self,
        data: Split,
        seeds: Sequence[int],
        settings: ClassifierSettings,
        averages: Grid,
        steps: int,
        device: torch.device,
    ) -> None:
        each = zip(averages.column("tau").tolist(), averages.column("debias").tolist(), strict=True)
        schedules = {str(number): debiased(tau) if debias else tau for number, (tau, debias) in enumerate(each)}
        self.learners = Classifiers(data, seeds, averages=schedules, hidden=settings.hidden, device=device)
        self.settings = settings
        self.averages = averages
        self.steps = steps
        self._streams, self._samples = Streams(seeds, "batches"), data.labels.shape[1]
        self._block: list[Tensor] = []

    def step(self, step: int) -> None:
        """Every member learns from a batch, and every average follows."""
        s, row = self.settings, (step - 1) % BLOCK
        if row == 0 or not self._block:  # the latter where a checkpoint left off
            self._streams.position = 2 * s.batch_size * (step - 1 - row)
            batches = torch.from_numpy(self._streams.integers(self._samples, BLOCK, s.batch_size))
            self._block = list(batches.to(self.learners.weights.device).unbind(1))
        learning_rate = s.learning_rate * (1 - s.anneal * ((step - 1) / self.steps))
        self.learners.update(self._block[row], learning_rate)
        self.learners.bank.update(self.learners.weights)

    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """``loss`` and ``error`` of the online network and of each average, and how well it ``fit`` its labels."""
        loss, error = self.learners.evaluate()
        both = {"loss": self._by_average(loss), "error": self._by_average(error)}
        return {**both, "fit": self.learners.fit().cpu().numpy()}

    def _by_average(self, values: Float[Tensor, "member network"]) -> Float[np.ndarray, "member which *average"]:
        """The online network's values beside those of every average, which unfold into the settings swept."""
        online, target = values[:, :1], values[:, 1:]
        lengths = [len(swept) for swept in self.averages.swept.values()]
        return torch.stack([online.expand_as(target), target], 1).reshape(-1, 2, *lengths).cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """The weights of the networks, and their averages."""
        return {"weights": self.learners.weights, "bank": self.learners.bank.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.learners.weights.copy_(state["weights"])
        self.learners.bank.load_state_dict(state["bank"])


@takes_options
def train(
    dataset: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 2_000,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of classifiers by plain SGD, with moving averages of their weights riding along.

        run = supervised.train("digits", tau=[1.0, 0.1, 0.01], label_noise=0.2, seeds=16)
        run["loss"].sel(which="target", tau=0.01).mean("seed")

    A setting given as a list is swept and becomes a dimension of the result. An average takes no part in the training:
    every combination of the other settings and seeds trains once, and all the averages follow it at the same time.

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; a network whose
    loss is no longer finite is named and leaves a gap; and ``torchrun`` splits the members over processes: all as in
    :func:`companion.rl.train`.

    Args:
        dataset: ``"digits"``.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's first weights,
            held-out samples, noisy labels and batches, whichever others train beside it.
        steps: updates of each network.
        evaluate_every: steps from one measurement to the next; by default a twentieth of ``steps``. The first is
            before training, the last after it.
        {options}
        settings: fields of :class:`SupervisedSettings`.

    Returns:
        ``loss`` (mean cross-entropy on the held-out samples, in nats) and ``error`` (share of mistakes there) with
        dimensions (swept settings, ``seed``, ``which``, swept ``tau`` and ``debias``, ``step``), where ``which`` is
        ``"online"``, or ``"target"`` for the average. The online network's values are repeated for every average.
        ``fit``, over (swept settings, ``seed``, ``step``), is the share of the training labels, redrawn ones included,
        that the online network gives back. The attributes hold every argument that the numbers depend on, the device,
        versions, the date and the wall time in seconds; and ``diverged``, ``interrupted`` and ``trained`` where there
        is something to be said, as those of :func:`companion.rl.train`.

    Raises:
        ValueError: an unknown data set or setting (the nearest known one is named), a value out of range, a data set
            whose arrays are none, or a checkpoint that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    one_of(DATASETS, "dataset", dataset)
    every = interval(evaluate_every, 20, steps=steps)
    checked = check(SupervisedSettings, settings, train)
    averages = Grid({average.name: checked[average.name] for average in fields(AverageSettings)})
    grid = Grid({name: value for name, value in checked.items() if name not in averages.settings}, seeds)
    for held_out in np.atleast_1d(checked["held_out"]).tolist():
        split(dataset, [0], held_out=held_out)  # to be refused before any training, if it must be
    data = {"dataset": dataset, "samples": fingerprint(*DATASETS[dataset]())}
    counts = {"seeds": grid.seed_values, "steps": steps, "evaluate_every": every}
    both = ("which", *averages.swept, "step")
    return experiment(
        dataset,
        grid,
        partial(_program, dataset, grid, averages, steps, options.chosen_device),
        {"loss": both, "error": both, "fit": ("step",)},
        sizes={"which": ["online", "target"], **averages.swept},
        steps=steps,
        marks=marks_every(every, steps, first=True),
        apart=shape_settings(ClassifierSettings),
        arguments={**data, **checked, **counts},
        options=options,
    )


def _program(
    dataset: str,
    grid: Grid,
    averages: Grid,
    steps: int,
    device: torch.device,
    own: np.ndarray,
    fixed: dict[str, Any],
) -> Training:
    """The program of some members, who agree on the settings that decide shapes."""
    settings, members = ClassifierSettings.of(grid, own, fixed, device), grid.seeds[own].tolist()
    data = split(dataset, members, held_out=settings.held_out, label_noise=grid.column("label_noise")[own])
    return Training(data, members, settings, averages, steps, device)


def mean_cross_entropy(
    logits: Float[Tensor, "member sample class"], labels: Int64[Tensor, "member sample"]
) -> Float[Tensor, " member"]:
    """Mean cross-entropy of each member, in nats."""
    return cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)
