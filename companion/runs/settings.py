"""Settings of an algorithm: a frozen dataclass whose fields know which values they take."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Shaped
from torch import Tensor

from companion.members.grid import Grid
from companion.names import nearest
from companion.runs.words import ours_for

__all__ = [
    "PerMember",
    "Settings",
    "a_duration",
    "at_least_one",
    "check",
    "one_of",
    "setting",
    "shape_settings",
    "true_or_false",
]

T = TypeVar("T")
S = TypeVar("S", bound="Settings")

PerMember = Shaped[Tensor, "member"]
"""The type of a setting in which members that train side by side may differ."""

_KINDS: dict[type, tuple[tuple[type, ...], str]] = {
    bool: ((bool, np.bool_), "True or False"),
    int: ((int, np.integer), "an integer"),
    float: ((int, float, np.integer, np.floating), "a number"),
    tuple: ((int, np.integer), "a tuple of integers, such as (64, 64)"),
    str: ((str,), "a name"),
}


def setting(
    default: Any,
    *,
    least: int | float = -math.inf,
    most: int | float = math.inf,
    shapes: bool = False,
    finite: bool = True,
    among: Collection[str] = (),
) -> Any:
    """A dataclass field with its range.

    Args:
        default: value, whose type the setting takes; a tuple is a tuple of integers.
        least: smallest value allowed, of each entry where the value is a tuple.
        most: largest value allowed.
        shapes: the value decides the shape of a tensor or of the loop, so that members that differ in it cannot train
            in one batched program: where such a setting is swept, its values are trained one after another.
        finite: whether infinity is refused.
        among: of a setting that is a name, the names there are.
    """
    metadata = {"least": least, "most": most, "shapes": shapes, "finite": finite, "among": among}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True, init=False)
class Settings:
    """The base of an algorithm's settings: a frozen dataclass, whose values are checked wherever it is made.

        class TD3Settings(Settings):
            tau: PerMember = setting(0.005, least=0, most=1)
            batch_size: int = setting(64, least=1, shapes=True)

        TD3Settings(tau=[1.0, 0.1]).tau  # tensor([1.0, 0.1])

    A setting of type :data:`PerMember` is given as a number for all members, or as a list with one for each, and
    becomes a tensor ``(member,)``; floats are of torch's default dtype. Every other stays the plain value that it is.

    Args:
        given: values by name; all others have their defaults.

    Raises:
        ValueError: a name that is no setting, a value out of range, or lists of different lengths.
        TypeError: a value of the wrong type, or a list where there is one value for all.
    """

    def __init_subclass__(cls) -> None:
        dataclasses.dataclass(frozen=True, init=False)(cls)

    def __init__(self, **given: Any) -> None:
        checked = check(type(self), given)
        members = max((len(value) for value in checked.values() if isinstance(value, list)), default=1)
        for field in dataclasses.fields(self):
            value = checked[field.name]
            if field.type is PerMember:
                entries = value if isinstance(value, list) else [value] * members
                if not len(entries) == members > 0:
                    raise ValueError(f"{field.name}={value} must be one value, or a list of one for each of {members}")
                value = torch.tensor(entries)
            elif isinstance(value, list):
                raise TypeError(f"{field.name}={value} is a list; it has one value for all")
            object.__setattr__(self, field.name, value)

    @classmethod
    def of(cls: type[S], grid: Grid, members: np.ndarray, fixed: Mapping[str, Any], device: torch.device) -> S:
        """Some members' settings: those fixed for all as they are, of the others each member's own, on a device."""
        own = {name: grid.column(name)[members].tolist() for name in grid.settings if name not in fixed}
        settings = cls(**fixed, **own)  # checked before they go where looking at them takes long
        for name, value in vars(settings).items():
            if isinstance(value, Tensor):
                object.__setattr__(settings, name, value.to(device))
        return settings


def shape_settings(settings: type) -> list[str]:
    """Names of the settings that decide shapes."""
    return [field.name for field in dataclasses.fields(settings) if field.metadata["shapes"]]


def check(settings: type, given: Mapping[str, Any], call: Callable[..., Any] | None = None) -> dict[str, Any]:
    """Every setting's value, or list of values: those given, in their order, and then the rest's defaults.

    Args:
        settings: the dataclass.
        given: what was given by name.
        call: the function that they were given to, whose arguments may have been meant as well.

    Raises:
        ValueError: a name that is no setting (what it is called here, or else the nearest one, is named), or a value
            out of range.
        TypeError: a value of the wrong type.
    """
    fields = {field.name: field for field in dataclasses.fields(settings)}
    for name in given:
        if name not in fields:
            known = [*fields, *(set(inspect.signature(call).parameters) - {"settings"} if call else ())]
            ours = " or ".join(map(repr, ours_for(name, known)))
            meant = f"it is {ours} here." if ours else f"did you mean {nearest(name, known)!r}?"
            of = settings.__name__.removesuffix("Settings")
            raise ValueError(f"unknown setting {name!r} of {of}: {meant} Its settings: {', '.join(fields)}.")
    checked = {}
    for name, value in {
        **given,
        **{name: field.default for name, field in fields.items() if name not in given},
    }.items():
        checked[name] = [_one(fields[name], v) for v in value] if isinstance(value, list) else _one(fields[name], value)
    return checked


def at_least_one(**counts: Any) -> None:
    """Raise unless each is a whole number of at least 1.

    Raises:
        TypeError: one is no integer.
        ValueError: one is below 1.
    """
    for name, count in counts.items():
        if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
            raise TypeError(f"{name}={count!r} must be an integer; it cannot be swept")
        if count < 1:
            raise ValueError(f"{name}={count} must be at least 1")


def true_or_false(**switches: Any) -> None:
    """Raise unless each is True or False.

    Raises:
        TypeError: one is neither.
    """
    for name, switch in switches.items():
        if not isinstance(switch, (bool, np.bool_)):
            raise TypeError(f"{name}={switch!r} must be True or False; it cannot be swept")


def a_duration(unit: str, **durations: Any) -> None:
    """Raise unless each is a number of at least 0.

    Raises:
        TypeError: one is no number.
        ValueError: one is negative, or NaN.
    """
    for name, duration in durations.items():
        if isinstance(duration, bool) or not isinstance(duration, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name}={duration!r} must be a number of {unit}")
        if not duration >= 0:
            raise ValueError(f"{name}={duration} must be at least 0, in {unit}")


def one_of(known: Mapping[str, T], what: str, name: str) -> T:
    """What is known by this name.

    Raises:
        ValueError: nothing is; the nearest name is named.
        TypeError: it is no name.
    """
    if not isinstance(name, str):
        raise TypeError(f"{what}={name!r} must be a name, such as {next(iter(known))!r}; it cannot be swept")
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}: did you mean {nearest(name, known)!r}? Known: {', '.join(known)}.")
    return known[name]


def _one(field: "dataclasses.Field[Any]", value: Any) -> Any:
    """The value as the field's own type, if it is one of its values."""
    expected: Any = type(field.default)
    kinds, wanted = _KINDS[expected]
    entries = value if expected is tuple and isinstance(value, tuple) else (value,)
    for entry in entries:
        wrong = not isinstance(entry, kinds) or (isinstance(entry, bool) and expected is not bool)
        if wrong or (expected is tuple and entries is not value):
            raise TypeError(f"{field.name}={value!r} must be {wanted}")
        if expected is str:
            if entry not in field.metadata["among"]:
                names = " or ".join(map(repr, field.metadata["among"]))
                raise ValueError(f"{field.name}={value!r} is unknown; it must be {names}")
            continue
        least, most = field.metadata["least"], field.metadata["most"]
        if not least <= entry <= most or (field.metadata["finite"] and not math.isfinite(entry)):
            remedy = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
            remedy += " and finite" if field.metadata["finite"] else ""
            raise ValueError(f"{field.name}={value!r} is out of range; it must be {remedy}")
    return tuple(int(entry) for entry in entries) if expected is tuple else expected(value)
