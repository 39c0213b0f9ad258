"""Write `best_policy(start, reward, beta)`: the logarithm of the chance of every answer under the policy that is best
by (13.4), with the anchor fixed at the start. `start` holds logarithms of chances, `reward` the proxy's rewards,
both `(answer,)` tensors in float64.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, matches, normal
from companion.preference import tilt


def best_policy(start: Tensor, reward: Tensor, beta: float) -> Tensor:
    """(13.7): the start, tilted towards the reward by 1/β."""
    return torch.log_softmax(start + reward / beta, -1)


def drawn() -> tuple[Tensor, Tensor]:
    draw = normal(0)
    return draw(6).log_softmax(-1), draw(6)


def adds_up(answer: Answer) -> None:
    """The chances add up to 1."""
    start, reward = drawn()
    hint = "The chances of all answers do not add up to 1: divide by Z, or use `log_softmax`."
    matches(answer(start, reward, 0.5).exp().sum(), 1.0, hint)


def leans_on_the_start(answer: Answer) -> None:
    """Without any reward it is the start."""
    start, reward = drawn()
    hint = "Where all rewards are equal, the best policy is the start itself. Is π₀ a factor of yours?"
    matches(answer(start, torch.zeros_like(reward), 0.5), start, hint)


def is_the_best(answer: Answer) -> None:
    """It is the start, tilted by 1/β."""
    start, reward = drawn()
    for beta in (0.5, 3.0):
        hint = f"With β = {beta} the policy is off. λ is 1/β: the dearer a nat, the nearer to the start."
        matches(answer(start, reward, beta), tilt(start, reward, 1 / beta), hint)


def survives_large_rewards(answer: Answer) -> None:
    """Rewards of a thousand are no trouble."""
    start, reward = drawn()
    hint = "With rewards of about a thousand the result is not finite: exp overflows. Stay in logarithms."
    matches(answer(start, 1_000 * reward, 0.5), tilt(start, 1_000 * reward, 2.0), hint)


EXERCISE = Exercise(
    place=1,
    title="The best there is",
    difficulty="easy",
    minutes=10,
    expects="a function of (start, reward, beta) that returns logarithms of chances",
    solution=best_policy,
    why="One line, and the whole of KL-regularised reinforcement learning: everything that a training run does is to "
    "get there by small steps, where the answers are too many to be listed.",
    checks=[adds_up, leans_on_the_start, is_the_best, survives_large_rewards],
)
