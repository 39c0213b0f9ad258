"""Write `td_target(reward, terminated, truncated, next_values, gamma)`, equation (4.2) for a whole population.
`next_values` are the target network's, `(member, batch, action)`; the others are `(member, batch)`, with 1 for an
episode that terminated, or was truncated, and 0 elsewhere.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, matches, normal


def td_target(reward: Tensor, terminated: Tensor, truncated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """y = r + γ max_a Q(s′, a; θ⁻), or r alone where s′ ended the episode."""
    return reward + gamma * (1 - terminated) * next_values.amax(-1)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Rewards, a batch in which nothing ends, and the next state's values."""
    draw = normal(0)
    reward = draw(2, 5)
    return reward, torch.zeros_like(reward), 10 * draw(2, 5, 3)


def target_plain(answer: Answer) -> None:
    """Where nothing ends, it is the reward and the discounted best value."""
    reward, never, next_values = batch()
    hint = "Take the largest value over the actions, the last axis, and discount it by γ; the reward is not discounted."
    matches(answer(reward, never, never, next_values, 0.9), reward + 0.9 * next_values.amax(-1), hint)


def target_terminated(answer: Answer) -> None:
    """A fall has no future."""
    reward, never, next_values = batch()
    hint = (
        "Where the episode terminated, the target is the reward alone: whatever the network says of s′ is to be "
        "forgotten, the reward is not."
    )
    matches(answer(reward, never + 1, never, next_values, 0.9), reward, hint)


def target_truncated(answer: Answer) -> None:
    """Running out of time has a future."""
    reward, never, next_values = batch()
    hint = (
        "A truncated episode was cut by the clock, not by the world. The pole still stands, and its state has the "
        "value it always has: bootstrap from it."
    )
    matches(answer(reward, never, never + 1, next_values, 0.9), reward + 0.9 * next_values.amax(-1), hint)


EXERCISE = Exercise(
    place=2,
    title="The target, and where it stops",
    difficulty="easy",
    minutes=10,
    expects="a function of (reward, terminated, truncated, next_values, gamma) that returns a (member, batch) tensor",
    solution=td_target,
    why="`truncated` is in the arguments and not in the formula: that is the exercise. Time is not part of the state, "
    "so being stopped by the clock says nothing about the state's value "
    "([Pardo et al. 2018](https://arxiv.org/abs/1712.00378)).",
    checks=[target_plain, target_terminated, target_truncated],
)
