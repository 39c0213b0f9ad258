"""Write `soft_value(q, temperature)`: from values `(..., action)`, the soft value `(...)` of equation (7.3) and the
policy `(..., action)` that reaches it, (7.4).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, matches, several


def soft_value(q: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The best that reward and entropy together can come to, and the policy that reaches it."""
    value = temperature * torch.logsumexp(q / temperature, -1)
    return value, torch.softmax(q / temperature, -1)


def two(answer: Answer, q: Tensor, temperature: float) -> Sequence[Any]:
    return several(answer(q, temperature), 2, "Return two tensors: the values, and the policies that reach them.")


def is_a_distribution(answer: Answer) -> None:
    """The policy is a distribution over the last axis, for every state at once."""
    q = torch.tensor([[1.0, 0.5, 0.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
    _, policy = two(answer, q, 0.5)
    hint = "A policy's probabilities sum to one over the actions, the last axis, in every state."
    matches(torch.as_tensor(policy).sum(-1), torch.ones(2, dtype=torch.float64), hint)


def is_boltzmann(answer: Answer) -> None:
    """Probabilities are proportional to exp(Q/α)."""
    q = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    for temperature in (1.0, 0.25):
        _, policy = two(answer, q, temperature)
        weights = (q / temperature).exp()
        hint = (
            f"At temperature {temperature:g} two actions whose values differ by one temperature must differ in "
            "probability by a factor e. Where does the temperature divide?"
        )
        matches(policy, weights / weights.sum(), hint)


def is_what_it_collects(answer: Answer) -> None:
    """The value is what the policy collects: its expected Q plus temperature times its entropy."""
    q = torch.tensor([[1.0, 0.5, 0.0], [-3.0, 2.0, 0.3]], dtype=torch.float64)
    for temperature in (1.0, 0.25, 3.0):
        value, _ = two(answer, q, temperature)
        policy = torch.softmax(q / temperature, -1)
        collected = (policy * (q - temperature * policy.log())).sum(-1)
        hint = (
            f"At temperature {temperature:g} the policy's expected Q plus α times its entropy is "
            f"{float(collected[0]):.4f} in the first test state, and your value is another. It is larger than the "
            "expected Q alone and, with three actions, exceeds the largest Q by at most α log 3."
        )
        matches(value, collected, hint)


def survives_scale(answer: Answer) -> None:
    """Large values at a small temperature stay finite."""
    value, policy = two(answer, torch.tensor([1_000.0, 999.0, 0.0]), 0.1)
    expect(
        bool(torch.isfinite(torch.as_tensor(value)).all() and torch.isfinite(torch.as_tensor(policy)).all()),
        "Values of 1,000 at temperature 0.1 overflow: exp(10,000) is no number. `torch.logsumexp` and `torch.softmax` "
        "take the largest out first.",
    )
    matches(value, torch.tensor(1_000.0), "With so small a temperature the value is the largest Q.", rtol=1e-4)


EXERCISE = Exercise(
    place=1,
    title="A maximum that is soft",
    difficulty="easy",
    minutes=10,
    expects="a function of (q, temperature) that returns two tensors, the values and the policies",
    solution=soft_value,
    why="$\\alpha \\log \\sum_a e^{Q(a)/\\alpha}$ goes to the maximum as $\\alpha \\to 0$, and to the mean plus "
    "$\\alpha \\log n$ as $\\alpha \\to \\infty$. Its slope with respect to each $Q(a)$ is the probability of "
    "$a$: a maximum whose argmax changes gradually.",
    checks=[is_a_distribution, is_boltzmann, is_what_it_collects, survives_scale],
)
