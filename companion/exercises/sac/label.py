"""Write `soft_label(reward, terminated, next_q, next_log_prob, gamma, temperature)`, equation (7.9), for a population:
`next_q` is `(member, 2, batch)`, from the target critics at the action drawn in s′; `temperature` is `(member,)`; the
rest `(member, batch)`.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, differs, matches, normal


def soft_label(
    reward: Tensor, terminated: Tensor, next_q: Tensor, next_log_prob: Tensor, gamma: float, temperature: Tensor
) -> Tensor:
    """y = r + γ (1 − d) (min Q − α log π)."""
    soft = next_q.amin(1) - temperature[:, None] * next_log_prob
    return reward + gamma * (1 - terminated) * soft


def label_batch(warmth: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor, float, Tensor]:
    """Rewards, no ends, values, log-probabilities, gamma, and temperatures times so much."""
    draw = normal(0)
    reward, log_probability = draw(2, 3, 6)
    temperature = warmth * torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    return reward, torch.zeros_like(reward), 10 * draw(3, 2, 6), log_probability, 0.9, temperature


def label_is_hard_when_cold(answer: Answer) -> None:
    """Without temperature it is TD3's: the smaller of the two critics."""
    reward, _, next_q, *_ = given = label_batch(warmth=0.0)
    hint = "At temperature 0 only the smaller of the two critics' values is left. The critics are on axis 1."
    matches(answer(*given), reward + 0.9 * next_q.amin(1), hint)


def label_pays_for_entropy(answer: Answer) -> None:
    """The next action's improbability is paid for, at each member's own temperature."""
    reward, _, next_q, log_probability, _, temperature = given = label_batch()
    price, hard = temperature[:, None] * log_probability, reward + 0.9 * next_q.amin(1)
    got = answer(*given)
    for wrong, hint in (
        (
            hard + 0.9 * price,
            "The sign: an *improbable* action has a very negative log π, and it is to raise the label.",
        ),
        (hard, "This label does not know the temperature: the entropy of later steps would not count. See (7.9)."),
        (
            hard - price,
            "The entropy is that of the *next* state's policy: it comes one step later and is discounted like all "
            "that comes then.",
        ),
    ):
        differs(got, wrong, hint)
    hint = "Each member has a temperature of its own: `temperature` is (member,), the rest (member, batch)."
    matches(got, hard - 0.9 * price, hint)


def label_ends(answer: Answer) -> None:
    """Where the episode terminated neither value nor entropy follows."""
    reward, never, *rest = label_batch()
    hint = "After the end there is no action to be random about: the reward alone is left."
    matches(answer(reward, never + 1, *rest), reward, hint)


EXERCISE = Exercise(
    place=2,
    title="A label that likes surprise",
    difficulty="medium",
    minutes=15,
    expects="a function of (reward, terminated, next_q, next_log_prob, gamma, temperature) that returns a "
    "(member, batch) tensor",
    solution=soft_label,
    why="One sample of $-\\log \\pi(a'|s')$ stands for the entropy of the policy in $s'$, as one sample of $Q$ stands "
    "for its expectation. The entropy in $s$ itself is not in $Q(s, a)$: there the action is already chosen.",
    checks=[label_is_hard_when_cold, label_pays_for_entropy, label_ends],
)
