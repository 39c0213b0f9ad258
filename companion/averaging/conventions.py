"""One amount of averaging and its many names: tau, decay, window, half-life, lag, and the hard-update period.

``tau`` is the weight of the new value everywhere in this package. The functions take a number or an array of them.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from jaxtyping import Float

Number = float | int  # spelt out: a type checker that runs takes ``float`` at its word
Weight = TypeVar("Weight", bound=Number | Float[np.ndarray, "*shape"])


def unit_interval(value: object, name: str = "tau") -> float:
    """``value`` as a float.

    Raises:
        TypeError: ``value`` is not a number.
        ValueError: ``value`` lies outside [0, 1], or is NaN.
    """
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a number between 0 and 1")
    number = float(value)
    if not 0.0 <= number <= 1.0:  # NaN fails every comparison, this one too
        raise ValueError(f"{name} = {number!r} is not in [0, 1]; pass a weight between 0 and 1")
    return number


def _elementwise(value: Weight, name: str, formula: Callable[[np.ndarray], np.ndarray]) -> Weight:
    if isinstance(value, np.ndarray) and value.ndim:
        outside = ~((value >= 0.0) & (value <= 1.0))
        if outside.any():
            raise ValueError(
                f"{name} holds {value[outside][0]!r}, which is not in [0, 1]; pass weights between 0 and 1"
            )
        weights = np.asarray(value, dtype=np.float64)
    else:
        weights = np.asarray(unit_interval(value.item() if isinstance(value, np.ndarray) else value, name))
    with np.errstate(divide="ignore", over="ignore"):  # a target that never moves has an infinite window, no fault
        result = formula(weights)
    return result if result.ndim else float(result)  # type: ignore[return-value]


def ema_decay_to_tau(decay: Weight) -> Weight:
    """The weight of the new value, ``tau = 1 − decay``, from the weight of the old one.

    Raises:
        TypeError: ``decay`` is not a number or an array.
        ValueError: ``decay`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(decay, "decay", lambda decay: np.asarray(1.0 - decay))


def tau_to_ema_decay(tau: Weight) -> Weight:
    """The weight of the old value, ``decay = 1 − tau``, from the weight of the new one.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: np.asarray(1.0 - tau))


def effective_window(tau: Weight) -> Weight:
    """How many updates the average looks back on, ``1 / tau``: 200 at 0.005. Infinite at ``tau = 0``.

    The weights of the last ``1 / tau`` values add up to ``1 − (1 − tau)^(1/tau)``, nearly 63 % for a small ``tau``.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: np.divide(1.0, tau))


def half_life(tau: Weight) -> Weight:
    """Updates until half of a value's weight is left, ``ln 2 / −ln(1 − tau)``: 0 at ``tau = 1``, infinite at 0.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: math.log(2.0) / np.abs(np.log1p(-tau)))


def mean_lag(tau: Weight) -> Weight:
    """Mean age, in updates, of the values in the average: ``Σ k·tau·(1 − tau)^k = (1 − tau) / tau``. Infinite at 0.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: np.divide(1.0 - tau, tau))


def variance_ratio(tau: Weight) -> Weight:
    """Variance of the average of white noise, as a share of the noise's: ``Σ (tau·(1 − tau)^k)² = tau / (2 − tau)``.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: tau / (2.0 - tau))


def equivalent_period(tau: Weight) -> Weight:
    """The hard-update period of the same mean lag: a copy every C updates is ``(C − 1)/2`` old on average, so
    ``C = 2/tau − 1``. A real number: round it to use it. Infinite at ``tau = 0``.

    Raises:
        TypeError: ``tau`` is not a number or an array.
        ValueError: ``tau`` lies outside [0, 1], or is NaN.
    """
    return _elementwise(tau, "tau", lambda tau: np.asarray(np.divide(2.0, tau) - 1.0))


# Each word as its library spells it, which of the four quantities below it is, and who writes it.
WORDS = (
    ("tau", "tau", "the papers of DDPG, TD3 and SAC; Stable-Baselines3, CleanRL, TorchRL"),
    ("step_size", "tau", "optax"),
    ("momentum", "tau", "MMEngine; BatchNorm in torch.nn"),
    ("polyak", "decay", "Spinning Up"),
    ("decay", "decay", "torch.optim.swa_utils, timm, diffusers, Flax"),
    ("eps", "decay", "TorchRL"),
    ("beta", "decay", "ema-pytorch"),
    ("ema_momentum", "decay", "Keras"),
    ("ema_decay", "decay", "Mean Teacher, whose paper writes α"),
    ("m", "decay", "MoCo"),
    ("momentum_teacher", "decay", "DINO"),
    ("base_ema", "decay", "BYOL, whose paper writes τ"),
    ("C", "period", "the paper of DQN, in updates"),
    ("target_update_interval", "steps", "DQN in Stable-Baselines3; n: environment steps an update"),
    ("target_network_frequency", "steps", "DQN in CleanRL; n likewise"),
)
# What prints is ASCII: nobody knows on which console, and many a code page lacks these.
_ASCII = str.maketrans({"−": "-", "α": "alpha", "τ": "tau"})


@dataclass(frozen=True)
class Convention:
    """One amount of averaging under each of its names. It prints as a table that has every library's own word.

    Attributes:
        tau: Weight of the new value.
        decay: Weight of the old value, ``1 − tau``.
        window: Effective window in updates, ``1/tau``.
        half_life: Updates until a value's weight has halved.
        mean_lag: Mean age of what is in the average, in updates.
        variance_ratio: What is left of the variance of white noise.
        period: Updates between the hard copies of equal mean lag.
    """

    tau: float
    decay: float
    window: float
    half_life: float
    mean_lag: float
    variance_ratio: float
    period: float

    def _meanings(self) -> list[tuple[str, str, str]]:
        return [
            ("tau", f"{self.tau:.12g}", "weight of the new value"),
            ("decay", f"{self.decay:.12g}", "weight of the old value, 1 − tau"),
            ("window", f"{self.window:.6g}", "updates, 1/tau"),
            ("half-life", f"{self.half_life:.6g}", "updates, ln 2 / −ln(1 − tau)"),
            ("mean lag", f"{self.mean_lag:.6g}", "updates, (1 − tau)/tau"),
            ("variance ratio", f"{self.variance_ratio:.6g}", "of white noise, tau/(2 − tau)"),
            ("period", f"{self.period:.6g}", "updates between hard copies of equal mean lag, 2/tau − 1"),
        ]

    def _words(self) -> list[tuple[str, str]]:
        values = {"tau": f"{self.tau:.12g}", "decay": f"{self.decay:.12g}", "period": f"{self.period:.6g}"}
        values["steps"] = f"{values['period']}*n"  # they count environment steps, n from one update to the next
        return [(f"{word}={values[quantity]}", libraries) for word, quantity, libraries in WORDS]

    def __str__(self) -> str:
        meanings, words = self._meanings(), self._words()
        value_width = max(len(value) for _, value, _ in meanings)
        word_width = max(len(word) for word, _ in words)
        lines = [f"{name:<14}  {value:<{value_width}}  {meaning}" for name, value, meaning in meanings]
        table = [*lines, "", *(f"{word:<{word_width}}  {libraries}" for word, libraries in words)]
        return "\n".join(table).translate(_ASCII)

    __repr__ = __str__

    def _repr_markdown_(self) -> str:
        meanings = [f"| {name} | {value} | {meaning} |" for name, value, meaning in self._meanings()]
        words = [f"| `{word}` | {libraries} |" for word, libraries in self._words()]
        table = ["| quantity | value | meaning |", "|---|---|---|", *meanings, ""]
        return "\n".join([*table, "| written as | by |", "|---|---|", *words])


def convert(
    *,
    tau: Number | None = None,
    decay: Number | None = None,
    half_life: Number | None = None,
    period: Number | None = None,
) -> Convention:
    """One amount of averaging under all its names, from the one that is known.

    Args:
        tau: Weight of the new value, in [0, 1].
        decay: Weight of the old value, in [0, 1].
        half_life: Updates until a value's weight has halved, at least 0.
        period: Updates between the hard copies of equal mean lag, at least 1.

    Raises:
        TypeError: Not exactly one of the four is given, or it is not a number.
        ValueError: The value is out of range, or NaN.
    """
    arguments = {"tau": tau, "decay": decay, "half_life": half_life, "period": period}
    given = {name: value for name, value in arguments.items() if value is not None}
    if len(given) != 1:
        raise TypeError(f"convert got {', '.join(given) or 'nothing'}; pass one of tau, decay, half_life and period")
    if half_life is not None:
        weight = -math.expm1(-math.log(2.0) / updates) if (updates := _at_least(0.0, half_life, "half_life")) else 1.0
    elif period is not None:
        weight = 2.0 / (_at_least(1.0, period, "period") + 1.0)
    elif decay is not None:
        weight = ema_decay_to_tau(decay)
    else:
        weight = unit_interval(tau)
    return _convention(weight, tau_to_ema_decay(weight) if decay is None else float(decay))


def _convention(tau: float, decay: float) -> Convention:
    return Convention(
        tau=tau,
        decay=decay,
        window=effective_window(tau),
        half_life=half_life(tau),
        mean_lag=mean_lag(tau),
        variance_ratio=variance_ratio(tau),
        period=equivalent_period(tau),
    )


def _at_least(least: float, value: object, name: str) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} = {value!r} is a {type(value).__name__}; pass a number of updates")
    if not float(value) >= least:
        raise ValueError(f"{name} = {value!r} is not a number of updates from {least:g} upwards")
    return float(value)
