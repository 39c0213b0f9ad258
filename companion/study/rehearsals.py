"""What a chapter's claims measured when it was run again, with other seeds and other matrix kernels.

One file a chapter, ``rehearsals/SLUG.json``, written by ``make rehearse``: the runs (date, seed shift, kernels,
threads, processor, versions, seconds), and of every claim its words, the digest of the code that its value comes from,
and what each run measured. Whether a claim holds, and by how much, is computed from these values and its bound.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

__all__ = ["ALARMS", "ENOUGH", "FOLDER", "MARGIN", "TAIL", "Bound", "Rehearsed", "number", "rehearsed", "threshold"]

FOLDER = Path(__file__).parent / "rehearsals"
ENOUGH = 16
"""Rehearsals that a claim needs."""
MARGIN = 3.0
"""Standard deviations from the rehearsals' mean to the bound, for a claim that says nothing of how often it holds."""
ALARMS = 1e-3
"""False alarms in one run of the whole book's tests, at most."""
TAIL = 6
"""Degrees of freedom of the Student's t whose tails are taken for those of a claim's values."""
_SLACK = 0.1
"""Share of the way from the rehearsals' mean to the bound that is explained whatever their spread."""


@dataclass(frozen=True)
class Bound:
    """What a value is held against: it lies above ``low`` and below ``high``."""

    low: int | float = -math.inf
    high: int | float = math.inf

    def worst(self, values: Sequence[int | float] | Float[np.ndarray, "..."]) -> float:
        """Of several values the one that comes nearest to breaking the bound, or breaks it the furthest."""
        each = np.asarray(values, dtype=np.float64).ravel()
        ends = [sign * (each - end) for sign, end in ((1, self.low), (-1, self.high)) if math.isfinite(end)]
        return float(each[int(np.argmin(np.min(ends, axis=0)))])

    def holds(self, value: int | float) -> bool:
        """Whether the bound is kept; to lie on it is to break it. Where there is no end, infinity holds."""
        above = math.isinf(self.low) or self.low < value
        return bool(above and (math.isinf(self.high) or value < self.high))

    def __str__(self) -> str:
        if math.isinf(self.low):
            return f"below {number(self.high)}"
        if math.isinf(self.high):
            return f"above {number(self.low)}"
        return f"between {number(self.low)} and {number(self.high)}"


@dataclass(frozen=True)
class Rehearsed:
    """How one claim came out.

    Attributes:
        words: of the claim, as they stand in the chapter.
        computation: digest of the code that its value comes from.
        values: what each rehearsal measured: lists of numbers, one where the claim is of one number.
    """

    words: str
    computation: str
    values: Sequence[Sequence[int | float]]

    def worst(self, bound: Bound) -> Float[np.ndarray, " rehearsal"]:
        """Each rehearsal's value that came nearest to breaking the bound."""
        return np.array([bound.worst(values) for values in self.values])

    def held(self, bound: Bound) -> int:
        """In how many rehearsals the claim held."""
        return sum(bound.holds(value) for value in self.worst(bound))

    def margin(self, bound: Bound) -> float:
        """Standard deviations from the mean of the rehearsals to the bound; infinite where they do not differ."""
        worst = self.worst(bound)
        if not np.isfinite(worst).all():  # an infinity that holds is far from the bound, one that does not is beyond it
            worst = worst[np.isfinite(worst) | [not bound.holds(value) for value in worst]]
            if not np.isfinite(worst).all():
                return -math.inf
            if len(worst) < 2:
                return math.inf
        room = min(worst.mean() - bound.low, bound.high - worst.mean())
        spread = worst.std(ddof=1)
        return float(room / spread) if spread > 0 else math.copysign(math.inf, room)

    def surprise(self, bound: Bound, values: Sequence[int | float]) -> float:
        """How far a run's value lies from the rehearsals, in standard deviations of a prediction.

        The prediction's standard deviation is that of the rehearsals times √(1 + 1/n), or where that is larger a tenth
        of the way from their mean to the bound: counts that never changed may change by one. An infinite value is
        explained if a rehearsal had one, too.
        """
        worst, value = self.worst(bound), bound.worst(values)
        if math.isinf(value):
            return 0.0 if (worst == value).any() else math.inf
        finite = worst[np.isfinite(worst)]
        if len(finite) < 2:
            return 0.0 if len(finite) < len(worst) else math.inf
        mean = finite.mean()
        spread = finite.std(ddof=1) * math.sqrt(1 + 1 / len(finite))
        to_bound = _SLACK * min(abs(mean - end) for end in (bound.low, bound.high) if math.isfinite(end))
        return float(abs(value - mean) / max(spread, to_bound, 1e-6 * abs(mean), 1e-12))


@cache
def rehearsed(slug: str) -> Mapping[str, Rehearsed]:
    """The rehearsed claims of a chapter, by their words; none if it was never rehearsed."""
    path = FOLDER / f"{slug}.json"
    if not path.is_file():
        return {}
    kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        claim["words"]: Rehearsed(
            claim["words"],
            claim["computation"],
            [[float(v) for v in values] for values in claim["values"]],  # "inf" is a text, which JSON has no number for
        )
        for claim in kept["claims"]
    }


def threshold(claims: int) -> float:
    """The :meth:`~Rehearsed.surprise` above which a value is an alarm, so that a run of all claims raises one falsely
    with a probability of :data:`ALARMS` at most.

    By Bonferroni's inequality, which needs no independence, each claim may take an equal share. A value beside those of
    its rehearsals is taken to have tails as heavy as Student's t with :data:`TAIL` degrees of freedom; normal values
    would have lighter ones. A test leaves out each rehearsal of each claim in turn and counts that no more lie far out.

    Args:
        claims: of the whole book.
    """
    return -float(stdtrit(TAIL, ALARMS / claims / 2))


def number(value: int | float) -> str:
    """A number for a line of text: three figures, five where three would say 1; thousands set apart, a true minus."""
    if math.isinf(value):
        return "−∞" if value < 0 else "∞"
    digits = f"{value:,.0f}" if 1_000 <= abs(value) < 1e7 else f"{value:.3g}"
    if digits.lstrip("-") == "1":
        digits = f"{value:.5g}"
    return digits.replace("-", "−")
