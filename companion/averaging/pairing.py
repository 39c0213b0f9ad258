"""Which tensor of the target belongs to which of the online network, and whether that can be updated at all."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from companion.averaging.copies import Frozen

Buffers = Literal["copy", "average", "keep"]
Rule = Buffers | Literal["fit"]  # the last: copy what both networks have in the same shape, statistics too
Network = nn.Module | Iterable[Tensor]

# Other subclasses of Tensor (a fake tensor, a distributed one) may have no values and no address.
PLAIN = frozenset((Tensor, nn.Parameter, Frozen))
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # torch.compile, FSDP, checkpointing
_PARALLEL = (DataParallel, DistributedDataParallel)


class CountsItsUpdates(nn.Module):
    """A target that is moved by a call of its own, and by no other."""


class Pair(NamedTuple):
    """Two tensors that belong together; ``average`` says whether the target's is averaged or copied."""

    name: str
    online: Tensor
    target: Tensor
    average: bool
    kind: str = "tensors"


class Group:
    """Pairs of one device, one target dtype and one online dtype: what one fused call can take."""

    def __init__(self, pair: Pair) -> None:
        self.names: list[str] = []
        self.online: list[Tensor] = []
        self.target: list[Tensor] = []
        self.device, self.dtype, self.source = pair.target.device, pair.target.dtype, pair.online.dtype
        self.one_dtype = self.dtype == self.source
        self.low_precision = low_precision(self.dtype)


class Pairing:
    """The tensors of two networks, matched, checked, and grouped by what becomes of them.

    Args:
        online: The network that learns: a module, or the tensors of one.
        target: The slow copy of it.
        buffers: What becomes of buffers.

    Attributes:
        averaged: What moves by a share of the way.
        copied: What is overwritten.

    Raises:
        TypeError: The networks are of the wrong kind, or of two kinds.
        ValueError: The networks do not match, or share storage.
    """

    def __init__(self, online: Network, target: Network, buffers: Rule) -> None:
        if isinstance(online, nn.Module) and isinstance(target, nn.Module):
            pairs = _module_pairs(online, target, buffers)
        elif isinstance(online, nn.Module) or isinstance(target, nn.Module):
            raise TypeError(
                f"online is a {type(online).__name__} and target a {type(target).__name__}; pass two modules, or two "
                f"sequences of tensors"
            )
        else:
            pairs = _sequence_pairs(_tensors(online, "online"), _tensors(target, "target"))
        for pair in pairs:
            _check(pair)
        groups: dict[tuple[bool, torch.device, torch.dtype, torch.dtype], Group] = {}
        for pair in _written_once(pairs):
            key = (pair.average, pair.target.device, pair.target.dtype, pair.online.dtype)
            group = groups.get(key)
            if group is None:
                group = groups[key] = Group(pair)
            group.names.append(pair.name)
            group.online.append(pair.online)
            group.target.append(pair.target)
        self.averaged = [group for key, group in groups.items() if key[0]]
        self.copied = [group for key, group in groups.items() if not key[0]]


def low_precision(dtype: torch.dtype) -> bool:
    """Whether small steps of an average are lost to rounding in this dtype: floating point narrower than fp32."""
    return dtype.is_floating_point and torch.finfo(dtype).bits < 32


# ---------------------------------------------------------------------------------------------------------------------
# Matching


def _module_pairs(online: nn.Module, target: nn.Module, buffers: Rule) -> list[Pair]:
    if isinstance(target, CountsItsUpdates):
        raise TypeError("target is a TargetNetwork, which counts its updates: call target.update(online)")
    _refuse_sharded(online, "online")
    _refuse_sharded(target, "target")
    named: tuple[dict[str, Tensor], ...] = ({}, {}, {}, {})
    _named(online, "", *named[:2])
    _named(target, "", *named[2:])
    pairs = []
    for kind, ours, theirs in (("parameters", named[0], named[2]), ("buffers", named[1], named[3])):
        if ours.keys() != theirs.keys():
            ours, theirs = _unprefixed(ours), _unprefixed(theirs)
        if kind == "buffers" and buffers in ("keep", "fit"):
            names = [name for name in theirs if name in ours and not (buffers == "keep" and is_statistic(name))]
            names = [name for name in names if _same_shape(ours[name], theirs[name])]  # others are made in forward
            ours, theirs = {name: ours[name] for name in names}, {name: theirs[name] for name in names}
        if ours.keys() != theirs.keys():
            raise ValueError(_different_names(kind, set(ours), set(theirs)))
        for name, tensor in theirs.items():
            averaged = kind == "parameters" or (buffers == "average" and is_statistic(name))
            pairs.append(Pair(name, ours[name], tensor, averaged and _averageable(tensor), kind))
    return pairs


def is_statistic(name: str) -> bool:
    """Whether a buffer of this name is a running statistic, named as BatchNorm names its own."""
    return name.rpartition(".")[2].startswith(("running_", "num_batches_tracked"))


