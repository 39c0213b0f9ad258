"""Plain stochastic gradient descent, and moving averages of the weights that it never looks at."""

import time
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.averaging import soft_update
from companion.population import MLP, Grid, Streams, flatten
from companion.population.networks import flatten_gradients
from companion.population.runs import choose_device, progress_bar, provenance
from companion.population.settings import check, nearest, setting, shape_settings
from companion.supervised.data import DATASETS, Split, split

__all__ = ["Classifiers", "Settings", "train", "weight_of_new"]

PER_AVERAGE = ("tau", "debias")
"""Settings that the averages have and the training does not know of."""


@dataclass(frozen=True)
class Settings:
    """Settings of :func:`train`, each of which may be swept."""

    tau: float = setting(0.01, least=0, most=1)
    """Weight of the newest weights in the average at each update; 1 is the raw network."""
    debias: bool = setting(False)
    """Whether the average forgets where it started, as Adam's do (Kingma and Ba 2015, section 3): the weight of the
    k-th update is τ / (1 − (1 − τ)^k). With tau = 0 that is 1/k, the running mean of Polyak and Ruppert."""
    learning_rate: float = setting(0.1, least=0)
    """Step size of stochastic gradient descent."""
    anneal: bool = setting(False)
    """Whether the learning rate falls in a straight line, to zero at the end of the run."""
    label_noise: float = setting(0.0, least=0, most=1)
    """Share of the training labels that are redrawn uniformly, once, before training."""
    batch_size: int = setting(16, least=1, shapes=True)
    """Samples in a step, drawn with replacement."""
    hidden: tuple[int, ...] = setting((64,), least=1, shapes=True)
    """Units of each hidden layer, rectified linear."""
    held_out: float = setting(0.5, least=0.01, most=0.99, shapes=True)
    """Share of the samples that no training step sees, and on which loss and error are measured."""


class Classifiers:
    """A population of networks that learn to classify, and beside each one its moving averages.

    Args:
        data: what each member trains on and is judged on.
        seeds: one integer a member; the first weights depend on it.
        averages: how many moving averages each member has. They start as copies of it.
        hidden: units of each hidden layer.
        device: where the tensors live.
    """

    def __init__(
        self, data: Split, seeds: Sequence[int], *, averages: int, hidden: Sequence[int], device: torch.device
    ) -> None:
        self.inputs, self.labels, self.held_out_inputs, self.held_out_labels = (
            torch.from_numpy(array).to(device)
            for array in (data.inputs, data.labels, data.held_out_inputs, data.held_out_labels)
        )
        self.online = MLP((data.inputs.shape[-1], *hidden, data.classes), seeds).to(device)
        self.judged = deepcopy(self.online).requires_grad_(False)
        self.weights: Float[Tensor, "member parameter"] = flatten(self.online)
        self._judged_weights = flatten(self.judged)
        self.averages: Float[Tensor, "average member parameter"] = self.weights.expand(averages, -1, -1).clone()
        self._members = torch.arange(len(seeds), device=device).unsqueeze(1)

    def update(
        self,
        batch: Int64[Tensor, "member batch"],
        learning_rate: Float[Tensor, " member"],
        tau: Float[Tensor, " average"],
    ) -> None:
        """One step of gradient descent for every member, then one soft update of every average.

        Args:
            batch: which training samples each member sees.
            learning_rate: each member's step size.
            tau: each average's weight of the new value.
        """
        logits = self.online(self.inputs[self._members, batch])
        # The mean over the batch, and the sum over members: no member's gradient holds anything of another's.
        loss = _loss(logits, self.labels[self._members, batch]).sum()
        gradient = flatten_gradients(torch.autograd.grad(loss, list(self.online.parameters())))
        self.weights.addcmul_(gradient, learning_rate.unsqueeze(1), value=-1)
        soft_update([self.weights.expand_as(self.averages)], [self.averages], tau)

    @torch.no_grad()
    def evaluate(self) -> tuple[Float[Tensor, "member network"], Float[Tensor, "member network"]]:
        """Mean cross-entropy (nats) and share of mistakes on the held-out samples; network 0 is the online one."""
        losses, errors = [], []
        for weights in (self.weights, *self.averages):
            self._judged_weights.copy_(weights)
            logits = self.judged(self.held_out_inputs)
            losses.append(_loss(logits, self.held_out_labels))
            errors.append((logits.argmax(2) != self.held_out_labels).float().mean(1))
        return torch.stack(losses, 1), torch.stack(errors, 1)

    @torch.no_grad()
    def fit(self) -> Float[Tensor, " member"]:
        """Share of the training labels, redrawn ones included, that the online network gives back."""
        return (self.online(self.inputs).argmax(2) == self.labels).float().mean(1)


