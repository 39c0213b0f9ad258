"""How slow a copy should be: the book's measurements as rules of thumb, by what the copy is for.

Each rule is a line that a chapter measured, on small problems; it is where to begin, and no law.
"""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from companion.averaging.conventions import Number, convert
from companion.averaging.conventions import half_life as half_life_of
from companion.names import nearest

__all__ = ["Advice", "advise"]

HALF_LIFE = {"constant": 0.05, "falling": 0.01, "teacher": 0.03}
"""Half-life as a share of the run: of an observer at a constant and at a falling learning rate, and of a teacher."""
HORIZONS = 3
"""A critic's copy is followed through so many of the horizons that its values must see."""
SLOWEST, FASTEST = 0.005, 0.1
"""A critic's tau: TD3's and SAC's, and the largest that still did as well as any in actor-critics on Pendulum."""
CLIFF = 0.02
"""A DQN's tau, whose errors are clipped: with 0.06 its values ran away (chapter "DQN and hard updates")."""
FRESH_ANCHOR = 0.005
"""Tau of an anchor where labels are bought anew."""
CONSISTENCY = 0.05
"""Tau of a consistency model's target (Song et al. 2023: a decay of 0.95 at first)."""
NORMALIZATIONS = ("none", "layer", "batch")
NO_BUFFERS = "nothing: there are none"
VALUES = "what is predicted beside what is obtained, and the largest value"


@dataclass(frozen=True)
class Advice:
    """Where to begin with one slow copy. It prints as a table.

    Attributes:
        role: what the copy is for.
        steps: updates of the run.
        tau: weight of the new value.
        rule: where ``tau`` comes from.
        watch: what to look at while it runs.
        chapters: the titles of the chapters that measured it.
        warm_up: whether the average should begin faster: ``tau=warmup(tau, gamma=9)``.
        buffers: what to do with the statistics of batch normalisation.
    """

    role: str
    steps: int
    tau: float
    rule: str
    watch: str
    chapters: tuple[str, ...]
    warm_up: bool = False
    buffers: str = NO_BUFFERS

    @property
    def decay(self) -> float:
        """Weight of the old value, ``1 - tau``."""
        return 1 - self.tau

    @property
    def half_life(self) -> float:
        """Updates until half of a value's weight is left: 0 at ``tau = 1``, infinite at 0."""
        return half_life_of(self.tau)

    @property
    def share(self) -> float:
        """The half-life as a share of the run."""
        return self.half_life / self.steps

    def _rows(self) -> list[tuple[str, str]]:
        lasts = f"{self.half_life:,.0f} steps, {self.share:.2%} of the run" if self.tau else "infinite: it stays"
        warm = f"yes: tau=companion.averaging.warmup({self.tau:g}, gamma=9)" if self.warm_up else "no"
        return [
            ("tau", f"{self.tau:g}"),
            ("decay", f"{self.decay:.12g}"),
            ("half-life", lasts),
            ("rule", self.rule),
            ("warm-up", warm),
            ("buffers", self.buffers),
            ("watch", self.watch),
            ("measured in", "; ".join(self.chapters)),
        ]

    def __str__(self) -> str:
        lines = [f"{name:<12}  {what}" for name, what in self._rows()]
        return "\n".join([f"{self.role}, {self.steps:,} steps", *lines])

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        rows = [f"| {name} | {what} |" for name, what in self._rows()]
        return "\n".join([f"| {self.role} | {self.steps:,} steps |", "|-|-|", *rows])


