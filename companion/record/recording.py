"""What a recording is, and how it is made."""

import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import xarray as xr


@dataclass(frozen=True, repr=False)
class Made:
    """What is made when a recording is, such as a data set or a schedule: a call, by the name of its function.

    ``Made("companion.averaging:swa", (150,), {"every": 15})`` makes ``swa(150, every=15)``.
    """

    call: str
    arguments: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        """The call as one would write it."""
        words = [*map(repr, self.arguments), *(f"{key}={value!r}" for key, value in self.settings.items())]
        return f"{self.call.replace(':', '.')}({', '.join(words)})"

    def make(self) -> Any:
        """Call it, with what is to be made of its arguments."""
        return pkgutil.resolve_name(self.call)(*map(_made, self.arguments), **_made(self.settings))


def _made(value: Any) -> Any:
    if isinstance(value, Made):
        return value.make()
    return {key: _made(each) for key, each in value.items()} if isinstance(value, Mapping) else value


@dataclass(frozen=True)
class Recording:
    """How to make a recording.

    Attributes:
        name: its name, and its file's.
        what: what it is, in a line.
        call: the function that makes it, as ``"companion.rl:train"``. It takes ``seeds``, a list, the path of a
            ``checkpoint`` that it goes on from, and the ``minutes`` that it may take. It returns an ``xarray.Dataset``
            with the dimension ``seed``, whose attributes name the ``device`` it ran on, the ``wall_seconds``, and, if
            it did not come to its end, where it was ``interrupted`` and what share was ``trained``.
        arguments: the function's positional arguments; those and settings may be :class:`Made`.
        settings: its keyword arguments, ``seeds`` left out.
        seeds: how many seeds.
    """

    name: str
    what: str
    call: str
    arguments: tuple[Any, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    seeds: int = 16

    @property
    def recipe(self) -> str:
        """The call as one would write it. What was made by another recipe is of another experiment."""
        return repr(Made(self.call, self.arguments, {**self.settings, "seeds": self.seeds}))

    def run(self, **slice_of: Any) -> xr.Dataset:
        """Make it, or go on with it."""
        return Made(self.call, self.arguments, {**self.settings, "seeds": list(range(self.seeds)), **slice_of}).make()
