"""Find the tau of an average in which a value's weight halves every so many updates."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches


def tau_from_half_life(steps: float) -> float:
    return 1 - 0.5 ** (1 / steps)


def one_step(answer: Answer) -> None:
    """A half-life of one step is tau = 1/2."""
    got = answer(1.0)
    hint = "ln 2 / steps is right for small tau only. For one step it says 0.69, and the exact answer is 0.5."
    differs(got, np.log(2), hint)
    matches(got, 0.5, "If the weight halves at every step, the new value must bring the other half: tau = 0.5.")


def many_steps(answer: Answer) -> None:
    """After as many updates as the half-life, half of a value's weight is left; after twice as many, a quarter."""
    for steps in (2.0, 7.5, 1_000.0):
        got = answer(steps)
        for wrong, hint in (
            (0.5 ** (1 / steps), "That is the weight of the *old* value, the decay. `tau` is what is left of 1."),
            (
                np.log(2) / steps,
                "Close: ln 2 / steps is right in the limit of small tau. Solve (2.3) for tau without rounding.",
            ),
            (1 / (steps + 1), "That is the tau whose *mean lag* is `steps`. The half-life is another clock."),
        ):
            differs(got, wrong, hint, rtol=1e-9, atol=0.0)
        hint = (
            f"With your tau for a half-life of {steps:g}, a value's weight after {steps:g} updates is not 1/2 of what "
            "it was. After n updates it is (1 − tau)^n of that."
        )
        matches((1 - np.asarray(got)) ** steps, 0.5, hint)


EXERCISE = Exercise(
    place=2,
    title="A half-life",
    difficulty="easy",
    minutes=5,
    expects="a function of steps that returns tau",
    solution=tau_from_half_life,
    why="After n updates a value has (1 − tau)^n of its weight left. Set that to 1/2 at n = steps. For long "
    "half-lives it is close to ln 2 / steps; for one step it is 1/2, and ln 2 would be far off.",
    checks=[one_step, many_steps],
)
