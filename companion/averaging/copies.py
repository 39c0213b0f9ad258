"""A copy of a network that stands by itself: nothing in it speaks of the original, and its parameters stay frozen."""

from __future__ import annotations

import copy
import dis
import enum
import functools
import types
import weakref
from collections.abc import Iterator
from typing import Any, NoReturn

import torch
from torch import Tensor, nn

_FACTORY = "pass factory=, a function that builds the network anew"
_CONTAINERS = (list, tuple, set, frozenset, dict)
_WORLD = (type, types.ModuleType, types.BuiltinFunctionType)  # there once, whoever asks
_VALUES = (int, float, complex, str, bytes, type(None), enum.Enum, torch.dtype, torch.device, torch.layout, *_WORLD)


class Frozen(nn.Parameter):
    """A parameter of a slow copy: no holder's ``requires_grad_(True)`` reaches it. Its deep copy is a free one."""

    requires_grad = property(lambda self: False, lambda self, value: None)

    def requires_grad_(self, requires_grad: bool = True) -> Frozen:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Parameter:
        if id(self) not in memo:
            memo[id(self)] = nn.Parameter(self.data.clone(memory_format=torch.preserve_format), False)
        return memo[id(self)]


def freeze(module: nn.Module) -> None:
    """Make the parameters of a module `Frozen`, in place: whatever else refers to them sees it."""
    for parameter in module.parameters():
        parameter.requires_grad_(False)
        if type(parameter) is nn.Parameter:  # others have a class of their own that they cannot do without
            parameter.__class__ = Frozen


def deep_copy(online: nn.Module) -> nn.Module:
    """A deep copy of a network that stands by itself.

    ``copy.deepcopy`` copies modules, tensors, objects and bound methods, but leaves functions as they are. A closure in
    a hook or in an attribute then works on the network that it was written for.

    Raises:
        TypeError: The network cannot be copied, or the copy would still refer to it, or to what watches it.
    """
    memo: dict[int, Any] = {}
    try:
        twin = copy.deepcopy(online, memo)
    except Exception as error:
        raise TypeError(f"online, a {type(online).__name__}, cannot be deep-copied ({error}); {_FACTORY}") from error
    parts = set(twin.modules())
    for path, module in twin.named_modules():
        for key, value in vars(module).items():
            for name, reached in _reached(key, value):
                if id(reached) in memo:
                    _refuse(path, key, f"{name!r}, which is part of online")
            if key.endswith(("forward_hooks", "forward_pre_hooks", "backward_hooks", "backward_pre_hooks")):
                for hook in value.values():
                    for name in _watched(hook, parts):
                        _refuse(path, key, f"{name!r} outside of online, and would run for both networks")
    return twin


def _refuse(path: str, key: str, what: str) -> NoReturn:
    owner = f"online.{path}" if path else "online"
    kind = key.strip("_").removesuffix("s").replace("_", " ") if key.endswith("_hooks") else None
    remedy = f"{_FACTORY}, or register the hook after the copy was made" if kind else _FACTORY
    raise TypeError(
        f"{f'a {kind} of {owner}' if kind else f'{owner}.{key}'} cannot be deep-copied: it refers to {what}; {remedy}"
    )


def _reached(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    """A value and what is reached from it, by name: through containers, objects, and functions, as no deep copy does.

    Modules are not entered, and what a function refers to by the names of its file is not followed further.
    """
    seen: set[int] = set()
    waiting: list[tuple[str, Any]] = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, _VALUES) or id(value) in seen:
            continue
        seen.add(id(value))
        yield name, value
        if isinstance(value, types.FunctionType):
            own, shared = _variables(value)
            yield from shared.items()
            waiting += own.items()
        elif isinstance(value, types.MethodType):
            waiting += [(name, value.__func__), (name, value.__self__)]
        elif isinstance(value, weakref.ref):
            waiting.append((name, value()))
        elif isinstance(value, functools.partial):
            waiting += [(name, each) for each in (value.func, *value.args, *value.keywords.values())]
        elif isinstance(value, _CONTAINERS):
            waiting += [(name, each) for each in (value.values() if isinstance(value, dict) else value)]
        elif not isinstance(value, Tensor | nn.Module) and not type(value).__module__.startswith("torch.ao."):
            # The recipe of a quantisation refers to the module that it was for, and asks it for its device only.
            waiting += getattr(value, "__dict__", {}).items()


def _watched(hook: Any, parts: set[nn.Module]) -> Iterator[str]:
    """What outside of the network, whose copy consists of ``parts``, a hook reads or writes, by name."""
    while isinstance(hook, functools.partial):
        hook = hook.func
    if isinstance(hook, types.MethodType):
        if isinstance(hook.__self__, nn.Module) and hook.__self__ not in parts:
            yield type(hook.__self__).__name__
    elif isinstance(hook, types.FunctionType):
        own, shared = _variables(hook)
        yield from _assigned(hook.__code__)
        yield from (name for name, value in shared.items() if isinstance(value, (*_CONTAINERS, Tensor, nn.Module)))
        for name, value in own.items():
            if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
                yield from _watched(value, parts)
            elif not _constant(value):
                yield name


def _constant(value: Any) -> bool:
    return isinstance(value, _VALUES) or (isinstance(value, tuple | frozenset) and all(map(_constant, value)))


def _variables(function: types.FunctionType) -> tuple[dict[str, Any], dict[str, Any]]:
    """The variables of a function that outlive its calls, by name: its own, and those of its file."""
    own = dict(function.__kwdefaults__ or {}) | vars(function)
    own |= {f"default {index}": value for index, value in enumerate(function.__defaults__ or ())}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            own[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    shared = function.__globals__
    return own, {name: shared[name] for name in _named_in(function.__code__, "LOAD_GLOBAL") if name in shared}


def _assigned(code: types.CodeType) -> Iterator[str]:
    """The variables outside of a function that it assigns to."""
    yield from _named_in(code, "STORE_GLOBAL")
    yield from (name for name in _named_in(code, "STORE_DEREF") if name in code.co_freevars)


def _named_in(code: types.CodeType, operation: str) -> Iterator[str]:
    yield from (each.argval for each in dis.get_instructions(code) if each.opname == operation)
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            yield from _named_in(inner, operation)
