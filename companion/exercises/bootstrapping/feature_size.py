"""Predict, then run. In the first of the chapter's problems by hand, the second weight's feature is multiplied by `s`
in every state: the values are w₁ and s·w₂, those of the next states −3s·w₂ and w₁ + 3s·w₂. Up to which `s` does
learning converge without a target network, with steps as small as you like? Write the number down, then run
`linear.growth(four_states([(1, 0), (0, s)], [(0, -3 * s), (1, 3 * s)]), 0.001)` on either side, and hand in `s`.
"""

import numpy as np

from companion.exercises import Answer, Exercise, expect, number


def limit() -> float:
    """Where the trace of A, ½(1 − s²/2), changes its sign; the determinant, s²/16, is positive."""
    return float(np.sqrt(2))


def is_a_size(answer: Answer) -> None:
    """A positive number."""
    hint = "Hand in one positive number: the largest s."
    expect(number(answer, hint) > 0, hint)


def is_the_limit(answer: Answer) -> None:
    """Below it learning converges without a target network, above it diverges."""
    got = float(answer)
    hint = (
        "At s = 2 it runs away: that is the chapter's second problem. The feature enters the weight's update twice, in "
        "the label and in the gradient."
    )
    expect(abs(got - 2) > 1e-3, hint)
    expect(abs(got - 1) > 1e-3, "At s = 1 it converges, with room to spare. Look at the trace of A, as s grows.")
    hint = "That is the edge for a step of 0.2. With smaller steps it lies higher: try 0.001."
    expect(abs(got - 1.380) > 3e-3, hint)
    hint = f"At s = {got:g} it still converges. How fast is w₁ held back, how fast does w₂ feed itself?"
    expect(got > limit() - 2e-3, hint)
    hint = f"At s = {got:g} it runs away. How fast is w₁ held back, how fast does w₂ feed itself?"
    expect(got < limit() + 2e-3, hint)


EXERCISE = Exercise(
    place=1,
    title="How large may the feature be?",
    difficulty="easy",
    minutes=15,
    expects="a number",
    solution=limit,
    why="In the update without a target w₁ loses η/2 times itself, and w₂ gains (η/2)·(s²/2) times itself: once s for "
    "the value in the label, once s for the gradient. Their sum, minus the trace of A, is negative up to s = √2; the "
    "determinant of A is positive for every s. F does not change with s at all, so a slow target converges for all.",
    checks=[is_a_size, is_the_limit],
    value=True,
)
