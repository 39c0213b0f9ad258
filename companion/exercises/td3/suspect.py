"""The agents in the figure were trained with the mistake of one line of the numbered listing. They swing up, and their
loss falls. Hand in the line's number.
"""

import inspect
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from companion.averaging import soft_update
from companion.exercises import Exercise, checks_of_a_line
from companion.members import MLP


def suspect(
    seeds: list[int],
    batches: Iterable[Any],
    tau: float = 0.05,
    gamma: float = 0.99,
) -> tuple[MLP, MLP]:
    def q(critic: MLP, observation: Tensor, action: Tensor) -> Tensor:
        pair = torch.cat((observation, action), -1).repeat_interleave(2, dim=0)
        return critic(pair).view(len(seeds), 2, -1)  # (member, copies, batch)

    actor = MLP((3, 64, 64, 1), seeds, purpose="actor")  # one a member
    twins = MLP((4, 64, 64, 1), [s for s in seeds for _ in (1, 2)], purpose="critic")
    target_actor, target_twins = deepcopy(actor), deepcopy(twins)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)
    twins_optimizer = torch.optim.Adam(twins.parameters(), lr=1e-3)

    for k, batch in enumerate(batches, 1):
        with torch.no_grad():
            noise = (0.2 * torch.randn_like(batch.action)).clamp(-0.5, 0.5)
            next_action = target_actor(batch.next_observation).tanh() + noise
            next_action = next_action.clamp(-1, 1)
            value = q(target_twins, batch.next_observation, next_action).amin(dim=1)
            y = batch.reward + gamma * value

        error = q(twins, batch.observation, batch.action) - y[:, None]
        loss = error.square().mean(-1).sum()
        twins_optimizer.zero_grad()
        loss.backward()
        twins_optimizer.step()

        if k % 2 == 0:
            action = actor(batch.observation).tanh()
            gain = q(twins, batch.observation, action)[:, 0].mean(-1).sum()
            actor_optimizer.zero_grad()
            (-gain).backward()
            actor_optimizer.step()

        soft_update(twins, target_twins, tau)
        soft_update(actor, target_actor, tau)
    return actor, twins


LISTING = inspect.getsource(suspect).rstrip()  # as the reader sees it


INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "seeds: ": "One seed a member.",
    "batches: ": "What comes in, one batch an update.",
    "tau: ": "The chapter's, at every update.",
    "gamma: ": "The paper's, and the chapter's.",
    ") -> tuple": "That line only names what comes out.",
    "def q": "That line only names what comes in, and what shape comes out.",
    "pair = ": "Each member's batch twice, once for each of its two networks, side by side: as the twins lie.",
    "return critic(pair)": "Two networks a member, side by side along the first axis: the view is right.",
    "actor = ": "The actor of every member starts from weights of its own seed.",
    "target_actor, target_twins": "Slow copies start as exact copies.",
    "actor_optimizer = ": "The paper's learning rate.",
    "twins_optimizer = ": "One optimizer for both critics: Adam treats every weight by itself.",
    "for k, batch": "Updates are counted from 1, as everywhere in the book.",
    "with torch.no_grad": "A label is a constant; that line says so, and rightly.",
    "noise = ": "The noise is scaled, then clipped to ±0.5, as in the paper.",
    "next_action = t": "The noise is added to what the slow copy of the actor does.",
    "next_action = n": "The smoothed action is brought back to [−1, 1].",
    "value = ": "The smaller of the two, over the axis of the copies. Ask what it is the smaller *of*.",
    "y = ": "Pendulum never terminates, so nothing is masked.",
    "error = ": "Both critics are fitted to one label.",
    "loss = ": "Each critic's loss is a mean over the batch, and their sum is what is descended.",
    "twins_optimizer.zero_grad": "Cleared right before `backward`, whoever left what there.",
    "loss.backward": "The slope of the loss in the twins' weights; the label has none.",
    "twins_optimizer.step": "One step down the loss.",
    "if k % 2": "The actor waits for every second update.",
    "action = ": "The online actor's action, through which the gradient flows into the actor.",
    "gain = ": "The paper's actor climbs the first critic only.",
    "actor_optimizer.zero_grad": "Cleared right before `backward`.",
    "(-gain)": "It leaves gradients in the twins as well, but those are cleared before they are used.",
    "actor_optimizer.step": "One step up the gain.",
    "soft_update(twins": "The paper moves the copies where it moves the actor; ours move at every update, by choice.",
    "soft_update(actor": "The paper moves the copies where it moves the actor; ours move at every update, by choice.",
    "return actor, twins": "That line only hands out what was trained.",
}


@torch.no_grad()
def plant(critic: MLP, target_critic: MLP, members: slice) -> None:
    """Make these members' twins alike, as the wrong line does; the chapter calls it without saying what it is."""
    for network in (critic, target_critic):
        for weights in network.parameters():
            twins = weights.unflatten(0, (-1, 2))[members]
            twins[:, 1] = twins[:, 0]


def guilty_line() -> int:
    return 1 + next(number for number, line in enumerate(LISTING.splitlines()) if line.strip().startswith("twins = "))


CLUE = (
    "The right side of the figure is the clue: these agents' values lie above TD3's, as if nothing were clipped. When "
    "does the smaller of two numbers take nothing away?"
)


EXERCISE = Exercise(
    place=4,
    title="Find the line",
    difficulty="medium",
    minutes=15,
    expects="the number of a line, a whole number",
    solution=guilty_line,
    why="The line makes two critics for each member, and gives both the member's seed, on which first weights depend: "
    "they start alike. Twins that start alike, see the same batches and are fitted to the same labels stay alike for "
    "ever: the minimum of the two is the first, and the clipped double Q is a plain one. Nothing in the return gives "
    "it away. The mean distance $|Q_1 - Q_2|$ does: it is exactly 0. `copies=2` draws different weights for each.",
    checks=checks_of_a_line(LISTING, {start: f"That is in order. {alibi} {CLUE}" for start, alibi in INNOCENT.items()}),
    value=True,
)
