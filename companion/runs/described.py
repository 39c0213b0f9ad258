"""What a value is, in plain values: to be recorded, and to be compared in another process."""

import copyreg
import hashlib
from functools import partial
from types import CellType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["described", "fingerprint"]


def fingerprint(*arrays: np.ndarray | Tensor) -> str:
    """A digest of the numbers, which tells one data set from another of the same name."""
    digest = hashlib.blake2b(digest_size=8)
    for array in arrays:
        if isinstance(array, Tensor):
            array = array.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy()
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


def described(value: Any) -> Any:
    """Numbers, text and None as they are, also in lists, tuples and dictionaries; all else as text.

    What is equal is described equally in every process, and what differs differently: an array by a digest; a class or
    a function by module and name, and a function that no name leads to (a lambda, one within another) by its code and
    what it has caught, too; any other object by its class and what ``pickle`` would keep of it. The code of what has a
    name is not looked at. An object that does not tell what it holds, such as an open file, stays what it is: it can
    be recorded as its text, and a checkpoint, which would have to compare it, refuses it.
    """
    try:
        return _described(value, ())
    except TypeError:
        if type(value) in (list, tuple):
            return type(value)(map(described, value))
        if type(value) is dict:
            return {str(key): described(each) for key, each in value.items()}
        return value


def _described(value: Any, within: tuple[int, ...]) -> Any:
    """The description of a value within others, which it may hold again, by their identities.

    Raises:
        TypeError: it holds something that does not tell what it holds.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or type(value) in (bool, int, float, str):
        return value
    if id(value) in within:
        return "itself"
    part = partial(_described, within=(*within, id(value)))

    if type(value) in (list, tuple):
        return type(value)(map(part, value))
    if type(value) is dict and all(isinstance(key, str) for key in value):
        return {key: part(value[key]) for key in sorted(value)}
    if type(value) is dict:
        return f"dict of {sorted((repr(part(key)), repr(part(each))) for key, each in value.items())}"
    if isinstance(value, (set, frozenset)):
        return f"{_name(type(value))} of {sorted(repr(part(each)) for each in value)}"
    if isinstance(value, bytes) and len(value) > 100:
        return f"{len(value)} bytes, {fingerprint(np.frombuffer(value, np.uint8))}"
    if isinstance(value, (complex, bytes)):
        return repr(value)
    if isinstance(value, ModuleType):
        return f"module {value.__name__}"
    if isinstance(value, CodeType):
        decides = repr((value.co_code, value.co_names, part(value.co_consts)))
        return f"code {hashlib.blake2b(decides.encode(), digest_size=8).hexdigest()}"
    if isinstance(value, type) or (isinstance(value, FunctionType) and "<" not in value.__qualname__):
        return _name(value)
    if isinstance(value, FunctionType):
        cells = [cell for cell in value.__closure__ or () if cell != CellType()]  # not those that are empty yet
        caught = [part(cell.cell_contents) for cell in cells]
        return f"{_name(value)} of {part([value.__code__, caught, value.__defaults__, value.__kwdefaults__])}"
    try:
        if isinstance(value, Tensor) or (type(value) is np.ndarray and not value.dtype.hasobject):
            return f"{_name(type(value))} of {value.dtype}, shape {tuple(value.shape)}, {fingerprint(value)}"
        reduce = copyreg.dispatch_table.get(type(value))
        kept = reduce(value) if reduce else value.__reduce_ex__(4)
    except Exception as error:  # whatever the object has to say
        raise TypeError(f"a {_name(type(value))} does not tell what it holds") from error
    if isinstance(kept, str):  # a name in its module
        return f"{getattr(value, '__module__', None)}:{kept}"
    _, arguments, state, *items = (*kept, None, None, None)[:5]  # how it is made is decided by its class
    return f"{_name(type(value))} of {part([arguments, state, *(list(each or ()) for each in items)])}"


def _name(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"
