"""The slow copy of a network, with its clock."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from itertools import chain
from operator import is_
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.compiler import is_dynamo_compiling

from companion.averaging.clock import Clock, counted
from companion.averaging.conventions import Number
from companion.averaging.copies import deep_copy, freeze
from companion.averaging.pairing import (
    Buffers,
    CountsItsUpdates,
    Pairing,
    check_rule,
    has_address,
    is_statistic,
    low_precision,
    sharded,
    unwrapped,
)
from companion.averaging.schedules import Schedule
from companion.averaging.updates import fit_update, hard_update, move

Mode = Literal["eval", "train"]


class TargetNetwork(CountsItsUpdates):
    """A frozen copy of a network that follows it slowly: call `update` after each step of the optimizer.

    The copy starts out equal to the online network, takes no gradients and runs in eval mode (or the ``mode`` asked
    for), whatever a module that holds it is told: ``requires_grad_(True)``, also on the copy or one of its parameters,
    has no effect. Calling the target network runs the copy, which is ``module``. To train a slow copy further,
    deep-copy ``target.module`` and call the new copy's ``requires_grad_(True)``.

    In bf16 and fp16 the small steps of an average are lost to rounding. For a network with such tensors there is
    besides the copy an ``average``, the same module in fp32: the average is taken there, and the copy is it, rounded.
    Casting the target network leaves the average in fp32. Without low precision ``average`` is None.

    ``state_dict`` holds the copy, the average and ``count``, and with it the position in a schedule, so that k updates,
    saving, loading and m updates give bit for bit what k + m updates give. ``tau``, ``every``, ``buffers`` and ``mode``
    are settings, not state: build the target network with them again before loading.

    The tensors of the two networks are matched and checked once. At each update it is seen whether one of them was
    moved, cast or replaced since, and only then are they matched and checked again. For that it holds on to the tensors
    of the online network it followed last.

    In a recorded CUDA graph it moves as it should with ``every=1`` and a tau that is no schedule; where tau is a tensor
    on the networks' device, `count` goes on there too. A longer period or a schedule is Python's, and a recording would
    repeat one update: use `soft_update` there, with a `Clock` whose period is a tensor. A compiler traces `update`
    whole; one with a period or a schedule depends on the count and should reach the compiled function as an argument
    or in an object, since a compiler takes the numbers in a global variable for constants.

    Args:
        online: The network to follow.
        tau: The weight of the online network, in [0, 1]; or a tensor of shape ``(member,)``; or a schedule, a callable
            that takes the number k = 1, 2, … of the update and returns one of the two.
        every: The target moves at updates ``every``, ``2·every``, …, counted in calls of `update`. ``tau`` is the
            weight of one such move: ``1 − (1 − tau)**every`` looks back as far as ``tau`` at every update does.
        buffers: What becomes of running statistics: ``"copy"``, ``"average"`` or ``"keep"``, as in `soft_update`.
            Buffers that ``forward`` makes or grows need ``"keep"``.
        mode: ``"eval"``, or ``"train"`` for a copy whose BatchNorm takes the statistics of each batch, and keeps
            running ones of its own where ``buffers="keep"``: the momentum encoders of MoCo and BYOL.
        factory: Builds the copy, as in ``factory=lambda: Critic(17, 6)``, for a network that cannot be deep-copied, or
            whose hooks refer to itself or to what watches it. It is then set to the online network's values.

    Attributes:
        module: The copy.
        average: The fp32 average behind a low-precision copy, or None.
        clock: What counts the updates, a `Clock`.
        count: How many times `update` was called.

    Raises:
        TypeError: An argument is of the wrong kind, or ``online`` is sharded (FSDP), or it cannot be deep-copied into a
            network that stands by itself and there is no ``factory``.
        ValueError: An argument is out of range, or what ``factory`` builds does not match ``online``.

    Source: Mnih et al., "Human-level control through deep reinforcement learning", Nature 518 (2015), Algorithm 1, for
    ``tau=1`` and a period; Lillicrap et al. (arXiv:1509.02971), Algorithm 1, for ``every=1`` and a small ``tau``.
    """

    module: nn.Module
    average: nn.Module | None
    clock: Clock
    buffer_rule: Buffers
    mode: Mode
    _kept: _Kept | None

    def __init__(
        self,
        online: nn.Module,
        *,
        tau: Number | Float[Tensor, ""] | Float[Tensor, " member"] | Schedule = 0.005,
        every: int = 1,
        buffers: Buffers = "copy",
        mode: Mode = "eval",
        factory: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        _check_module(online)
        self.clock = _clock(tau, every)
        check_rule(buffers)
        if mode not in get_args(Mode):
            raise ValueError(f'mode = {mode!r} is not known; use "eval" or "train"')
        self.buffer_rule, self.mode = buffers, mode
        self._kept = None
        if factory is None and next(sharded(online), None) is not None:
            raise TypeError("online is sharded by FSDP; pass factory=, a function that builds the network unsharded")
        self.module = _built_by(factory) if factory is not None else deep_copy(unwrapped(online))
        self.module.zero_grad()  # a deep copy takes gradients along
        self.average = None
        self.reset(online)
        averaged: list[Tensor] = list(self.module.parameters())
        if buffers == "average":
            averaged += [tensor for name, tensor in self.module.named_buffers() if is_statistic(name)]
        if any(low_precision(tensor.dtype) for tensor in averaged):
            self.average = copy.deepcopy(self.module)._apply(lambda tensor: _at_least_fp32(tensor, tensor))
        self.requires_grad_(False)
        self.train()
        self.register_load_state_dict_post_hook(_refreeze)  # loading with assign=True puts other parameters in

    @property
    def tau(self) -> float | Tensor | Schedule:
        """The weight of the online network, as it was given; may be set, and the count goes on."""
        return self.clock.tau

    @tau.setter
    def tau(self, tau: Number | Float[Tensor, ""] | Float[Tensor, " member"] | Schedule) -> None:
        self._set_clock(tau, self.every)

    @property
    def every(self) -> int:
        """The period; may be set, and the count goes on."""
        return self.clock.every  # type: ignore[return-value]

    @every.setter
    def every(self, every: int) -> None:
        self._set_clock(self.tau, every)

    def _set_clock(self, tau: Number | Tensor | Schedule, every: int) -> None:
        clock = _clock(tau, every)
        clock.count = self.count
        self.clock = clock

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "tau":  # also a parameter, or a schedule that is a module, which torch would register
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def count(self) -> int:
        """How many times `update` was called."""
        return self.clock.count

    @count.setter
    def count(self, count: int) -> None:
        self.clock.count = count

    def update(self, online: nn.Module) -> None:
        """Count one update, and at every ``every``-th move the copy towards ``online`` by ``tau``.

        Call it once after each step of the optimizer: not once a micro-batch, and not while evaluating.

        Raises:
            TypeError: ``online`` is not a module, or a schedule returned something else than a weight.
            ValueError: ``online`` does not match the copy, ``tau`` does not fit the two, or a schedule returned a
                weight outside of [0, 1]. An update that is refused is not counted.
        """
        _check_module(online)
        towards, *rounding = self._paired(online)
        weight = self.clock.ahead()
        if isinstance(weight, Tensor) or weight > 0.0:
            move(towards, weight)
            for pairing in rounding:
                move(pairing, 1.0)
        self.clock.advance()

    def _paired(self, online: nn.Module) -> list[Pairing]:
        """Online with what is averaged, and that with its rounded copy; matched and checked where something changed."""
        tracing = is_dynamo_compiling()
        kept = self._kept
        if not tracing and kept is not None and kept.rule == self.buffer_rule and kept.unchanged(online):
            return kept.pairings
        check_rule(self.buffer_rule)  # which may have been set since
        if self.average is None:
            pairings = [Pairing(online, self.module, self.buffer_rule)]
        else:
            pairings = [Pairing(online, self.average, self.buffer_rule)]
            pairings += [Pairing(self.average, self.module, self.buffer_rule)]
        if not tracing:
            self._kept = _Kept(online, self, pairings)
        return pairings

    def reset(self, online: nn.Module) -> None:
        """Become a copy of a network at once: all its parameters and buffers, and in fp32 the ``average`` too.

        The clock is left as it is: the count, and with it the next move of a period and the place in a schedule; set
        ``count = 0`` to have them begin anew. With ``buffers="keep"``, buffers that only one of the two has, or in
        another shape, are left alone. In Elastic Reset ``hard_update(average.module, policy)`` comes first, and then
        ``average.reset(start)``.

        Args:
            online: The network to copy: the one that is followed, or another like it.

        Raises:
            TypeError: ``online`` is not a module.
            ValueError: ``online`` does not match the copy.
        """
        _check_module(online)
        copy_all = fit_update if self.buffer_rule == "keep" else hard_update
        copy_all(online, self.module)
        if self.average is not None:
            copy_all(online, self.average)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the copy returns."""
        training = self.mode == "train"
        for module in self.module.modules():  # somebody may have gone through all modules, one by one
            if module.training != training:
                module.training = training
        return self.module(*args, **kwargs)

    def train(self, mode: bool = True) -> TargetNetwork:
        """Stay in the mode that was asked for, whatever the mode of the module that holds this one."""
        return super().train(self.mode == "train")

    def requires_grad_(self, requires_grad: bool = True) -> TargetNetwork:
        """Stay frozen."""
        freeze(self)
        return self

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_kept": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        freeze(self)

    def extra_repr(self) -> str:
        shown = {float: str(self.tau), Tensor: "a tensor"}.get(type(self.tau), "a schedule")
        return f"tau={shown}, every={self.every}, buffers={self.buffer_rule!r}, count={self.count}"

    def get_extra_state(self) -> Tensor:
        """The position of the clock, for ``state_dict``: a tensor, which every format can store."""
        return torch.tensor(self.count, device="cpu")

    def set_extra_state(self, state: object) -> None:
        """Set the clock, for ``load_state_dict``."""
        self.count = _count_in(state)

    # torch loads what fits and reports the rest afterwards. A half-loaded target is a silent bug: look first.

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """Load what ``state_dict`` of a TargetNetwork gave: weights, average and clock.

        Args:
            state_dict: The state.
            strict: Whether it must have exactly the names that this one has.
            assign: Whether to take over its tensors instead of copying their values.

        Raises:
            ValueError: A name is missing or unknown (if ``strict``), a shape differs, or the count is not one. Nothing
                is loaded then.
        """
        expected = self.state_dict().keys()
        if strict and state_dict.keys() != expected:
            lacks, extra = sorted(expected - state_dict.keys())[:3], sorted(state_dict.keys() - expected)[:3]
            raise ValueError(
                f"state_dict does not fit this TargetNetwork: it lacks {lacks} and has {extra} in addition; load one "
                f"that was saved by a TargetNetwork of the same network and precision"
            )
        return super().load_state_dict(state_dict, strict, assign)

    def _load_from_state_dict(
        self, state_dict: Mapping[str, Any], prefix: str, local_metadata: Mapping[str, Any], *args: Any
    ) -> None:
        for name, own in self.state_dict().items():
            value = state_dict.get(prefix + name, own)
            if name == "_extra_state":
                _count_in(value)
            elif isinstance(value, nn.Parameter) and local_metadata.get("assign_to_params_buffers"):
                raise ValueError(
                    f"state_dict[{prefix + name!r}] is a parameter of another network, which assign=True would share "
                    f"and freeze; load a state_dict() without keep_vars"
                )
            elif not isinstance(value, Tensor) or value.shape != own.shape:
                found = tuple(value.shape) if isinstance(value, Tensor) else f"a {type(value).__name__}"
                raise ValueError(f"state_dict[{prefix + name!r}] is {found}, expected a tensor of {tuple(own.shape)}")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TargetNetwork:
        # What .to(), .half() and .cuda() call. The copy is cast and moved, what the average is made of only moved.
        if self.average is None and low_precision(fn(torch.zeros(1)).dtype):
            self.average = copy.deepcopy(self.module)

        def keep_precision(tensor: Tensor) -> Tensor:
            return _at_least_fp32(fn(tensor), tensor)

        self._kept = None
        self.module._apply(fn, recurse)
        if self.average is not None:
            self.average._apply(keep_precision, recurse)
        if isinstance(self.tau, Tensor):
            self.clock.to(fn(self.tau).device)
        freeze(self)
        return self


