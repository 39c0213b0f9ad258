"""Averaging the iterates."""

import pickle
from typing import Any

import numpy as np

from companion.exercises.core import Exercise, Hint, expect, matches, returned

_RNG_SEED = 7


def running_mean(mean: np.ndarray, x: np.ndarray, n: int) -> np.ndarray:
    return mean + (x - mean) / n


def _first_is_itself(answer: Any) -> None:
    """The first iterate is its own mean, whatever stood in `mean` before."""
    x = np.array([3.0, -1.0])
    matches(
        answer(np.array([50.0, 50.0]), x, 1),
        x,
        "With n = 1 the mean is x itself, so x must have all the weight: tau is 1 at n = 1. Yours keeps something of "
        "the old `mean`.",
    )


def _same_as_mean(answer: Any) -> None:
    """After 50 updates it is the mean of 50 iterates."""
    xs = np.random.default_rng(_RNG_SEED).normal(size=(50, 3))
    mean = np.zeros(3)
    for n, x in enumerate(xs, start=1):
        mean = answer(mean, x, n)
    matches(
        mean,
        xs.mean(axis=0),
        "The result is no plain mean: some iterates count more than others. The weight of the n-th is 1/n and the old "
        "mean keeps 1 - 1/n. Are the two exchanged?",
    )


def _leaves_mean_alone(answer: Any) -> None:
    """`mean` itself is left as it was."""
    mean = np.array([1.0, 2.0])
    answer(mean, np.array([5.0, 5.0]), 4)
    expect(
        np.array_equal(mean, [1.0, 2.0]),
        "The array `mean` that was passed in has changed: `mean += ...` works in place. Make a new array.",
    )


def predicted_error(H: np.ndarray, S: np.ndarray, n: int) -> float:
    H_inverse = np.linalg.inv(H)
    return float(np.trace(H_inverse @ S @ H_inverse)) / n


def _one_dimension(answer: Any) -> None:
    """In one dimension it is S / (H² n)."""
    got = answer(np.array([[0.5]]), np.array([[3.0]]), 100)
    if np.shape(got) == () and np.isclose(got, 12.0):
        raise Hint("That is the trace in (1.4), the error *times* n. Divide by n.")
    if np.shape(got) == () and np.isclose(got, 0.06):
        raise Hint("The inverse of H stands on both sides of S: noise becomes a displacement once, its square twice.")
    if np.shape(got) == (1, 1):
        raise Hint("It returned a matrix. The mean squared distance is its trace, a single number.")
    matches(got, 0.12, "With H = 0.5, S = 3 and n = 100 it should be 3 / (0.5² · 100) = 0.12.")


def _many_dimensions(answer: Any) -> None:
    """For matrices it is the trace of H⁻¹ S H⁻¹ / n."""
    rng = np.random.default_rng(_RNG_SEED)
    A, B = rng.normal(size=(2, 4, 4))
    H, S = A @ A.T + np.eye(4), B @ B.T
    matches(
        answer(H, S, 1000),
        np.trace(np.linalg.solve(H, np.linalg.solve(H, S).T)) / 1000,
        "Right for a number and wrong for a matrix. `np.linalg.inv(H)` and `@` are wanted, where `1 / H` and `*` work "
        "entry by entry.",
    )


def growing_tau(n: int) -> float:
    return 2 / (n + 1)


def _weights(tau: Any, n: int) -> np.ndarray:
    weights = np.zeros(n)
    for k in range(1, n + 1):
        weights *= 1 - tau(k)
        weights[k - 1] = tau(k)
    return weights


def _begins_at_one(answer: Any) -> None:
    """At n = 1 tau is 1: the first iterate replaces whatever stood there."""
    matches(answer(1), 1.0, "At n = 1 there is only one iterate and it must have all the weight: tau is 1.")


def _grows_in_proportion(answer: Any) -> None:
    """The weights of 20 iterates are 1, 2, …, 20, divided by their sum."""
    got = _weights(answer, 20)
    if np.allclose(got, 1 / 20):
        raise Hint("That gives every iterate the same weight: it is the plain mean. You want later ones to count more.")
    squares = np.arange(1, 21) * np.arange(2, 22)
    if np.allclose(got, squares / squares.sum()):
        raise Hint("Close: your weights grow like k(k + 1), one power too many. Try a smaller numerator.")
    want = np.arange(1, 21) / 210
    matches(
        got,
        want,
        "The weights do not grow in proportion to k. After update n the newest iterate has weight tau_n and the one "
        "before it tau_{n-1} (1 - tau_n). Their ratio must be n / (n - 1).",
    )


