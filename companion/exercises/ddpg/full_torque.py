r"""An actor of one weight, $\mu = \tanh(w)$, stands at $w > 0$, and the critic's slope is −1 for every action. Write
`updates_to_zero(w, rate)`: the updates that plain gradient ascent needs to bring the torque to zero, in the limit of a
small rate. Then let Adam do it.
"""

import math

from companion.exercises import Answer, Exercise, differs, matches


def updates_to_zero(w: float, rate: float) -> float:
    """The integral of cosh² from 0 to w, in steps of the rate."""
    return (w / 2 + math.sinh(2 * w) / 4) / rate


def walked(w: float, rate: float) -> int:
    """The updates themselves: one at a time, along (5.3)."""
    updates = 0
    while w > 0:
        w -= rate * (1 - math.tanh(w) ** 2)
        updates += 1
    return updates


def small_torques(answer: Answer) -> None:
    """Near zero torque, where tanh is a straight line, it is w / rate."""
    hint = (
        "At w = 0.01 tanh is a straight line, and an update moves w by the rate itself. So the rate of 0.001 needs 10 "
        "updates."
    )
    matches(answer(0.01, 0.001), 10.0, hint, rtol=1e-3)


def full_torque(answer: Answer) -> None:
    """At full torque it takes many times as long, by (5.3)'s factor."""
    for w in (1.0, 3.0):
        got = answer(w, 0.01)
        hint = (
            f"From w = {w:g} you say w / rate, as if every update moved w by the rate. Plain ascent moves it by the "
            "rate times (5.3), and the slope of tanh at w is 1 − tanh²(w)."
        )
        differs(got, w / 0.01, hint, rtol=1e-3)
        hint = (
            f"From w = {w:g} with rate 0.01 you say all updates are like the first. The nearer to zero, the longer "
            "they get: dw/dk = −rate · (1 − tanh²(w)), so integrate dw / (1 − tanh²(w)) from 0 to w."
        )
        differs(got, w / (0.01 * (1 - math.tanh(w) ** 2)), hint, rtol=1e-3)
        hint = (
            f"From w = {w:g} with rate 0.01, plain ascent in a loop takes {walked(w, 0.01):,} updates. 1 / (1 − "
            "tanh²(w)) is cosh²(w): integrate it from 0 to w, and divide by the rate."
        )
        matches(got, walked(w, 0.01), hint, rtol=0.02)


def any_rate(answer: Answer) -> None:
    """Half the rate, twice the updates."""
    hint = "Right at a rate of 0.01. With half the rate every update is half as long."
    matches(answer(2.0, 0.005), updates_to_zero(2.0, 0.005), hint, rtol=1e-3)


EXERCISE = Exercise(
    place=1,
    title="An actor at full torque",
    difficulty="easy",
    minutes=15,
    expects="a function of (w, rate) that returns a number",
    solution=updates_to_zero,
    why="By (5.3) an update moves $w$ by the rate times $1 - \\tanh^2 w = 1/\\cosh^2 w$, so that it takes $\\int_0^w "
    "\\cosh^2 = w/2 + \\sinh(2w)/4$, divided by the rate. From $w = 3$ with 0.01 the integral gives 5,193 updates"
    " (a loop takes 5,196), most of them spent near full torque, where hardly any slope gets through. Adam "
    "divides the slope by its own size. Equal slopes would take it $w$ / rate, which is 300 updates; it needs "
    "175, since the slopes grow and Adam's estimate of their size lags behind. So *saturation* alone is no trap "
    "under Adam. With many states it can be one: where they share weights, the gradients of states in the middle "
    "of the range outweigh those of states at its ends.",
    checks=[small_torques, full_torque, any_rate],
)