def train(
    dataset: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 2_000,
    device: str | torch.device | None = None,
    evaluate_every: int | None = None,
    progress: bool = True,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of classifiers by plain SGD, with moving averages of their weights riding along.

        run = supervised.train("digits", tau=[1.0, 0.1, 0.01], label_noise=0.2, seeds=16)
        run["loss"].sel(which="target", tau=0.01).mean("seed")

    A setting given as a list is swept and becomes a dimension of the result. An average takes no part in the training:
    every combination of the other settings and seeds trains once, and all the averages follow it at the same time.

    Args:
        dataset: ``"digits"``.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's first weights,
            held-out samples, noisy labels and batches, whichever others train beside it.
        steps: updates of each network.
        device: where to train; by default the GPU where there is one, else the CPU.
        evaluate_every: steps from one measurement to the next; by default a twentieth of ``steps``. The first is
            before training, the last after it.
        progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0).
        settings: fields of :class:`Settings`.

    Returns:
        ``loss`` (mean cross-entropy on the held-out samples, in nats) and ``error`` (share of mistakes there) with
        dimensions (swept settings, ``seed``, ``which``, swept ``tau`` and ``debias``, ``step``), where ``which`` is
        ``"online"``, or ``"target"`` for the average. The online network's values are repeated for every average.
        ``fit``, over (swept settings, ``seed``, ``step``), is the share of the training labels, redrawn ones included,
        that the online network gives back. The attributes hold every argument, the device, versions, the date and the
        wall time in seconds.

    Raises:
        ValueError: an unknown data set or setting (the nearest known one is named), or a value out of range; all
            before any training.
        TypeError: a value of the wrong type.
    """
    if dataset not in DATASETS:
        raise ValueError(
            f"unknown dataset {dataset!r}: did you mean {nearest(dataset, DATASETS)!r}? "
            f"Known data sets: {', '.join(DATASETS)}."
        )
    every = max(1, steps // 20) if evaluate_every is None else evaluate_every
    for name, count in {"steps": steps, "evaluate_every": every}.items():
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1")
    checked = check(Settings, settings)
    grid = Grid({name: value for name, value in checked.items() if name not in PER_AVERAGE}, seeds)
    averages = Grid({name: checked[name] for name in PER_AVERAGE})
    where = choose_device(device)

    began = time.perf_counter()
    taus = torch.as_tensor(weight_of_new(averages.column("tau"), averages.column("debias"), steps)).float().to(where)
    marks = sorted({*range(0, steps, every), steps})
    measured = np.empty((2, grid.members, 1 + averages.members, len(marks)), dtype=np.float32)
    fit = np.empty((grid.members, len(marks)), dtype=np.float32)
    groups = list(grid.groups(shape_settings(Settings)))
    with progress_bar(dataset, steps * len(groups), show=progress) as bar:
        for indices, fixed in groups:
            members = grid.seeds[indices].tolist()
            columns = {name: grid.column(name)[indices] for name in ("learning_rate", "anneal", "label_noise")}
            learning_rate, anneal = (torch.as_tensor(columns[n]).float().to(where) for n in ("learning_rate", "anneal"))
            data = split(dataset, members, held_out=fixed["held_out"], label_noise=columns["label_noise"])
            learners = Classifiers(data, members, averages=averages.members, hidden=fixed["hidden"], device=where)
            streams = Streams(members, "batches")
            parts, fits = [learners.evaluate()], [learners.fit()]
            for start, stop in pairwise(marks):
                batches = streams.integers(data.labels.shape[1], stop - start, fixed["batch_size"])
                for step, batch in enumerate(torch.from_numpy(batches).to(where).unbind(1), start):
                    learners.update(batch, learning_rate * (1 - anneal * (step / steps)), taus[step])
                parts.append(learners.evaluate())
                fits.append(learners.fit())
                bar.update(stop - start)
            measured[:, indices] = [torch.stack(values, -1).cpu() for values in zip(*parts, strict=True)]
            fit[indices] = torch.stack(fits, -1).cpu()

    lengths = [len(values) for values in averages.swept.values()]
    online, target = np.split(measured, [1], axis=2)
    both = np.stack([np.broadcast_to(online, target.shape), target], axis=2)
    own = ("which", *averages.swept, "step")
    return grid.dataset(
        {
            name: (own, array.reshape(grid.members, 2, *lengths, len(marks)))
            for name, array in zip(("loss", "error"), both, strict=True)
        }
        | {"fit": (("step",), fit)},
        coords={"which": ["online", "target"], "step": marks, **averages.swept},
        attrs={
            "dataset": dataset,
            **checked,
            "seeds": grid.seed_values,
            "steps": steps,
            "evaluate_every": every,
            **provenance(where, began),
        },
    )


def weight_of_new(
    tau: Float[np.ndarray, " average"], debias: Bool[np.ndarray, " average"], steps: int
) -> Float[np.ndarray, "step average"]:
    """The weight of the newest value at updates 1 … ``steps``: tau, or where ``debias`` is set τ / (1 − (1 − τ)^k).

    Source: Kingma and Ba 2015, section 3, written as a schedule; equation (2.11) of the book.
    """
    k = np.arange(1.0, steps + 1)[:, None]
    with np.errstate(invalid="ignore"):
        corrected = np.where(tau > 0, tau / (1 - (1 - tau) ** k), 1 / k)
    return np.where(debias, corrected, tau)


def _loss(
    logits: Float[Tensor, "member sample class"], labels: Int64[Tensor, "member sample"]
) -> Float[Tensor, " member"]:
    """Mean cross-entropy of each member, in nats."""
    return cross_entropy(logits.transpose(1, 2), labels, reduction="none").mean(1)
