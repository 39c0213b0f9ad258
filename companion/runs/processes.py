"""Members split over processes: each trains its share, and all get the whole result.

Members are independent of each other, so the processes have nothing to say to each other while they train, and a
member is the same in whichever process it trains. ``torchrun`` starts the processes::

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
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import distributed

__all__ = ["agreed", "from_first", "gather", "local_device", "rank_and_world", "share"]

PATIENCE = datetime.timedelta(hours=2)
"""How long a process waits for the others when results are gathered."""


def rank_and_world() -> tuple[int, int]:
    """Which process this is, from 0, and how many there are; (0, 1) where ``torchrun`` did not start it.

    The first call under ``torchrun`` waits for all processes and connects them (over gloo, GPUs over NCCL), unless the
    program has connected them itself.
    """
    if not distributed.is_available():
        return 0, 1
    if not distributed.is_initialized():
        if not distributed.is_torchelastic_launched():
            return 0, 1
        # Results are gathered over gloo. Between GPUs, which share a batch, gloo cannot do all that is asked of it.
        gpus = torch.cuda.is_available() and distributed.is_nccl_available()
        distributed.init_process_group("cpu:gloo,cuda:nccl" if gpus else "gloo", timeout=PATIENCE)
        atexit.register(_leave)
    return distributed.get_rank(), distributed.get_world_size()


def share(indices: Int[np.ndarray, " member"]) -> Int[np.ndarray, " own"]:
    """The members of this process: neighbours, as equal in number as can be, and none where there are too few."""
    rank, world = rank_and_world()
    return np.array_split(indices, world)[rank]


def gather(local: Mapping[str, np.ndarray], indices: Int[np.ndarray, " own"], members: int) -> dict[str, np.ndarray]:
    """Every process's results as whole arrays, in every process. All of them must call it.

    Args:
        local: results of this process's members by name, arrays that lead with one row a member; may be empty where it
            has no members.
        indices: which members these are.
        members: how many there are in all.

    Returns:
        Arrays that lead with ``members``.

    Raises:
        ValueError: the processes' members are not all, or not each in one of them.
        RuntimeError: another process is gone, or was silent for :data:`PATIENCE`.
    """
    _, world = rank_and_world()
    parts: list[tuple[np.ndarray, dict[str, np.ndarray]]] = [(indices, dict(local))]
    if world > 1:
        parts = [parts[0]] * world
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


def agreed(wish: bool) -> bool:
    """Whether any process wishes it. All of them must ask, and all get the same answer."""
    if rank_and_world()[1] == 1:
        return wish
    wishes = torch.tensor(int(wish))
    distributed.all_reduce(wishes)
    return bool(wishes)


def from_first(value: Any) -> Any:
    """What process 0 has, in every process. All of them must call it."""
    if rank_and_world()[1] == 1:
        return value
    values = [value]
    distributed.broadcast_object_list(values)
    return values[0]


def local_device(kind: str) -> torch.device:
    """This process's own device of a kind: of several GPUs the one with its number on this machine.

    Processes share the GPUs in turn where there are fewer.
    """
    if kind != "cuda" or "LOCAL_RANK" not in os.environ:
        return torch.device(kind)
    own = torch.device("cuda", int(os.environ["LOCAL_RANK"]) % torch.cuda.device_count())
    torch.cuda.set_device(own)  # what asks for no GPU by number, such as a collective, takes the current one
    return own


def _leave() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()
