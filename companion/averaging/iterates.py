"""Averages of iterates: of all of them, of the last part, or exponentially weighted."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

Iterate = np.ndarray | Tensor


class _Average:
    def __init__(self) -> None:
        self.count = 0
        self._mean: Iterate | None = None

    @property
    def value(self) -> Iterate:
        if self._mean is None:
            raise ValueError("there is no average yet; call update(x) first")
        if isinstance(self._mean, Tensor):
            return self._mean.to(self._dtype, copy=True)
        return self._mean.astype(self._dtype)

    def _wide(self, x: Iterate) -> Iterate:
        if isinstance(x, Tensor):
            self._dtype = torch.promote_types(x.dtype, torch.float32)
            return x.detach().to(torch.float64, copy=True)
        x = np.asarray(x)
        self._dtype = np.promote_types(x.dtype, np.float32)
        return np.array(x, dtype=np.float64)

    def _move(self, x: Iterate, weight: float) -> None:
        if self._mean is None:
            self._mean = self._wide(x)
        else:
            self._mean += weight * (self._wide(x) - self._mean)


class PolyakAverage(_Average):
    """The running mean of all iterates."""

    def update(self, x: Iterate) -> None:
        self.count += 1
        self._move(x, 1.0 / self.count)


class TailAverage(_Average):
    """The mean of the iterates after the first ``start``."""

    def __init__(self, start: int) -> None:
        super().__init__()
        self.start = start

    def update(self, x: Iterate) -> None:
        self.count += 1
        if self.count <= self.start:
            self._mean = self._wide(x)
        else:
            self._move(x, 1.0 / (self.count - self.start))


class ExponentialAverage(_Average):
    """The exponential moving average of the iterates, started at the first."""

    def __init__(self, tau: float) -> None:
        super().__init__()
        self.tau = tau

    def update(self, x: Iterate) -> None:
        self.count += 1
        self._move(x, self.tau)
