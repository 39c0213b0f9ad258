"""What lasts of an object between two steps: its tensors, to be saved and put back in place.

A step that a GPU can record keeps all that lasts in tensors, and changes them in place (see
:class:`~companion.population.capture.Captured`). So they can be found, and nobody needs to list them.
"""

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["put_back", "tensors"]


def tensors(thing: Any) -> dict[str, Tensor]:
    """All memory that an object's tensors lie in, by where it was found first: ``{"optimizer.first": …}``.

    They are found in attributes of the book's own objects and of namespaces, in dictionaries, lists and tuples, and as
    parameters and buffers of modules. Tensors that are views of the same memory bring it along once, whole, as a flat
    tensor that shares it.
    """
    found: dict[int, tuple[str, Tensor]] = {}
    for place, tensor in _held(thing, "", set()):
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


def _held(thing: Any, place: str, seen: set[int]) -> Iterator[tuple[str, Tensor]]:
    """Every tensor and where it was found; a view too."""
    if isinstance(thing, Tensor):
        yield place, thing
    if isinstance(thing, Tensor) or id(thing) in seen:
        return
    seen.add(id(thing))
    parts: dict[Any, Any]
    if isinstance(thing, nn.Module):
        parts = dict(thing.named_parameters()) | dict(thing.named_buffers())
    elif isinstance(thing, dict):
        parts = thing
    elif isinstance(thing, (list, tuple)):
        parts = dict(enumerate(thing))
    elif isinstance(thing, SimpleNamespace) or type(thing).__module__.startswith("companion."):
        parts = vars(thing)
    else:
        parts = {}
    for name, part in parts.items():
        yield from _held(part, f"{place}.{name}" if place else str(name), seen)
