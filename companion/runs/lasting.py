"""What lasts of an object between two steps: its tensors, to be saved and put back in place.

A step that a GPU can record keeps all that lasts in tensors, and changes them in place (see
:class:`~companion.runs.capture.Captured`). So they can be found, and nobody needs to list them. What is found and
is no tensor may not change; what a checkpoint cannot hold, such as an optimizer or a generator, is refused by name.
"""

import enum
import inspect
from collections.abc import Iterator, Mapping
from functools import partial
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

__all__ = ["Lasting", "put_back", "tensors"]

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, enum.Enum, np.generic, torch.dtype, torch.device)
_CODE = (type, ModuleType)
_OF_MODULES = frozenset(vars(nn.Module()))  # names of what torch itself keeps in a module


class Lasting:
    """What lasts of an object, for one checkpoint after another.

    Args:
        thing: the object, as :func:`tensors` takes it.
    """

    def __init__(self, thing: Any) -> None:
        self.thing = thing
        self._first: dict[str, str] | None = None

    def tensors(self) -> dict[str, Tensor]:
        """:func:`tensors` of it, if they are all that may have changed since this was first asked.

        Raises:
            TypeError: a part of it cannot be held by a checkpoint.
            ValueError: something else has changed: a number that is no tensor, or a tensor's size.
        """
        now = {place: _described(part) for place, part in _held(self.thing, "", set())}
        self._first = first = self._first or now
        for place in first | now:
            if (was := first.get(place, "not there")) != (is_now := now.get(place, "not there")):
                raise ValueError(
                    f"{place} was {was} and is {is_now}, which a checkpoint does not hold: it holds the values of "
                    "tensors. Keep it in one, made in __init__ and changed in place, or train without a checkpoint"
                )
        return tensors(self.thing)


def tensors(thing: Any) -> dict[str, Tensor]:
    """All memory that an object's tensors lie in, by where it was found first: ``{"optimizer.first": …}``.

    They are found in attributes of objects of the book's classes, of classes derived from them and of namespaces, in
    dictionaries, lists and tuples, and of modules as parameters, buffers and other attributes. (A module with extra
    state speaks for its attributes itself, and what a class names in ``PASSING`` does not last.) Tensors that are views
    of the same memory bring it along once, whole, as a flat tensor that shares it.

    Raises:
        TypeError: a part of it may have a state that is no tensor, and that a checkpoint would not hold.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    for place, tensor in _held(thing, "", set()):
        if not isinstance(tensor, Tensor):
            continue
        storage = tensor.untyped_storage()
        if storage.nbytes():
            whole = torch.empty(0, dtype=tensor.dtype, device=tensor.device).set_(storage)
            found.setdefault(storage.data_ptr(), (place, whole))
    return dict(found.values())


def put_back(thing: Any, saved: Mapping[str, Tensor]) -> None:
    """Give an object's tensors the values that :func:`tensors` once told, in place.

    Raises:
        ValueError: the object's tensors are others, or of other sizes. Nothing is changed.
    """
    own = tensors(thing)
    ours, theirs = ({name: (t.numel(), str(t.dtype)) for name, t in each.items()} for each in (own, saved))
    if ours != theirs:
        names = sorted({name for name, _ in ours.items() ^ theirs.items()})
        raise ValueError(f"what was saved is not of this program: {', '.join(names)} differ in size, or are missing")
    for name, tensor in own.items():
        tensor.copy_(saved[name])


def _held(thing: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Every tensor, a view too, every plain value, and where it was found."""
    if isinstance(thing, (Tensor, *_PLAIN)):
        yield place, thing
        return
    if id(thing) in seen or isinstance(thing, _CODE):
        return
    seen.add(id(thing))
    for name, part in _parts(thing, place).items():
        yield from _held(part, f"{place}.{name}" if place else str(name), seen)


def _parts(thing: Any, place: str) -> Mapping[Any, Any]:
    match thing:
        case nn.Module():
            own = {
                f"{name}.{key}" if name else key: part
                for name, module in thing.named_modules()
                for key, part in _attributes(module).items()
            }
            return dict(thing.named_parameters()) | dict(thing.named_buffers()) | own
        case dict():
            return thing
        case list() | tuple():
            return dict(enumerate(thing))
        case FunctionType():
            return inspect.getclosurevars(thing).nonlocals
        case MethodType() | BuiltinFunctionType():
            return {"__self__": thing.__self__}
        case partial():
            return {"args": thing.args, "keywords": thing.keywords, "func": thing.func}
    if isinstance(thing, SimpleNamespace) or any(c.__module__.startswith("companion.") for c in type(thing).__mro__):
        return _lasting_attributes(thing)
    kind = type(thing)
    raise TypeError(
        f"{place} is a {kind.__module__}.{kind.__qualname__}, whose state a checkpoint would not hold. Keep what lasts "
        "between two steps in tensors, made in __init__ and changed in place, or train without a checkpoint"
    )


def _attributes(module: nn.Module) -> dict[str, Any]:
    """What a module has beside parameters, buffers and modules: nothing that lasts, if it is torch's own."""
    if type(module).__module__.startswith("torch.") or type(module).get_extra_state is not nn.Module.get_extra_state:
        return {}
    return {name: part for name, part in _lasting_attributes(module).items() if name not in _OF_MODULES}


def _lasting_attributes(thing: Any) -> dict[str, Any]:
    passing = getattr(type(thing), "PASSING", ())
    return {name: part for name, part in vars(thing).items() if name not in passing}


def _described(part: Any) -> str:
    """All of a part that may not change."""
    return f"a tensor of {part.dtype} and shape {tuple(part.shape)}" if isinstance(part, Tensor) else repr(part)