def log_odds_of(flips: np.ndarray, step: float) -> np.ndarray:
    def tail_mean(step: float) -> np.ndarray:
        x, total, start = np.zeros(flips.shape[1]), np.zeros(flips.shape[1]), len(flips) // 2
        for k, y in enumerate(flips):
            if k >= start:
                total += x
            x = x - step * (1 / (1 + np.exp(-x)) - y)
        return total / (len(flips) - start)

    return 2 * tail_mean(step) - tail_mean(2 * step)


def _flips() -> tuple[np.ndarray, float]:
    p = 0.8
    return (np.random.default_rng(_RNG_SEED).random((3_000, 1_500)) < p).astype(float), float(np.log(p / (1 - p)))


def _one_a_run(answer: Any) -> None:
    """It returns one estimate a run, and leaves the flips alone."""
    flips = _flips()[0][:200, :6]
    before = flips.copy()
    got = returned(answer(flips, 0.5))
    expect(
        np.shape(got) == (6,), f"For flips of shape (200, 6) the answer should have shape (6,), not {np.shape(got)}."
    )
    expect(np.array_equal(flips, before), "The array `flips` has changed. Work on copies.")


def _first_order_gone(answer: Any) -> None:
    """The bias of first order is gone: what is left is several times smaller than that of one run."""
    flips, truth = _flips()
    bias = float(np.mean(answer(flips, 0.5))) - truth
    plain = 0.075  # equation (1.12) at p = 0.8 and a step of 0.5
    if abs(bias + 4 * plain) < plain or abs(bias - 4 * plain) < plain:
        raise Hint("The bias is larger than before. Twice the mean for `step`, minus the mean for `2 * step`.")
    if abs(bias - plain) < 0.25 * plain or abs(bias - 2 * plain) < 0.25 * plain:
        raise Hint(
            f"The bias is {bias:.3f}, that of a single constant step, (1.12). Combine two: if "
            "a(step) = truth + b · step and a(2 step) = truth + 2 b · step, which combination is free of b?"
        )
    if abs(bias - 1.5 * plain) < 0.25 * plain:
        raise Hint("That is the bias of the mean of the two. Averaging keeps their biases; a difference removes them.")
    expect(abs(bias) < 0.02, f"The bias over 1,500 runs is {bias:+.3f}; below 0.02 was expected at a step of 0.5.")


def _forgets_the_start(answer: Any) -> None:
    """The start at 0 is forgotten: only the second half is averaged."""
    flips, truth = _flips()
    bias = float(np.mean(answer(flips[:400], 0.25))) - truth
    expect(
        abs(bias) < 0.04,
        f"Over a run of 400 flips the estimate is {bias:+.3f} off. Is the first half of the iterates in the mean, "
        "with its memory of the start at 0?",
    )


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


def _tail_weights(answer: Any, n: int) -> np.ndarray:
    """The weight of each of n iterates in the value: what comes out when the iterates are unit vectors."""
    average = answer()
    for row in np.eye(n):
        average.update(row)
    weights = np.asarray(average.value, dtype=float)
    expect(weights.shape == (n,), f"Fed arrays of shape ({n},), the value has shape {weights.shape}.")
    return weights


def _sums_to_one(answer: Any) -> None:
    """The value is an average: fed the same iterate again and again, it gives that iterate."""
    average = answer()
    for n in range(1, 40):
        average.update(np.array([2.0, -3.0]))
        matches(average.value, [2.0, -3.0], f"Fed the same array {n} times, the value differs from it.")


def _plain_mean_of_a_tail(answer: Any) -> None:
    """At any moment the latest iterates have equal weights and the earlier ones none."""
    for n in (1, 2, 7, 8, 9, 31, 32, 33, 100):
        weights = _tail_weights(answer, n)
        used = weights > 1e-12
        expect(
            np.allclose(weights[used], 1 / used.sum(), atol=1e-9),
            f"After {n} updates the weights are not equal. When two blocks are merged, each counts by its length.",
        )
        expect(
            used[-1] and np.all(np.diff(used.astype(int)) >= 0),
            f"After {n} updates the iterates in the mean are not the latest ones.",
        )


