"""Find the tau_n that gives the k-th iterate a weight proportional to k."""

from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


def growing_tau(n: int) -> float:
    return 2 / (n + 1)


def weights(tau: Any, n: int) -> np.ndarray:
    weights = np.zeros(n)
    for k in range(1, n + 1):
        weights *= 1 - tau(k)
        weights[k - 1] = tau(k)
    return weights


def begins_at_one(answer: Answer) -> None:
    """At n = 1 tau is 1: the first iterate replaces whatever stood there."""
    matches(answer(1), 1.0, "At n = 1 there is only one iterate and it must have all the weight: tau is 1.")


def grows_in_proportion(answer: Answer) -> None:
    """The weights of 20 iterates are 1, 2, …, 20, divided by their sum."""
    got = weights(answer, 20)
    even, k = np.full(20, 1 / 20), np.arange(1, 21)
    differs(
        got, even, "That gives every iterate the same weight: it is the plain mean. You want later ones to count more."
    )
    squares = k * (k + 1)
    hint = "Close: your weights grow like k(k + 1), one power too many. Try a smaller numerator."
    differs(got, squares / squares.sum(), hint)
    hint = (
        "The weights do not grow in proportion to k. After update n the newest iterate has weight tau_n and the one "
        "before it tau_{n-1} (1 - tau_n). Their ratio must be n / (n - 1)."
    )
    matches(got, k / 210, hint)


EXERCISE = Exercise(
    place=1,
    title="Weights that grow",
    difficulty="medium",
    minutes=15,
    expects="a function of n that returns tau",
    solution=growing_tau,
    why="The newest of n iterates must have the weight n / (1 + 2 + … + n) = 2 / (n + 1), and that weight is "
    "tau_n. The rest follows by itself: the older ones keep their proportions. Lacoste-Julien, Schmidt and Bach "
    "(2012) use this average; the start's share falls like 1/n², without a threshold to choose.",
    checks=[begins_at_one, grows_in_proportion],
)
