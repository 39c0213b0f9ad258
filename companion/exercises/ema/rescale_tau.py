"""Find the tau that forgets as fast when the update runs at every n-th step only."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches


def rescale_tau(tau: float, every: int) -> float:
    return 1 - (1 - tau) ** every


def unchanged(answer: Answer) -> None:
    """With `every` = 1 nothing changes."""
    matches(answer(0.3, 1), 0.3, "With `every` = 1 the cadence is the old one, and so should `tau` be.")


def forgets_as_fast(answer: Answer) -> None:
    """Ten updates with the old tau and one with the new leave the same share of the old value."""
    got = answer(0.3, 10)
    a_number = got is not None and np.shape(got) == ()
    expect(
        not a_number or got < 1,
        "`tau · every` is right for small numbers only: at tau = 0.3 and every = 10 it is beyond 1. What "
        "multiplies over the steps is the share that is *kept*.",
    )
    differs(got, 0.7**10, "That is what ten updates leave of the old value: the new decay. `tau` is the rest.")
    hint = "That is the tau-th power of the wrong share: what is kept, 1 − tau, multiplies from step to step."
    differs(got, 0.3**10, hint)
    expect(
        not a_number or got >= 0.3, "Fewer updates must each move further, so the new tau is larger than the old one."
    )
    matches(got, 1 - 0.7**10, "Ten updates with tau = 0.3 leave 0.7¹⁰ of the old value. One update must leave as much.")
    matches(answer(0.0, 5), 0.0, "A target that never moves, tau = 0, never moves at any cadence.")


EXERCISE = Exercise(
    place=3,
    title="Another cadence",
    difficulty="easy",
    minutes=10,
    expects="a function of (tau, every) that returns the new tau",
    solution=rescale_tau,
    why="What multiplies from step to step is the share that is kept, 1 − tau. For small tau the result is nearly "
    "every · tau. Busbridge and colleagues (2023) find the same rule where the batch grows: a batch `every` times "
    "larger makes as many times fewer steps.",
    checks=[unchanged, forgets_as_fast],
)
