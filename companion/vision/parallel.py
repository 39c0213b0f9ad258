"""One batch split over several processes, each with a copy of the networks: data parallelism.

Without ``torchrun``, or outside of :func:`one_batch_for_all`, there is one process, which has the whole batch.
"""

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Shaped
from torch import Tensor, distributed

from companion.runs.processes import rank_and_world

__all__ = ["everyone", "mine", "one_batch_for_all", "total", "world"]

_SPLIT = False


@contextlib.contextmanager
def one_batch_for_all(split: bool = True) -> Iterator[None]:
    """While it lasts, the processes that ``torchrun`` started share each batch; otherwise each has its own."""
    global _SPLIT
    before, _SPLIT = _SPLIT, split and rank_and_world()[1] > 1
    try:
        yield
    finally:
        _SPLIT = before


def world() -> int:
    """Over how many processes a batch is split."""
    return rank_and_world()[1] if _SPLIT else 1


def mine(batch: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "own ..."]:
    """This process's rows of a batch that all processes have."""
    return batch.chunk(world())[rank_and_world()[0]] if _SPLIT else batch


def everyone(own: Shaped[Tensor, "own ..."]) -> Shaped[Tensor, "batch ..."]:
    """All processes' rows; no gradient flows to them."""
    if not _SPLIT:
        return own
    parts = [torch.empty_like(own) for _ in range(world())]
    distributed.all_gather(parts, own.contiguous())
    return torch.cat(parts)


def total(own: Tensor) -> Tensor:
    """The sum over all processes, through which gradients flow back to each of them."""
    return _Total.apply(own)


class _Total(torch.autograd.Function):
    """The derivative of a sum over processes is the sum of the processes' derivatives."""

    @staticmethod
    def forward(own: Tensor) -> Tensor:
        summed = own.clone()
        distributed.all_reduce(summed)
        return summed

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _Total.forward(gradient.contiguous())
