"""What DDPG, TD3 and SAC share: an actor, its critics, and the slow copies of both.

The algorithms themselves are in :mod:`companion.rl.ddpg`, :mod:`~companion.rl.td3` and :mod:`~companion.rl.sac`. Each
has a method ``learn`` that reads as its paper's pseudocode; here is the furniture that it stands on.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from copy import deepcopy
from types import SimpleNamespace
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from companion.members import MLP, Adam, flatten
from companion.rl.replay import Batch

__all__ = ["ActorCritic"]


class ActorCritic(ABC):
    """A population of agents with continuous actions: networks, slow copies, optimizers and clocks.

    Actions are in [-1, 1], in units of the largest action that the environment takes.

    Args:
        settings: the algorithm's settings by name; those that decide no shape as tensors ``(member,)``.
        observation_size: numbers in an observation.
        action_size: numbers in an action.
        seeds: one integer a member.
        device: where everything lives.
    """

    DISCRETE = False
    WATCHED: ClassVar[dict[str, str]] = {"loss": "mean", "q_mean": "mean", "q_max": "max"}
    """What `learn` returns to be watched, and what becomes of it between two evaluations."""
    CRITICS = 1
    """Critics that each agent has."""
    OUTPUTS = 1
    """Numbers that an actor puts out for each number of an action."""
    DRAWS: ClassVar[tuple[str, ...]] = ()
    """What `learn` draws: for each of these a standard normal number for each number of a batch's actions."""

    def __init__(
        self,
        settings: SimpleNamespace,
        observation_size: int,
        action_size: int,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.action_size = action_size
        self.uniform = {"random": action_size}
        of_a_batch = settings.batch_size * action_size
        self.normal = {"explore": action_size} | dict.fromkeys(self.DRAWS, of_a_batch)

        actor_sizes = (observation_size, *settings.hidden, self.OUTPUTS * action_size)
        critic_sizes = (observation_size + action_size, *settings.hidden, 1)
        self.actor = MLP(actor_sizes, seeds, activation=torch.relu_, purpose="actor").to(device)
        self.critic = MLP(critic_sizes, seeds, activation=torch.relu_, copies=self.CRITICS, purpose="critic").to(device)
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.actor_optimizer = Adam(self.actor, settings.actor_learning_rate)
        self.critic_optimizer = Adam(self.critic, settings.critic_learning_rate)
        self.actor_weights, self.critic_weights = self.actor_optimizer.weights, self.critic_optimizer.weights
        self.target_actor_weights = flatten(self.target_actor)
        self.target_critic_weights = flatten(self.target_critic).view_as(self.critic_weights)

        # Read once, here: a step may look at no data.
        self.all_clipped = self.CRITICS == 1 or bool(settings.clipped_double_q.all())
        self.all_follow = bool(settings.target_actor.all())
        self.any_follows = bool(settings.target_actor.any())
        self.steps = torch.zeros((), dtype=torch.int64, device=device)
        self.updates = torch.zeros((), dtype=torch.int64, device=device)

    @property
    def cycle(self) -> int:
        """Updates after which they are alike again."""
        return 1

    @torch.no_grad()
    def act(
        self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]
    ) -> Float[Tensor, "member action"]:
        """The policy's action with Gaussian noise, clipped to [-1, 1]; before learning starts a uniform one."""
        action = self.policy(observation[:, None]).squeeze(1)
        action = action + self.settings.exploration_noise[:, None] * noise["explore"]
        return self.random_at_first(action.clamp(-1, 1), noise)

    def random_at_first(
        self, action: Float[Tensor, "member action"], noise: dict[str, Tensor]
    ) -> Float[Tensor, "member action"]:
        """The action, or before learning starts one that is uniform in [-1, 1)."""
        early = self.steps < self.settings.learning_starts
        self.steps.add_(1)
        return torch.where(early, 2 * noise["random"] - 1, action)

    @abstractmethod
    def learn(self, batch: Batch, noise: dict[str, Tensor], update: int) -> dict[str, Float[Tensor, "member"]]:
        """Update all networks once, and return what is to be watched."""

    def label_actor(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch out"]:
        """What the actor that acts in the labels puts out: the slow copy's, or with ``target_actor=False`` its own."""
        if self.all_follow:
            return self.target_actor(observation)
        if not self.any_follows:
            return self.actor(observation)
        follows = self.settings.target_actor[:, None, None]
        return torch.where(follows, self.target_actor(observation), self.actor(observation))

    def smaller(self, values: Float[Tensor, "member 2 batch"]) -> Float[Tensor, "member batch"]:
        """The smaller of two critics' values, or with ``clipped_double_q=False`` the first's."""
        least = values.amin(1)
        if self.all_clipped:
            return least
        return torch.where(self.settings.clipped_double_q[:, None], least, values[:, 0])

    def due_tau(self) -> Float[Tensor, "member"]:
        """Count an update; each member's tau where its period is over, else 0, which leaves its targets as they are."""
        self.updates.add_(1)
        return torch.where(self.updates % self.settings.period == 0, self.settings.tau, 0.0)

    @torch.no_grad()
    def policy(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch action"]:
        """The deterministic action that is evaluated."""
        return self.actor(observation).tanh()

    @torch.no_grad()
    def predict(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch"]:
        """What the first critic says of the policy's action."""
        return self.critic.first(torch.cat((observation, self.policy(observation)), -1)).squeeze(-1)
