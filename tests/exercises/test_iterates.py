"""The exercises on averaging the iterates: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np

from companion.exercises.iterates.anytime_tail import AnytimeTail
from tests.exercises.helpers import Wrong


def in_place(mean: Any, x: Any, n: int) -> Any:
    mean += (x - mean) / n
    return mean


def wrong_running_mean() -> Wrong:
    return {
        "counts from zero": (lambda mean, x, n: mean + (x - mean) / (n + 1), "tau is 1 at n = 1"),
        "weights exchanged": (lambda mean, x, n: mean / n + (1 - 1 / n) * x, "all the weight"),
        "constant tau after the first": (
            lambda mean, x, n: mean + (x - mean) * (1.0 if n == 1 else 0.1),
            "no plain mean",
        ),
        "in place": (in_place, "has changed"),
        "no return": (lambda mean, x, n: None, "returned None"),
    }


def wrong_predicted_error() -> Wrong:
    inv = np.linalg.inv
    return {
        "forgets n": (lambda H, S, n: np.trace(inv(H) @ S @ inv(H)), "divide by n"),
        "one inverse": (lambda H, S, n: np.trace(inv(H) @ S) / n, "both sides of S"),
        "no inverse": (lambda H, S, n: np.trace(H @ S @ H) / n, "should be 3"),
        "entry by entry": (lambda H, S, n: np.trace(S / H**2) / n, "entry by entry"),
        "no trace": (lambda H, S, n: inv(H) @ S @ inv(H) / n, "a matrix"),
    }


def wrong_growing_tau() -> Wrong:
    return {
        "plain mean": (lambda n: 1 / n, "the plain mean"),
        "constant": (lambda n: 0.1, "only one iterate"),
        "squares": (lambda n: 3 / (n + 2), "one power too many"),
        "not in proportion": (lambda n: n**-0.5, "do not grow in proportion"),
    }


def tail_mean(flips: np.ndarray, step: float, start: int) -> np.ndarray:
    x, total = np.zeros(flips.shape[1]), np.zeros(flips.shape[1])
    for k, y in enumerate(flips):
        if k >= start:
            total += x
        x = x - step * (1 / (1 + np.exp(-x)) - y)
    return total / (len(flips) - start)


def combined(small: float, large: float, *, tail: bool = True) -> Any:
    def answer(flips: np.ndarray, step: float) -> np.ndarray:
        start = len(flips) // 2 if tail else 0
        return small * tail_mean(flips, step, start) + large * tail_mean(flips, 2 * step, start)

    return answer


def spoils_flips(flips: np.ndarray, step: float) -> np.ndarray:
    flips -= 0.5
    return flips[0]


def wrong_extrapolate() -> Wrong:
    return {
        "one step": (combined(1, 0), "single constant step"),
        "twice the step": (combined(0, 1), "single constant step"),
        "the wrong way round": (combined(-1, 2), "larger than before"),
        "the mean of both": (combined(0.5, 0.5), "mean of the two"),
        "the start included": (combined(2, -1, tail=False), "first half"),
        "one number": (lambda flips, step: combined(2, -1)(flips, step).mean(), "shape (6,)"),
        "spoils the flips": (spoils_flips, "has changed"),
    }


class Everything:
    """The plain mean: nothing is ever let go."""

    def __init__(self) -> None:
        self.n, self.value = 0, 0.0

    def update(self, x: Any) -> None:
        self.n += 1
        self.value = self.value + (x - self.value) / self.n


class Listed:
    """Right, but keeps every iterate."""

    def __init__(self) -> None:
        self.xs: list[Any] = []

    def update(self, x: Any) -> None:
        self.xs.append(np.array(x))

    @property
    def value(self) -> Any:
        return np.mean(self.xs[len(self.xs) // 2 - len(self.xs) // 8 :], axis=0)


class Merged(AnytimeTail):
    """Merges the blocks without regard to their lengths."""

    @property
    def value(self) -> Any:
        return (self.current + self.finished) / 2 if self.finished_length else self.current


class OneBlock(AnytimeTail):
    """Drops the finished block at once."""

    @property
    def value(self) -> Any:
        return self.current


class Recent:
    """An exponential average: recent, but no plain mean."""

    def __init__(self) -> None:
        self.value: Any = None

    def update(self, x: Any) -> None:
        self.value = x if self.value is None else 0.9 * self.value + 0.1 * x


class Aliased(AnytimeTail):
    """Keeps the array itself while there is only one in the block."""

    def update(self, x: Any) -> None:
        super().update(x)
        if self.length == 1:
            self.current = x


def wrong_anytime_tail() -> Wrong:
    return {
        "plain mean": (Everything, "let old blocks go"),
        "keeps the iterates": (Listed, "not the iterates"),
        "equal shares": (Merged, "each counts by its length"),
        "one block": (OneBlock, "too few are left"),
        "exponential": (Recent, "not equal"),
        "keeps a reference": (Aliased, "Store a copy"),
    }


def test_anytime_tail_keeps_between_half_and_three_quarters() -> None:
    """What the solution's explanation says of it."""
    average = AnytimeTail()
    for n in range(1, 3_000):
        average.update(np.zeros(1))
        kept = average.length + average.finished_length
        assert n < 2 * kept
        assert 4 * kept <= 3 * (n + 1)
