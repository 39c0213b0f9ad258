"""Hand in a letter and three numbers: who needs more than twice as many steps with the factor α (A. all three, B. plain
descent and Adam as it comes, C. plain descent alone), and how many times as many steps plain descent, Adam, and Adam
with `betas=(0.9, 0.9)` need with it.
"""

import math
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import torch

from companion.exercises import Answer, Exercise, Hint, expect, number, several

WANTED = -1.0
GRID = torch.linspace(-1, 1, 20_003, dtype=torch.float64)[1:-1]
WAYS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "plain descent": partial(torch.optim.SGD, lr=0.2),
    "Adam": partial(torch.optim.Adam, lr=0.05),
    "Adam with a short memory": partial(torch.optim.Adam, lr=0.05, betas=(0.9, 0.9)),
}


def entropy_at(temperature: float) -> float:
    """Of the best policy of the chapter's bandit, which is paid −4 (a − 0.4)²."""
    paid = -4 * (GRID - 0.4) ** 2
    log_prob = paid / temperature
    log_prob = log_prob - torch.trapezoid(log_prob.exp(), GRID).log()
    return -float(torch.trapezoid(log_prob.exp() * log_prob, GRID))


def steps(way: str, factor: bool) -> int:
    """From α = 1 until the entropy is within 0.05 of −1."""
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = WAYS[way]([log_temperature])
    for count in range(5_000):
        temperature = math.exp(log_temperature.item())
        excess = entropy_at(temperature) - WANTED
        if abs(excess) < 0.05:
            return count
        log_temperature.grad = torch.full_like(log_temperature, excess * (temperature if factor else 1))
        optimizer.step()
    raise RuntimeError("it has not arrived")


@cache
def factor() -> tuple[Any, ...]:
    return "B", *(steps(way, True) / steps(way, False) for way in WAYS)


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
