"""Write `label(batch, target_actor, target_critic, noise, gamma, sigma, clip)`, equation (6.5) for a whole population.
`target_actor(observation)` returns actions `(member, batch, 1)` in [−1, 1]; `target_critic(observation, action)`
returns the twins' values `(member, copies, batch)`; `noise` is standard normal, shaped like the actions; `batch` has
`reward`, `next_observation` and `terminated`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, agrees, differs, expect, matches, normal, transitions


@torch.no_grad()
def label(
    batch: Any, target_actor: Any, target_critic: Any, noise: Tensor, gamma: float, sigma: float, clip: float
) -> Tensor:
    """y = r + γ · min over the twins of Q(s′, ã), with ã = clip(μ(s′) + clip(σ·noise, −c, c), −1, 1)."""
    smoothing = (sigma * noise).clamp(-clip, clip)
    action = (target_actor(batch.next_observation) + smoothing).clamp(-1, 1)
    value = target_critic(batch.next_observation, action).amin(1)
    return batch.reward + gamma * (1 - batch.terminated) * value


def given(
    *, edge: bool = False, terminated: float = 0.0, sigma: float = 0.2, clip: float = 0.5
) -> tuple[Any, Callable[..., Tensor], Callable[..., Tensor], Tensor, float, float, float]:
    """A batch, a target actor, twin target critics (functions that take gradients), noise, gamma, sigma and clip."""
    draw = normal(6)
    batch = transitions(6, observation=2, terminated=terminated)
    actor_weight = draw(3, 2, 1).requires_grad_()
    critic_weight = draw(3, 2, 3, 1).requires_grad_()  # (member, copies, in, 1)

    def target_actor(observation: Tensor) -> Tensor:
        return torch.tanh((4.0 if edge else 0.2) * observation @ actor_weight)

    def target_critic(observation: Tensor, action: Tensor) -> Tensor:
        return (torch.cat((observation, action), -1)[:, None] @ critic_weight).squeeze(-1)

    return batch, target_actor, target_critic, draw(3, 32, 1), 0.9, sigma, clip


def label_minimum(answer: Answer) -> None:
    """The smaller of the twins' values makes the label."""
    batch, actor, critic, *_ = parts = given(sigma=0.0)
    values = critic(batch.next_observation, actor(batch.next_observation))
    got = answer(*parts)
    for wrong, hint in (
        (values.mean(1), "This is the mean of the twins, which is right on average and clips nothing."),
        (values[:, 0], "This is the first critic's value: there is a second one to ask."),
        (values.amax(1), "This is the larger of the two."),
    ):
        differs(got, batch.reward + 0.9 * wrong, hint)
    hint = (
        "Without noise it is r + γ·min(Q₁, Q₂) at the target actor's action, the minimum over the axis `copies` of "
        "(member, copies, batch)."
    )
    matches(got, batch.reward + 0.9 * values.amin(1), hint)


def label_noise(answer: Answer) -> None:
    """The action is smoothed by noise that is scaled, then clipped."""
    hint = "With little noise, far from any clip, the label is off. The noise is `sigma * noise`."
    agrees(answer, label, given(sigma=0.01, clip=50.0), hint)
    hint = "With a tight clip the label is off. Clip the noise *after* scaling it, to ±clip."
    agrees(answer, label, given(sigma=0.2, clip=0.1), hint)


def label_range(answer: Answer) -> None:
    """The smoothed action is still an action."""
    hint = (
        "Where the policy plays near ±1 the noise carries it past what any motor can do, to where no critic has seen "
        "data. Clip the sum to [−1, 1] as well."
    )
    agrees(answer, label, given(edge=True), hint)


def label_ends(answer: Answer) -> None:
    """What terminated has no future."""
    agrees(answer, label, given(terminated=0.4), "Where the episode terminated the label is the reward alone.")


def label_constant(answer: Answer) -> None:
    """No gradient runs through the label."""
    expect(
        not answer(*given()).requires_grad,
        "A gradient runs through your label into the slow copies. A label is a constant: compute it under "
        "`torch.no_grad()`.",
    )


EXERCISE = Exercise(
    place=2,
    title="TD3's label",
    difficulty="easy",
    minutes=15,
    expects="a function of (batch, target_actor, target_critic, noise, gamma, sigma, clip) that returns a "
    "(member, batch) tensor",
    solution=label,
    why="Two clips, of different things: the noise to ±c, so that the action stays a neighbour of the policy's, and "
    "the sum to the range of actions, so that it stays an action. Where a policy sits at its limit, half of all "
    "noise is cut off there: smoothing then pulls the label's action *inwards*.",
    checks=[label_minimum, label_noise, label_range, label_ends, label_constant],
)
