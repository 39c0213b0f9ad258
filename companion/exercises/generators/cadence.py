"""`BrokenPowerAverage` is to have the profile t^γ of (12.7), and to move at every tenth step only. Write
`PowerAverage(start, gamma, every)` that is right: `.step(x)` is called after each step, and `.value` is the average.
"""

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


class PowerAverage:
    def __init__(self, start: np.ndarray, gamma: float, every: int) -> None:
        self.value = np.array(start, dtype=float)
        self.gamma, self.every = gamma, every
        self.steps = 0

    def step(self, x: np.ndarray) -> None:
        self.steps += 1
        if self.steps % self.every == 0:
            beta = (1 - self.every / self.steps) ** (self.gamma + 1)  # Δt is the time since the last update
            self.value = beta * self.value + (1 - beta) * x


def walk(steps: int) -> np.ndarray:
    """Iterates that all differ, from 1 on."""
    return np.random.default_rng(7).normal(size=(steps, 3)).cumsum(0)


def followed(iterates: np.ndarray, gamma: float) -> np.ndarray:
    """The average of iterates that are equally far apart in time."""
    weights = np.diff(np.arange(len(iterates) + 1.0) ** (gamma + 1))
    return weights @ iterates / weights.sum()


def given(answer: Answer, steps: int, gamma: float, every: int) -> np.ndarray:
    average = answer(np.full(3, 100.0), gamma, every)
    for x in walk(steps):
        average.step(x)
    return np.asarray(average.value)


def at_every_step(answer: Answer) -> None:
    """Moved at every step, it has the profile of the paper."""
    got = given(answer, 40, 6.94, 1)
    hint = "With `every=1` it is not (12.7): β = (1 − 1/t)^(γ + 1), t from 1 on, so that the first update copies."
    matches(got, followed(walk(40), 6.94), hint)


def forgets_the_start(answer: Answer) -> None:
    """The first update copies, whenever it comes: nothing of the start is left."""
    got = given(answer, 10, 6.94, 10)
    differs(got, given(PowerAverage, 10, 6.94, 1), "It moves at every step, and was to move at every tenth.")
    hint = (
        "At its first update, after ten steps, something of the start was kept. All the time so far has passed since: "
        "Δt = t, and β = 0."
    )
    matches(got, walk(10)[-1], hint)


def every_tenth(answer: Answer) -> None:
    """Moved at every tenth step, it has the same profile over what it has seen."""
    got = given(answer, 400, 6.94, 10)
    seen = walk(400)[9::10]
    hint = "After 400 steps it is another average. What is Δt, where it moves at every tenth step?"
    matches(got, followed(seen, 6.94), hint)


def holds_still(answer: Answer) -> None:
    """Between two updates it holds still."""
    hint = "It moved between two updates: after steps 400 and 405 it should be the same."
    matches(given(answer, 405, 2.0, 10), given(answer, 400, 2.0, 10), hint)


EXERCISE = Exercise(
    place=4,
    title="An average that moves now and then",
    difficulty="medium",
    minutes=15,
    expects="a class with `__init__(start, gamma, every)`, `step(x)` and `value`",
    solution=PowerAverage,
    why="$\\Delta t / t$ is the share of the time so far that the new iterate stands for: at equal distances it is 1/k "
    "at the k-th update, whatever the distance. With $\\Delta t = 1$ at every tenth step each iterate gets a tenth of "
    "its due, and the memory reaches far further back.",
    checks=[at_every_step, forgets_the_start, every_tenth, holds_still],
)
