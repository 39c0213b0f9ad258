"""Write (13.6): `dpo_loss(chosen, rejected, ref_chosen, ref_rejected, beta)`, the mean over pairs. The four are
tensors `(pair,)` with the logarithm of an answer's chance, under the policy and under the reference.
"""

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from companion.exercises import Answer, Exercise, agrees, expect, matches, normal


def dpo_loss(chosen: Tensor, rejected: Tensor, ref_chosen: Tensor, ref_rejected: Tensor, beta: float) -> Tensor:
    """Bradley and Terry's loss, with β log π/π_ref as the reward."""
    margin = (chosen - ref_chosen) - (rejected - ref_rejected)
    return -logsigmoid(beta * margin).mean()


def pairs() -> list[Tensor]:
    draw = normal(2)
    return [-draw(7).abs() for _ in range(4)]


def at_the_start(answer: Answer) -> None:
    """Where policy and reference agree it is log 2."""
    chosen, rejected, _, _ = pairs()
    hint = "Where the policy is its reference, both rewards are 0 and the loss is log 2, whatever the chances are."
    matches(answer(chosen, rejected, chosen, rejected, 0.3), 0.6931471805599453, hint)


def prefers_the_chosen(answer: Answer) -> None:
    """It falls when the chosen answer grows likelier."""
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    less = answer(chosen + 1, rejected, ref_chosen, ref_rejected, 0.3)
    more = answer(chosen, rejected, ref_chosen, ref_rejected, 0.3)
    expect(less < more, "Making the chosen answer likelier ought to lower the loss. Look at the signs.")


def is_the_loss(answer: Answer) -> None:
    """It is (13.6)."""
    hint = "The loss is off. β multiplies the whole difference inside of σ, and the mean is over pairs."
    agrees(answer, dpo_loss, (*pairs(), 0.3), hint)


def does_not_overflow(answer: Answer) -> None:
    """Margins of a thousand are no trouble."""
    chosen, rejected, ref_chosen, ref_rejected = pairs()
    far = answer(chosen - 5_000, rejected, ref_chosen, ref_rejected, 1.0)
    expect(
        torch.isfinite(far).all(), "With a large margin the loss is not finite: use `logsigmoid`, not `log(sigmoid)`."
    )


EXERCISE = Exercise(
    place=5,
    title="A policy is a reward",
    difficulty="easy",
    minutes=10,
    expects="a function of (chosen, rejected, ref_chosen, ref_rejected, beta) that returns a number",
    solution=dpo_loss,
    why="The constant that (13.7) leaves open, β log Z, is the same for both answers to a prompt and cancels: "
    "that is why "
    "comparisons suffice. It also means that nothing holds the chances themselves: both may fall, if the "
    "rejected one falls "
    "faster.",
    checks=[at_the_start, prefers_the_chosen, is_the_loss, does_not_overflow],
)