def advise(
    role: str,
    steps: int,
    *,
    normalization: str | None = None,
    falling_rate: bool | None = None,
    horizon: Number | None = None,
    queue: Number | None = None,
    fresh_labels: bool | None = None,
) -> Advice:
    """Where to begin with a slow copy, from what it is for and how long the run is.

    =============  ====================================================================================
    role           rule
    =============  ====================================================================================
    observer       half-life 5 % of the run; 1 % where the learning rate falls
    critic         of an actor-critic: ``3 * horizon / steps`` between 0.005 and 0.1; 1 with batch norm
    dqn            the same, at most 0.02; 0.1 with layer norm
    encoder        ``1 / sqrt(queue * steps)``: between a key's wait and the run
    teacher        half-life 3 % of the run
    consistency    0.05
    anchor         0: fixed, and the price of the distance is tuned instead; 0.005 with fresh labels
    =============  ====================================================================================

    The chapters that measured a rule are named in the advice. They did so on small networks and runs of hundreds to
    ten thousands of steps; at the published lengths of runs the encoder's rule is near BYOL's own tau and far below
    MoCo's, the critic's is TD3's and SAC's, and an observer's half-life is longer than the published ones.

    Args:
        role: ``"observer"`` (nothing learns from it), or in the loop ``"critic"`` (the target network of an
            actor-critic), ``"dqn"`` (that of a Q-network with clipped errors), ``"encoder"`` (MoCo, BYOL),
            ``"teacher"`` (of unlabelled data), ``"consistency"`` (a consistency model's target) or ``"anchor"`` (a
            policy's reference).
        steps: updates of the run.
        normalization: of the network that is copied, ``"none"`` (the default), ``"layer"`` or ``"batch"``; for a
            critic ``"batch"`` is the joint one of CrossQ. Not of a consistency target or an anchor, and not
            ``"batch"`` of a DQN.
        falling_rate: of an observer: whether the learning rate falls to nearly 0.
        horizon: of a critic or a DQN: steps ahead that its values must see, by default 100, which is 1 / (1 - 0.99).
        queue: of an encoder: steps that a key waits before it is used (MoCo: queue over batch), by default 1.
        fresh_labels: of an anchor: whether labels are bought anew where the policy goes.

    Raises:
        ValueError: an unknown role or normalisation, a count below 1, or an argument that the role has no use for.
        TypeError: a value of the wrong type.

    >>> advise("observer", 20_000).tau
    0.00069
    """
    given: dict[str, Any] = {
        "normalization": normalization,
        "falling_rate": falling_rate,
        "horizon": horizon,
        "queue": queue,
        "fresh_labels": fresh_labels,
    }
    given = {name: value for name, value in given.items() if value is not None}
    _check(role, steps, given)
    return ROLES[role](steps, **given)


def _observer(steps: int, normalization: str = "none", falling_rate: bool = False) -> Advice:
    share = HALF_LIFE["falling" if falling_rate else "constant"]
    watch = "the raw network beside it, by the measure that counts"
    if falling_rate:
        watch += ": there is little left to gain; this memory is short enough to do no harm"
    return Advice(
        role="observer",
        steps=steps,
        tau=_rounded(convert(half_life=share * steps).tau),
        rule=f"half-life {share:.0%} of the run",
        warm_up=True,
        buffers=_buffers(normalization, "measure them anew: companion.averaging.reestimate_batch_norm"),
        watch=watch,
        chapters=("Averages that generalise", "Generators"),
    )


def _critic(steps: int, normalization: str = "none", horizon: Number = 100) -> Advice:
    tau, rule = _followed(steps, horizon, FASTEST)
    watch, chapters = VALUES, ("DDPG and the soft update", "SAC and entropy")
    if normalization == "batch":
        tau, rule = (
            1.0,
            "joint batch norm learns without a slow copy, as in CrossQ; in a short run a soft one was ahead",
        )
    if normalization != "none":
        watch += "; without a slow copy SAC learned so, TD3 did not"
        chapters = ("SAC and entropy", "Choosing")
    return Advice(
        role="critic",
        steps=steps,
        tau=tau,
        rule=rule,
        buffers=_buffers(normalization, "normalise both batches of an update together"),
        watch=watch,
        chapters=chapters,
    )


def _dqn(steps: int, normalization: str = "none", horizon: Number = 100) -> Advice:
    tau, rule = _followed(steps, horizon, CLIFF)
    chapters: tuple[str, ...] = ("DQN and hard updates",)
    if normalization == "layer":
        tau, rule = FASTEST, "layer norm: a fast copy did better than a slow one, and mostly than none"
        chapters = ("Choosing",)
    return Advice(
        role="dqn",
        steps=steps,
        tau=tau,
        rule=rule,
        watch=VALUES,
        chapters=chapters,
    )


