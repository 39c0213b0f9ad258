"""Write SAC's two losses for a few discrete actions. `logits` and `next_logits` are the actor's, `(member, batch,
action)`; `q` is the critics' and `next_q` the target critics', `(member, 2, batch, action)`; `action`, `reward` and
`terminated` are `(member, batch)`; `temperature` is `(member,)`. Return the critics' and the actor's loss, each a sum
over members.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, matches, normal, several


def discrete_losses(
    logits: Tensor,
    q: Tensor,
    next_logits: Tensor,
    next_q: Tensor,
    action: Tensor,
    reward: Tensor,
    terminated: Tensor,
    gamma: float,
    temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    """The losses of critics and actor where actions are few: expectations are sums, and nothing is drawn."""
    price = temperature[:, None, None]
    with torch.no_grad():
        log_next = torch.log_softmax(next_logits, -1)
        soft_value = (log_next.exp() * (next_q.amin(1) - price * log_next)).sum(-1)
        y = reward + gamma * (1 - terminated) * soft_value
    taken = q.gather(-1, action[:, None, :, None].expand(-1, 2, -1, -1)).squeeze(-1)
    of_critics = 0.5 * (taken - y[:, None]).square().mean(-1).sum()

    log_policy = torch.log_softmax(logits, -1)
    of_actor = (log_policy.exp() * (price * log_policy - q.detach().amin(1))).sum(-1).mean(-1).sum()
    return of_critics, of_actor


def discrete(temperature: float | None = None) -> dict[str, Any]:
    draw = normal(5)
    prices = [0.1, 1.0, 5.0] if temperature is None else [temperature] * 3
    return {
        "logits": draw(3, 8, 4).requires_grad_(),
        "q": (3 * draw(3, 2, 8, 4)).requires_grad_(),
        "next_logits": draw(3, 8, 4).requires_grad_(),
        "next_q": (3 * draw(3, 2, 8, 4)).requires_grad_(),
        "action": draw(3, 8, 4).argmax(-1),
        "reward": draw(3, 8),
        "terminated": (draw(3, 8) > 0.8).double(),
        "gamma": 0.9,
        "temperature": torch.tensor(prices, dtype=torch.float64),
    }


def both(answer: Answer, given: dict[str, Any]) -> Sequence[Any]:
    return several(answer(**given), 2, "Return two losses: of the critics and of the actor.")


def discrete_critics(answer: Answer) -> None:
    """The critics' loss has the whole expectation over next actions in its label."""
    for temperature, hint in (
        (
            0.0,
            "Even at temperature 0 the critics' loss is off: half the squared error of both critics at the action "
            "taken; in the label the policy's expectation of the smaller target value, not the best one.",
        ),
        (
            None,
            "The critics' loss is right at temperature 0 only. The next state's entropy is a sum over actions, "
            "−Σ π log π, at each member's own temperature.",
        ),
    ):
        given = discrete(temperature)
        matches(both(answer, given)[0], discrete_losses(**given)[0].detach(), hint)


def discrete_label_is_constant(answer: Answer) -> None:
    """The label is a constant."""
    given = discrete()
    slopes = torch.autograd.grad(both(answer, given)[0], [given["next_logits"], given["next_q"]], allow_unused=True)
    hint = "The critics' loss has a slope along what s′ is worth. The label is a constant: `torch.no_grad()`."
    expect(all(slope is None or not slope.any() for slope in slopes), hint)


def discrete_actor(answer: Answer) -> None:
    """The actor's loss has the whole expectation over actions."""
    given = discrete()
    hint = (
        "The actor's loss is (7.10) with the expectation over actions written out: Σ π (α log π − min Q), the mean "
        "over the batch and the sum over members."
    )
    matches(both(answer, given)[1], discrete_losses(**given)[1].detach(), hint)


def discrete_rests(answer: Answer) -> None:
    """The actor comes to rest at Boltzmann's policy, and leaves the critics alone."""
    given = discrete()
    best = (given["q"].detach().amin(1) / given["temperature"][:, None, None]).requires_grad_()
    _, of_actor = both(answer, {**given, "logits": best})
    expect(of_actor.requires_grad, "The actor's loss carries no slope: something is detached that must not be.")
    slope, of_q = torch.autograd.grad(of_actor, [best, given["q"]], allow_unused=True)
    expect(slope is not None, "The actor's loss does not depend on the logits.")
    hint = "The actor's loss has a slope along the critics' values. The actor climbs them and does not move them."
    expect(of_q is None or not of_q.any(), hint)
    hint = "At the policy softmax(min Q / α) the slope must vanish, by (7.5), and yours does not."
    matches(slope, torch.zeros_like(best), hint, atol=1e-7)
    mine, right = (torch.autograd.grad(f(**given)[1], given["logits"])[0] for f in (answer, discrete_losses))
    hint = (
        "The actor's loss has the right value and, away from Boltzmann's policy, the wrong slope. The probabilities "
        "depend on the logits too, not only their logarithms."
    )
    matches(mine, right, hint)


EXERCISE = Exercise(
    place=6,
    title="Without drawing",
    difficulty="hard",
    minutes=150,
    expects="a function of (logits, q, next_logits, next_q, action, reward, terminated, gamma, temperature) that "
    "returns two losses",
    solution=discrete_losses,
    why="With few actions both expectations of (7.2) are sums: no draw, no squashing, no reparameterisation, and no "
    "noise from them in label or gradient (Christodoulou 2019, arXiv 1910.07207). The slope vanishes at Boltzmann's "
    "policy for the smaller of the two values, which is (7.4).",
    checks=[discrete_critics, discrete_label_is_constant, discrete_actor, discrete_rests],
)
