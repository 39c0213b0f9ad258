"""What a module goes on from and its ``state_dict`` does not hold: refused by name, before anything is trained."""

import dataclasses
import enum
import inspect
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import PurePath
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from companion.runs.described import fingerprint

__all__ = ["StateGuard"]

_NUMBERS = (type(None), bool, int, float, complex, np.generic, range, slice)
_WORDS = (str, bytes, frozenset, PurePath, enum.Enum)
_PLAIN = (*_NUMBERS, *_WORDS, np.ufunc, torch.dtype, torch.device, torch.memory_format, torch.layout, logging.Logger)
_OF_MODULES = frozenset(vars(nn.Module())) - {"training"}  # names of what torch itself keeps in a module


class StateGuard:
    """Sees to it that a checkpoint holds what a module goes on from.

    A module's state is what its ``state_dict`` names. What else it and its parts have may be constants: plain values,
    functions, frozen dataclasses, and buffers that say of themselves that they are not persistent. A part with an extra
    state of its own speaks for its attributes itself. (Class attributes, globals and hooks are not looked at.)

    Args:
        module: whose state it is, as it is before the first step.
        name: what it is called in messages.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module
        self.name = name
        self._refused: Exception | None = None
        self._constants: dict[str, str] = {}
        try:
            self._constants = self._found()
        except (TypeError, ValueError) as error:  # without a checkpoint it may be what it likes
            self._refused = error

    def check(self) -> None:
        """Raise if there is more than a checkpoint would hold.

        Raises:
            TypeError: a part may have a state, such as an optimizer of torch's or a generator.
            ValueError: a tensor is no part of the ``state_dict``, or a constant is no longer what it was.
        """
        if self._refused is not None:
            raise self._refused
        first, now = self._constants, self._found()
        for place in first | now:
            if (was := first.get(place, "not there")) != (is_now := now.get(place, "not there")):
                raise ValueError(
                    f"{place} was {was} and is {is_now}, which a checkpoint does not hold: keep it in a buffer, by "
                    "register_buffer, or train without a checkpoint"
                )

    def _found(self) -> dict[str, str]:
        """Every constant, as text, by where it is."""
        named = self.module.state_dict(keep_vars=True).values()
        state = [tensor for tensor in named if isinstance(tensor, Tensor)]
        constants = [tensor for tensor in self.module.buffers() if not any(tensor is each for each in state)]
        walk = _Walk(set(self.module.modules()), state, constants)
        return dict(walk.found(self.module, self.name, constant=False))


class _Walk:
    """One look at all that a module has."""

    def __init__(self, modules: set[nn.Module], state: list[Tensor], constants: list[Tensor]) -> None:
        self.modules = modules
        self.held = {tensor.untyped_storage().data_ptr() for tensor in state}
        self.constants = set(map(id, constants))
        self.seen: set[int] = set()

    def found(self, thing: Any, place: str, *, constant: bool) -> Iterator[tuple[str, str]]:
        if isinstance(thing, Tensor):
            if constant or id(thing) in self.constants:
                yield place, f"{tuple(thing.shape)} {fingerprint(thing)}"
            elif thing.untyped_storage().data_ptr() not in self.held:
                raise ValueError(
                    f"{place} is a tensor that its state_dict does not hold, and a checkpoint would not either: make "
                    "it a buffer, by register_buffer, or train without a checkpoint"
                )
            return
        if isinstance(thing, _PLAIN):
            yield place, repr(thing)
            return
        if isinstance(thing, (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)):
            yield place, f"{getattr(thing, '__module__', '')} {getattr(thing, '__qualname__', thing.__name__)}"
        if id(thing) in self.seen or isinstance(thing, (type, ModuleType)):
            return
        self.seen.add(id(thing))
        if isinstance(thing, nn.Module) and thing not in self.modules:
            raise ValueError(
                f"{place} is a module that its state_dict does not hold, and a checkpoint would not either: make it an "
                "attribute of its own, or put it into an nn.ModuleList, or train without a checkpoint"
            )
        frozen = _is_frozen(thing)
        for name, part in _parts(thing, place, frozen=frozen).items():
            yield from self.found(part, f"{place}.{name}", constant=constant or frozen)


def _parts(thing: Any, place: str, *, frozen: bool) -> dict[Any, Any]:
    match thing:
        case nn.Module():
            own = {} if _speaks_for_itself(thing) else vars(thing)
            registered = (thing.named_buffers(recurse=False), thing.named_children())
            return {name: part for name, part in own.items() if name not in _OF_MODULES} | {
                name: part for parts in registered for name, part in parts
            }
        case dict():
            return thing
        case list() | tuple():
            return dict(enumerate(thing))
        case FunctionType():
            defaults = {"__defaults__": thing.__defaults__, "__kwdefaults__": thing.__kwdefaults__}
            return dict(inspect.getclosurevars(thing).nonlocals) | defaults
        case MethodType():
            return {"__self__": thing.__self__, "__func__": thing.__func__}
        case BuiltinFunctionType():
            return {"__self__": thing.__self__}
        case partial():
            return {"args": thing.args, "keywords": thing.keywords, "func": thing.func}
    if frozen:
        return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}
    kind = type(thing)
    raise TypeError(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, whose state a checkpoint would not hold. Keep what lasts "
        "between two steps in buffers, by register_buffer, or train without a checkpoint"
    )


def _is_frozen(thing: Any) -> bool:
    return getattr(getattr(type(thing), "__dataclass_params__", None), "frozen", False)


def _speaks_for_itself(module: nn.Module) -> bool:
    return type(module).get_extra_state is not nn.Module.get_extra_state
