"""Hand in a pair: the letter of what becomes of intervals when the same flips are shown ten times, and the share of
them that holds the truth.
"""

from functools import cache

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, number, several


def ten_passes() -> tuple[str, float]:
    p, passes = 0.8, 10
    flips = (np.random.default_rng(7).random((1_000, 4_000)) < p).astype(float)
    x, mean, H, S = np.zeros((4, flips.shape[1]))
    for k, y in enumerate(np.tile(flips, (passes, 1)), start=1):
        chance = 1 / (1 + np.exp(-x))
        gradient = chance - y
        mean += (x - mean) / k
        H += (chance * (1 - chance) - H) / k
        S += (gradient**2 - S) / k
        x = x - 4 * k ** (-2 / 3) * gradient
    half = 1.96 * np.sqrt(S / H**2 / k)
    share = float(np.mean(np.abs(mean - np.log(p / (1 - p))) < half))
    return "C", share


right = cache(ten_passes)


def is_a_pair(answer: Answer) -> None:
    """It is a letter and a share."""
    letter, share = several(answer, 2, "Hand in a pair: the letter and the share.")
    expect(letter in ("A", "B", "C", "D"), f"The letter is A, B, C or D; yours is {letter!r}.")
    number(share, "The share is a number.")
    expect(share <= 1, "The share is a number between 0 and 1, not a percentage.")


def the_share(answer: Answer) -> None:
    """The share is what chance allows."""
    _, share = answer
    if abs(share - 0.94) < 0.025:
        raise Hint(
            "So many hold the truth if all flips are new, or if the width counts each flip once. That is the cure. "
            "Asked is what happens to those who divide by the number of steps."
        )
    if abs(share - 0.62) < 0.02:
        raise Hint("Is this the mean of the second half? Take the mean of all steps, and divide by their number.")
    hint = "Another share was expected. Ten passes over 1,000 flips a run; the step falls with k through all of them."
    expect(abs(share - right()[1]) < 0.05, hint)


def the_letter(answer: Answer) -> None:
    """The letter fits the share."""
    letter, _ = answer
    expect(letter == right()[0], "The share is right, and the letter does not fit it.")


EXERCISE = Exercise(
    place=3,
    title="Ten passes are not ten times the data",
    difficulty="medium",
    minutes=30,
    expects="a pair, such as ('A', 0.95)",
    solution=ten_passes,
    why="About one half. With ten passes the mean settles on the log-odds *of these 1,000 flips*. How far those are "
    "from the truth is a matter of 1,000 flips, however often one looks at them; the interval, computed as if there "
    "were 10,000, is √10 times too narrow, and a normal variable lies within 1.96/√10 = 0.62 standard deviations with "
    "probability 0.46. The cure is to count flips and not steps. This chapter's tumours are drawn again and again, "
    "too: there the interval is one for the optimum of the training data, and says so.",
    checks=[is_a_pair, the_share, the_letter],
    value=True,
)
