r"""The smallest actor is one matrix, $\mu(s) = \tanh(sW)$. Given observations, W and the critic's slopes $\partial
Q/\partial a$ at $a = \mu(s)$, write (5.3) without autograd: the gradient of the mean of $Q(s, \mu(s))$ over each
member's batch. Shapes: (member, batch, observation), (member, observation, action), (member, batch, action).
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, matches, normal


def policy_gradient(observation: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
    """∇W of the mean of Q(s, tanh(s W)), from the slope ∂Q/∂a at those actions."""
    action = (observation @ weight).tanh()
    return observation.mT @ (slope * (1 - action**2)) / observation.shape[1]


def climbing(members: int, scale: float) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """Observations, weights and slopes, and what autograd says of them."""
    draw = normal(members)
    observation, weight, goal = draw(members, 6, 3), scale * draw(members, 3, 2), draw(members, 6, 2)
    weight.requires_grad_(True)
    action = (observation @ weight).tanh()
    value = -(action - goal).square().sum(-1)  # a critic whose slope is 2 (goal − a)
    (gradient,) = torch.autograd.grad(value.mean(-1).sum(), weight)
    return (observation, weight.detach(), (2 * (goal - action)).detach()), gradient


def small_actions(answer: Answer) -> None:
    """For actions near 0 it is the mean of observation times slope."""
    given, gradient = climbing(1, 1e-5)
    hint = (
        "One member, actions so small that tanh is a straight line: then it is the mean over the batch of sᵀ · ∂Q/∂a. "
        "The mean and not the sum; and upwards, with the slope's own sign."
    )
    matches(answer(*given), gradient, hint, rtol=1e-4, atol=1e-8)


def through_tanh(answer: Answer) -> None:
    """The slope passes through tanh, which is flat where the action is large."""
    given, gradient = climbing(1, 1.0)
    hint = "Right for small actions, wrong for large ones. The derivative of tanh(x) is 1 − tanh²(x), here 1 − a²."
    matches(answer(*given), gradient, hint)


def every_member_its_own(answer: Answer) -> None:
    """Every member climbs its own critic."""
    given, gradient = climbing(4, 1.0)
    hint = "Right for one member, wrong for four: take the mean over each batch, and nothing over members."
    matches(answer(*given), gradient, hint)


EXERCISE = Exercise(
    place=2,
    title="The slope that reaches the actor",
    difficulty="medium",
    minutes=15,
    expects="a function of (observation, weight, slope) that returns a tensor (member, observation, action)",
    solution=policy_gradient,
    why="Three factors: the critic's slope says where to, $1 - a^2$ is how much the squashing lets through, and $s$ "
    "says which weights are to blame. Look at the middle one. An action at the end of its range, $a = \\pm 1$, passes "
    "nothing on: an actor that is driven there by a wild critic does not hear when the critic changes its mind.",
    checks=[small_actions, through_tanh, every_member_its_own],
)
