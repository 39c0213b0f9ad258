"""Recordings: full runs kept in the package as data, each with where, when and how it was made."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from companion.files import attribute, replacing
from companion.names import nearest

FOLDER = Path(__file__).parent / "recordings"

# netCDF 3 has no booleans, 64-bit integers or nested attributes, so all attributes travel as one JSON text.
_ATTRIBUTES = "attributes"


def recording(name: str) -> xr.Dataset:
    """The recording ``name``, whole and in memory; ``provenance`` says where it comes from.

    Its attributes are numbers and text, so that any writer of netCDF takes it.

    Raises:
        ValueError: there is none; says the nearest name and how to make it.
    """
    path = FOLDER / f"{name}.nc"
    if not path.is_file():
        hint = f"the nearest kept is {nearest(name, kept)!r}" if (kept := recordings()) else "none is"
        raise ValueError(
            f"name is {name!r}, and no such recording is kept; {hint}. "
            f"Make it with `python -m companion.record {name}`; `--list` shows what can be made"
        )
    run = load(path)
    run.attrs = {name: attribute(value) for name, value in run.attrs.items() if value is not None}
    return run


def recordings() -> list[str]:
    """The names of the recordings kept, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.nc"))


def save(run: xr.Dataset, path: Path) -> None:
    """Write ``run`` to ``path`` as netCDF, whole or not at all."""
    attrs = json.dumps(dict(run.attrs), default=_plain)
    with replacing(path) as partial:
        run.drop_attrs(deep=False).assign_attrs({_ATTRIBUTES: attrs}).to_netcdf(partial, engine="scipy")


def load(path: Path) -> xr.Dataset:
    """Read back what ``save`` wrote, attributes included.

    Raises:
        ValueError: the file is damaged, or is not one of ours.
    """
    try:
        run = xr.load_dataset(path, engine="scipy", decode_times=False)
        attrs = json.loads(run.attrs[_ATTRIBUTES])
    except OSError:
        raise
    except Exception as error:  # the reader fails in many ways on a damaged file
        raise ValueError(
            f"{path} is damaged or no recording ({type(error).__name__}: {error}); make it anew"
        ) from error
    return run.drop_attrs(deep=False).assign_attrs(attrs)


def provenance(run: xr.Dataset) -> str:
    """One sentence on where a run comes from: device, date, seeds, wall time, commit, versions.

    What the run's attributes do not tell is left out.
    """
    facts = run.attrs
    device = facts.get("device", "an unknown device")
    sentence = f"Made on {'a CPU' if device == 'cpu' else device}"
    if device == "cpu" and "threads" in facts:
        sentence += f" ({facts['threads']} thread{'' if facts['threads'] == 1 else 's'})"
    if "date" in facts:
        day = datetime.fromisoformat(facts["date"])
        sentence += f" on {day.day} {day:%B %Y}"
    if "seed" in run.coords:
        sentence += f" with {_seeds(run['seed'].values)}"
    if "wall_seconds" in facts:
        sentence += f" in {duration(facts['wall_seconds'])}"
    if facts.get("commit"):
        sentence += f", from commit {facts['commit']}"
    if versions := facts.get("versions"):
        sentence += f", by {attribute(versions)}"  # older recordings keep a dictionary
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
        return f"seeds {values[0]} to {values[-1]}"
    return "seeds " + ", ".join(map(str, values))


def _plain(value: Any) -> Any:
    """What JSON does not know, in its terms."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)
