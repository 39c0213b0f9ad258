"""`broken_losses` above has one line that is wrong, and its agents learn. Find the line from the picture and the
listing, and write `losses(agents, batch, noise, gamma, target_entropy)` that is right. `agents` has `actor`, `critic`,
`target_critic` and `log_temperature` `(member,)`; `noise[0]` is for the next action, `noise[1]` for the new one.
"""

from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, expect, matches, normal, several, transitions
from companion.members import MLP


def losses(agents: Any, batch: Any, noise: Tensor, gamma: float, target_entropy: float) -> tuple[Tensor, ...]:
    """The losses of critics, actor and temperature for a whole population, each a sum over members."""
    from companion.rl.sac import squashed_gaussian

    temperature = agents.log_temperature.detach().exp()[:, None]
    with torch.no_grad():
        action, log_probability = squashed_gaussian(agents.actor(batch.next_observation), noise[0])
        value = agents.target_critic(torch.cat((batch.next_observation, action), -1)).squeeze(-1).amin(1)
        y = batch.reward + gamma * (1 - batch.terminated) * (value - temperature * log_probability)
    q = agents.critic(torch.cat((batch.observation, batch.action), -1)).squeeze(-1)
    of_critics = 0.5 * (q - y[:, None]).square().mean(-1).sum()

    action, log_probability = squashed_gaussian(agents.actor(batch.observation), noise[1])
    value = agents.critic(torch.cat((batch.observation, action), -1)).squeeze(-1).amin(1)
    of_actor = (temperature * log_probability - value).mean(-1).sum()

    excess = -log_probability.detach().mean(-1) - target_entropy
    of_temperature = (agents.log_temperature * excess).sum()
    return of_critics, of_actor, of_temperature


def population() -> SimpleNamespace:
    seeds = [0, 1, 2]
    return SimpleNamespace(
        actor=MLP((3, 16, 2), seeds, purpose="actor").double(),
        critic=MLP((4, 16, 1), seeds, copies=2, purpose="critic").double(),
        target_critic=MLP((4, 16, 1), seeds, copies=2, purpose="target").double().requires_grad_(False),
        log_temperature=torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64, requires_grad=True),
    )


def compare(answer: Answer, which: int, parameters: str, hint: str, of_slope: str) -> None:
    """One of the three losses, and its slope with respect to the weights that it is for."""
    ours, theirs = population(), population()
    batch, noise = transitions(3, observation=3, terminated=0.16), normal(4)(2, 3, 32, 1)
    got, want = answer(theirs, batch, noise, 0.9, -1.0), losses(ours, batch, noise, 0.9, -1.0)
    got = several(got, 3, "Return three losses: of the critics, the actor, the temperature.")
    matches(got[which], want[which], hint)

    def slopes(agents: SimpleNamespace, loss: Tensor) -> list[Any]:
        part = getattr(agents, parameters)
        weights = [part] if isinstance(part, Tensor) else list(part.parameters())
        return list(torch.autograd.grad(loss, weights, allow_unused=True))

    for mine, right in zip(slopes(theirs, got[which]), slopes(ours, want[which]), strict=True):
        expect(mine is not None, of_slope)
        matches(mine, right, of_slope)


def critics_are_right(answer: Answer) -> None:
    """The critics' loss and its slope are right."""
    compare(
        answer,
        0,
        "critic",
        "The critics' loss is off. It was right in the listing: compare yours with (7.9), piece by piece.",
        "The critics' loss has the right value and the wrong slope: the label is a constant.",
    )


def actor_is_right(answer: Answer) -> None:
    """The actor's loss and its slope are right."""
    compare(
        answer,
        1,
        "actor",
        "The actor's loss is off. It was right in the listing: α log π − min Q, the mean over the batch and the sum "
        "over members.",
        "The actor's loss has the right value and the wrong slope: nothing in it may be detached but the temperature.",
    )


def temperature_is_right(answer: Answer) -> None:
    """Each member's temperature follows its own entropy."""
    compare(
        answer,
        2,
        "log_temperature",
        "Critics and actor are right, and so they were. Look at the picture again: what do the suspects' temperatures "
        "have in common that agents with policies of their own cannot have?",
        "The loss has the right value, and the slope for each member is not its own entropy minus the one asked for.",
    )


EXERCISE = Exercise(
    place=5,
    title="Find the line",
    difficulty="hard",
    minutes=40,
    expects="a function of (agents, batch, noise, gamma, target_entropy) that returns three losses",
    solution=losses,
    why="The line took the mean entropy over *all* agents: `.mean()` for `.mean(-1)`. Every temperature then saw the "
    "same error, began at the same value and took the same steps. Six returns hardly give it away: on average over the "
    "agents the entropy follows what was asked for. In a population look for what agents share: it must be nothing.",
    checks=[critics_are_right, actor_is_right, temperature_is_right],
)