def _sequence_pairs(online: list[Tensor], target: list[Tensor]) -> list[Pair]:
    for name, tensors in (("online", online), ("target", target)):
        for index, tensor in enumerate(tensors):
            if not isinstance(tensor, Tensor):
                raise TypeError(f"{name}[{index}] is a {type(tensor).__name__}; pass tensors only")
    if len(online) != len(target):
        raise ValueError(
            f"online holds {len(online)} tensors and target {len(target)}; pass as many, in the same order"
        )
    if not online:
        raise ValueError("online and target hold no tensors (a generator that was used up?); pass lists of tensors")
    return [
        Pair(f"[{index}]", ours, theirs, _averageable(theirs))
        for index, (ours, theirs) in enumerate(zip(online, target, strict=True))
    ]


def check_rule(buffers: Buffers) -> None:
    """Refuse a rule for buffers that is not known."""
    if buffers not in get_args(Buffers):
        raise ValueError(f'buffers = {buffers!r} is not known; use "copy", "average" or "keep"')


def _tensors(network: Iterable[Tensor], name: str) -> list[Tensor]:
    if isinstance(network, list):
        return network
    if isinstance(network, Tensor):
        raise TypeError(f"{name} is a single tensor; pass a module, or a list of tensors: [{name}]")
    if isinstance(network, dict | str) or not isinstance(network, Iterable):
        raise TypeError(f"{name} is a {type(network).__name__}; pass a module, or a list of tensors")
    return list(network)


def _same_shape(online: Tensor, target: Tensor) -> bool:
    return _is_lazy(online) or _is_lazy(target) or online.shape == target.shape


def _is_lazy(tensor: Tensor) -> bool:
    return isinstance(tensor, UninitializedParameter | UninitializedBuffer)


def _averageable(tensor: Tensor) -> bool:
    return tensor.is_floating_point() or tensor.is_complex()


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside the wrappers of torch.compile, DataParallel, DistributedDataParallel and their like."""
    while children := module._modules:
        names = ("module",) if isinstance(module, _PARALLEL) else _WRAPPED
        inside = [children[name] for name in names if name in children]
        if not inside or inside[0] is None:
            break
        module = inside[0]
    return module


def _named(module: nn.Module, prefix: str, parameters: dict[str, Tensor], buffers: dict[str, Tensor]) -> None:
    """Enter the tensors of a module by name, wrappers seen through, tied ones under each of their names."""
    inner = unwrapped(module)
    for own, named in ((inner._parameters, parameters), (inner._buffers, buffers)):
        for name, tensor in own.items():
            if tensor is not None:
                named[prefix + name] = tensor
    for name, child in inner._modules.items():
        if child is not None:
            _named(child, f"{prefix}{name}.", parameters, buffers)


def _unprefixed(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Without the leading ``module.`` of a wrapper that is not known here, where every name has it."""
    while named and all(name.startswith("module.") for name in named):
        named = {name.removeprefix("module."): tensor for name, tensor in named.items()}
    return named


