"""Averages of iterates: of all of them, of the last part, or weighted exponentially.

Each is an object that is shown one iterate at a time, a NumPy array or a torch tensor of any shape, and holds no more
than the average. It is kept in float64, since a running mean in float32 stops moving once ``1/k`` of a step is below
the spacing of its values; `value` comes back in the iterates' own dtype, or float32 where that is narrower.
"""

from __future__ import annotations

import math
import numbers
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Shaped
from torch import Tensor

from companion.averaging.conventions import Number, unit_interval
from companion.averaging.schedules import Schedule

Iterate = Shaped[np.ndarray, "*shape"] | Shaped[Tensor, "*shape"] | Number
Average = Float[np.ndarray, "*shape"] | Float[Tensor, "*shape"]


class _IterateAverage:
    """What the averages share: the first iterate settles kind, shape, dtype and device; the rest must agree.

    Attributes:
        count: How many iterates were shown.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean: Any = None
        self._narrow: Any = None

    def update(self, x: Iterate) -> None:
        """Take the next iterate into the average.

        Raises:
            TypeError: ``x`` does not hold real numbers, or is an array after tensors, or a tensor after arrays.
            ValueError: ``x`` has another shape or sits on another device than the iterates before.
        """
        wide = self._widened(x)
        if self._mean is None:
            self._mean = _blank(wide)
        self._take(wide, self.count + 1)
        self.count += 1

    @property
    def value(self) -> Average:
        """The average of the iterates so far: a copy, which later updates leave alone.

        Raises:
            ValueError: No iterate was shown yet.
        """
        if self.count == 0:
            raise ValueError("there is no average before the first update(x)")
        return self._narrowed(self._mean)

    def _take(self, x: Any, count: int) -> None:
        """Make the average one of ``count`` iterates, of which ``x``, in float64, is the last."""
        raise NotImplementedError

    def _narrowed(self, wide: Any) -> Any:
        if isinstance(wide, Tensor):
            return wide.to(self._narrow, copy=True)
        return np.array(wide, dtype=self._narrow)

    def _widened(self, x: Iterate) -> Any:
        """A copy of the iterate in float64, checked against the average that there is."""
        if isinstance(x, Tensor):
            if x.is_complex():
                raise TypeError(f"x is a tensor of {x.dtype}; pass real numbers")
            narrow: Any = torch.promote_types(x.dtype, torch.float32)
            double = torch.float32 if x.device.type == "mps" else torch.float64  # Apple's GPUs have no float64
            wide: Any = x.detach().to(double, copy=True)
        else:
            array = np.asarray(x)
            if array.dtype.kind not in "fiub":
                raise TypeError(f"x holds {array.dtype}; pass an array or a tensor of real numbers")
            narrow = np.promote_types(array.dtype, np.float32)
            wide = array.astype(np.float64)
        mean = self._mean
        if mean is None:
            self._narrow = narrow
        elif type(wide) is not type(mean):
            raise TypeError(
                f"x is a {type(x).__name__}, the iterates before were of {type(mean).__name__}; keep to one"
            )
        elif wide.shape != mean.shape:
            raise ValueError(f"x has shape {tuple(wide.shape)}, the iterates before had {tuple(mean.shape)}")
        elif isinstance(wide, Tensor) and wide.device != mean.device:
            raise ValueError(f"x is on {wide.device}, the average on {mean.device}; move x with .to(device)")
        return wide


def _blank(like: Any) -> Any:
    return torch.empty_like(like) if isinstance(like, Tensor) else np.empty_like(like)


def _include(mean: Any, x: Any, count: int) -> None:
    """Make a mean of ``count − 1`` values one of ``count``, in place."""
    if count == 1:
        mean[...] = x
    else:
        mean += (x - mean) / count


class PolyakAverage(_IterateAverage):
    """The mean of all iterates: ``x̄_k = x̄_{k−1} + (x_k − x̄_{k−1})/k``.

    Source: Polyak and Juditsky, "Acceleration of stochastic approximation by averaging", SIAM J. Control Optim. 30
    (1992), 838–855; Ruppert, Cornell ORIE technical report 781 (1988).
    """

    def _take(self, x: Any, count: int) -> None:
        _include(self._mean, x, count)


class TailAverage(_IterateAverage):
    """The mean of the last part of the iterates: from a given one on, or of a fraction without a known horizon.

    With ``start``, the mean of the iterates after the first ``start``; until there is one, the latest iterate.

    With ``fraction``, the mean of a last part that grows with the count. Keeping exactly the last half, say, would need
    all iterates; this holds two running means and drops the older part each time the count has grown by
    ``1/(1 − fraction)``. So it covers never less than ``fraction`` of the iterates, and at most
    ``1 − (1 − fraction)²`` of them, up to whole iterates: between 1/2 and 3/4 at ``fraction=0.5``. `covered` says how
    many the average holds at the moment.

    Args:
        start: How many iterates to leave out, at least 0.
        fraction: The least share of the iterates to average, strictly between 0 and 1.

    Raises:
        TypeError: Not exactly one of the two is given, or it is of the wrong kind.
        ValueError: It is out of range.

    Source: Rakhlin, Shamir and Sridharan, "Making gradient descent optimal for strongly convex stochastic
    optimization" (arXiv:1109.5647), for suffix averaging.
    """

    def __init__(self, start: int | None = None, *, fraction: Number | None = None) -> None:
        super().__init__()
        if (start is None) == (fraction is None):
            raise TypeError(f"TailAverage got start={start!r} and fraction={fraction!r}; pass one of them")
        if start is not None and (isinstance(start, bool) or not isinstance(start, numbers.Integral)):
            raise TypeError(f"start = {start!r} is a {type(start).__name__}; pass how many iterates to leave out")
        if start is not None and start < 0:
            raise ValueError(f"start = {start} is negative; pass how many iterates to leave out")
        if fraction is not None and unit_interval(fraction, "fraction") in (0.0, 1.0):
            raise ValueError(
                f"fraction = {fraction} is no part; pass one between 0 and 1, or use PolyakAverage for all"
            )
        self.start, self.fraction = start, fraction
        self.covered = 0
        self._recent: Any = None  # with a fraction: the mean of what came after the last drop, and of how many
        self._recent_count = 0
        self._drop_at = 1

    def _take(self, x: Any, count: int) -> None:
        if self.fraction is None:
            self.covered = max(1, count - (self.start or 0))
            _include(self._mean, x, self.covered)
            return
        if self._recent is None:
            self._recent = _blank(x)
        self.covered += 1
        self._recent_count += 1
        _include(self._mean, x, self.covered)
        _include(self._recent, x, self._recent_count)
        if count == self._drop_at:
            self._drop_at = max(count + 1, math.ceil(count / (1.0 - self.fraction)))
            self._mean, self._recent = self._recent, self._mean
            self.covered, self._recent_count = self._recent_count, 0


class ExponentialAverage(_IterateAverage):
    """The exponential moving average of the iterates: ``y_k = y_{k−1} + tau·(x_k − y_{k−1})``.

    Args:
        tau: The weight of the new iterate: a number in [0, 1], or a schedule, a callable of the count k = 1, 2, ….
        start: ``"first"``: ``y_1 = x_1``, whatever ``tau``. ``"zero"``: ``y_0 = 0``.
        bias_correction: With ``start="zero"``, divide by the weight that the iterates have so far, so that `value` is a
            weighted mean of them.

    Raises:
        TypeError: ``tau`` is neither a number nor callable.
        ValueError: ``tau`` lies outside [0, 1] or is NaN, ``start`` is an unknown word, or there is no bias to correct.
    """

    def __init__(
        self,
        tau: Number | Schedule,
        *,
        start: Literal["first", "zero"] = "first",
        bias_correction: bool = False,
    ) -> None:
        super().__init__()
        if start not in ("first", "zero"):
            raise ValueError(f'start = {start!r} is not known; use "first" or "zero"')
        if bias_correction and start == "first":
            raise ValueError('bias_correction has nothing to correct with start="first"; use start="zero"')
        self.tau = tau if callable(tau) else unit_interval(tau)
        self.start, self.bias_correction = start, bias_correction
        self._left = 0.0 if start == "first" else 1.0  # what is left of the start's weight

    @property
    def value(self) -> Average:
        """The average of the iterates so far: a copy, which later updates leave alone.

        Raises:
            ValueError: No iterate was shown yet, or none that had a weight, with ``bias_correction``.
        """
        if not self.bias_correction or self.count == 0:
            return super().value
        if self._left == 1.0:
            raise ValueError(f"the {self.count} iterates so far all had weight 0; there is nothing to average yet")
        return self._narrowed(self._mean / (1.0 - self._left))

    def _take(self, x: Any, count: int) -> None:
        tau = unit_interval(self.tau(count)) if callable(self.tau) else self.tau
        if count == 1:
            self._mean[...] = x if self.start == "first" else 0.0
        if count > 1 or self.start == "zero":
            if tau == 1.0:
                self._mean[...] = x
            elif tau > 0.0:
                self._mean += tau * (x - self._mean)
        self._left *= 1.0 - tau
