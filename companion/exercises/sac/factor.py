"""Hand in a letter and three numbers: who needs more than twice as many steps with the factor α (A. all three, B. plain
descent and Adam as it comes, C. plain descent alone), and how many times as many steps plain descent, Adam, and Adam
with `betas=(0.9, 0.9)` need with it.
"""

from collections.abc import Callable
from functools import cache, partial

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, Hint, expect, number, several


@cache
def factor() -> tuple[str, float, float, float]:
    """Three optimizers, each without the factor α and with it."""
    grid = torch.linspace(-1, 1, 20_003, dtype=torch.float64)[1:-1]

    def entropy(temperature: Tensor) -> Tensor:
        log_prob = -4 * (grid - 0.4) ** 2 / temperature
        log_prob = log_prob - torch.trapezoid(log_prob.exp(), grid).log()
        return -torch.trapezoid(log_prob.exp() * log_prob, grid)

    def steps(make: Callable[..., torch.optim.Optimizer], factor: bool) -> int:
        log_temperature = torch.zeros((), dtype=torch.float64)
        optimizer, count = make([log_temperature]), 0
        while abs(excess := entropy(log_temperature.exp()) + 1) > 0.05:
            log_temperature.grad = excess * log_temperature.exp() if factor else excess
            optimizer.step()
            count += 1
        return count

    adam = partial(torch.optim.Adam, lr=0.05)
    ways = (partial(torch.optim.SGD, lr=0.2), adam, partial(adam, betas=(0.9, 0.9)))
    plain, usual, short = (steps(way, True) / steps(way, False) for way in ways)
    return "B", plain, usual, short


def is_four_things(answer: Answer) -> None:
    """It is a letter and three ratios."""
    letter, *ratios = several(answer, 4, "Hand in four things: the letter, and the ratio of each of the three ways.")
    expect(letter in ("A", "B", "C"), f"The letter is A, B or C; yours is {letter!r}.")
    for ratio in ratios:
        number(ratio, f"A ratio is a number; one of yours is {ratio!r}.")


def plain_descent(answer: Answer) -> None:
    """Plain descent is slowed down by the factor, so many times."""
    plain, want = float(answer[1]), factor()[1]
    expect(abs(plain * want - 1) > 0.05, "Steps with the factor over steps without it, not the other way round.")
    if abs(plain / want - 1) > 0.1:
        raise Hint(
            "For plain descent: log α moves by −0.2 times the slope, which is the excess of entropy, once as it is and "
            "once times the α of that step. Begin at log α = 0, and stop when the excess is below 0.05 in size."
        )


def adam_too(answer: Answer) -> None:
    """So is Adam as it comes, less."""
    if abs(float(answer[2]) / factor()[2] - 1) > 0.15:
        raise Hint(
            "For Adam: `torch.optim.Adam([log_alpha], lr=0.05)`; set `log_alpha.grad` yourself, then `step()`. Does "
            "every run begin with a new optimizer, at log α = 0?"
        )


def with_a_short_memory(answer: Answer) -> None:
    """Adam with a short memory hardly."""
    if abs(float(answer[3]) / factor()[3] - 1) > 0.15:
        raise Hint("For the third: the second of the betas is that of the average of squares. Both are 0.9 here.")


def the_letter(answer: Answer) -> None:
    """So the letter follows."""
    hint = "Your three ratios are right. Which of the three sentences says what they say?"
    expect(answer[0] == factor()[0], hint)


EXERCISE = Exercise(
    place=3,
    title="The factor that was left out",
    difficulty="easy",
    minutes=20,
    expects="a letter and three numbers, such as ('C', 1.0, 1.0, 1.0)",
    solution=factor,
    why="Near the place of rest α is small, so with the factor plain descent makes small steps there. Adam divides "
    "each slope by the root of an average of its squares, and a factor that stands in both would cancel. But that "
    "average is this book's line with τ = 1 − β₂ = 0.001, a window of a thousand steps: when the small slopes come it "
    "still remembers the large ones. With β₂ = 0.9 it has forgotten them. (At SAC's rate of 0.001 the way down takes "
    "thousands of steps, and less is left of the factor.)",
    checks=[is_four_things, plain_descent, adam_too, with_a_short_memory, the_letter],
    value=True,
)