class _Kept:
    """Pairings of two networks, good for as long as both are made of what they were.

    That is asked at every update, so it costs a few microseconds: a tensor that was replaced is another object, one
    that was moved or cast has another address, and one that was cut in its place, or seen as a narrower dtype, has
    another number of elements. That number is asked of the online network alone, of which a part would be broadcast
    without a word: torch refuses to write a whole tensor to a part. To ask for each shape and dtype would cost more
    than all the rest.
    """

    def __init__(self, online: nn.Module, target: TargetNetwork, pairings: list[Pairing]) -> None:
        self.pairings = pairings
        self.rule = target.buffer_rule
        self._online = online
        parts = [*online.modules(), *target.modules()]
        made_of: list[dict[str, Any]] = list(
            chain.from_iterable((part._parameters, part._buffers, part._modules) for part in parts)
        )
        self._empty = [each for each in made_of if not each]
        self._filled = [each.values() for each in made_of if each]
        self._seen = list(chain.from_iterable(self._filled))  # kept alive: nothing new can take their addresses
        self._tensors = [each for each in self._seen if isinstance(each, Tensor)]
        self._places = list(map(Tensor.data_ptr, self._tensors)) if all(map(has_address, self._tensors)) else None
        self._learning = [each for part in online.modules() for each in _tensors_of(part)]
        self._sizes = [] if self._places is None else list(map(Tensor.nelement, self._learning))

    def unchanged(self, online: nn.Module) -> bool:
        """Whether this is the online network, and all is as it was; never where tensors have no address."""
        return (
            online is self._online
            and self._places is not None
            and not any(self._empty)
            and len(now := list(chain.from_iterable(self._filled))) == len(self._seen)
            and all(map(is_, now, self._seen))
            and list(map(Tensor.data_ptr, self._tensors)) == self._places
            and list(map(Tensor.nelement, self._learning)) == self._sizes
        )


