"""Hand in a triple: the letter of what the factor α costs the thermostat (A. several times as many steps for both, B.
for plain descent only, C. for neither), and how many times as many steps plain descent and Adam need with it.
"""

import math
from functools import cache

import torch

from companion.exercises import Answer, Exercise, Hint, expect, several

WANTED = -1.0
GRID = torch.linspace(-1, 1, 20_003, dtype=torch.float64)[1:-1]


def entropy_at(temperature: float) -> float:
    """Of the best policy of the chapter's bandit, which is paid −4 (a − 0.4)²."""
    paid = -4 * (GRID - 0.4) ** 2
    log_prob = paid / temperature
    log_prob = log_prob - torch.trapezoid(log_prob.exp(), GRID).log()
    return -float(torch.trapezoid(log_prob.exp() * log_prob, GRID))


def steps(make_optimizer: type[torch.optim.Optimizer], rate: float, factor: bool) -> int:
    """From α = 1 until the entropy is within 0.05 of −1."""
    log_temperature = torch.zeros(1, dtype=torch.float64, requires_grad=True)
    optimizer = make_optimizer([log_temperature], lr=rate)  # type: ignore[call-arg]
    for count in range(5_000):
        temperature = math.exp(float(log_temperature))
        excess = entropy_at(temperature) - WANTED
        if abs(excess) < 0.05:
            return count
        log_temperature.grad = torch.full_like(log_temperature, excess * (temperature if factor else 1))
        optimizer.step()
    raise RuntimeError("it has not arrived")


@cache
def factor() -> tuple[str, float, float]:
    plain = steps(torch.optim.SGD, 0.2, True) / steps(torch.optim.SGD, 0.2, False)
    adam = steps(torch.optim.Adam, 0.05, True) / steps(torch.optim.Adam, 0.05, False)
    return "B", plain, adam


def is_a_triple(answer: Answer) -> None:
    """It is a letter and two ratios."""
    letter, plain, adam = several(answer, 3, "Hand in three things: the letter, and the ratio of each way to descend.")
    expect(letter in ("A", "B", "C"), f"The letter is A, B or C; yours is {letter!r}.")
    for ratio in (plain, adam):
        expect(isinstance(ratio, int | float), f"A ratio is a number; one of yours is {ratio!r}.")


def plain_descent(answer: Answer) -> None:
    """Plain descent is slowed down by the factor, so many times."""
    _, plain, _ = answer
    want = factor()[1]
    expect(abs(plain * want - 1) > 0.05, "Steps with the factor over steps without it, not the other way round.")
    if abs(plain / want - 1) > 0.1:
        raise Hint(
            "For plain descent: log α moves by −0.2 times the slope, which is the excess of entropy, once as it is and "
            "once times the α of that step. Begin at log α = 0, and stop when the excess is below 0.05 in size."
        )


def adam_too(answer: Answer) -> None:
    """Adam is not."""
    _, _, adam = answer
    want = factor()[2]
    if abs(adam / want - 1) > 0.25:
        raise Hint(
            "For Adam: `torch.optim.Adam([log_alpha], lr=0.05)`; set `log_alpha.grad` yourself, then `step()`. Does "
            "every run begin with a new optimizer, at log α = 0?"
        )


def the_letter(answer: Answer) -> None:
    """So the letter follows."""
    letter, *_ = answer
    expect(letter == factor()[0], "Your two ratios are right. Which of the three sentences says what they say?")


EXERCISE = Exercise(
    place=3,
    title="The factor that was left out",
    difficulty="easy",
    minutes=20,
    expects="a triple, such as ('C', 1.0, 1.0)",
    solution=factor,
    why="Near the place of rest α is small, so with the factor plain descent makes small steps there. Adam divides "
    "each slope by the root of the mean of its recent squares: a factor that changes slowly is in both and cancels. "
    "Only where it changes quickly, at first, is something of it left.",
    checks=[is_a_triple, plain_descent, adam_too, the_letter],
    value=True,
)
