"""The numbered listing is DDPG and runs without a murmur. One line stands in a place where it does harm. Hand in its
number.
"""

import inspect
from typing import Any

import torch

from companion.exercises import Exercise, checks_of_a_line


def suspect(agents: Any, batch: Any, gamma: float = 0.99) -> None:
    with torch.no_grad():
        next_action = agents.target_actor(batch.next_observation).tanh()
        next_pair = torch.cat((batch.next_observation, next_action), -1)
        next_value = agents.target_critic(next_pair).squeeze(-1)
        y = batch.reward + gamma * (1 - batch.terminated) * next_value

    q = agents.critic(torch.cat((batch.observation, batch.action), -1)).squeeze(-1)
    loss = (q - y).square().mean(-1).sum()
    loss.backward()
    agents.critic_optimizer.step()
    agents.critic_optimizer.zero_grad()

    action = agents.actor(batch.observation).tanh()
    pair = torch.cat((batch.observation, action), -1)
    climb = agents.critic(pair).mean((-2, -1)).sum()
    (-climb).backward()
    agents.actor_optimizer.step()
    agents.actor_optimizer.zero_grad()

    agents.target_critic.update(agents.critic)
    agents.target_actor.update(agents.actor)


LISTING = inspect.getsource(suspect).rstrip()  # as the reader sees it


INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "with torch.no_grad": "The label is a constant; that line says so, and rightly.",
    "next_action =": "The slow actor is asked about the next observation, as (5.2) wants it.",
    "next_pair =": "Observation and action of the next step, side by side, as the critic takes them.",
    "next_value =": "The slow critic, asked about the next observation and the slow actor's action: (5.2).",
    "y = ": "Reward, discount, and a mask that looks at *terminated* alone: just (5.2).",
    "q = ": "Q of the action that was taken, by the online critic: (5.1).",
    "loss = ": "The mean over each batch, the sum over members. That is as it should be.",
    "loss.backward": "It is right to take this gradient here. But is it the only one in the critic's `.grad` when the "
    "next line steps?",
    "agents.critic_optimizer.step": "It is right to step here. Ask what `.grad` holds then, in the *second* update.",
    "action = ": "The online actor, at the observation of the batch, squashed: (5.3).",
    "pair = ": "The observation and the actor's own action, side by side.",
    "climb = ": "The online critic, and no `no_grad`: the slope has to pass through it to reach the actor.",
    "(-climb)": "You are very near. The slope must pass through the critic to reach the actor, so this line is right. "
    "But `backward` leaves gradients in *everything* it passes through. Who clears them away, and when?",
    "agents.actor_optimizer.step": "The actor steps along its own gradient, which is the only one it has.",
    "agents.actor_optimizer.zero_grad": "The actor's gradients come from one `backward` alone, so clearing them "
    "here is as good as before it. For which network is that not so?",
    "agents.target_critic.update": "Once an update, after the step: (5.4).",
    "agents.target_actor.update": "Once an update, after the step: (5.4), and it is not forgotten.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "critic_optimizer.zero_grad" in line)


EXERCISE = Exercise(
    place=4,
    title="Find the line",
    difficulty="medium",
    minutes=25,
    expects="the number of a line, a whole number",
    solution=guilty_line,
    why="`(-climb).backward()` runs through the critic and leaves $-\\nabla_\\theta Q(s, \\mu(s))$ in the critic's "
    "`.grad`. It stays there, because the critic's gradients are cleared *before* it and not before the next "
    "`loss.backward()`, which adds to it. So every step of the critic also raises the value of the actor's own "
    "actions. A critic that is flattered by its actor overrates it, and nothing forbids its values to pass zero, where "
    "no reward is ever positive. Clear at the start, `critic_optimizer.zero_grad()` right before `loss.backward()`, "
    "and it does not matter who left what.",
    checks=checks_of_a_line(LISTING, INNOCENT),
    value=True,
)
