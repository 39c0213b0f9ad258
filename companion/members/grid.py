"""Settings and seeds as members, and members' results as labelled arrays."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
import xarray as xr

from companion.files import attribute

__all__ = ["Grid"]


class Grid:
    """Every combination of the swept settings, times every seed: one member each.

    A setting given as a *list* is swept and becomes a dimension; anything else, a tuple too, is one value for all.
    Members are numbered with the first swept setting slowest and the seed fastest.

    Args:
        settings: name to value, or name to list of values.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves.

    Raises:
        ValueError: an empty list, a value or a seed given twice, a negative seed, or no seeds.
        TypeError: seeds that are no integers.

    >>> grid = Grid({"tau": [1.0, 0.01], "gamma": 0.99}, seeds=2)
    >>> grid.members, grid.column("tau").tolist(), grid.seeds.tolist()
    (4, [1.0, 1.0, 0.01, 0.01], [0, 1, 0, 1])
    """

    def __init__(self, settings: Mapping[str, Any], seeds: int | Sequence[int | np.integer] = 1) -> None:
        self.settings = dict(settings)
        self.swept: dict[str, list[Any]] = {name: v for name, v in self.settings.items() if isinstance(v, list)}
        for name, values in self.swept.items():
            if not values:
                raise ValueError(f"{name} is an empty list; give at least one value, or a single value without a list")
            if any(value in values[:i] for i, value in enumerate(values)):
                raise ValueError(f"{name}={values} holds a value twice; give each value once (more runs: more seeds)")
        self.seed_values = _seed_list(seeds)
        self._rows = [
            (dict(zip(self.swept, combination, strict=True)), seed)
            for combination in product(*self.swept.values())
            for seed in self.seed_values
        ]

    @property
    def members(self) -> int:
        """How many members there are."""
        return len(self._rows)

    @property
    def seeds(self) -> np.ndarray:
        """Each member's seed, ``(member,)``."""
        return np.array([seed for _, seed in self._rows], dtype=np.int64)

    @property
    def dims(self) -> tuple[str, ...]:
        """The dimensions that the members unfold into: the swept settings, then ``"seed"``."""
        return (*self.swept, "seed")

    def column(self, name: str) -> np.ndarray:
        """Each member's value of one setting, ``(member,)``; values that are no numbers give an object array.

        Raises:
            KeyError: there is no such setting.
        """
        fixed = self.settings[name]
        return _array([row.get(name, fixed) for row, _ in self._rows])

    def name(self, member: int) -> str:
        """What tells a member from the others: ``"tau=1.0, seed=3"``."""
        combination, seed = self._rows[member]
        return ", ".join(f"{name}={value}" for name, value in {**combination, "seed": seed}.items())

    def groups(self, names: Sequence[str]) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Members that agree on the named settings: pairs of their indices and these settings' values.

        For settings that change a tensor's shape, such as a layer's width, and so cannot share a batched program.
        """
        swept = [name for name in self.swept if name in names]
        for combination in product(*(self.swept[name] for name in swept)):
            chosen = dict(zip(swept, combination, strict=True))
            indices = [i for i, (row, _) in enumerate(self._rows) if all(row[n] == v for n, v in chosen.items())]
            yield np.array(indices), {name: chosen.get(name, self.settings[name]) for name in names}

    def one_by_one(self) -> Iterator[tuple[np.ndarray, dict[str, Any]]]:
        """Every member by itself: its index, alone in an array, and its value of every setting."""
        for member, (row, _) in enumerate(self._rows):
            yield np.array([member]), {**self.settings, **row}

    def dataset(
        self,
        variables: Mapping[str, tuple[Sequence[str], np.ndarray]],
        coords: Mapping[str, Any] | None = None,
        attrs: Mapping[str, Any] | None = None,
    ) -> xr.Dataset:
        """Members' results as labelled arrays with dimensions ``(*swept, "seed", *own)``.

        Args:
            variables: name to (names of the dimensions after ``member``, array that leads with ``member``).
            coords: coordinates of those further dimensions.
            attrs: facts of the run, kept as ``companion.files.attribute`` says.

        Swept settings and seeds are coordinates. A swept setting whose values are no numbers is labelled by text:
        ``(64, 64)`` as ``"64-64"``.
        """
        shape = (*(len(values) for values in self.swept.values()), len(self.seed_values))
        data = {
            name: ((*self.dims, *own), np.asarray(array).reshape(*shape, *np.asarray(array).shape[1:]))
            for name, (own, array) in variables.items()
        }
        labels = {name: (name, _labels(values)) for name, values in self.swept.items()}
        labels["seed"] = ("seed", np.array(self.seed_values, dtype=np.int64))
        return xr.Dataset(
            data,
            coords={**labels, **(coords or {})},
            attrs={name: attribute(value) for name, value in (attrs or {}).items()},
        )


def _seed_list(seeds: Any) -> list[int]:
    if _whole(seeds):
        if seeds < 1:
            raise ValueError(f"seeds={seeds}; give a count of at least 1, or a list of seeds")
        return list(range(int(seeds)))
    try:
        listed = list(seeds)
    except TypeError:
        listed = [seeds]
    if isinstance(seeds, bytes) or not all(map(_whole, listed)):
        raise TypeError(f"seeds={seeds!r}; give a count, or a list of non-negative integers")
    listed = [int(seed) for seed in listed]
    if not listed or not 0 <= min(listed) <= max(listed) < 2**63 or len(set(listed)) < len(listed):
        raise ValueError(f"seeds={seeds!r}; give at least one seed, each from 0 to 2**63 - 1 and none twice")
    return listed


def _whole(number: Any) -> bool:
    return isinstance(number, (int, np.integer)) and not isinstance(number, bool)


def _array(values: Sequence[Any]) -> np.ndarray:
    if all(isinstance(v, (bool, int, float, np.number, np.bool_)) for v in values):
        return np.array(values)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _labels(values: Sequence[Any]) -> np.ndarray:
    array = _array(values)
    if array.dtype != object:
        return array
    return np.array(["-".join(map(str, v)) if isinstance(v, tuple) else str(v) for v in values])