def _followed(steps: int, horizon: Number, fastest: float) -> tuple[float, str]:
    tau = min(max(HORIZONS * horizon / steps, SLOWEST), fastest)
    return _rounded(tau), f"{HORIZONS} horizons of {horizon:g} steps in the run, within {SLOWEST:g} and {fastest:g}"


def _encoder(steps: int, normalization: str = "none", queue: Number = 1) -> Advice:
    return Advice(
        role="encoder",
        steps=steps,
        tau=_rounded(min(1.0, 1 / math.sqrt(queue * steps))),
        rule=f"the geometric middle between a key's wait, {queue:g}, and the run",
        buffers=_buffers(normalization, "the copy stays in training mode and keeps its own"),
        watch="the spread of the embeddings: a loss that falls may be a collapse",
        chapters=("MoCo and the queue", "BYOL without negatives"),
    )


def _teacher(steps: int, normalization: str = "none") -> Advice:
    share = HALF_LIFE["teacher"]
    return Advice(
        role="teacher",
        steps=steps,
        tau=_rounded(convert(half_life=share * steps).tau),
        rule=f"half-life {share:.0%} of the run",
        warm_up=True,
        buffers=_buffers(normalization, "the teacher in training mode, or its buffers copied"),
        watch="the student trained on labels alone: a teacher too fast or too slow is worse than none",
        chapters=("Teachers",),
    )


def _consistency(steps: int) -> Advice:
    return Advice(
        role="consistency",
        steps=steps,
        tau=CONSISTENCY,
        rule=f"{CONSISTENCY:g}, or 1 as in iCT; evaluate another average, an observer",
        watch="samples at tau = 1 beside it",
        chapters=("Generators",),
    )


def _anchor(steps: int, fresh_labels: bool = False) -> Advice:
    rule = "fixed: an anchor that moves is a smaller price of the distance, so tune the price"
    if fresh_labels:
        rule = (
            "labels are bought anew: an average of the policy, or a copy now and then, was better than a fixed anchor"
        )
    return Advice(
        role="anchor",
        steps=steps,
        tau=FRESH_ANCHOR if fresh_labels else 0.0,
        rule=rule,
        watch="the true reward at equal distance from the start, not at equal steps",
        chapters=("An anchor that moves",),
    )


ROLES: dict[str, Callable[..., Advice]] = {
    "observer": _observer,
    "critic": _critic,
    "dqn": _dqn,
    "encoder": _encoder,
    "teacher": _teacher,
    "consistency": _consistency,
    "anchor": _anchor,
}
"""Each role's rule; it takes what an advice for this role may be asked with."""


def _check(role: object, steps: object, given: Mapping[str, object]) -> None:
    if not isinstance(role, str) or role not in ROLES:
        raise ValueError(
            f"unknown role {role!r}: did you mean {nearest(str(role), ROLES)!r}? Known: {', '.join(ROLES)}"
        )
    if isinstance(steps, bool) or not isinstance(steps, numbers.Integral):
        raise TypeError(f"steps = {steps!r} is a {type(steps).__name__}; pass a whole number of updates")
    if steps < 1:
        raise ValueError(f"steps = {steps} is not a length; pass 1 update or more")
    takes = inspect.signature(ROLES[role]).parameters
    for name, value in given.items():
        if name not in takes:
            raise ValueError(f"{name} = {value!r} says nothing of role {role!r}; leave it out")
        if name in ("horizon", "queue"):
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a number of steps")
            if not 1 <= float(value) < math.inf:
                raise ValueError(f"{name} = {value!r} is not a number of steps; pass 1 or more")
        elif name == "normalization":
            known = NORMALIZATIONS[:2] if role == "dqn" else NORMALIZATIONS
            if value not in known:
                raise ValueError(f"normalization = {value!r} is unknown; pass one of {', '.join(known)}")
        elif not isinstance(value, bool):
            raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass True or False")


def _buffers(normalization: str, batch: str) -> str:
    return batch if normalization == "batch" else NO_BUFFERS


def _rounded(tau: float) -> float:
    return float(f"{tau:.2g}")