def _different_names(kind: str, online: set[str], target: set[str]) -> str:
    def some(names: set[str]) -> str:
        return ", ".join(sorted(names)[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    parts = []
    if online - target:
        parts.append(f"target has no {some(online - target)}")
    if target - online:
        parts.append(f"online has no {some(target - online)}")
    remedy = _MADE_IN_FORWARD if kind == "buffers" else "build target from the same class as online"
    return f"the {kind} of online and target differ: {'; '.join(parts)}; {remedy}"


_MADE_IN_FORWARD = (
    'if forward makes or grows them, buffers="keep" leaves each network its own; else build target as online was built'
)


# ---------------------------------------------------------------------------------------------------------------------
# Checking


def _check(pair: Pair) -> None:
    name, online, target, _, kind = pair
    for role, tensor in (("online", online), ("target", target)):
        if type(tensor) not in PLAIN and _is_lazy(tensor):
            raise ValueError(f"{role} {name!r} has no shape yet; run a batch through the lazy module first")
        if type(tensor) not in PLAIN and hasattr(tensor, "to_local"):
            raise TypeError(_distributed(role, f"{role} {name!r} is a {type(tensor).__name__}"))
        if tensor.layout != torch.strided:
            raise TypeError(f"{role} {name!r} is {tensor.layout}; only dense tensors can be averaged")
    if online.shape != target.shape:
        raise ValueError(
            f"{name!r} has shape {tuple(online.shape)} in online and {tuple(target.shape)} in target; "
            + (_MADE_IN_FORWARD if kind == "buffers" else "build target with the same sizes")
        )
    if online.device != target.device:
        raise ValueError(
            f"{name!r} is on {online.device} in online and on {target.device} in target; move one with .to(device)"
        )
    if online.dtype != target.dtype and not (online.is_floating_point() and target.is_floating_point()):
        raise ValueError(f"{name!r} is {online.dtype} in online and {target.dtype} in target; use one dtype for both")
    if not target.is_contiguous() and any(
        size > 1 and stride == 0 for size, stride in zip(target.shape, target.stride(), strict=True)
    ):
        raise ValueError(
            f"target {name!r} is an expanded view, which cannot be written to; give target a copy of it: .contiguous()"
        )


def sharded(network: nn.Module) -> Iterator[nn.Module]:
    """The parts of a network that FSDP splits over processes, in either of its versions."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # not imported for the sake of a question
    if fsdp is not None:
        kinds = (fsdp.FullyShardedDataParallel, fsdp.FSDPModule)
        yield from (part for part in network.modules() if isinstance(part, kinds))


def _refuse_sharded(network: nn.Module, role: str) -> None:
    for part in sharded(network):
        second = hasattr(part, "reshard")
        if not second and part.training_state.name != "SUMMON_FULL_PARAMS":  # type: ignore[union-attr]
            raise TypeError(
                f"{role} is sharded by FullyShardedDataParallel; update target within "
                f"FullyShardedDataParallel.summon_full_params({role})"
            )
        if second and role == "target":  # which throws away what is written to whole tensors
            raise TypeError(_distributed(role, f"{role} is sharded by fully_shard"))


def _distributed(role: str, what: str) -> str:
    return (
        f"{what}, of which each process holds a part; after {role}.reshard(), where it has that, pass the parts of "
        f"both networks as lists: [p.to_local() for p in {role}.parameters()]"
    )


class _Span(NamedTuple):
    """The addresses a tensor lives in, and whose it is."""

    start: int
    end: int
    role: str
    name: str


def _spans(pairs: Sequence[Pair]) -> Iterator[list[_Span]]:
    """Where the tensors are, of each device in the order of addresses."""
    spans: dict[torch.device, list[_Span]] = {}
    for name, online, target, *_ in pairs:
        for role, tensor in (("target", target), ("online", online)):
            if has_address(tensor) and (length := tensor.nbytes):
                if not tensor.is_contiguous():
                    reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
                    length = (reach + 1) * tensor.element_size()
                start = tensor.data_ptr()
                spans.setdefault(tensor.device, []).append(_Span(start, start + length, role, name))
    return map(sorted, spans.values())


def has_address(tensor: Tensor) -> bool:
    """Whether a tensor is real memory, and not a compiler's or a fake one."""
    return type(tensor) in PLAIN and not tensor.is_meta and not torch.compiler.is_compiling()


def _place(tensor: Tensor) -> object:
    """Equal for two tensors that are the same memory seen the same way."""
    if not has_address(tensor) or tensor.numel() == 0:
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _written_once(pairs: list[Pair]) -> list[Pair]:
    """The pairs to update, a tied target once, after making sure that no write lands on another tensor."""
    if _apart([pair.online for pair in pairs] + [pair.target for pair in pairs]):
        return pairs
    first: dict[object, Pair] = {}
    for pair in pairs:
        if pair.target is pair.online:
            raise ValueError(_shared(pair.name, pair.name))
        earlier = first.setdefault(_place(pair.target), pair)
        if earlier is not pair and _place(earlier.online) != _place(pair.online):
            raise ValueError(
                f"target ties {earlier.name!r} and {pair.name!r} into one tensor, online does not; tie both alike"
            )
    once = list(first.values())
    for spans in _spans(once):
        _refuse_overlap(spans)
    return once


def _apart(tensors: list[Tensor]) -> bool:
    """Whether no two share memory, as far as that is seen at a glance: the usual case."""
    if torch.compiler.is_compiling() or not PLAIN.issuperset(map(type, tensors)):
        return False
    places = sorted([(tensor.data_ptr(), tensor.nbytes) for tensor in tensors])
    contiguous = all(map(Tensor.is_contiguous, tensors))
    return contiguous and all(start + size <= after for (start, size), (after, _) in pairwise(places))


def _refuse_overlap(spans: list[_Span]) -> None:
    furthest: dict[str, _Span] = {}  # by role, the span that reaches furthest among those that start earlier
    for span in spans:
        for role, earlier in furthest.items():
            if span.start >= earlier.end or "target" not in (span.role, role):
                continue
            if span.role == role:
                raise ValueError(f"target {earlier.name!r} and {span.name!r} overlap in memory; .clone() one of them")
            raise ValueError(
                _shared(*((span.name, earlier.name) if span.role == "target" else (earlier.name, span.name)))
            )
        if span.role not in furthest or span.end > furthest[span.role].end:
            furthest[span.role] = span


def _shared(target: str, online: str) -> str:
    return (
        f"target {target!r} shares storage with online {online!r} and would move with it; make target a copy of its "
        f"own: copy.deepcopy(online)"
    )
