"""Write a tail average that at any moment holds the last half of the iterates, or a little more."""

import pickle
from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, matches


class AnytimeTail:
    def __init__(self) -> None:
        self.finished: Any = 0.0  # the mean of the last block that is full, and of the one being filled
        self.current: Any = 0.0
        self.finished_length, self.length, self.full = 0, 0, 1

    def update(self, x: np.ndarray) -> None:
        if self.length == self.full:  # the block is full: it becomes the finished one, and the next is twice as long
            self.finished, self.finished_length = self.current, self.length
            self.current, self.length, self.full = 0.0, 0, 2 * self.full
        self.length += 1
        self.current = self.current + (x - self.current) / self.length

    @property
    def value(self) -> np.ndarray:
        share = self.length / (self.length + self.finished_length)
        return share * self.current + (1 - share) * self.finished


def tail_weights(answer: Answer, n: int) -> np.ndarray:
    """The weight of each of n iterates in the value: what comes out when the iterates are unit vectors."""
    average = answer()
    for row in np.eye(n):
        average.update(row)
    weights = np.asarray(average.value, dtype=float)
    expect(weights.shape == (n,), f"Fed arrays of shape ({n},), the value has shape {weights.shape}.")
    return weights


def sums_to_one(answer: Answer) -> None:
    """The value is an average: fed the same iterate again and again, it gives that iterate."""
    average = answer()
    for n in range(1, 40):
        average.update(np.array([2.0, -3.0]))
        matches(average.value, [2.0, -3.0], f"Fed the same array {n} times, the value differs from it.")


def plain_mean_of_a_tail(answer: Answer) -> None:
    """At any moment the latest iterates have equal weights and the earlier ones none."""
    for n in (1, 2, 7, 8, 9, 31, 32, 33, 100):
        weights = tail_weights(answer, n)
        used = weights > 1e-12
        hint = f"After {n} updates the weights are not equal. When two blocks are merged, each counts by its length."
        expect(np.allclose(weights[used], 1 / used.sum(), atol=1e-9), hint)
        hint = f"After {n} updates the iterates in the mean are not the latest ones."
        expect(used[-1] and np.all(np.diff(used.astype(int)) >= 0), hint)


def right_length(answer: Answer) -> None:
    """From the eighth update on it is the mean of between one half and four fifths of the iterates."""
    for n in range(8, 140):
        share = float(np.mean(tail_weights(answer, n) > 1e-12))
        if share == 1:
            raise Hint(f"After {n} updates every iterate is still in the mean, the first one too. Let old blocks go.")
        expect(
            0.5 <= share <= 0.81,
            f"After {n} updates the mean is over {share:.0%} of the iterates. If a block is dropped as soon as the "
            "next one begins, too few are left: keep the last finished block until another is finished.",
        )


def small_memory(answer: Answer) -> None:
    """It stores no more than three arrays, however long the run."""
    average = answer()
    x = np.random.default_rng(7).normal(size=1_000)
    for _ in range(300):
        average.update(x + 1.0)
        x = x + 1.0
    stored = len(pickle.dumps(vars(average))) / x.nbytes
    hint = f"After 300 updates the object holds about {stored:.0f} arrays. Keep means and counts, not the iterates."
    expect(stored < 3.5, hint)


def keeps_no_reference(answer: Answer) -> None:
    """It keeps values, not the array it was given: SGD may change that array in place."""
    average, x = answer(), np.zeros(2)
    for k in range(20):
        x[:] = k
        average.update(x)
        before = np.array(average.value)
        x += 1_000.0
        expect(
            np.allclose(average.value, before),
            f"After {k + 1} updates the value changed when the array that had been passed to `update` was changed. "
            "Store a copy.",
        )


EXERCISE = Exercise(
    place=4,
    title="A tail without a horizon",
    difficulty="hard",
    minutes=120,
    expects="a class with `update(x)` and a property `value`",
    solution=AnytimeTail,
    why="Blocks of 1, 2, 4, 8, … iterates. The mean of the last full block and of the one being filled, each "
    "weighted by its length, covers just over half of the iterates when a new block begins, and just "
    "over three quarters when it is full. Two arrays and three counts, and no horizon to be known "
    "beforehand. `TailAverage(fraction=0.5)` keeps the same two means in another way.",
    checks=[sums_to_one, plain_mean_of_a_tail, right_length, small_memory, keeps_no_reference],
)
