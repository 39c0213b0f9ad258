"""Write `mean_lag(tau, period)`: the mean lag, in updates, of a target that every `period` updates takes `tau` of the
online network.
"""

from companion.exercises import Answer, Exercise, matches, measured_lag


def mean_lag(tau: float, period: int) -> float:
    """Mean age, in updates, of what a target holds that takes `tau` of the online network every `period` updates."""
    return period * (1 - tau) / tau + (period - 1) / 2


def lag_soft(answer: Answer) -> None:
    """At every update it is the soft target's, (1 − τ)/τ."""
    for tau in (0.5, 0.1, 0.005):
        matches(answer(tau, 1), (1 - tau) / tau, "With a period of 1 it is chapter 2's mean lag, (1 − τ)/τ.")


def lag_hard(answer: Answer) -> None:
    """With τ = 1 it is the hard target's, (C − 1)/2."""
    for period in (1, 10, 1_000):
        hint = "With τ = 1 the copy is 0, 1, …, C − 1 updates old, each equally often."
        matches(answer(1.0, period), (period - 1) / 2, hint)


def lag_both(answer: Answer) -> None:
    """Between the two it is what a simulation measures."""
    for tau, period in ((0.5, 4), (0.1, 10), (0.02, 3)):
        measured = measured_lag(tau, period)
        hint = (
            f"With tau={tau} and period={period} a target that follows a clock is {measured:.2f} updates late, on "
            f"average, and you say {float(answer(tau, period)):.2f}. The average's memory is counted in periods, and "
            "to it comes the wait within a period."
        )
        matches(float(answer(tau, period)), measured, hint, rtol=1e-3)


EXERCISE = Exercise(
    place=5,
    title="Two knobs, one lag",
    difficulty="medium",
    minutes=20,
    expects="a function of (tau, period) that returns a number",
    solution=mean_lag,
    why="$L = C(1-\\tau)/\\tau + (C-1)/2 = C/\\tau - (C+1)/2$. So an interval of 10 with $\\tau = 0.05$ lags by 194.5 "
    "updates, as an interval of 1 with $\\tau = 0.005$ lags by 199. The speed of chapter 4, one share $\\tau/C$ an "
    "update, is the same for both, and for a copy every 200 updates too, which lags by 99.5 only.",
    checks=[lag_soft, lag_hard, lag_both],
)
