"""How much a chapter may spend: a quick budget for a laptop, a full one for a GPU."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, cast

import torch

from companion.study.claims import begin
from companion.study.store import duration

COSTS = Path(__file__).parent / "costs.json"
"""What each chapter cost when it was last measured: slug to budget to :class:`Cost`."""

T = TypeVar("T")
Name = Literal["quick", "full"]


class Cost(TypedDict):
    """What one chapter cost on one budget, as measured when the book was built."""

    seconds: int | float
    memory_mb: int | float
    device: str
    date: str


@dataclass(frozen=True)
class Budget:
    """What a chapter may spend here, and what it cost when it was last measured.

    Attributes:
        slug: the chapter's notebook without its number, such as ``"numpy-ema"``.
        name: ``"quick"`` or ``"full"``.
        device: where to train.
        costs: the measured cost of each budget; empty where nothing was measured.
    """

    slug: str
    name: Name
    device: torch.device
    costs: dict[Name, Cost]

    def pick(self, *, quick: T, full: T) -> T:
        """The value for the budget in force."""
        return quick if self.name == "quick" else full

    def _repr_markdown_(self) -> str:
        other: Name = "full" if self.name == "quick" else "quick"
        return (
            f"**Budget: {self.name}**, on {_place(self.device)}; {self._cost(self.name)}. For the {other} budget "
            f"({self._cost(other)}), set the environment variable `COMPANION_BUDGET={other}` before starting."
        )

    def __repr__(self) -> str:
        return self._repr_markdown_().replace("**", "").replace("`", "")

    def _cost(self, name: Name) -> str:
        cost = self.costs.get(name)
        if cost is None:
            return "not measured yet"
        spent = f"{duration(float(cost['seconds']))} and {_memory(cost['memory_mb'])}"
        return f"last measured at {spent} on {cost['device']}, {cost['date']}"


def budget(slug: str) -> Budget:
    """Choose the budget of the chapter ``slug``, and begin to count its claims.

    The environment variable ``COMPANION_BUDGET`` (``quick`` or ``full``) decides. Without it, a machine with CUDA
    gets the full budget and any other the quick one.

    Raises:
        ValueError: ``COMPANION_BUDGET`` is another word.
    """
    cuda = torch.cuda.is_available()
    name = os.environ.get("COMPANION_BUDGET", "") or ("full" if cuda else "quick")
    if name not in ("quick", "full"):
        raise ValueError(f"COMPANION_BUDGET is {name!r}; set it to 'quick' or 'full', or unset it")
    begin(slug if name == "quick" else None)  # the rehearsals are of the quick budget
    costs = json.loads(COSTS.read_text(encoding="utf-8")).get(slug, {})
    return Budget(slug, cast(Name, name), torch.device("cuda" if cuda else "cpu"), costs)


def _place(device: torch.device) -> str:
    if device.type == "cuda":
        return f"the GPU ({torch.cuda.get_device_name(device)})"
    threads = torch.get_num_threads()
    return f"the CPU ({threads} thread{'s' if threads > 1 else ''})"


def _memory(megabytes: int | float) -> str:
    return f"{megabytes:.0f} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
