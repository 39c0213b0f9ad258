"""What a module goes on from and its ``state_dict`` does not hold: refused by name, before anything is trained."""

import enum
import inspect
from collections.abc import Iterator
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np
from torch import Tensor, device, dtype, nn

from companion.runs.described import fingerprint

__all__ = ["StateGuard"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, enum.Enum, np.generic, dtype, device)
_CODE = (type, ModuleType)
_OF_MODULES = frozenset(vars(nn.Module()))  # names of what torch itself keeps in a module


class StateGuard:
    """Sees to it that a checkpoint holds all that a module goes on from.

    A module's state is what its ``state_dict`` names. What else it has may be constants: plain values, frozen
    dataclasses, and buffers that say of themselves that they are not persistent. A module with an extra state of its
    own speaks for its attributes itself.

    Args:
        module: whose state it is.
        name: what it is called in messages.
    """

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = module
        self.name = name
        self._constants: dict[str, str] | None = None

    def check(self) -> None:
        """Raise if there is more than a checkpoint would hold; at first of what is there, later of what has changed.

        Raises:
            TypeError: a part may have a state, such as an optimizer of torch's or a generator.
            ValueError: a tensor is no part of the ``state_dict``, or a plain value has changed since the first check.
        """
        held = {tensor.untyped_storage().data_ptr() for tensor in _registered(self.module)}
        now = dict(self._found(self.module, self.name, held, set(), constant=False))
        first = self._constants = now if self._constants is None else self._constants
        for place in first | now:
            if (was := first.get(place, "not there")) != (is_now := now.get(place, "not there")):
                raise ValueError(
                    f"{place} was {was} and is {is_now}, which a checkpoint does not hold: keep it in a buffer, by "
                    "register_buffer, or train without a checkpoint"
                )

    def _found(
        self, thing: Any, place: str, held: set[int], seen: set[int], *, constant: bool
    ) -> Iterator[tuple[str, str]]:
        """Every plain value, as text, by where it was found."""
        if isinstance(thing, Tensor):
            if constant:
                yield place, fingerprint(thing)
            elif thing.untyped_storage().data_ptr() not in held:
                raise ValueError(
                    f"{place} is a tensor that its state_dict does not hold, and a checkpoint would not either: make "
                    "it a buffer, by register_buffer, or train without a checkpoint"
                )
            return
        if isinstance(thing, _PLAIN):
            yield place, repr(thing)
            return
        if id(thing) in seen or isinstance(thing, _CODE):
            return
        seen.add(id(thing))
        frozen = _is_frozen(thing)
        for name, part in _parts(thing, place, frozen=frozen).items():
            yield from self._found(part, f"{place}.{name}", held, seen, constant=constant or frozen)


def _registered(module: nn.Module) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()  # those that are not persistent, too: they say so


def _parts(thing: Any, place: str, *, frozen: bool) -> dict[Any, Any]:
    match thing:
        case nn.Module():
            if type(thing).__module__.startswith("torch.") or _speaks_for_itself(thing):
                return dict(thing.named_children()) | dict(thing.named_parameters(recurse=False))
            own = {name: part for name, part in vars(thing).items() if name not in _OF_MODULES}
            return own | dict(thing.named_parameters(recurse=False)) | dict(thing.named_children())
        case dict():
            return thing
        case list() | tuple():
            return dict(enumerate(thing))
        case FunctionType():
            return dict(inspect.getclosurevars(thing).nonlocals)
        case MethodType() | BuiltinFunctionType():
            return {"__self__": thing.__self__}
        case partial():
            return {"args": thing.args, "keywords": thing.keywords, "func": thing.func}
    if frozen:
        return vars(thing)
    kind = type(thing)
    raise TypeError(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, whose state a checkpoint would not hold. Keep what lasts "
        "between two steps in buffers, by register_buffer, or train without a checkpoint"
    )


def _is_frozen(thing: Any) -> bool:
    return getattr(getattr(type(thing), "__dataclass_params__", None), "frozen", False)


def _speaks_for_itself(module: nn.Module) -> bool:
    return type(module).get_extra_state is not nn.Module.get_extra_state
