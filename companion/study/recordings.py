"""Recordings: full runs kept in the package as data, each with where, when and how it was made."""

import difflib
import json
import os
from collections.abc import Hashable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

FOLDER = Path(__file__).parent / "recordings"

# netCDF 3 has no booleans, 64-bit integers or nested attributes, so all attributes travel as one JSON text.
_ATTRIBUTES = "attributes"


def recording(name: str) -> xr.Dataset:
    """The recording ``name``, whole and in memory; ``provenance`` says where it comes from.

    Raises:
        ValueError: there is none; says the nearest name and how to make it.
    """
    path = FOLDER / f"{name}.nc"
    if not path.is_file():
        near = difflib.get_close_matches(name, recordings(), n=1, cutoff=0.4)
        hint = f"the nearest kept is {near[0]!r}" if near else f"kept are {recordings()}"
        raise ValueError(
            f"name is {name!r}, and no such recording is kept; {hint}. "
            f"Make it with `python -m companion.record {name}`; `--list` shows what can be made"
        )
    return load(path)


def recordings() -> list[str]:
    """The names of the recordings kept, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.nc") if ".part-" not in path.name)


def save(run: xr.Dataset, path: Path) -> None:
    """Write ``run`` to ``path`` as netCDF, whole or not at all."""
    attrs = json.dumps(dict(run.attrs), default=_plain)
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        run.assign_attrs().drop_attrs(deep=False).assign_attrs({_ATTRIBUTES: attrs}).to_netcdf(partial, engine="scipy")
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def load(path: Path) -> xr.Dataset:
    """Read back what ``save`` wrote, attributes included."""
    run = xr.load_dataset(path, engine="scipy")
    return run.drop_attrs(deep=False).assign_attrs(json.loads(run.attrs[_ATTRIBUTES]))


def provenance(run: xr.Dataset) -> str:
    """One sentence on where a run comes from: device, date, seeds, wall time, commit, versions."""
    facts: Mapping[Hashable, Any] = run.attrs
    device = str(facts.get("device", "an unknown device"))
    sentence = f"Made on {'the CPU' if device == 'cpu' else device}"
    if threads := facts.get("threads"):
        sentence += f" ({threads} thread{'s' if threads > 1 else ''})"
    if date := facts.get("date"):
        sentence += f" on {datetime.fromisoformat(str(date)):%-d %B %Y}"
    if "seed" in run.coords:
        sentence += f" with {_seeds(run['seed'].values)}"
    if (seconds := facts.get("wall_seconds")) is not None:
        sentence += f" in {duration(float(seconds))}"
    if commit := facts.get("commit"):
        sentence += f", from commit {commit}"
    versions = facts.get("versions")
    if isinstance(versions, Mapping):
        sentence += ", by " + ", ".join(f"{package} {version}" for package, version in versions.items())
    return sentence + "."


def duration(seconds: float) -> str:
    """``seconds`` in words, to two figures or so."""
    if seconds < 100:
        return f"{seconds:.0f} seconds" if seconds >= 10 else f"{seconds:.1f} seconds"
    minutes = seconds / 60
    return f"{minutes:.0f} minutes" if minutes < 100 else f"{minutes / 60:.1f} hours"


def _seeds(seeds: np.ndarray) -> str:
    values = [int(seed) for seed in np.atleast_1d(seeds)]
    if len(values) == 1:
        return f"seed {values[0]}"
    if values == list(range(values[0], values[0] + len(values))):
        return f"seeds {values[0]}–{values[-1]}"
    return "seeds " + ", ".join(map(str, values))


def _plain(value: Any) -> Any:
    """What JSON does not know, in its terms."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)
