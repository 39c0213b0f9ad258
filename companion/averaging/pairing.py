"""Which tensor of the target belongs to which of the online network, and whether that can be updated at all.

Pairing and checking two networks costs more than updating small ones, so a `Pairing` is kept for networks that come
again. It is used only while every tensor is still the one that was checked, in the same place.
"""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.nn.parameter import UninitializedBuffer, UninitializedParameter

from companion.averaging.copies import Frozen

Buffers = Literal["copy", "average", "keep"]
Rule = Buffers | Literal["fit"]  # the last: copy what both networks have in the same shape, statistics too
Network = nn.Module | Iterable[Tensor]

# Other subclasses of Tensor (a fake tensor, a distributed one) may have no values and no address.
PLAIN = (Tensor, nn.Parameter, Frozen)
_WRAPPED = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")  # torch.compile, FSDP, checkpointing


class Pair(NamedTuple):
    """Two tensors that belong together; ``average`` says whether the target's is averaged or copied."""

    name: str
    online: Tensor
    target: Tensor
    average: bool
    kind: str = "tensors"


class Group:
    """Pairs of one device, one target dtype and one online dtype: what one fused call can take."""

    def __init__(self, pairs: Sequence[Pair], indices: Sequence[int]) -> None:
        chosen = [pairs[index] for index in indices]
        self.names = [pair.name for pair in chosen]
        self.shapes = [pair.target.shape for pair in chosen]
        self.device, self.dtype, self.source = chosen[0].target.device, chosen[0].target.dtype, chosen[0].online.dtype
        self.low_precision = low_precision(self.dtype)
        self.one_dtype = self.dtype == self.source
        self.plain = self.one_dtype and not self.low_precision and len(indices) == len(pairs)
        self._indices = indices
        self._all = len(indices) == len(pairs)

    def of(self, tensors: list[Tensor]) -> list[Tensor]:
        """This group's share of the tensors of a network."""
        return tensors if self._all else [tensors[index] for index in self._indices]


def low_precision(dtype: torch.dtype) -> bool:
    """Whether small steps of an average are lost to rounding in this dtype: floating point narrower than fp32."""
    return dtype.is_floating_point and torch.finfo(dtype).bits < 32


