"""Write `smaller_of_two(sd, correlation, gamma)`: two critics' errors are normal with mean 0, this standard deviation
and this correlation. Return the mean error of the smaller value, and that of values that settle where every label takes
the smaller of two at the next state, discounted by gamma.
"""

import math

import numpy as np

from companion.exercises import Answer, Exercise, agrees, differs, expect, several


def smaller_of_two(sd: float, correlation: float, gamma: float) -> tuple[float, float]:
    once = -sd * math.sqrt((1 - correlation) / math.pi)
    return once, gamma * once / (1 - gamma)


def pair(answer: Answer, *given: float) -> tuple[float, float]:
    once, settled = several(answer(*given), 2, "Return two numbers: of one label's value, and of those that settle.")
    return float(once), float(settled)


def independent(answer: Answer) -> None:
    """Of two independent standard normal errors the smaller is 0.564 below 0 on average."""
    once, _ = pair(answer, 1.0, 0.0, 0.5)
    differs(once, 1 / math.sqrt(math.pi), "The smaller one errs downwards: a sign.")
    hint = "E|a − b| is √(2/π) times the standard deviation of a − b, which is √2·σ. You have it for one of σ."
    differs(once, -math.sqrt(2 / math.pi) / 2, hint)
    differs(once, -2 / math.sqrt(math.pi), "min(a, b) has *half* of |a − b|.")
    agrees(lambda *x: pair(answer, *x)[0], lambda *x: smaller_of_two(*x)[0], (1.0, 0.0, 0.5), "It is −1/√π.")


def drawn(answer: Answer) -> None:
    """It agrees with a million draws, for critics that err alike and for critics that do not."""
    rng = np.random.default_rng(14)
    for correlation in (-0.5, 0.3, 0.9):
        shared = rng.multivariate_normal([0, 0], 4 * np.array([[1, correlation], [correlation, 1]]), 1_000_000)
        once, _ = pair(answer, 2.0, correlation, 0.9)
        hint = (
            f"With σ = 2 and ρ = {correlation:g} a million draws have the mean {shared.min(1).mean():.2f}. "
            "The variance of a − b is 2σ²(1 − ρ)."
        )
        expect(abs(once - shared.min(1).mean()) < 0.02, hint)
    expect(pair(answer, 1.0, 1.0, 0.9)[0] == 0, "Twins that always agree have no smaller one.")


def settles(answer: Answer) -> None:
    """Where every label does it again, the discounted sum of it is what settles."""
    _, settled = pair(answer, 1.0, 0.0, 0.9)
    once = smaller_of_two(1.0, 0.0, 0.9)[0]
    hint = "Your values take the smaller at their own state too. The label takes it at the next one: one γ more."
    differs(settled, once / (1 - 0.9), hint)
    differs(settled, 0.9 * once, "That is the bias after one label. It enters the next label, and so on.")
    hint = "If b is what settles, the label's is γ(b + m), m the first number: solve b = γ(b + m)."
    agrees(lambda *x: pair(answer, *x)[1], lambda *x: smaller_of_two(*x)[1], (1.0, 0.0, 0.9), hint)


EXERCISE = Exercise(
    place=3,
    title="The smaller of two",
    difficulty="medium",
    minutes=30,
    expects="a function of (sd, correlation, gamma) that returns two numbers",
    solution=smaller_of_two,
    why="min(a, b) = ½(a + b) − ½|a − b|. The first part has mean 0. a − b is normal with variance 2σ²(1 − ρ), and the "
    "mean of |normal| is √(2/π) of its standard deviation: together m = −σ√((1 − ρ)/π). If values are off by b, labels "
    "are off by γ(b + m), so b = γm/(1 − γ): 99 times m at γ = 0.99. It is the *disagreement* of the two that is "
    "subtracted, and two copies of one network do not disagree.",
    checks=[independent, drawn, settles],
)
