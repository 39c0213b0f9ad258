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
    variance are those of all values of the pass together, in float64. This is what ``torch.optim.swa_utils.update_bn``
    is for, and differs from it where that goes wrong:

    - Every value counts the same. There every *batch* does, so that a short last one weighs too much; and the variance
      is the mean of the batches' variances, which leaves out how far their means lie apart (sorted data).
    - Only batch norms are in training mode. There the whole network is: dropout drops, spectral norm takes a step.
    - Modes come back as they were, module by module. There all modules get that of the network.
    - Nothing is written until the pass is over. There the statistics are reset first, and stay so where there are no
      batches, where a batch fails, or where a batch norm is not used.

    Args:
        network: A network in whatever mode, whose statistics are those of ``torch.nn.BatchNorm*d`` or ``SyncBatchNorm``
            (of which each process then measures what it is fed), or of another module that has a ``running_mean``
            and a ``running_var`` of shape ``(channel,)`` and is fed ``(sample, channel, ...)``. Instance norms are
            left alone. Wrappers of ``torch.compile`` and the parallel ones are seen through.
        batches: What the network is called with, as a tensor of inputs, or a tuple or list that begins with one, as a
            ``DataLoader`` gives ``(inputs, labels)``. A large part of the training data will do, in any order, with
            the augmentation of training.

    Raises:
        TypeError: A batch is neither a tensor nor a sequence that begins with one.
        ValueError: There are no batches, or a batch norm was fed one value a channel in all.

    Source: Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization" (arXiv:1803.05407),
    section 3.2.
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
        if seen.calls and seen.count < 2:
            raise ValueError(f"a {type(norm).__name__} was fed one value a channel, which has no variance; pass more")
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

    def take(self, norm: nn.Module, inputs: tuple[Float[Tensor, "sample channel *place"], ...]) -> None:
        wide = inputs[0].to(torch.float32 if inputs[0].device.type == "mps" else torch.float64)
        axes = [axis for axis in range(wide.ndim) if axis != 1]
        variance, mean = torch.var_mean(wide, axes, correction=0)
        count = wide.numel() // wide.shape[1]
        total = self.count + count
        apart = mean - self.mean
        self.mean = self.mean + apart * (count / total)
        self.deviations = self.deviations + variance * count + apart.square() * (self.count * count / total)
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
    return all(isinstance(getattr(module, name, None), Tensor) for name in ("running_mean", "running_var"))


@contextmanager
def _measuring(network: nn.Module, moments: dict[nn.Module, _Moments]) -> Iterator[None]:
    """The network as it is evaluated, but for its batch norms, which take each batch's own statistics and keep none."""
    modes = {module: module.training for module in network.modules()}
    kept = {norm: {name: buffer.clone() for name, buffer in norm.named_buffers(recurse=False)} for norm in moments}
    handles = []
    try:
        network.eval()
        for norm, seen in moments.items():
            norm.training = True
            handles.append(norm.register_forward_pre_hook(seen.take))
        yield
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
        for norm, buffers in kept.items():
            for name, buffer in buffers.items():
                getattr(norm, name).copy_(buffer)


def _inputs(batch: object) -> Tensor:
    inputs = batch[0] if isinstance(batch, tuple | list) and batch else batch
    if not isinstance(inputs, Tensor):
        raise TypeError(
            f"a batch is a {type(batch).__name__} and begins with no tensor; pass tensors, or (inputs, labels)"
        )
    return inputs
