"""Write `overestimation(predicted, reward, terminated, gamma)`, equation (6.1). `predicted` is `(member, episode)`, the
critic's value at the start; `reward` and `terminated` are `(member, episode, time)`, with 1 where the episode
terminated. The arrays go on past a time limit: there is none to think of.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, agrees, matches, normal


def overestimation(predicted: Tensor, reward: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """Mean over the episodes of what was predicted at the start less the discounted sum that came of it."""
    steps = reward.shape[-1]
    before = terminated.cumsum(-1) - terminated  # how often it had terminated before this step: 0 while it lives
    discount = gamma ** torch.arange(steps, dtype=reward.dtype)
    obtained = (discount * reward * (before == 0)).sum(-1)
    return (predicted - obtained).mean(-1)


def ruler_sign(answer: Answer) -> None:
    """Too high is positive."""
    reward = torch.zeros(2, 3, 5, dtype=torch.float64)
    predicted = torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]], dtype=torch.float64)
    matches(
        answer(predicted, reward, torch.zeros_like(reward), 0.9),
        torch.tensor([2.0, -2.0], dtype=torch.float64),
        "Where all rewards are 0, it is the mean of what was predicted, one number a member, with its sign.",
    )


def ruler_discount(answer: Answer) -> None:
    """The first reward is not discounted, the next is once."""
    reward = normal(3)(2, 3, 600)
    zero = torch.zeros(2, 3, dtype=torch.float64)
    hint = (
        "Q(s₀, a₀) is r₀ + γ·r₁ + γ²·r₂ + …, over every step that you are given, and the overestimation is what was "
        "predicted *minus* that."
    )
    agrees(answer, overestimation, (zero, reward, torch.zeros_like(reward), 0.99), hint)


def ruler_ends(answer: Answer) -> None:
    """Nothing is counted after the end, and the last reward is."""
    reward = torch.ones(1, 2, 6, dtype=torch.float64)
    terminated = torch.zeros_like(reward)
    terminated[0, 0, 2] = 1  # the first episode ends with its third reward
    terminated[0, 0, 4] = 1  # what a simulator says after the end is nobody's business
    zero = torch.zeros(1, 2, dtype=torch.float64)
    hint = (
        "Rewards of 1 and γ = 1: the episode that terminates at its third step collects 3, the other 6. The step that "
        "terminates still pays; all after it is not part of the episode, whatever the arrays hold there."
    )
    matches(answer(zero, reward, terminated, 1.0), torch.tensor([-4.5], dtype=torch.float64), hint)


EXERCISE = Exercise(
    place=3,
    title="The ruler",
    difficulty="medium",
    minutes=15,
    expects="a function of (predicted, reward, terminated, gamma) that returns a (member,) tensor",
    solution=overestimation,
    why="Three things to get right: the exponent starts at 0, the terminating step still pays, and no time limit ends "
    "the sum, since none ends the bootstrap. A sum that stops after $H$ steps lacks $\\gamma^H$ times the value "
    "that is left there: 13 % of it for Pendulum's 200 steps at $\\gamma = 0.99$.",
    checks=[ruler_sign, ruler_discount, ruler_ends],
)
