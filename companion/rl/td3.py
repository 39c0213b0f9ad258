"""Twin delayed deep deterministic policy gradient (Fujimoto, van Hoof and Meger 2018), a population of agents at once.

The algorithm is :meth:`Agents.learn`, which reads as the pseudocode of the paper's Algorithm 1.
It is DDPG with three changes, each of which can be taken away again:

- *clipped double Q*: two critics, and a label made with the smaller of their slow copies' values,

      y = r + γ · min(Q₁(s′, ã; θ₁⁻), Q₂(s′, ã; θ₂⁻))          (y = r where s′ ended the episode);

- *target policy smoothing*: the label's action has noise on it, ã = clip(μ(s′; φ⁻) + clip(ε, −c, c), −1, 1) with
  ε ~ N(0, σ²);
- *delayed policy updates*: the actor takes a step at every ``policy_delay``-th update, by the first critic's slope.

The slow copies move by the line this book is about, θ⁻ ← tau · θ + (1 − tau) · θ⁻, at every ``period``-th update.
In the paper one number d is the delay of both the actor and the slow copies; here they are two settings, both 2 by
default.

Departures from the paper (and from the authors' code, which it cites):

- the first actions are uniform for 500 steps (paper: 1,000 to 10,000);
- networks and batches are small (paper: 400 and 300 units, batches of 100), and the discount, learning rates and noise
  are the paper's;
- actions are scaled to [-1, 1] everywhere in the agent;
- an episode cut by its time limit is not treated as ended (the authors' code does the same).
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

__all__ = ["Agents", "TD3Settings"]


class TD3Settings(Settings):
    """Hyperparameters of TD3. Where a source is named, it is Fujimoto et al. 2018, section 6.1 and appendix C."""

    tau: PerMember = setting(0.005, least=0, most=1)
    """Weight of the online networks in a target update (paper: 0.005)."""
    period: PerMember = setting(2, least=1)
    """Updates from one target update to the next (paper: 2, its d)."""
    actor_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the actor (paper: 1e-3)."""
    critic_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the critics (paper: 1e-3)."""
    gamma: PerMember = setting(0.99, least=0, most=1)
    """Discount per step (paper: 0.99)."""
    exploration_noise: PerMember = setting(0.1, least=0)
    """Standard deviation of the noise on actions, in units of the largest action (paper: 0.1)."""
    target_noise: PerMember = setting(0.2, least=0)
    """Standard deviation σ of the noise on the label's action, in the same units (paper: 0.2); 0 is no smoothing."""
    target_noise_clip: PerMember = setting(0.5, least=0)
    """Largest magnitude c of that noise (paper: 0.5)."""
    clipped_double_q: PerMember = setting(True)
    """Whether the label takes the smaller of the two critics' values (paper: yes), else the first critic's."""
    target_actor: PerMember = setting(True)
    """Whether the label's action comes from the actor's slow copy (paper: yes), else from the actor itself."""
    reset_every: PerMember = setting(0, least=0)
    """Updates from one reset of all networks to the next (Nikishin et al. 2022); 0 is none."""
    average: PerMember = setting(1.0, least=0, most=1)
    """Weight of the actor in the average of it that is evaluated; 1 evaluates the actor itself."""
    policy_delay: int = setting(2, least=1, shapes=True)
    """Updates of the critics for each one of the actor (paper: 2, its d)."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Transitions in an update (paper: 100)."""
    hidden: tuple[int, ...] = setting((64, 64), least=1, shapes=True)
    """Units of each hidden layer, rectified linear (paper: 400 and 300)."""
    normalization: str = setting("none", among=NORMALIZATIONS, shapes=True)
    """Of the critics: none, "layer" (Hiraoka et al. 2022), that without learned scales, "batch" (Bhatt et al. 2024)."""
    buffer_size: PerMember = setting(1_000_000, least=1, most=2**24)
    """Transitions remembered (paper: all of a million)."""
    learning_starts: int = setting(500, least=0, shapes=True)
    """Steps of uniform actions before the first update (paper: 1,000 or 10,000)."""


class Agents(ContinuousAgents):
    """A population of TD3 agents: their networks, slow copies, optimizers and clock.

    Args:
        settings: with one value a member.
        observation_size: numbers in an observation.
        action_size: numbers in an action.
        seeds: one integer a member.
        device: where everything lives.
    """

    settings: TD3Settings

    def __init__(
        self,
        settings: TD3Settings,
        observation_size: int,
        action_size: int,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        super().__init__(settings, action_size, device)
        self.all_clipped = bool(settings.clipped_double_q.all())
        self.cycle = settings.policy_delay
        self.normal["smoothing"] = settings.batch_size * action_size

        actor_sizes = (observation_size, *settings.hidden, action_size)
        self.actor = MLP(actor_sizes, seeds, activation=torch.relu_, purpose="actor").to(device)
        self.critic = self.new_critic(observation_size, seeds, copies=2).to(device)
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
        """One update of the critics, one of the actor if it is its turn, and one of the slow copies if it is theirs.

        Args:
            batch: transitions of every member.
            noise: ``smoothing``, standard normal, ``(member, batch · action)``.
            update: how many updates came before; the actor's turn is every ``policy_delay``-th, counted from 1.

        Returns:
            What to watch, a number a member: ``loss`` (the sum of the critics'), ``q_mean`` (mean Q₁(s, a)), ``q_max``
            (largest |Q(s, a)|).
        """
        s = self.settings
        with torch.no_grad():
            bound = s.target_noise_clip[:, None]
            smoothing = (s.target_noise[:, None] * noise["smoothing"]).clamp(-bound, bound).view_as(batch.action)
            next_action = (self.label_actor(batch.next_observation).tanh() + smoothing).clamp(-1, 1)
            now, after = (batch.observation, batch.action), (batch.next_observation, next_action)
            values = value(self.target_critic, *after, beside=now)
            y = batch.reward + s.gamma[:, None] * (1 - batch.terminated) * self.smaller(values)

        q = value(self.critic, *now, beside=after)
        loss = (q - y[:, None]).square().mean(-1).sum(-1)
        self.critic_optimizer.descend(loss.sum())

        if (update + 1) % s.policy_delay == 0:
            action = self.actor(batch.observation).tanh()
            climbed = value(self.critic.first, batch.observation, action).mean(-1)
            self.actor_optimizer.descend(-climbed.sum())

        online = [self.critic_weights, self.actor_weights]
        target = [self.target_critic_weights, self.target_actor_weights]
        soft_update(online, target, self.clock.tick())
        self.evaluated.update(self.actor_weights)
        self.resets.tick()

        q = q.detach()
        return {"loss": loss.detach(), "q_mean": q[:, 0].mean(-1), "q_max": q.abs().amax((1, 2))}
