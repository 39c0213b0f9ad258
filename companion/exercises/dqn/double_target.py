"""Write `double_target(reward, terminated, online_next, target_next, gamma)`, equation (4.8). The two networks' values
of s′ are `(member, batch, action)`.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, differs, matches, normal


def double_target(reward: Tensor, terminated: Tensor, online_next: Tensor, target_next: Tensor, gamma: float) -> Tensor:
    """Double DQN's target: the online network chooses the action, the target network says what it is worth."""
    choice = online_next.argmax(-1, keepdim=True)
    value = target_next.gather(-1, choice).squeeze(-1)
    return reward + gamma * (1 - terminated) * value


def double_batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    online, target = normal(1)(2, 3, 40, 3)
    reward = torch.ones(3, 40, dtype=torch.float64)
    return reward, torch.zeros_like(reward), online, target


def double_agrees(answer: Answer) -> None:
    """Where both networks are one, it is the plain target."""
    reward, never, online, _ = double_batch()
    hint = "With one network for both, choosing the best action and asking its value is taking the maximum."
    matches(answer(reward, never, online, online, 0.9), reward + 0.9 * online.amax(-1), hint)


def double_decouples(answer: Answer) -> None:
    """The online network chooses, the target network values."""
    reward, never, online, target = double_batch()
    got = answer(reward, never, online, target, 0.9)
    for wrong, hint in (
        (
            online.gather(-1, target.argmax(-1, keepdim=True)).squeeze(-1),
            "The roles are swapped: here the target network chooses.",
        ),
        (
            torch.minimum(online.amax(-1), target.amax(-1)),
            "The smaller of the two maxima is clipped double Q, which comes with TD3; Double DQN splits choosing from "
            "valuing.",
        ),
        (
            target.amax(-1),
            "This is the plain target: the target network both chooses and values. Where does the online one come in?",
        ),
    ):
        differs(got, reward + 0.9 * wrong, hint)
    want = reward + 0.9 * target.gather(-1, online.argmax(-1, keepdim=True)).squeeze(-1)
    matches(got, want, "Choose by `online_next.argmax`, then look that action up in `target_next` with `gather`.")


def double_ends(answer: Answer) -> None:
    """A fall has no future here either."""
    reward, never, online, target = double_batch()
    hint = "Where the episode terminated the target is the reward alone."
    matches(answer(reward, never + 1, online, target, 0.9), reward, hint)


EXERCISE = Exercise(
    place=3,
    title="Choose with one, value with the other",
    difficulty="medium",
    minutes=10,
    expects="a function of (reward, terminated, online_next, target_next, gamma) that returns a (member, batch) tensor",
    solution=double_target,
    why="An action whose value the online network overrates by chance is likely to be chosen; that the target network "
    "overrates the same action is less likely, and the less so the longer ago it was copied "
    "([van Hasselt, Guez and Silver 2016](https://arxiv.org/abs/1509.06461), equation 4).",
    checks=[double_agrees, double_decouples, double_ends],
)
