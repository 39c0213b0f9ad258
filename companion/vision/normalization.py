"""Batch normalisation over the whole batch, over parts of it, or over the parts of several processes together.

Which pictures share a mean and a variance is part of the method in self-supervision. BYOL takes the whole batch, over
all devices. MoCo takes parts, and other ones for keys than for queries, since statistics that a query shares with its
own key, and with no other, give the answer away (He et al. 2020, section 3.3, "Shuffling BN").
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import batch_norm

from companion.runs.processes import ALONE

__all__ = ["BatchNorm"]


class BatchNorm(nn.Module):
    """Batch normalisation (Ioffe and Szegedy 2015, Algorithm 1) of rows or of planes.

    In training the statistics are those of each part of the batch by itself, and the running ones are averages (an EMA
    with tau = 0.1) of the parts' mean. Where :attr:`processes` share the batch, one part means the whole batch of all
    of them; several parts are dealt out to the processes.

    Args:
        features: channels.
        parts: how many parts a batch has. It is cut along its first axis.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, features: int, parts: int = 1) -> None:
        super().__init__()
        self.parts = parts
        self.weight = nn.Parameter(torch.ones(features))
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))
        self.register_buffer("running_var", torch.ones(features))
        self.momentum = 0.1
        self.eps = 1e-5
        self.processes = ALONE
        """Those that share each batch."""

    def forward(self, x: Float[Tensor, "batch feature *plane"]) -> Float[Tensor, "batch feature *plane"]:
        """The normalised batch; in eval mode by the running statistics."""
        if not self.training:
            return batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)
        if self.processes.world > 1 and self.parts == 1:
            return self._over_all_processes(x)
        if self.parts == 1:
            return batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, True, self.momentum, self.eps
            )
        chunks = x.chunk(self.parts // self.processes.world)
        means, variances = self.running_mean.new_zeros(2, len(chunks), len(self.weight)).unbind()
        normalised = [
            batch_norm(chunk, mean, variance, self.weight, self.bias, True, 1.0, self.eps)  # 1: no running average
            for chunk, mean, variance in zip(chunks, means, variances, strict=True)
        ]
        self._follow(means.mean(0), variances.mean(0))
        return torch.cat(normalised)

    def _over_all_processes(self, x: Float[Tensor, "batch feature *plane"]) -> Float[Tensor, "batch feature *plane"]:
        axes, shape = [axis for axis in range(x.ndim) if axis != 1], [1, -1, *[1] * (x.ndim - 2)]
        count = x.numel() // x.shape[1] * self.processes.world
        wide = x.float() if x.dtype.itemsize < 4 else x
        mean = self.processes.all_reduce(wide.sum(axes)) / count
        centred = wide - mean.view(shape)
        variance = self.processes.all_reduce(centred.square().sum(axes)) / count
        self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: Float[Tensor, " feature"], variance: Float[Tensor, " feature"]) -> None:
        if self.parts > 1:  # each process has parts of its own
            mean, variance = self.processes.all_reduce(torch.stack([mean, variance])) / self.processes.world
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)

    def extra_repr(self) -> str:
        return f"{len(self.weight)}, parts={self.parts}"