class Pairing:
    """The groups of two networks whose tensors were matched and checked. It holds positions, no tensors."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        for pair in pairs:
            _check(pair)
        keys: dict[tuple[bool, torch.device, torch.dtype, torch.dtype], list[int]] = {}
        for index in _written_once(pairs):
            pair = pairs[index]
            key = (pair.average, pair.target.device, pair.target.dtype, pair.online.dtype)
            keys.setdefault(key, []).append(index)
        self.averaged = [Group(pairs, indices) for key, indices in keys.items() if key[0]]
        self.copied = [Group(pairs, indices) for key, indices in keys.items() if not key[0]]
        self.plain = not self.copied and [group.plain for group in self.averaged] == [True]


Matched = tuple[Pairing, list[Tensor], list[Tensor]]


def paired(online: Network, target: Network, buffers: Rule, *, keep: bool) -> Matched:
    """The pairing of two networks, and the tensors it speaks of: (pairing, online's tensors, target's tensors).

    With ``keep``, one that was kept is used where it still holds, and a new one is kept.

    Raises:
        TypeError: The networks are of the wrong kind, or of two kinds.
        ValueError: The networks do not match, or share storage.
    """
    if isinstance(online, nn.Module) and isinstance(target, nn.Module):
        return _paired_modules(online, target, buffers, keep)
    if isinstance(online, nn.Module) or isinstance(target, nn.Module):
        raise TypeError(
            f"online is a {type(online).__name__} and target a {type(target).__name__}; pass two modules, or two "
            f"sequences of tensors"
        )
    return _paired_sequences(_tensors(online, "online"), _tensors(target, "target"), buffers, keep)


def _paired_modules(online: nn.Module, target: nn.Module, buffers: Rule, keep: bool) -> Matched:
    key = (id(online), id(target), buffers)
    kept = kept_modules.get(key) if keep else None
    if kept is not None and kept.holds():
        return kept.matched
    matched = _match(_module_pairs(online, target, buffers))
    if keep and _have_addresses(matched):
        made_of = [*_made_of(online), *_made_of(target)]
        _keep(kept_modules, key, KeptModules(matched, made_of), (online, target))
    return matched


def _paired_sequences(online: list[Tensor], target: list[Tensor], buffers: Rule, keep: bool) -> Matched:
    key = (*map(id, online), buffers, *map(id, target))
    kept = kept_sequences.get(key) if keep else None
    if kept is not None and kept.unmoved(online + target):
        return kept.pairing, online, target
    matched = _match(_sequence_pairs(online, target))
    if keep and _have_addresses(matched):
        _keep(kept_sequences, key, _Kept(matched), {*online, *target})
    return matched


def _match(pairs: list[Pair]) -> Matched:
    return Pairing(pairs), [pair.online for pair in pairs], [pair.target for pair in pairs]


# ---------------------------------------------------------------------------------------------------------------------
# Matching


def _module_pairs(online: nn.Module, target: nn.Module, buffers: Rule) -> list[Pair]:
    from companion.averaging.target import TargetNetwork

    if isinstance(target, TargetNetwork):
        raise TypeError("target is a TargetNetwork, which counts its updates: call target.update(online)")
    _refuse_sharded(online, "online")
    _refuse_sharded(target, "target")
    pairs = []
    for kind in ("parameters", "buffers"):
        ours, theirs = _named(online, kind), _named(target, kind)
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
    return _layers(module)[-1]


def _layers(module: nn.Module) -> list[nn.Module]:
    layers = [module]
    while True:
        children = layers[-1]._modules
        if isinstance(layers[-1], DataParallel | DistributedDataParallel):
            inner = children["module"]
        else:
            inner = next((children[name] for name in _WRAPPED if name in children), None)
        if inner is None:
            return layers
        layers.append(inner)


def _named(module: nn.Module, kind: str, prefix: str = "") -> dict[str, Tensor]:
    """The parameters or the buffers of a module, wrappers seen through, tied tensors under each of their names."""
    inner = unwrapped(module)
    own = getattr(inner, f"_{kind}")
    named = {prefix + key: tensor for key, tensor in own.items() if tensor is not None}
    for name, child in inner._modules.items():
        if child is not None:
            named |= _named(child, kind, f"{prefix}{name}.")
    return named


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
        if _is_lazy(tensor):
            raise ValueError(f"{role} {name!r} has no shape yet; run a batch through the lazy module first")
        if hasattr(tensor, "to_local"):
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
    if any(size > 1 and stride == 0 for size, stride in zip(target.shape, target.stride(), strict=True)):
        raise ValueError(
            f"target {name!r} is an expanded view, which cannot be written to; give target a copy of it: .contiguous()"
        )


def sharded(network: nn.Module) -> Iterator[nn.Module]:
    """The parts of a network that FSDP splits over processes, in either of its versions."""
    fsdp = sys.modules.get("torch.distributed.fsdp")  # not imported for the sake of a question
    kinds = (fsdp.FullyShardedDataParallel, fsdp.FSDPModule) if fsdp is not None else ()
    return (part for part in network.modules() if isinstance(part, kinds))


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


def _have_addresses(matched: Matched) -> bool:
    return all(map(_has_address, matched[1])) and all(map(_has_address, matched[2]))


def _has_address(tensor: Tensor) -> bool:
    return type(tensor) in PLAIN and not tensor.is_meta and not torch.compiler.is_compiling()


def _place(tensor: Tensor) -> object:
    """Equal for two tensors that are the same memory seen the same way."""
    if not _has_address(tensor) or tensor.numel() == 0:
        return id(tensor)
    return tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()


def _written_once(pairs: Sequence[Pair]) -> list[int]:
    """The pairs to update, a tied target once, after making sure that no write lands on another tensor."""
    first: dict[object, int] = {}
    spans: dict[torch.device, list[_Span]] = {}
    for index, (name, online, target, *_) in enumerate(pairs):
        if target is online:
            raise ValueError(_shared(name, name))
        earlier = first.setdefault(_place(target), index)
        if earlier != index:
            if _place(pairs[earlier].online) != _place(online):
                raise ValueError(
                    f"target ties {pairs[earlier].name!r} and {name!r} into one tensor, online does not; tie both alike"
                )
            continue
        for role, tensor in (("target", target), ("online", online)):
            if _has_address(tensor) and tensor.numel():
                reach = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
                start = tensor.data_ptr()
                span = _Span(start, start + (reach + 1) * tensor.element_size(), role, name)
                spans.setdefault(tensor.device, []).append(span)
    for on_device in spans.values():
        _refuse_overlap(sorted(on_device))
    return list(first.values())


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


# ---------------------------------------------------------------------------------------------------------------------
# Keeping


class _Kept:
    """A pairing, and the places its tensors had when they were checked."""

    def __init__(self, matched: Matched) -> None:
        self.pairing, online, target = matched
        self.owners: list[weakref.ref] = []  # when one of them goes, so does this
        self._places = list(map(_place_of, online + target))

    def unmoved(self, tensors: list[Tensor]) -> bool:
        """Whether online's and target's tensors are where they were: ``module.to`` and ``x.data = …`` move them."""
        return list(map(_place_of, tensors)) == self._places


_place_of = Tensor.data_ptr


class KeptModules(_Kept):
    """A pairing of two modules, their tensors, and what the modules were made of when they were checked.

    Attributes:
        matched: The pairing with the tensors that it speaks of, which are also in ``online`` and ``target``.
        plain: For a float tau, whether one fused call over all tensors is all there is to do.
    """

    def __init__(self, matched: Matched, made_of: list[dict[str, Any]]) -> None:
        super().__init__(matched)
        self.matched = matched
        pairing, self.online, self.target = matched
        self.plain = pairing.plain
        self._tensors = self.online + self.target
        self._empty = [each for each in made_of if not each]
        self._filled = [each for each in made_of if each]
        self._was_filled = [dict(each) for each in self._filled]
        self._singles = [
            (holder, key, tensor)
            for holder in self._filled
            for key, tensor in holder.items()
            if isinstance(tensor, Tensor) and tensor.numel() == 1
        ]

    def holds(self) -> bool:
        """Whether the modules are still made of what they were, and all of it is where it was."""
        # Dicts compare their values by identity first, which takes a microsecond for two whole networks. Where a tensor
        # was replaced, its == is asked next: that raises, except for single numbers, hence the loop.
        for holder, key, tensor in self._singles:
            if holder.get(key) is not tensor:
                return False
        try:
            return (
                not any(self._empty)
                and self._filled == self._was_filled
                and list(map(_place_of, self._tensors)) == self._places
            )
        except RuntimeError:
            return False


def _made_of(module: nn.Module) -> Iterator[dict[str, Any]]:
    """The dicts in which a module and all modules below hold what they are made of, wrappers included."""
    for layer in _layers(module):
        yield from (layer._parameters, layer._buffers, layer._modules)
    for child in layer._modules.values():
        if child is not None:
            yield from _made_of(child)


_MOST = 64  # pairings kept at a time; the oldest makes room
kept_modules: dict[tuple[int, int, str], KeptModules] = {}
kept_sequences: dict[tuple[int | str, ...], _Kept] = {}


def _keep(table: dict[Any, Any], key: object, kept: _Kept, owners: Iterable[object]) -> None:
    def drop(_: object) -> None:
        table.pop(key, None)

    kept.owners = [weakref.ref(owner, drop) for owner in owners]
    if len(table) >= _MOST:
        table.pop(next(iter(table)))
    table[key] = kept
