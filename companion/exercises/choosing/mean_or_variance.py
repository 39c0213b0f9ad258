"""Hand in a pair: the letter of what helps more of the chapter's random problems to converge without a slow copy, the
mean (A), the variance (B) or both alike (C), and the share that converges with the better one alone.
"""

from functools import cache

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, number, several
from companion.rl import linear

COUNT = 20_000


def mean_or_variance() -> tuple[str, float]:
    problems = linear.random_problems(3, COUNT)
    now = problems.weights[:, None]
    both = (now + now @ problems.transitions) / 2  # shares of current and next states
    mean = both @ problems.features
    sd = np.sqrt(both @ (problems.features - mean) ** 2)

    def share(features: np.ndarray) -> float:
        problem = linear.LinearTD(features, problems.transitions, problems.rewards, problems.weights, problems.gamma)
        step_size = 1 / np.linalg.eigvalsh(problem.covariance)[:, -1]
        return float((linear.growth(problem, step_size) < 1).mean())

    centred, scaled = share(problems.features - mean), share(problems.features / sd)
    return "A" if centred > scaled else "B", max(centred, scaled)


right = cache(mean_or_variance)


def is_a_pair(answer: Answer) -> None:
    """It is a letter and a share."""
    letter, share = several(answer, 2, "Hand in a pair: the letter and the share.")
    expect(letter in ("A", "B", "C"), f"The letter is A, B or C; yours is {letter!r}.")
    number(share, "The share is a number.")
    expect(share <= 1, "The share is a number between 0 and 1, not a percentage.")


def the_letter(answer: Answer) -> None:
    """One of the two helps, and it is this one."""
    letter, _ = answer
    if letter != right()[0]:
        raise Hint(
            "Run it: `converges(with_features(centred))` has the mean alone, and "
            "`converges(with_features(phi / np.sqrt(both @ centred**2)))` the variance. Compare both with the table's "
            "first row."
        )


def the_share(answer: Answer) -> None:
    """The share is what chance allows."""
    _, share = answer
    want = right()[1]
    if abs(share - 0.9008) < 0.002:
        raise Hint("This is the share without any normalisation.")
    if abs(share - 0.9813) < 0.002:
        raise Hint("This is the share with mean *and* variance.")
    expect(
        abs(share - want) < 0.003, f"Of {COUNT:,} problems it should be near another share. Current *and* next states?"
    )


EXERCISE = Exercise(
    place=4,
    title="Mean or variance",
    difficulty="medium",
    minutes=20,
    expects="a pair, such as ('C', 0.95)",
    solution=mean_or_variance,
    why="The mean. The mean features of current and of next states, m and m′, put m m′ᵀ into the matrix K of "
    "chapter 3: where m′ points the way of m and is longer, a value feeds on itself through them, as in w → 2w. Take "
    "away the mean over both, and m′ is −m: the very part that pushed now pulls back. The scale alone leaves it in.",
    checks=[is_a_pair, the_letter, the_share],
    value=True,
)
