"""Write the update (1.3): from the mean of the first n − 1 iterates and the n-th, the mean of all n."""

import numpy as np

from companion.exercises import Answer, Exercise, expect, matches


def running_mean(mean: np.ndarray, x: np.ndarray, n: int) -> np.ndarray:
    return mean + (x - mean) / n


def first_is_itself(answer: Answer) -> None:
    """The first iterate is its own mean, whatever stood in `mean` before."""
    x = np.array([3.0, -1.0])
    hint = (
        "With n = 1 the mean is x itself, so x must have all the weight: tau is 1 at n = 1. Yours keeps something of "
        "the old `mean`."
    )
    matches(answer(np.array([50.0, 50.0]), x, 1), x, hint)


def same_as_mean(answer: Answer) -> None:
    """After 50 updates it is the mean of 50 iterates."""
    xs = np.random.default_rng(7).normal(size=(50, 3))
    mean = np.zeros(3)
    for n, x in enumerate(xs, start=1):
        mean = answer(mean, x, n)
    hint = (
        "The result is no plain mean: some iterates count more than others. The weight of the n-th is 1/n and the old "
        "mean keeps 1 - 1/n. Are the two exchanged?"
    )
    matches(mean, xs.mean(axis=0), hint)


def leaves_mean_alone(answer: Answer) -> None:
    """`mean` itself is left as it was."""
    mean = np.array([1.0, 2.0])
    answer(mean, np.array([5.0, 5.0]), 4)
    hint = "The array `mean` that was passed in has changed: `mean += ...` works in place. Make a new array."
    expect(np.array_equal(mean, [1.0, 2.0]), hint)


EXERCISE = Exercise(
    place=1,
    title="The running mean",
    difficulty="easy",
    minutes=5,
    expects="a function of (mean, x, n) that returns the new mean",
    solution=running_mean,
    why="The weight of the new value is tau = 1/n. Written as a step from the old mean towards `x` it needs one "
    "multiplication, and it is exact when `x` equals the mean already.",
    checks=[first_is_itself, same_as_mean, leaves_mean_alone],
)
