"""Several processes, which ``torchrun`` started: members split over them, or every batch.

*Members* are independent of each other, so the processes have nothing to say to each other while they train, and a
member is the same in whichever process it trains: each trains its share, and all get the whole result. Where they train
*together* they share every batch instead, and each has a copy of the networks. ::

    torchrun --nproc-per-node 2 script.py

starts ``script.py`` twice, and tells each by environment variables which one it is, its *rank*. Without ``torchrun``
there is one process, of rank 0, whose share is everything.

If a process fails, ``torchrun`` ends the others, so nobody waits for a result that will never come. Where processes
were started by something else, one that is gone is noticed when results are gathered, by the closed connection; for
one that is there and says nothing the others wait :data:`PATIENCE`, and then fail.
"""

import atexit
import datetime
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Int, Shaped
from torch import Tensor, distributed

__all__ = ["ALONE", "Processes", "launched", "local_device"]

PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others when results are gathered."""


@dataclass(frozen=True)
class Processes:
    """Processes that do something together, as one of them sees them. What it asks of the others, all have to ask."""

    rank: int = 0
    """Which of them this one is, from 0."""
    world: int = 1
    """How many there are."""

    def share(self, indices: Int[np.ndarray, " member"]) -> Int[np.ndarray, " own"]:
        """The members of this process: neighbours, as equal in number as can be, and none where there are too few."""
        return np.array_split(indices, self.world)[self.rank]

    def rows(self, batch: Shaped[Tensor, "batch ..."]) -> Shaped[Tensor, "own ..."]:
        """This process's rows of a batch that all of them have."""
        return batch if self.world == 1 else batch.chunk(self.world)[self.rank]

    def all_gather(self, own: Shaped[Tensor, "own ..."]) -> Shaped[Tensor, "batch ..."]:
        """All processes' rows; no gradient flows to them."""
        if self.world == 1:
            return own
        parts = [torch.empty_like(own) for _ in range(self.world)]
        distributed.all_gather(parts, own.contiguous())
        return torch.cat(parts)

    def all_reduce(self, own: Tensor) -> Tensor:
        """The sum over all processes, through which gradients flow back to each of them."""
        return own if self.world == 1 else _Sum.apply(own)

    def broadcast(self, value: Any) -> Any:
        """What process 0 has."""
        if self.world == 1:
            return value
        values = [value]
        distributed.broadcast_object_list(values)
        return values[0]

    def any(self, wish: bool) -> bool:
        """Whether one of them wishes it."""
        if self.world == 1:
            return wish
        wishes = torch.tensor(int(wish))
        distributed.all_reduce(wishes)
        return bool(wishes)

    def gather_members(
        self, local: Mapping[str, np.ndarray], indices: Int[np.ndarray, " own"], members: int
    ) -> dict[str, np.ndarray]:
        """Every process's results as whole arrays, in every process.

        Args:
            local: results of this process's members by name, arrays that lead with one row a member; may be empty
                where it has no members.
            indices: which members these are.
            members: how many there are in all.

        Returns:
            Arrays that lead with ``members``.

        Raises:
            ValueError: the processes' members are not all, or not each in one of them.
            RuntimeError: another process is gone, or was silent for :data:`PATIENCE`.
        """
        parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = [(indices, dict(local))]
        if self.world > 1:
            parts = [parts[0]] * self.world
            distributed.all_gather_object(parts, (indices, dict(local)))
        filled = np.concatenate([mine for mine, _ in parts])
        if not np.array_equal(np.sort(filled), np.arange(members)):
            raise ValueError(f"each of {members} members must be in one process's share; they hold {filled.tolist()}")
        whole: dict[str, np.ndarray] = {}
        for mine, results in parts:
            for name, array in results.items() if len(mine) else ():
                if name not in whole:
                    whole[name] = np.empty((members, *array.shape[1:]), array.dtype)
                whole[name][mine] = array
        return whole


ALONE = Processes()
"""One process, whatever ``torchrun`` may have started."""


def launched() -> Processes:
    """The processes that ``torchrun`` started; one that is alone, where it started none.

    The first call under ``torchrun`` waits for all processes and connects them (over gloo, GPUs over NCCL), unless the
    program has connected them itself.
    """
    if not distributed.is_available():
        return ALONE
    if not distributed.is_initialized():
        if not distributed.is_torchelastic_launched():
            return ALONE
        # Results are gathered over gloo. Between GPUs, which share a batch, gloo cannot do all that is asked of it.
        gpus = torch.cuda.is_available() and distributed.is_nccl_available()
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    return Processes(distributed.get_rank(), distributed.get_world_size())


def local_device(kind: str) -> torch.device:
    """This process's own device of a kind: of several GPUs the one with its number on this machine.

    Processes share the GPUs in turn where there are fewer.
    """
    if kind != "cuda" or "LOCAL_RANK" not in os.environ:
        return torch.device(kind)
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(own)  # what asks for no GPU by number, such as a collective, takes the current one
    return own


class _Sum(torch.autograd.Function):
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
        return _Sum.forward(gradient.contiguous())


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
