"""Estimate log-odds by averaged SGD at two constant steps, and combine them so that the bias cancels."""

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, returned


def log_odds_of(flips: np.ndarray, step: float) -> np.ndarray:
    def tail_mean(step: float) -> np.ndarray:
        x, total, start = np.zeros(flips.shape[1]), np.zeros(flips.shape[1]), len(flips) // 2
        for k, y in enumerate(flips):
            if k >= start:
                total += x
            x = x - step * (1 / (1 + np.exp(-x)) - y)
        return total / (len(flips) - start)

    return 2 * tail_mean(step) - tail_mean(2 * step)


def draw_flips() -> tuple[np.ndarray, float]:
    p = 0.8
    return (np.random.default_rng(7).random((3_000, 1_500)) < p).astype(float), float(np.log(p / (1 - p)))


def one_a_run(answer: Answer) -> None:
    """It returns one estimate a run, and leaves the flips alone."""
    flips = draw_flips()[0][:200, :6]
    before = flips.copy()
    got = returned(answer(flips, 0.5))
    expect(
        np.shape(got) == (6,), f"For flips of shape (200, 6) the answer should have shape (6,), not {np.shape(got)}."
    )
    expect(np.array_equal(flips, before), "The array `flips` has changed. Work on copies.")


def first_order_gone(answer: Answer) -> None:
    """The bias of first order is gone: what is left is several times smaller than that of one run."""
    flips, truth = draw_flips()
    bias = float(np.mean(answer(flips, 0.5))) - truth
    plain = 0.075  # equation (1.12) at p = 0.8 and a step of 0.5
    if abs(bias + 4 * plain) < plain or abs(bias - 4 * plain) < plain:
        raise Hint("The bias is larger than before. Twice the mean for `step`, minus the mean for `2 * step`.")
    if abs(bias - plain) < 0.25 * plain or abs(bias - 2 * plain) < 0.25 * plain:
        raise Hint(
            f"The bias is {bias:.3f}, that of a single constant step, (1.12). Combine two: if "
            "a(step) = truth + b · step and a(2 step) = truth + 2 b · step, which combination is free of b?"
        )
    if abs(bias - 1.5 * plain) < 0.25 * plain:
        raise Hint("That is the bias of the mean of the two. Averaging keeps their biases; a difference removes them.")
    expect(abs(bias) < 0.02, f"The bias over 1,500 runs is {bias:+.3f}; below 0.02 was expected at a step of 0.5.")


def forgets_the_start(answer: Answer) -> None:
    """The start at 0 is forgotten: only the second half is averaged."""
    flips, truth = draw_flips()
    bias = float(np.mean(answer(flips[:400], 0.25))) - truth
    expect(
        abs(bias) < 0.04,
        f"Over a run of 400 flips the estimate is {bias:+.3f} off. Is the first half of the iterates in the mean, "
        "with its memory of the start at 0?",
    )


EXERCISE = Exercise(
    place=4,
    title="Two steps are better than one",
    difficulty="medium",
    minutes=30,
    expects="a function of (flips, step) that returns one estimate a run",
    solution=log_odds_of,
    why="By (1.12) the mean at a constant step is off by b · step, and at twice the step by 2b · step. Twice the "
    "first minus the second is free of b; what is left is of order step². It is Richardson's extrapolation, "
    "brought to SGD by Dieuleveut, Durmus and Bach (2020). The price is variance: the same flips for both keep "
    "it small.",
    checks=[one_a_run, first_order_gone, forgets_the_start],
)
