"""You know how many steps ahead an agent must see, and how many updates you can afford. Write `least_tau(steps_ahead,
updates)`: the smallest τ at which, by (5.6), a reward that many steps ahead has half its weight in the target.
`scipy.optimize.brentq` solves an equation between two bounds.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.stats import binom

from companion.exercises import Answer, Exercise, expect, matches


def least_tau(steps_ahead: int, updates: int) -> float:
    """The smallest tau at which a reward so many steps ahead has half its weight after so many updates."""
    return brentq(lambda tau: binom.sf(steps_ahead, updates, tau) - 0.5, 0.0, 1.0)


def weight_ahead(steps_ahead: int, updates: int, tau: float) -> float:
    """Weight of a reward in the target, by the recursion itself."""
    weight = np.zeros(steps_ahead + 2)
    weight[0] = 1.0  # a reward that is already there, one place before the first
    for _ in range(updates):
        weight[1:] += tau * (weight[:-1] - weight[1:])
    return float(weight[-1])


def first_reward(answer: Answer) -> None:
    """The reward of the next step alone: how long an average takes to get half way."""
    for updates in (1, 10, 200):
        hint = (
            f"The reward that is 0 steps ahead enters the target with weight 1 − (1 − τ)ᵏ. Half of it after k = "
            f"{updates} updates needs τ = 1 − 0.5^(1/k)."
        )
        matches(answer(0, updates), 1 - 0.5 ** (1 / updates), hint, rtol=1e-4)


def about_a_step_in_one_over_tau(answer: Answer) -> None:
    """Far ahead, sight advances by about τ steps an update."""
    for steps, updates in ((30, 3_000), (50, 7_500)):
        got = float(answer(steps, updates))
        expect(
            abs(got * updates - steps) < 1.0,
            f"For {steps} steps ahead in {updates:,} updates you say τ = {got:.3g}, so that τ · k = {got * updates:.1f}"
            f". The front of (5.6) advances by τ steps an update: τ · k must be near {steps}.",
        )


def agrees_with_the_recursion(answer: Answer) -> None:
    """Exactly half, by the recursion."""
    for steps, updates in ((3, 40), (12, 300)):
        got = float(answer(steps, updates))
        weight = weight_ahead(steps, updates, got)
        expect(
            abs(weight - 0.5) < 1e-3,
            f"For {steps} steps ahead in {updates} updates you say τ = {got:.4g}. Run through the recursion before "
            f"(5.6), it gives that reward a weight of {weight:.3f}, not 0.5. `scipy.stats.binom.sf(n, k, tau)` is "
            "P(more than n of k).",
        )


EXERCISE = Exercise(
    place=3,
    title="Choose tau before you train",
    difficulty="medium",
    minutes=20,
    expects="a function of (steps_ahead, updates) that returns a number",
    solution=least_tau,
    why="A reward enters the target one step at a time, and each step takes an update that happens with weight τ: the "
    "reward n steps ahead is in when more than n of k such draws have succeeded. Half of it is in when $\\tau k$ is "
    "about $n$ (a little above it, by 0.7). So the paper's $\\tau = 0.001$ needs 16,700 updates to see 16 steps ahead: "
    "a sixtieth of a run of a million, and three times all that your quick run has.",
    checks=[first_reward, about_a_step_in_one_over_tau, agrees_with_the_recursion],
)
