"""Statistics of batch normalisation for weights that no training step ever ran with, such as averaged ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.averaging.pairing import unwrapped

Batch = Tensor | Sequence[Any]


@torch.no_grad()
def reestimate_batch_norm(network: nn.Module, batches: Iterable[Batch]) -> None:
    """Set the running mean and variance of a network's batch norms to those of the data, in place.

    The running statistics belong to the weights that they were gathered with. Averaged weights make other activations,
    so their statistics are measured anew, by a pass over the data, before the average is evaluated or saved.

    What the batch norms are fed is normalised by each batch's own statistics on the way, as in training. Mean and
    variance are those of all values of the pass together, merged in float64. ``torch.optim.swa_utils.update_bn`` is for
    the same, and this differs from it where that goes wrong:

    - Every value counts the same. There every *batch* does, so that a short last one weighs too much; and the variance
      is the mean of the batches' variances, which leaves out how far their means lie apart (sorted data).
    - Only batch norms are in training mode. There the whole network is: dropout drops, spectral norm takes a step.
    - Modes come back as they were, module by module. There all modules get that of the network.
    - Nothing is written until the pass is over. There the statistics are reset first, and stay so where there are no
      batches, where a batch fails, or where a batch norm is not used.

    Args:
        network: A network in whatever mode, whose statistics are those of ``torch.nn.BatchNorm*d`` or ``SyncBatchNorm``
            or of another module that has a ``running_mean`` and a ``running_var`` of shape ``(channel,)``, moves them
            by its ``momentum``, and is fed ``(sample, channel, ...)``. Instance norms are left alone. Wrappers of
            ``torch.compile`` and the parallel ones are seen through.
        batches: What the network is called with, as a tensor of inputs, or a tuple or list that begins with one, as a
            ``DataLoader`` gives ``(inputs, labels)``. A large part of the training data will do, in any order, with
            the augmentation of training.

    Raises:
        TypeError: A batch is neither a tensor nor a sequence that begins with one.
        ValueError: There are no batches; or torch's, a batch norm was fed one value a channel.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (arXiv:1803.05407),
    section 3.2; equation (10.3) of the book.
    """
    network = unwrapped(network)
    moments = {norm: _Moments() for norm in network.modules() if _gathers(norm)}
    passes = 0
    with _measuring(network, moments):
        for batch in batches:
            network(_inputs(batch))
            passes += 1
    if passes == 0:
        raise ValueError("batches is empty; pass at least one batch (an iterator that was used up gives none)")
    for norm, seen in moments.items():
        if seen.calls:
            seen.write(norm)


class _Moments:
    """Mean and sum of squared deviations of what a batch norm is fed, merged batch by batch.

    Source: Chan, Golub and LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances" (1982).
    """

    def __init__(self) -> None:
        self.calls = self.count = 0
        self.mean: Any = 0.0
        self.deviations: Any = 0.0

    def take(self, norm: Any, inputs: tuple[Float[Tensor, "sample channel *place"], ...], _: Tensor) -> None:
        """What a batch norm has just written of this batch alone: its mean, and its unbiased variance."""
        count = inputs[0].numel() // inputs[0].shape[1]
        wide = torch.float32 if norm.running_mean.device.type == "mps" else torch.float64  # Apple's have no float64
        mean, variance = norm.running_mean.to(wide, copy=True), norm.running_var.to(wide, copy=True)
        total = self.count + count
        apart = mean - self.mean
        self.mean = self.mean + apart * (count / total)
        self.deviations = self.deviations + variance * (count - 1) + apart.square() * (self.count * count / total)
        self.count, self.calls = total, self.calls + 1

    def write(self, norm: Any) -> None:
        norm.running_mean.copy_(self.mean)
        norm.running_var.copy_(self.deviations / (self.count - 1))
        if getattr(norm, "num_batches_tracked", None) is not None:
            norm.num_batches_tracked.fill_(self.calls)


def _gathers(module: nn.Module) -> bool:
    """Whether a module keeps statistics of its batches."""
    if isinstance(module, nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d):
        return False
    statistics = (getattr(module, name, None) for name in ("running_mean", "running_var"))
    return hasattr(module, "momentum") and all(isinstance(each, Tensor) for each in statistics)


@contextmanager
def _measuring(network: nn.Module, moments: dict[Any, _Moments]) -> Iterator[None]:
    """The network as it is evaluated, but for its batch norms, whose statistics are those of the latest batch alone."""
    modes = {module: module.training for module in network.modules()}
    kept = [(norm, norm.momentum, {name: each.clone() for name, each in _statistics(norm)}) for norm in moments]
    handles = []
    try:
        network.eval()
        for norm, seen in moments.items():
            norm.training, norm.momentum = True, 1.0
            norm.running_mean.zero_()  # which are multiplied by 0: they may have been NaN
            norm.running_var.zero_()
            handles.append(norm.register_forward_hook(seen.take))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
        for norm, momentum, before in kept:
            norm.momentum = momentum
            for name, statistic in _statistics(norm):
                statistic.copy_(before[name])


def _statistics(norm: nn.Module) -> Iterator[tuple[str, Tensor]]:
    return norm.named_buffers(recurse=False)


def _inputs(batch: object) -> Tensor:
    inputs = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(inputs, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__} and begins with no tensor; pass tensors, or (inputs, labels)"
        )
    return inputs
