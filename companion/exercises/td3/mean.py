"""Predict, then run. Let the policy of the chapter's first section climb the mean of two strangers' critics, and
believe that mean. How much of the overestimation is left? Run it for 400 members or more, and hand in the
overestimation after 60 steps uphill, as a number.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, number


def overestimation_of_the_mean(members: int = 400) -> float:
    draw = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(members, *shape, generator=draw, dtype=torch.float64)

    def uniform(*shape: int) -> Tensor:
        return torch.rand(members, *shape, generator=draw, dtype=torch.float64)

    def stranger() -> Callable[[Tensor], Tensor]:
        """A critic a member, fitted to 20 actions whose values were seen with noise."""
        tried = 2 * uniform(20) - 1
        seen = 0.5 * normal(20) - tried.square()
        frequency, phase = normal(1, 60) / 0.35, 2 * math.pi * uniform(1, 60)

        def cosines(action: Tensor) -> Tensor:
            return (action[..., None] * frequency + phase).cos() / 30**0.5

        x = cosines(tried)
        ridge = 0.25 * torch.eye(60, dtype=torch.float64)
        weight = torch.linalg.solve(x.mT @ x + ridge, x.mT @ seen[..., None])
        return lambda action: (cosines(action) @ weight).squeeze(-1)

    first, second = stranger(), stranger()
    action = 1.6 * uniform(1) - 0.8
    for _ in range(60):
        action.requires_grad_()
        mean = (first(action) + second(action)) / 2
        (slope,) = torch.autograd.grad(mean.sum(), action)
        action = (action.detach() + 0.05 * slope).clamp(-1, 1)
    believed = (first(action) + second(action)) / 2
    return float((believed + action.square()).mean())


def is_a_number(answer: Answer) -> None:
    """A number."""
    number(answer, "Hand in one number: the mean of what is believed minus what is obtained.")


def is_positive(answer: Answer) -> None:
    """Positive is too high."""
    expect(float(answer) > 0, "The sign is believed minus obtained, and what is obtained is −a²: subtract it.")


def is_what_is_left(answer: Answer) -> None:
    """Nearly two thirds of a single critic's."""
    got = float(answer)
    expect(
        got < 0.18,
        f"{got:.2f} is what a single critic has, or two siblings, whose mistakes are the same. Fit each of the two to "
        "data of its own, and climb their mean.",
    )
    expect(
        got > 0.095,
        f"{got:.2f} is less than a mean leaves. Is it the *smaller* of the two that you climbed or believed?",
    )


EXERCISE = Exercise(
    place=1,
    title="Climb the mean",
    difficulty="easy",
    minutes=10,
    expects="a number",
    solution=overestimation_of_the_mean,
    why="By the following argument half is left; here it is nearly two thirds. Where the error $\\varepsilon(a)$ is "
    "small, the top of $-a^2 + \\varepsilon(a)$ lies at $a \\approx \\varepsilon'/2$; there $\\varepsilon + "
    "\\varepsilon'^2/4$ is believed and $-\\varepsilon'^2/4$ obtained. That is too high by $\\varepsilon'^2/2$ on "
    "average, in proportion to the error's *variance*, which the mean of two strangers halves. (Our errors are "
    "not that small.) No price is paid at the start, and the policy ends better. Two critics that share data and "
    "labels are siblings: their mean is hardly better than one.",
    checks=[is_a_number, is_positive, is_what_is_left],
    value=True,
)
