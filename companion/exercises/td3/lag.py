"""A slow copy takes a step of `tau` at every `period`-th update. Write `equal_tau(tau, period, new_period)`: the tau
that gives a copy with `new_period` the same mean lag, in updates, averaged over all updates.
"""

from companion.exercises import Answer, Exercise, expect, matches, measured_lag


def equal_tau(tau: float, period: int, new_period: int) -> float:
    def lag(tau: float, period: int) -> float:
        return period * (1 - tau) / tau + (period - 1) / 2

    spare = lag(tau, period) - (new_period - 1) / 2
    return new_period / (spare + new_period)


def lag_itself(answer: Answer) -> None:
    """The same period needs the same tau."""
    for tau, period in ((0.005, 1), (0.1, 2), (1.0, 8)):
        matches(answer(tau, period, period), tau, f"From period {period} to period {period} nothing changes.")


def lag_paper(answer: Answer) -> None:
    """TD3's 0.005 at every second update is nearly 0.0025 at every one."""
    hint = (
        "At every second update the copy makes a step of τ. Between its steps it ages by one update, so the mean lag "
        "is period·(1 − τ)/τ + (period − 1)/2 = 398.5 updates. A copy that moves at every update has that lag at "
        "(1 − τ)/τ = 398.5."
    )
    matches(answer(0.005, 2, 1), 1 / 399.5, hint, rtol=1e-9)


def lag_hard(answer: Answer) -> None:
    """A copy every C updates is chapter 2's soft update with tau = 2/(C + 1)."""
    hint = (
        "With τ = 1 a copy is 0, 1, …, C − 1 updates old, (C − 1)/2 on average, and (1 − τ)/τ equals that at "
        "τ = 2/(C + 1)."
    )
    matches(answer(1.0, 9, 1), 0.2, hint)


def lag_measured(answer: Answer) -> None:
    """Copies that follow a steady walk lag alike, in simulation."""
    for tau, period, new_period in ((0.3, 2, 5), (0.05, 4, 3), (0.5, 8, 2)):
        found = float(answer(tau, period, new_period))
        expect(0 < found <= 1, f"For {(tau, period, new_period)} it gave {found}, which is no tau.")
        lags = [measured_lag(tau, period), measured_lag(found, new_period)]
        expect(
            abs(lags[0] - lags[1]) < 0.01 * (1 + lags[0]),
            f"With tau={tau} every {period} updates a copy lags {lags[0]:.2f} updates behind, and with your "
            f"{found:.4f} every {new_period} it lags {lags[1]:.2f}.",
        )


EXERCISE = Exercise(
    place=3,
    title="One target, two clocks",
    difficulty="medium",
    minutes=20,
    expects="a function of (tau, period, new_period) that returns a number",
    solution=equal_tau,
    why="Right after its step a copy lags by $p\\,(1-\\tau)/\\tau$ updates, $p$ times the lag of chapter 2, and until "
    "its next step it ages by $0, 1, \\dots, p-1$ more. TD3's $\\tau = 0.005$ every second update is a copy "
    "with $\\tau = 0.0025$ at every update: who sets `policy_delay=2` in a library that ties the two clocks halves tau "
    "without having said so.",
    checks=[lag_itself, lag_paper, lag_hard, lag_measured],
)
