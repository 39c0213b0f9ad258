"""The exercises on averaging the iterates: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np

from companion.exercises.iterates.anytime_tail import AnytimeTail
from companion.exercises.iterates.averaged_once_more import averaged_once_more
from companion.exercises.iterates.ten_passes import ten_passes
from tests.exercises.helpers import Wrong


def wrong_growing_tau() -> Wrong:
    return {
        "plain mean": (lambda n: 1 / n, "the plain mean"),
        "constant": (lambda n: 0.1, "only one iterate"),
        "squares": (lambda n: 3 / (n + 2), "one power too many"),
        "not in proportion": (lambda n: n**-0.5, "do not grow in proportion"),
    }


def wrong_averaged_once_more() -> Wrong:
    def right(a: float) -> float:
        return 2 * a / (2 * a - 1)

    return {
        "where it stops": (lambda a: 4 / 3 if a == 2 else a**2 / (2 * a - 1), "where the search *stops*"),
        "independent": (lambda a: 0.0, "left the covariances out"),
        "each pair once": (lambda a: a / (2 * a - 1), "counts twice"),
        "the optimum": (lambda a: 1.0, "another number"),
        "at two alone": (lambda a: 4 / 3, "doubles the error"),
        "without a limit": (lambda a: right(a) if a != 0.5 else 1e9, "Return infinity"),
    }


def wrong_ten_passes() -> Wrong:
    share = ten_passes()[1]
    return {
        "as if new": (("A", 0.95), "That is the cure"),
        "the second half": (("B", 0.62), "mean of the second half"),
        "the other letter": (("D", share), "does not fit"),
        "no such letter": (("E", share), "A, B, C or D"),
        "a percentage": (("C", 100 * share), "not a percentage"),
        "far off": (("D", 0.1), "Another share"),
        "a letter": ("C", "a pair"),
    }


def test_the_mean_of_steps_c_over_k_is_what_the_exercise_says() -> None:
    """By the exact recursion, without noise: variances and covariances of the places."""
    n = 20_000
    for a in (1.0, 2.0, 6.0):
        variance, with_sum, of_sum = 0.0, 0.0, 0.0  # of the place, of place and sum so far, of the sum
        for k in range(1, n + 1):
            shrink = max(1 - a / k, 0.0)
            variance = shrink**2 * variance + min(a / k, 1.0) ** 2
            with_sum = shrink * with_sum
            of_sum += 2 * with_sum + variance
            with_sum += variance
        assert np.isclose(of_sum / n, averaged_once_more(a), rtol=0.05)
        assert np.isclose(n * variance, a**2 / (2 * a - 1), rtol=0.05)


def test_the_share_of_ten_passes_is_that_of_a_normal_variable() -> None:
    assert abs(ten_passes()[1] - 0.4646) < 0.03


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
