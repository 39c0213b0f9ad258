"""What every training run does around its program: where it runs, its progress bar, and where it came from."""

import datetime
import os
import platform
import time
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

import companion

__all__ = ["choose_device", "progress_bar", "provenance"]


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without one the GPU where there is one, else the CPU."""
    return torch.device(device if device is not None else "cuda" if torch.cuda.is_available() else "cpu")


def progress_bar(label: str, steps: int, *, show: bool = True) -> "tqdm[Any]":
    """A bar on stderr that leaves nothing behind; none where the environment variable ``COMPANION_PROGRESS`` is 0."""
    hidden = not show or os.environ.get("COMPANION_PROGRESS") == "0"
    return tqdm(total=steps, desc=label, unit="step", leave=False, disable=hidden)


def provenance(device: torch.device, began: float) -> dict[str, Any]:
    """Attributes of a result: device, threads, versions, date and wall time in seconds since ``time.perf_counter()``
    read ``began``."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    versions = {
        "companion": companion.__version__,
        "torch": torch.__version__,
        "numpy": np.__version__,
        "Python": platform.python_version(),
    }
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "versions": ", ".join(f"{package} {version}" for package, version in versions.items()),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "wall_seconds": round(time.perf_counter() - began, 3),
    }
