"""Write (5.2) for a whole population: `ddpg_label(target_actor, target_critic, batch, gamma)`. The actor puts out
numbers that tanh turns into actions; the critic takes observation and action side by side.
"""

from typing import Any

import torch
from torch import Tensor, nn

from companion.exercises import Answer, Exercise, agrees, expect, matches, transitions
from companion.members import MLP


def ddpg_label(target_actor: nn.Module, target_critic: nn.Module, batch: Any, gamma: float) -> Tensor:
    """y = r + γ Q(s′, μ(s′; φ⁻); θ⁻), or r alone where s′ ended the episode."""
    with torch.no_grad():
        next_action = target_actor(batch.next_observation).tanh()
        pair = torch.cat((batch.next_observation, next_action), -1)
        return batch.reward + gamma * (1 - batch.terminated) * target_critic(pair).squeeze(-1)


def given(**share: float) -> tuple[MLP, MLP, Any, float]:
    """An actor, a critic, a batch of which such a share is terminated or truncated, and gamma."""
    actor, critic = MLP((3, 16, 2), [0, 1, 2], purpose="actor"), MLP((5, 16, 1), [0, 1, 2], purpose="critic")
    return actor.double(), critic.double(), transitions(0, observation=3, action=2, **share), 0.9


def label_of_the_next_state(answer: Answer) -> None:
    """It values the next state, by the action that the actor would take there."""
    hint = (
        "Nothing ends in this batch, and the label is off. Both networks are asked about the *next* observation, the "
        "critic about the action that the actor takes there: squashed by tanh and not the one in the batch. Then the "
        "value is discounted, and the reward added whole."
    )
    agrees(answer, ddpg_label, given(), hint)


def label_terminated(answer: Answer) -> None:
    """An end has no future, and keeps its reward."""
    actor, critic, batch, gamma = given(terminated=1.0)
    hint = (
        "Where the episode terminated, the label is the reward alone. (1 − d) multiplies the value of s′, and nothing "
        "else."
    )
    matches(answer(actor, critic, batch, gamma), batch.reward, hint)


def label_truncated(answer: Answer) -> None:
    """Running out of time has a future."""
    hint = "A truncated episode was cut by the clock. On Pendulum that is how every episode ends: bootstrap from s′."
    agrees(answer, ddpg_label, given(truncated=1.0), hint)


def label_is_constant(answer: Answer) -> None:
    """It is a constant: no gradient runs through it."""
    expect(
        not answer(*given()).requires_grad,
        "Its numbers are right, and a gradient would run through it, into both slow copies. Compute it under "
        "`torch.no_grad()`.",
    )


EXERCISE = Exercise(
    place=1,
    title="Whose action, whose value",
    difficulty="easy",
    minutes=10,
    expects="a function of (target_actor, target_critic, batch, gamma) that returns a tensor (member, batch)",
    solution=ddpg_label,
    why="Each part has been got wrong in public: the actor asked about $s$ and not $s'$, the reward left out, the mask "
    "added and not multiplied, truncation taken for an end. All of these run, and some of them learn.",
    checks=[label_of_the_next_state, label_terminated, label_truncated, label_is_constant],
)
