"""Deep deterministic policy gradient (Lillicrap et al. 2016), a population of agents at once.

The algorithm is :meth:`Agents.learn`, which reads as the pseudocode of the paper's Algorithm 1. A critic Q learns to
predict the target

    y = r + γ · Q(s′, μ(s′; φ⁻); θ⁻)          (y = r where s′ ended the episode)

and an actor μ climbs the critic's slope, ∇φ Q(s, μ(s; φ); θ). Both have a slow copy, and after every update both
copies move by the line this book is about, θ⁻ ← tau · θ + (1 − tau) · θ⁻. ``tau=1`` is no target network, and
``period=C`` with ``tau=1`` a hard update.

Departures from the paper:

- uncorrelated Gaussian noise explores, not an Ornstein-Uhlenbeck process, and the first actions are uniform;
- the first weights are those of ``torch.nn.Linear`` in every layer; the paper draws the last one within ±0.003;
- the action enters the critic at its first layer, not at its second;
- no weight decay in the critic (paper: 0.01) and no batch normalisation;
- networks, memory and batches are small, and both learning rates are 0.001 (paper: 0.0001 for the actor);
- an episode cut by its time limit is not treated as ended.
"""

from collections.abc import Sequence
from copy import deepcopy

import torch
from jaxtyping import Float
from torch import Tensor

from companion.averaging import soft_update
from companion.members import MLP, Adam, flatten
from companion.members.networks import NORMALIZATIONS
from companion.rl.clock import MemberClock
from companion.rl.continuous import ContinuousAgents, value
from companion.rl.evaluated import Evaluated
from companion.rl.replay import Batch
from companion.rl.resets import Resets
from companion.runs.settings import PerMember, Settings, setting

__all__ = ["Agents", "DDPGSettings"]


class DDPGSettings(Settings):
    """Hyperparameters of DDPG. Where a source is named, it is Lillicrap et al. 2016, section 7."""

    tau: PerMember = setting(0.005, least=0, most=1)
    """Weight of the online networks in a target update (paper: 0.001)."""
    period: PerMember = setting(1, least=1)
    """Updates from one target update to the next (paper: 1)."""
    actor_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the actor (paper: 1e-4)."""
    critic_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the critic (paper: 1e-3)."""
    gamma: PerMember = setting(0.99, least=0, most=1)
    """Discount per step (paper: 0.99)."""
    exploration_noise: PerMember = setting(0.1, least=0)
    """Standard deviation of the noise on actions, in units of the largest action."""
    target_actor: PerMember = setting(True)
    """Whether the label's action comes from the actor's slow copy (paper: yes), else from the actor itself."""
    reset_every: PerMember = setting(0, least=0)
    """Updates from one reset of all networks to the next (Nikishin et al. 2022); 0 is none."""
    average: PerMember = setting(1.0, least=0, most=1)
    """Weight of the actor in the average of it that is evaluated; 1 evaluates the actor itself."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Transitions in an update (paper: 64)."""
    hidden: tuple[int, ...] = setting((64, 64), least=1, shapes=True)
    """Units of each hidden layer, rectified linear (paper: 400 and 300)."""
    normalization: str = setting("none", among=NORMALIZATIONS, shapes=True)
    """Of the critic: none, "layer" (Hiraoka et al. 2022), that without learned scales, "batch" (Bhatt et al. 2024)."""
    buffer_size: PerMember = setting(1_000_000, least=1, most=2**24)
    """Transitions remembered (paper: 1,000,000)."""
    learning_starts: int = setting(500, least=0, shapes=True)
    """Steps of uniform actions before the first update."""


class Agents(ContinuousAgents):
    """A population of DDPG agents: their networks, slow copies, optimizers and clock.

    Args:
        settings: with one value a member.
        observation_size: numbers in an observation.
        action_size: numbers in an action.
        seeds: one integer a member.
        device: where everything lives.
    """

    settings: DDPGSettings

    def __init__(
        self,
        settings: DDPGSettings,
        observation_size: int,
        action_size: int,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        super().__init__(settings, action_size, device)

        actor_sizes = (observation_size, *settings.hidden, action_size)
        self.actor = MLP(actor_sizes, seeds, activation=torch.relu_, purpose="actor").to(device)
        self.critic = self.new_critic(observation_size, seeds).to(device)
        self.target_actor = deepcopy(self.actor).requires_grad_(False)
        self.target_critic = deepcopy(self.critic).requires_grad_(False)
        self.actor_optimizer = Adam(self.actor, settings.actor_learning_rate)
        self.critic_optimizer = Adam(self.critic, settings.critic_learning_rate)
        self.clock = MemberClock(settings.tau, settings.period)
        # In one piece each, a row a member, so that a soft update is one call.
        self.actor_weights, self.critic_weights = self.actor_optimizer.weights, self.critic_optimizer.weights
        self.target_actor_weights = flatten(self.target_actor)
        self.target_critic_weights = flatten(self.target_critic).view_as(self.critic_weights)
        self.evaluated = Evaluated(self.actor, settings.average)
        slow = [self.target_actor_weights, self.target_critic_weights, *self.evaluated.weights]
        self.resets = Resets(settings.reset_every, [self.actor_weights, self.critic_weights, *slow])

    def learn(self, batch: Batch, noise: dict[str, Tensor], update: int) -> dict[str, Float[Tensor, "member"]]:
        """One update of the critic, one of the actor, and one of their slow copies.

        Args:
            batch: transitions of every member.
            noise: nothing; DDPG draws no random numbers when it learns.
            update: of any number; all are alike.

        Returns:
            What to watch, a number a member: ``loss`` (the critic's), ``q_mean`` (mean Q(s, a)), ``q_max`` (largest
            |Q(s, a)|).
        """
        s = self.settings
        with torch.no_grad():
            next_action = self.label_actor(batch.next_observation).tanh()
            now, after = (batch.observation, batch.action), (batch.next_observation, next_action)
            next_value = value(self.target_critic, *after, beside=now)
            y = batch.reward + s.gamma[:, None] * (1 - batch.terminated) * next_value

        q = value(self.critic, *now, beside=after)
        loss = (q - y).square().mean(-1)
        self.critic_optimizer.descend(loss.sum())

        action = self.actor(batch.observation).tanh()
        climbed = value(self.critic, batch.observation, action).mean(-1)
        self.actor_optimizer.descend(-climbed.sum())

        online = [self.critic_weights, self.actor_weights]
        target = [self.target_critic_weights, self.target_actor_weights]
        soft_update(online, target, self.clock.tick())
        self.evaluated.update(self.actor_weights)
        self.resets.tick()

        q = q.detach()
        return {"loss": loss.detach(), "q_mean": q.mean(-1), "q_max": q.abs().amax(-1)}
