"""`broken_loss` above runs, and four of its parts are wrong. Write `population_loss(online, target, batch, gamma)` that
is right: the Huber loss (with its bend at 1) of $Q(s, a)$ against the target, the mean over each member's batch and the
sum over members. `batch` has the fields observation, action (integers), reward, next_observation, terminated and
truncated.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from companion.exercises import Answer, Exercise, agrees, expect, matches_each, transitions
from companion.members import MLP


def population_loss(online: nn.Module, target: nn.Module, batch: Any, gamma: float) -> Tensor:
    """Huber loss of Q(s, a) against the TD target: the mean over each batch, the sum over members."""
    with torch.no_grad():
        y = batch.reward + gamma * (1 - batch.terminated) * target(batch.next_observation).amax(-1)
    q = online(batch.observation).gather(-1, batch.action[..., None]).squeeze(-1)
    return torch.nn.functional.huber_loss(q, y, reduction="none").mean(-1).sum()


def learners(seed: int) -> MLP:
    return MLP((4, 16, 2), [seed, seed + 1, seed + 2]).double()


def batch(terminated: float = 0.0, truncated: float = 0.0) -> SimpleNamespace:
    found = transitions(2, observation=4, terminated=terminated, truncated=truncated)
    found.action = (found.action[..., 0] > 0).long()
    return found


def sums_over_members(answer: Answer) -> None:
    """The mean over the batch, the sum over members."""
    network, given = learners(0), batch()
    hint = (
        "Even where both networks are the same and nothing ends, the loss is off. With three members, a mean over all "
        "is a third of it: every agent would learn the more slowly the more train beside it, and Adam would hide it."
    )
    agrees(answer, population_loss, (network, network, given, 0.9), hint)


def asks_the_target(answer: Answer) -> None:
    """The target network values the next state."""
    online, target, given = learners(0), learners(10), batch()
    hint = "The loss is right when both networks are the same, and wrong when they differ. Which one values s′?"
    agrees(answer, population_loss, (online, target, given, 0.9), hint)


def stops_at_falls_only(answer: Answer) -> None:
    """A fall stops the bootstrap, the clock does not."""
    online, target = learners(0), learners(10)
    for terminated, truncated, hint in (
        (0.3, 0.0, "A transition that terminated has the reward alone as its target."),
        (0.0, 0.3, "A transition that was truncated bootstraps like any other: time ran out, the pole did not fall."),
    ):
        given = batch(terminated, truncated)
        agrees(answer, population_loss, (online, target, given, 0.9), hint)


def holds_the_target_still(answer: Answer) -> None:
    """The gradient treats the target as a constant."""
    online, target, given = learners(0), learners(10), batch(0.2, 0.2)
    answer(online, target, given, 0.9).backward()
    expect(
        all(p.grad is None or not p.grad.any() for p in target.parameters()),
        "`backward` filled the target network's gradients. The target is a constant: compute it under "
        "`torch.no_grad()`.",
    )
    got = [p.grad for p in online.parameters()]
    expect(all(gradient is not None for gradient in got), "No gradient reached the online network: what was detached?")
    twin = learners(0)
    population_loss(twin, target, given, 0.9).backward()
    want = [p.grad for p in twin.parameters()]
    matches_each(got, want, "The loss is right and its gradient is not: what is detached?")


EXERCISE = Exercise(
    place=4,
    title="Four bugs that train",
    difficulty="medium",
    minutes=25,
    expects="a function of (online, target, batch, gamma) that returns a loss, one number",
    solution=population_loss,
    why="The four: the online network valued the next state, so there was no target network; truncation masked the "
    "bootstrap; the gradient flowed through the label, too; and the mean over members scaled every "
    "agent's gradient with the size of the population, which Adam hides almost entirely and gradient descent does not.",
    checks=[sums_over_members, asks_the_target, stops_at_falls_only, holds_the_target_still],
)
