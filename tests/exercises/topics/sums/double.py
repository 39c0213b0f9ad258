"""Write it."""

import numpy as np

from companion.exercises import Exercise, matches


def double(x):
    """Twice x."""
    return 2 * x


def is_double(answer):
    """it doubles
    a number"""
    matches(answer(3.0), 6.0, "Twice three is six.")


def keeps_shape(answer):
    """it doubles arrays"""
    matches(answer(np.arange(3.0)), [0.0, 2.0, 4.0], "Every entry is doubled.")


EXERCISE = Exercise(
    place=1,
    title="Double it",
    difficulty="easy",
    minutes=5,
    expects="a function of x",
    solution=double,
    why="Because $2x = x + x$.",
    checks=[is_double, keeps_shape],
)
