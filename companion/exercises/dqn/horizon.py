"""Write `updates_needed(share, period, gamma)`: the first update at which the horizon (4.5) reaches that share of 1/(1
− γ).
"""

import math

from companion.exercises import Answer, Exercise, expect, matches


def updates_needed(share: float, period: int, gamma: float) -> int:
    regressions = math.ceil(math.log(1 - share) / math.log(gamma))
    return (regressions - 1) * period + 1


def sees_the_reward(answer: Answer) -> None:
    """The reward itself is there from the first update on."""
    hint = (
        "The first regression learns the reward, 1, which is a share of 0.01 of the whole with γ = 0.99. A share of "
        "0.005 needs no copy at all: the first update is part of the first regression."
    )
    matches(answer(0.005, 100, 0.99), 1, hint)


def copies_at_every_update(answer: Answer) -> None:
    """With a copy at every update it is the number of regressions."""
    for share, gamma, regressions in ((0.5, 0.99, 69), (0.9, 0.99, 230), (0.95, 0.9, 29)):
        hint = (
            f"With C = 1 and γ = {gamma}, {regressions} regressions are needed for a share of {share}, for 1 − γⁿ must "
            "reach it; n is whole."
        )
        matches(answer(share, 1, gamma), regressions, hint)


def waits_for_copies(answer: Answer) -> None:
    """Regression n begins right after copy n − 1."""
    hint = (
        "230 regressions are needed. Before the last of them can begin, how many copies must have been made, and at "
        "which update was the last of those?"
    )
    matches(answer(0.9, 10_000, 0.99), 2_290_001, hint)


def agrees_with_the_formula(answer: Answer) -> None:
    """One update less is too few."""
    for share, period, gamma in ((0.3, 7, 0.9), (0.77, 250, 0.97), (0.62, 1_000, 0.995)):
        k = int(answer(share, period, gamma))
        before, at = (1 - gamma ** math.ceil((k - 1) / period), 1 - gamma ** math.ceil(k / period))
        expect(
            before < share <= at,
            f"For a share of {share} with C = {period} and γ = {gamma} you say {k}. By (4.5) the share after {k - 1} "
            f"updates is {before:.3f}, and after {k} it is {at:.3f}.",
        )


EXERCISE = Exercise(
    place=1,
    title="Long sight takes time",
    difficulty="easy",
    minutes=10,
    expects="a function of (share, period, gamma) that returns a whole number",
    solution=updates_needed,
    why="The share that $n$ regressions justify is $1 - \\gamma^n$, so $n = \\lceil \\ln(1 - \\text{share}) / "
    "\\ln\\gamma \\rceil$, and regression $n$ begins right after copy $n - 1$. With $\\gamma = 0.99$ and $C = "
    "10{,}000$, nine tenths of the future take 2.3 million updates to come into sight, however good the network is.",
    checks=[sees_the_reward, copies_at_every_update, waits_for_copies, agrees_with_the_formula],
)
