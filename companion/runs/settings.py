"""Settings of an algorithm: a frozen dataclass whose fields know which values they take."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ClassVar, TypeVar, get_type_hints

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
_SUPPORTED = "a bool, an int, a float, a tuple of ints or a str"


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


@dataclasses.dataclass(frozen=True, init=False, eq=False)
class Settings:
    """The base of an algorithm's settings: a frozen dataclass, whose values are checked wherever it is made.

        class TD3Settings(Settings):
            tau: PerMember = setting(0.005, least=0, most=1)
            batch_size: int = setting(64, least=1, shapes=True)

        TD3Settings(tau=[1.0, 0.1]).tau  # tensor([1.0, 0.1])

    A setting of type :data:`PerMember` is given as a number for all members, or as a list or a tensor ``(member,)``
    with one for each, and becomes a tensor ``(member,)``; floats are of torch's default dtype. It lives on the device
    of the tensors given, else on the CPU. Every other stays the plain value that it is.

    Two are equal if they are of one class and every member has the same values in both.

    Args:
        given: values by name; all others have their defaults.

    Raises:
        ValueError: a name that is no setting, a value out of range, lists of different lengths, or tensors on several
            devices.
        TypeError: a value of the wrong type, or a list where there is one value for all. Where the class is made: a
            field that :func:`setting` did not make, or whose default is of no type that a setting has.
    """

    _per_member: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls) -> None:
        for name, made in vars(cls).items():
            if isinstance(made, dataclasses.Field) and type(made.default) not in _KINDS:
                raise TypeError(f"{cls.__name__}.{name}={made.default!r}: a setting's default is {_SUPPORTED}")
        dataclasses.dataclass(frozen=True, init=False, eq=False)(cls)
        hints = get_type_hints(cls)  # a field's own type is a text under `from __future__ import annotations`
        cls._per_member = frozenset(f.name for f in dataclasses.fields(cls) if hints[f.name] is PerMember)
        for field in dataclasses.fields(cls):
            _check_field(cls, field)

    def __init__(self, **given: Any) -> None:
        devices = {value.device for value in given.values() if isinstance(value, Tensor)}
        if len(devices) > 1:
            raise ValueError(
                f"{type(self).__name__}'s tensors must be on one device, and not {sorted(map(str, devices))}"
            )
        limits = {field.name: field.metadata for field in dataclasses.fields(self)}
        checked = check(type(self), {name: _listed(value, limits.get(name, {})) for name, value in given.items()})
        lists = {name: checked[name] for name in self._per_member if isinstance(checked[name], list)}
        members = max(map(len, lists.values()), default=1)
        for field in dataclasses.fields(self):
            value = checked[field.name]
            if field.name in self._per_member:
                entries = value if isinstance(value, list) else [value] * max(members, 1)
                if not entries:
                    raise ValueError(f"{field.name}=[] must be one value, or a list of one for each member")
                if len(entries) != members > 0:
                    raise ValueError(f"{field.name}={value} must be one value, or a list of one for each of {members}")
                value = torch.tensor(entries, device=next(iter(devices), None))
            elif isinstance(value, list):
                raise TypeError(f"{field.name}={value} is a list; it has one value for all")
            object.__setattr__(self, field.name, value)

    def __eq__(self, other: object) -> bool:
        return self._values() == other._values() if type(other) is type(self) else NotImplemented

    def __hash__(self) -> int:
        return hash((type(self), self._values()))

    def _values(self) -> tuple[Any, ...]:
        values = (getattr(self, field.name) for field in dataclasses.fields(self))
        return tuple(tuple(value.tolist()) if isinstance(value, Tensor) else value for value in values)

    @classmethod
    def of(cls: type[S], grid: Grid, members: np.ndarray, fixed: Mapping[str, Any], device: torch.device) -> S:
        """Some members' settings: those fixed for all as they are, of the others each member's own, on a device.

        Raises:
            TypeError: these members differ in a setting that has one value for all.
        """
        own = {name: grid.column(name)[members].tolist() for name in grid.settings if name not in fixed}
        plain = {field.name for field in dataclasses.fields(cls)} - cls._per_member
        for name in [name for name in own if name in plain]:
            first, *others = own[name]
            if any(value != first for value in others):
                raise TypeError(
                    f"{name}={grid.settings[name]} differs between members that train together, who have one value of "
                    "it: make it a setting(..., shapes=True), whose values are trained one after another"
                )
            own[name] = first
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
            arguments = inspect.signature(call).parameters if call else ()
            known = [*fields, *(argument for argument in arguments if argument != "settings")]
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
        least, most, finite = (field.metadata[name] for name in ("least", "most", "finite"))
        fits = _fits(expected, entry, finite=finite)
        if not (least <= entry <= most and fits):
            remedy = f"at least {least:g}" if most == math.inf else f"between {least:g} and {most:g}"
            remedy += " and finite" if finite else ""
            if least <= entry <= most and abs(entry) < math.inf:  # a number, but not one of those that tensors hold
                remedy += f" in {torch.get_default_dtype()}" if expected is float else ", and below 2**63"
            raise ValueError(f"{field.name}={value!r} is out of range; it must be {remedy}")
    return tuple(int(entry) for entry in entries) if expected is tuple else expected(value)


def _fits(kind: type, number: Any, *, finite: bool) -> bool:
    """Whether a tensor can hold it: an integer in 64 bits, a float without becoming infinite."""
    if kind is bool:
        return True
    if kind is not float:
        return -(2**63) <= number < 2**63
    try:
        return not finite or bool(torch.tensor(float(number), dtype=torch.get_default_dtype()).isfinite())
    except OverflowError:  # an integer above 1.8e308
        return False


def _check_field(settings: type, field: "dataclasses.Field[Any]") -> None:
    """Raise unless a setting can be made of it."""
    place = f"{settings.__name__}.{field.name}"
    if "least" not in field.metadata:
        raise TypeError(f"{place} is no setting: give it a default and a range, = setting(...)")
    kind = type(field.default)
    if kind is str and not field.metadata["among"]:
        raise TypeError(f"{place}={field.default!r} is a name: say which names there are, setting(..., among=(...))")
    if kind in (str, tuple) and field.name in settings._per_member:  # type: ignore[attr-defined]
        raise TypeError(f"{place}={field.default!r} is no number, and cannot be PerMember: no tensor holds it")
    _one(field, field.default)


def _listed(value: Any, limits: Mapping[str, Any]) -> Any:
    """A tensor ``(member,)`` as a list; what is a limit, rounded to its dtype, as the limit, which is in range."""
    if not isinstance(value, Tensor) or value.dim() != 1:
        return value
    if not value.is_floating_point():
        return value.tolist()
    rounded = {
        torch.tensor(limits[name], dtype=value.dtype).item(): limits[name]
        for name in ("least", "most")
        if name in limits
    }
    return [rounded.get(entry, entry) if math.isfinite(entry) else entry for entry in value.tolist()]
