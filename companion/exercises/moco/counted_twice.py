"""A derivation. A query's own key stands among the negatives, too. Let `loss` be (8.1) with the own key counted once,
as it should be. Write `counted_twice(loss)`: the loss with the own key counted twice, and the factor by which its
gradient differs from that of `loss`; a tuple of two numbers.
"""

import math

from companion.exercises import Answer, Exercise, expect, matches, several


def counted_twice(loss: float) -> tuple[float, float]:
    """The loss that is computed, and how much of the right gradient is left."""
    share = 1 / (1 + math.exp(-loss))
    return loss + math.log1p(math.exp(-loss)), share


LOSSES = (0.0, 0.3, 1.0, 4.0, 6.9)


def two_numbers(answer: Answer) -> None:
    """Two numbers."""
    several(answer(1.0), 2, "Return a tuple: the loss that is computed, and the factor of its gradient.")


def never_more_than_half(answer: Answer) -> None:
    """Where the right loss is 0 it is log 2."""
    matches(
        answer(0.0)[0],
        math.log(2),
        "Where L = 0 the own key outweighs all others. It now stands twice in the sum: its share is one half.",
    )


def is_right(answer: Answer, part: int, hint: str) -> None:
    for loss in LOSSES:
        matches(answer(loss)[part], counted_twice(loss)[part], f"At L = {loss} {hint}")


def is_the_loss(answer: Answer) -> None:
    """The loss, at any L."""
    is_right(
        answer,
        0,
        "the loss is off. Let a be the own key's weight and S that of the others: L is log((a + S)/a), and yours has "
        "2a + S above the same a. Write (2a + S)/a with the help of (a + S)/a.",
    )


def is_its_slope(answer: Answer) -> None:
    """The factor of its gradient."""
    is_right(
        answer,
        1,
        "the factor is off. Your loss is a function of L alone, so its gradient is that of L times the derivative of "
        "that function.",
    )


def survives(answer: Answer) -> None:
    """It survives a large loss."""
    try:
        got = answer(1_000.0)
    except OverflowError:
        got = (math.inf, math.nan)
    hint = "At L = 1,000 exp(L) overflows. Take it out: log(1 + e^L) = L + log(1 + e^−L), and likewise for the factor."
    expect(all(math.isfinite(float(x)) for x in got), hint)


EXERCISE = Exercise(
    place=4,
    title="Counted twice",
    difficulty="medium",
    minutes=20,
    expects="a function of (loss) that returns a tuple of two numbers",
    solution=counted_twice,
    why="With $a$ the weight of the own key and $S$ that of the others, $L = \\log\\frac{a+S}{a}$, and counted twice "
    "it is $L' = \\log\\frac{2a+S}{a} = \\log(1 + e^L)$. So $\\nabla L' = \\frac{e^L}{1+e^L}\\nabla L$: the direction "
    "for each query is right, and between half and all of its length is left. What is told already counts half, "
    "what is not counts whole. For the same negatives it is the right gradient with other weights, which is why the "
    "suspect learns; and at a loss of 5 the two losses differ by 0.007.",
    checks=[two_numbers, never_more_than_half, is_the_loss, is_its_slope, survives],
)
