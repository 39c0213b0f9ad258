"""One direction of the two-dimensional BYOL is left: a weight of size `length`, above 0, a predictor that begins at `q`
and learns `rate` times as fast, and a share `rho` that both views have in common. Write
`final_length(length, q, rate, rho)`: the size of the weight at the end. Derive it from what (9.5c) keeps constant.
First predict which rates collapse. (A predictor may begin negative: mind what (9.5a) then does.)
"""

import numpy as np

from companion.exercises import Answer, Exercise, matches


def final_length(length: float, q: float, rate: float, rho: float) -> float:
    """Where the motion of (9.5a) and (9.5b) ends, by what it keeps: |w|² − q²/α."""
    if q < 0 and length**2 <= q**2 / rate:  # the weight is 0 before q has crossed 0
        return 0.0
    squared = length**2 - (q**2 - rho**2) / rate
    return float(np.sqrt(max(squared, 0.0)))


def simulated(length: float, q: float, rate: float, rho: float, h: float = 0.01, steps: int = 100_000) -> float:
    """The same by small steps."""
    w = length
    for _ in range(steps):
        w, q = w + h * q * (rho - q) * w, q + h * rate * w * w * (rho - q)
    return abs(w)


def stays(answer: Answer) -> None:
    """A predictor that is right from the start leaves the length as it is."""
    hint = "At q = ρ nothing moves, by (9.5a) and (9.5b): the length at the end is the length at the start."
    matches(answer(0.7, 0.8, 2.0, 0.8), 0.7, hint)


def shrinks(answer: Answer) -> None:
    """A predictor that begins too large costs length, and the less the quicker it is."""
    for rate in (1.0, 4.0):
        hint = (
            "The predictor comes to rest at q = ρ. Set |w|² − q²/α of the start equal to that of the end and solve for "
            "the length: mind which of the terms are squares, and where the rate stands."
        )
        matches(answer(0.9, 1.0, rate, 0.6), final_length(0.9, 1.0, rate, 0.6), hint)


def grows(answer: Answer) -> None:
    """One that begins too small adds to it."""
    hint = "With q below ρ the weight *grows* until the predictor has caught up. Do not take an absolute value."
    matches(answer(0.5, 0.2, 1.0, 0.8), final_length(0.5, 0.2, 1.0, 0.8), hint)


def collapses(answer: Answer) -> None:
    """Where the length would not suffice, it collapses."""
    hint = (
        "A square that comes out negative means that the weight reaches 0 before the predictor reaches ρ: that is the "
        "collapse, and the length at the end is 0."
    )
    matches(answer(0.4, 1.0, 0.5, 0.5), 0.0, hint)


def begins_negative(answer: Answer) -> None:
    """A predictor that begins negative collapses, unless the weight is long enough to bring it across 0."""
    hint = (
        "This predictor begins *negative*. As long as q < 0 the weight shrinks, by (9.5a), and where |w|² − q²/α is "
        "negative the weight is 0 before q has come to 0. So q never reaches ρ, and the length at the end is 0."
    )
    matches(answer(0.5, -0.6, 1.0, 0.9), 0.0, hint)
    hint = (
        "This predictor begins negative, too, but |w|² − q²/α is positive: q crosses 0 with some weight left, and then "
        "rises to ρ as any other."
    )
    matches(answer(0.8, -0.6, 1.0, 0.9), final_length(0.8, -0.6, 1.0, 0.9), hint)


def runs(answer: Answer) -> None:
    """The motion itself, in small steps, ends where the formula says."""
    for rate in (0.25, 0.4, 1.0, 2.0):
        end = simulated(0.6, 1.0, rate, 0.9)
        hint = f"At a rate of {rate} a hundred thousand small steps end at a length of {end:.3f}."
        matches(answer(0.6, 1.0, rate, 0.9), end, hint, atol=5e-3)


EXERCISE = Exercise(
    place=2,
    title="How quick must a predictor be?",
    difficulty="medium",
    minutes=20,
    expects="a function of (length, q, rate, rho), four numbers, that returns one number",
    solution=final_length,
    why="By (9.5a) |w|² changes at 2q(ρ − q)|w|², and by (9.5b) q² at 2αq(ρ − q)|w|², which is α times as much. So "
    "|w|² − q²/α stays, and q ends at ρ, or else w at 0. From length 0.6 and q = 1 towards ρ = 0.9 it takes a rate "
    "above 0.19/0.36, a little more than a half: 0.25 and 0.4 collapse, 1 and 2 do not. The same two networks, the "
    "same stop-gradient; only how fast the predictor learns decides whether the collapse is reached. A predictor that "
    "begins *negative* must cross 0 first, and while q < 0 the weight shrinks. At q = 0 there would be |w|² − q²/α of "
    "the start left of |w|²: if that is not above 0, the weight is gone before.",
    checks=[stays, shrinks, grows, collapses, begins_negative, runs],
)
