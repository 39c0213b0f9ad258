"""Write `at_distance(kl, gold, where)`: the gold reward of a run when its KL from the start first reaches `where`, by
a straight line between two measurements, or NaN if it never does. `kl` and `gold` are arrays `(step,)`; `kl` begins
at 0, trembles, and may fall back.
"""

import numpy as np
from numpy.typing import ArrayLike

from companion.exercises import Answer, Exercise, expect, matches


def at_distance(kl: ArrayLike, gold: ArrayLike, where: float) -> float:
    """Where the run passes a distance for the first time."""
    kl, gold = np.asarray(kl, float), np.asarray(gold, float)
    beyond = np.flatnonzero(kl >= where)
    if not len(beyond):
        return float("nan")
    after = beyond[0]
    if after == 0:
        return float(gold[0])
    share = (where - kl[after - 1]) / (kl[after] - kl[after - 1])
    return float(gold[after - 1] + share * (gold[after] - gold[after - 1]))


def between_two(answer: Answer) -> None:
    """Between two measurements it is on the line."""
    hint = "From (1 nat, 2.0) to (3 nats, 3.0): at 2 nats the line is at 2.5."
    matches(answer([0.0, 1.0, 3.0], [1.0, 2.0, 3.0], 2.0), 2.5, hint)


def never_there(answer: Answer) -> None:
    """A run that never went so far has no value."""
    got = answer([0.0, 1.0, 3.0], [1.0, 2.0, 3.0], 5.0)
    expect(
        np.isnan(got), f"The run never got to 5 nats, and yours gives {got}. Its last value is not an answer: NaN is."
    )


def the_first_time(answer: Answer) -> None:
    """A run that comes back is read at its first passage."""
    kl, gold = [0.0, 2.0, 4.0, 3.0, 1.5, 2.5], [1.0, 2.0, 4.0, 5.0, 6.0, 7.0]
    hint = (
        "This run goes out to 4 nats and falls back. It passes 3 nats first between its second and third measurement. "
        "`np.interp` wants rising places, and says nothing when they are not."
    )
    matches(answer(kl, gold, 3.0), 3.0, hint)


EXERCISE = Exercise(
    place=3,
    title="At equal distance",
    difficulty="medium",
    minutes=15,
    expects="a function of (kl, gold, where) that returns a number",
    solution=at_distance,
    why="A comparison at equal steps asks who walked fastest. This asks what was got for the distance. The NaN "
    "matters as "
    "much as the line: a run that stayed near the start has nothing to say about 5 nats, and `np.interp` would "
    "let its last "
    "value speak.",
    checks=[between_two, never_there, the_first_time],
)