def _right_length(answer: Any) -> None:
    """From the eighth update on it is the mean of between one half and four fifths of the iterates."""
    for n in range(8, 140):
        share = float(np.mean(_tail_weights(answer, n) > 1e-12))
        if share == 1:
            raise Hint(f"After {n} updates every iterate is still in the mean, the first one too. Let old blocks go.")
        expect(
            0.5 <= share <= 0.81,
            f"After {n} updates the mean is over {share:.0%} of the iterates. If a block is dropped as soon as the "
            "next one begins, too few are left: keep the last finished block until another is finished.",
        )


def _small_memory(answer: Any) -> None:
    """It stores no more than three arrays, however long the run."""
    average = answer()
    x = np.random.default_rng(_RNG_SEED).normal(size=1_000)
    for _ in range(300):
        average.update(x + 1.0)
        x = x + 1.0
    stored = len(pickle.dumps(vars(average))) / x.nbytes
    expect(
        stored < 3.5,
        f"After 300 updates the object holds about {stored:.0f} arrays. Keep means and counts, not the iterates.",
    )


def _keeps_no_reference(answer: Any) -> None:
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


EXERCISES = [
    Exercise(
        name="running-mean",
        title="The running mean",
        difficulty="easy",
        minutes=5,
        task="Write the update (1.3): from the mean of the first n − 1 iterates and the n-th, the mean of all n.",
        expects="a function of (mean, x, n) that returns the new mean",
        solution=running_mean,
        why="The weight of the new value is tau = 1/n. Written as a step from the old mean towards `x` it needs one "
        "multiplication, and it is exact when `x` equals the mean already.",
        checks=[_first_is_itself, _same_as_mean, _leaves_mean_alone],
    ),
    Exercise(
        name="predicted-error",
        title="How good can it be?",
        difficulty="easy",
        minutes=10,
        task="Predict the mean squared distance of the average of n iterates from the optimum.",
        expects="a function of (H, S, n) that returns a number",
        solution=predicted_error,
        why="The mean squared distance is the sum of the variances along the coordinates, which is the trace of the "
        "covariance in (1.4), divided by n. A flat direction (a small eigenvalue of H) counts with the square of its "
        "inverse: that is where the error is.",
        checks=[_one_dimension, _many_dimensions],
    ),
    Exercise(
        name="growing-tau",
        title="Weights that grow",
        difficulty="medium",
        minutes=15,
        task="Find the tau_n that gives the k-th iterate a weight proportional to k.",
        expects="a function of n that returns tau",
        solution=growing_tau,
        why="The newest of n iterates must have the weight n / (1 + 2 + … + n) = 2 / (n + 1), and that weight is "
        "tau_n. The rest follows by itself: the older ones keep their proportions. Lacoste-Julien, Schmidt and Bach "
        "(2012) use this average; the start's share falls like 1/n², without a threshold to choose.",
        checks=[_begins_at_one, _grows_in_proportion],
    ),
    Exercise(
        name="extrapolate",
        title="Two steps are better than one",
        difficulty="medium",
        minutes=30,
        task="Estimate log-odds by averaged SGD at two constant steps, and combine them so that the bias cancels.",
        expects="a function of (flips, step) that returns one estimate a run",
        solution=log_odds_of,
        why="By (1.12) the mean at a constant step is off by b · step, and at twice the step by 2b · step. Twice the "
        "first minus the second is free of b; what is left is of order step². It is Richardson's extrapolation, "
        "brought to SGD by Dieuleveut, Durmus and Bach (2020). The price is variance: the same flips for both keep "
        "it small.",
        checks=[_one_a_run, _first_order_gone, _forgets_the_start],
    ),
    Exercise(
        name="anytime-tail",
        title="A tail without a horizon",
        difficulty="hard",
        minutes=120,
        task="Write a tail average that at any moment holds the last half of the iterates, or a little more.",
        expects="a class with `update(x)` and a property `value`",
        solution=AnytimeTail,
        why="Blocks of 1, 2, 4, 8, … iterates. The mean of the last full block and of the one being filled, each "
        "weighted by its length, covers just over half of the iterates when a block has just been filled, and comes "
        "near to three quarters before the next is. Two arrays and three counts, and no horizon to be known "
        "beforehand. `TailAverage(fraction=0.5)` keeps the same two means in another way.",
        checks=[_sums_to_one, _plain_mean_of_a_tail, _right_length, _small_memory, _keeps_no_reference],
    ),
]
