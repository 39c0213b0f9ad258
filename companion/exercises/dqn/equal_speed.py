"""Write `period_of_equal_speed(tau, alpha)`: the hard period C, not necessarily whole, at which the scalar model gains
value as fast as with a soft target of weight `tau`, by equations (4.6) and (4.7). `scipy.optimize.brentq` solves an
equation between two bounds.
"""

import math

from scipy.optimize import brentq

from companion.exercises import Answer, Exercise, expect, matches


def period_of_equal_speed(tau: float, alpha: float) -> float:
    """The hard period that carries value as fast as a soft update with `tau`, for a network that learns at `alpha`."""
    updates_per_unit = 1 / alpha + (1 - tau) / tau
    if alpha == 1:
        return updates_per_unit
    return brentq(lambda C: C / (1 - (1 - alpha) ** C) - updates_per_unit, 1.0, 2 / tau)


def climb(alpha: float, *, tau: float = 1.0, period: int = 1, updates: int = 60_000) -> float:
    """Value gained an update by the scalar model with γ = 1, long after the start."""
    online = target = halfway = 0.0
    for k in range(1, updates + 1):
        online += alpha * (1 + target - online)
        if k % period == 0:
            target += tau * (online - target)
        if k == updates // 2:
            halfway = online
    return (online - halfway) / (updates - updates // 2)


def slow_target(answer: Answer) -> None:
    """A network that learns at once waits for its target: C = 1/τ."""
    for tau in (0.5, 0.1, 0.01):
        hint = "With α = 1 a hard target gains one reward every C updates, speed 1/C. What is the soft one's speed?"
        matches(answer(tau, 1.0), 1 / tau, hint)


def fast_target(answer: Answer) -> None:
    """A network that learns slowly feels the mean lag alone: C → 2/τ − 1."""
    hint = "With α far below τ, 1 − (1 − α)ᶜ is about αC − α²C(C − 1)/2, and both cost 1/α plus their mean lag."
    matches(answer(0.1, 1e-6), 19.0, hint, rtol=1e-3)


def between(answer: Answer) -> None:
    """Between the two, the hard and the soft target climb equally fast in simulation."""
    for tau, alpha in ((0.05, 0.1), (0.02, 0.01), (0.1, 0.3)):
        period = float(answer(tau, alpha))
        expect(math.isfinite(period) and period >= 1, f"For tau={tau} and alpha={alpha} it gave {period}.")
        whole = math.floor(period)
        speeds = [climb(alpha, period=whole), climb(alpha, period=whole + 1)]
        soft = climb(alpha, tau=tau)
        slack = 0.01 * soft
        expect(
            speeds[1] - slack <= soft <= speeds[0] + slack,
            f"For tau={tau} and alpha={alpha} the soft target gains {soft:.4f} an update in simulation, and hard ones "
            f"with C = {whole} and {whole + 1} gain {speeds[0]:.4f} and {speeds[1]:.4f}: yours is not the period where "
            "they meet. Set C / (1 − (1 − α)ᶜ) equal to 1/α + (1 − τ)/τ and solve for C.",
        )


EXERCISE = Exercise(
    place=5,
    title="Which period is like this tau?",
    difficulty="hard",
    minutes=40,
    expects="a function of (tau, alpha), for alpha in (0, 1], that returns a number",
    solution=period_of_equal_speed,
    why="Time per unit of value is $1/\\alpha + (1 - \\tau)/\\tau$ for the soft target and $C/(1 - (1 - \\alpha)^C)$ "
    "for the hard one. The answer slides from $2/\\tau - 1$ (equal mean lag) where learning is the bottleneck to "
    "$1/\\tau$ where the target is: no single conversion serves both.",
    checks=[slow_target, fast_target, between],
)
