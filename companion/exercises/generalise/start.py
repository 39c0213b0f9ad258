"""Compute how much of an average is still the network before its first step."""

from collections.abc import Callable

from companion.exercises import Answer, Exercise, differs, matches


def left_of_start(decay: Callable[[int], float], steps: int) -> float:
    left = 1.0
    for k in range(1, steps + 1):
        left *= decay(k)
    return left


def growing(k: int) -> float:
    """The warm-up of the card."""
    return min(0.9999, (1 + k) / (10 + k))


def constant_decay(answer: Answer) -> None:
    """A constant decay leaves its power."""
    got = answer(lambda k: 0.9999, 2_000)
    differs(got, 1 - 0.9999**2_000, "That is the weight of all *other* networks; the start has the rest.")
    differs(got, 0.9999**1_999, "That is one step short: the first step, too, multiplies the start by its decay.")
    matches(got, 0.9999**2_000, "Every step multiplies what there was by its decay, the start included.")
    matches(answer(lambda k: 0.5, 0), 1.0, "After no step at all the average is the start.")


def growing_decay(answer: Answer) -> None:
    """A decay that grows leaves the product of all its values."""
    got = answer(growing, 5)
    differs(got, growing(5) ** 5, "That takes the *last* decay for all steps. Each step has one of its own.")
    shifted = left_of_start(lambda k: growing(k - 1), 5)
    differs(got, shifted, "That counts steps from 0. The first decay is `decay(1)`, the last `decay(steps)`.")
    matches(got, left_of_start(growing, 5), "The decays differ from step to step: multiply them all.")


EXERCISE = Exercise(
    place=1,
    title="What a default remembers",
    difficulty="easy",
    minutes=10,
    expects="a function of (decay, steps) that returns the weight of the start",
    solution=left_of_start,
    why="With 0.9999 the start keeps 0.9999^2000 = 82 %. With the warm-up the product telescopes: "
    "(2·3·…)/(11·12·…), which falls like the ninth power of the run's length. After 2,000 steps 7·10⁻²⁴ is left. "
    "That is the surprise: the cap of 0.9999 is not met before step 89,990, and half of the average is from the last "
    "7 % of the run.",
    checks=[constant_decay, growing_decay],
)