def _tensors_of(part: nn.Module) -> list[Tensor]:
    return [each for each in chain(part._parameters.values(), part._buffers.values()) if each is not None]


def _clock(tau: Number | Tensor | Schedule, every: int) -> Clock:
    if isinstance(every, Tensor):
        raise TypeError("every is a tensor; pass one period for the whole network, or use a Clock and soft_update")
    return Clock(tau, every)


def _check_module(online: object) -> None:
    if not isinstance(online, nn.Module):
        raise TypeError(f"online is a {type(online).__name__}; pass the network, an nn.Module")


def _refreeze(target: TargetNetwork, _: object) -> None:
    freeze(target)


def _built_by(factory: Callable[[], nn.Module]) -> nn.Module:
    if not callable(factory):
        raise TypeError(f"factory is a {type(factory).__name__}; pass a function that builds the network")
    module = factory()
    if not isinstance(module, nn.Module):
        raise TypeError(f"factory returned a {type(module).__name__}; it must build the network, an nn.Module")
    return module


def _at_least_fp32(tensor: Tensor, origin: Tensor) -> Tensor:
    """``tensor``, or if that is narrower than fp32, ``origin`` in fp32 or its own wider dtype on the same device."""
    if not low_precision(tensor.dtype):
        return tensor
    return origin.to(tensor.device, torch.promote_types(origin.dtype, torch.float32))


def _count_in(state: object) -> int:
    if isinstance(state, Mapping) and isinstance(state.get("count"), int):  # what version 0.3 saved
        state = torch.tensor(state["count"])
    return counted(state, 'state_dict["_extra_state"]')
