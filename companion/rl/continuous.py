"""Furniture for agents with continuous actions: how they explore, what is evaluated, and two switches in their labels.

The algorithms themselves, with their networks and slow copies, are :mod:`companion.rl.ddpg`, :mod:`~companion.rl.td3`
and :mod:`~companion.rl.sac`.

``normalization="batch"`` with ``tau=1`` and ``period=1`` makes SAC into CrossQ (Bhatt et al. 2024), apart from these:

- it is batch normalisation for good; in the authors' code batch renormalisation takes over after 100,000 updates;
- the critics alone have it, not the actor;
- the labels come from the slow copies, which then equal the online critics, by a second pass over the same two batches:
  the same values for more work, and with any other ``tau`` a slow copy that is normalised likewise;
- widths, learning rates, Adam's betas and the actor's delay are the algorithm's own (their critics have 2,048 units a
  layer, their first beta is 0.5, and their actor takes a step at every third update).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from companion.members import MLP
from companion.rl.evaluated import Evaluated
from companion.rl.population import Settled, Watch

__all__ = ["ContinuousAgents", "value"]


def value(
    critic: Callable[..., Tensor],
    observation: Float[Tensor, "member batch observation"],
    action: Float[Tensor, "member batch action"],
    beside: tuple[Tensor, Tensor] | None = None,
) -> Float[Tensor, "member *copy batch"]:
    """Q(s, a) of a critic; where it has several copies, of each.

    A critic with batch normalisation takes its statistics over these pairs and those that are given ``beside`` them,
    as CrossQ does (Bhatt et al. 2024, section 3.2), so that both are normalised alike; or else goes by the averages.
    """
    pairs = torch.cat((observation, action), -1)
    if beside is None or not (isinstance(critic, MLP) and critic.batch_norm):
        return critic(pairs).squeeze(-1)
    return critic(pairs, torch.cat(beside, -1)).squeeze(-1)


class ContinuousAgents(Settled):
    """Agents that act by an actor and are judged by a critic; an algorithm adds both, and ``learn``.

    Actions are in [-1, 1], in units of the largest action that the environment takes.

    Args:
        settings: the algorithm's own, with one value a member.
        action_size: numbers in an action.
        device: where everything lives.
    """

    DISCRETE: ClassVar[bool] = False
    WATCHED: ClassVar[Mapping[str, Watch]] = {"loss": "mean", "q_mean": "mean", "q_max": "max"}
    settings: Any
    cycle: int = 1
    actor: MLP
    critic: MLP
    target_actor: MLP
    evaluated: Evaluated
    steps: Tensor
    all_clipped: bool

    def __init__(self, settings: Any, action_size: int, device: torch.device) -> None:
        super().__init__()
        self.settings = settings
        self.action_size = action_size
        self.uniform = {"random": action_size}
        self.normal = {"explore": action_size}
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=device))
        # Read once, here: a step may look at no data.
        self.all_follow = bool(settings.target_actor.all())
        self.any_follows = bool(settings.target_actor.any())

    def new_critic(self, observation_size: int, seeds: Sequence[int], *, copies: int = 1) -> MLP:
        """A critic of pairs (observation, action), or several copies of one with weights of their own."""
        s = self.settings
        sizes = (observation_size + self.action_size, *s.hidden, 1)
        return MLP(sizes, seeds, activation=torch.relu_, copies=copies, purpose="critic", normalization=s.normalization)

    @torch.no_grad()
    def act(
        self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]
    ) -> Float[Tensor, "member action"]:
        """The policy's action with Gaussian noise, clipped to [-1, 1]; before learning starts a uniform one."""
        action = self.actor(observation[:, None]).squeeze(1).tanh()
        action = action + self.settings.exploration_noise[:, None] * noise["explore"]
        return self.random_at_first(action.clamp(-1, 1), noise)

    def random_at_first(
        self, action: Float[Tensor, "member action"], noise: dict[str, Tensor]
    ) -> Float[Tensor, "member action"]:
        """The action, or before learning starts one that is uniform in [-1, 1)."""
        early = self.steps < self.settings.learning_starts
        self.steps.add_(1)
        return torch.where(early, 2 * noise["random"] - 1, action)

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

    @torch.no_grad()
    def policy(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch action"]:
        """The deterministic action that is evaluated: the actor's, or that of the average of it."""
        return self.evaluated.of(self.actor)(observation).tanh()

    @torch.no_grad()
    def predict(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch"]:
        """What the first critic says of the policy's action."""
        return value(self.critic.first, observation, self.policy(observation))
