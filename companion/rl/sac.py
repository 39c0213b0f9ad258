"""Soft actor-critic (Haarnoja et al. 2018b, "Algorithms and Applications"), a population of agents at once.

The algorithm is :meth:`Agents.act` and :meth:`Agents.learn`, which read as the pseudocode of the paper's Algorithm 1.
The policy is a distribution, a Gaussian squashed by tanh, and its entropy is a part of what is to be made large. Two
critics learn the target ::

    y = r + γ · (min(Q₁(s′, a′; θ₁⁻), Q₂(s′, a′; θ₂⁻)) − α · log π(a′|s′)),   a′ ~ π(·|s′)

(y = r where s′ ended the episode), the policy climbs E[min(Q₁, Q₂) − α · log π], and the temperature α rises where the
policy's entropy is below the one asked for, and falls where it is above. The critics' slow copies move by the line this
book is about, θ⁻ ← tau · θ + (1 − tau) · θ⁻. The actor has none: the label's action is drawn from the policy itself.
``target_actor=True`` gives it one, to find out what it would be worth.

Departures from the paper:

- the first actions are uniform for 500 steps (paper: 1,000 to 10,000, on its tasks);
- networks and batches are small (paper: 256 and 256 units, batches of 256), and learning rates are 0.001
  (paper: 0.0003);
- the temperature's loss is −log α · (log π + target entropy), as in the authors' code; the paper has α for log α;
- an episode cut by its time limit is not treated as ended.
"""

import math
from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from companion.averaging import soft_update
from companion.members import MLP, Adam, flatten
from companion.members.networks import NORMALIZATIONS
from companion.rl.clock import MemberClock
from companion.rl.continuous import ContinuousAgents, value
from companion.rl.evaluated import Evaluated
from companion.rl.population import Watch
from companion.rl.replay import Batch
from companion.rl.resets import Resets
from companion.runs.settings import PerMember, Settings, setting

__all__ = ["Agents", "SACSettings", "squashed_gaussian"]

LOG_SD = (-20.0, 2.0)
"""Bounds of the logarithm of the Gaussian's standard deviation, as in the authors' code."""


class SACSettings(Settings):
    """Hyperparameters of SAC. Where a source is named, it is Haarnoja et al. 2018b, appendix D."""

    tau: PerMember = setting(0.005, least=0, most=1)
    """Weight of the online critics in a target update (paper: 0.005)."""
    period: PerMember = setting(1, least=1)
    """Updates from one target update to the next (paper: 1, its "target update interval")."""
    actor_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the actor (paper: 3e-4)."""
    critic_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the critics (paper: 3e-4)."""
    temperature_learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size for the logarithm of the temperature (paper: 3e-4)."""
    gamma: PerMember = setting(0.99, least=0, most=1)
    """Discount per step (paper: 0.99)."""
    initial_temperature: PerMember = setting(1.0, least=1e-8)
    """The temperature α at first, and for good where it is not learned: reward that one nat of entropy is worth."""
    learn_temperature: PerMember = setting(True)
    """Whether α is learned (paper: yes)."""
    target_entropy: PerMember = setting(-1.0)
    """Entropy that a learned α aims at, in nats for each number of an action (paper: −1)."""
    clipped_double_q: PerMember = setting(True)
    """Whether labels and actor take the smaller of the two critics' values (paper: yes), else the first critic's."""
    target_actor: PerMember = setting(False)
    """Whether the label's action comes from a slow copy of the actor (paper: no; it is drawn from the actor itself)."""
    reset_every: PerMember = setting(0, least=0)
    """Updates from one reset of all networks to the next (Nikishin et al. 2022: 200,000); 0 is none."""
    average: PerMember = setting(1.0, least=0, most=1)
    """Weight of the actor in the average of it that is evaluated; 1 evaluates the actor itself."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Transitions in an update (paper: 256)."""
    hidden: tuple[int, ...] = setting((64, 64), least=1, shapes=True)
    """Units of each hidden layer, rectified linear (paper: 256 and 256)."""
    normalization: str = setting("none", among=NORMALIZATIONS, shapes=True)
    """Of the critics: none, "layer" (Hiraoka et al. 2022), that without learned scales, "batch" (Bhatt et al. 2024)."""
    buffer_size: PerMember = setting(1_000_000, least=1, most=2**24)
    """Transitions remembered (paper: 1,000,000)."""
    learning_starts: int = setting(500, least=0, shapes=True)
    """Steps of uniform actions before the first update."""


def squashed_gaussian(
    outputs: Float[Tensor, "*batch two_actions"], noise: Float[Tensor, "*batch action"]
) -> tuple[Float[Tensor, "*batch action"], Float[Tensor, "*batch"]]:
    """Draw a = tanh(u), u ~ N(mean, sd²), and the logarithm of its probability density.

    Args:
        outputs: what the actor puts out: the means, then the logarithms of the standard deviations, which are brought
            into [-20, 2].
        noise: standard normal numbers ε, of which u = mean + sd · ε is made, so that gradients reach mean and sd.

    Source: Haarnoja et al. 2018b, appendix C, equation (26). Its log(1 − tanh²u) is written as
    2 (log 2 − u − softplus(−2u)), which is the same and is exact where tanh u rounds to ±1.
    """
    mean, log_sd = outputs.chunk(2, -1)
    log_sd = log_sd.clamp(*LOG_SD)
    u = mean + log_sd.exp() * noise
    of_gaussian = -0.5 * noise.square() - log_sd - 0.5 * math.log(2 * math.pi)
    of_squashing = 2 * (math.log(2) - u - softplus(-2 * u))
    return u.tanh(), (of_gaussian - of_squashing).sum(-1)


class Agents(ContinuousAgents):
    """A population of SAC agents: their networks, slow copies, optimizers, temperatures and clock.

    Args:
        settings: with one value a member.
        observation_size: numbers in an observation.
        action_size: numbers in an action.
        seeds: one integer a member.
        device: where everything lives.
    """

    WATCHED: ClassVar[Mapping[str, Watch]] = {**ContinuousAgents.WATCHED, "entropy": "mean", "temperature": "mean"}
    settings: SACSettings

    def __init__(
        self,
        settings: SACSettings,
        observation_size: int,
        action_size: int,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        super().__init__(settings, action_size, device)
        self.normal |= dict.fromkeys(("next_action", "new_action"), settings.batch_size * action_size)
        self.all_clipped = bool(settings.clipped_double_q.all())

        actor_sizes = (observation_size, *settings.hidden, 2 * action_size)
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

        self.log_temperature = nn.ParameterList([settings.initial_temperature.log()[:, None].clone()])
        rate = torch.where(settings.learn_temperature, settings.temperature_learning_rate, 0.0)
        self.temperature_optimizer = Adam(self.log_temperature, rate)

        self.evaluated = Evaluated(self.actor, settings.average)
        online = [self.actor_weights, self.critic_weights, self.temperature_optimizer.weights]
        slow = [self.target_actor_weights, self.target_critic_weights, *self.evaluated.weights]
        self.resets = Resets(settings.reset_every, [*online, *slow])

    @torch.no_grad()
    def act(
        self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]
    ) -> Float[Tensor, "member action"]:
        """An action drawn from the policy; before learning starts a uniform one."""
        action, _ = squashed_gaussian(self.actor(observation[:, None]).squeeze(1), noise["explore"])
        return self.random_at_first(action, noise)

    def learn(self, batch: Batch, noise: dict[str, Tensor], update: int) -> dict[str, Float[Tensor, "member"]]:
        """One update of the critics, one of the actor, one of the temperature, and one of the critics' slow copies.

        Args:
            batch: transitions of every member.
            noise: ``next_action`` and ``new_action``, standard normal, ``(member, batch · action)`` each.
            update: of any number; all are alike.

        Returns:
            What to watch, a number a member: ``loss`` (the sum of the critics'), ``q_mean`` (mean Q₁(s, a)), ``q_max``
            (largest |Q(s, a)|), ``entropy`` (mean −log π(a|s), in nats) and ``temperature``.
        """
        s = self.settings
        (log_temperature,) = self.log_temperature
        temperature = log_temperature.detach().exp()
        with torch.no_grad():
            outputs = self.label_actor(batch.next_observation)
            next_action, log_prob = squashed_gaussian(outputs, noise["next_action"].view_as(batch.action))
            now, after = (batch.observation, batch.action), (batch.next_observation, next_action)
            values = value(self.target_critic, *after, beside=now)
            soft_value = self.smaller(values) - temperature * log_prob
            y = batch.reward + s.gamma[:, None] * (1 - batch.terminated) * soft_value

        q = value(self.critic, *now, beside=after)
        loss = 0.5 * (q - y[:, None]).square().mean(-1).sum(-1)
        self.critic_optimizer.descend(loss.sum())

        outputs = self.actor(batch.observation)
        action, log_prob = squashed_gaussian(outputs, noise["new_action"].view_as(batch.action))
        values = value(self.critic, batch.observation, action)
        actor_loss = (temperature * log_prob - self.smaller(values)).mean(-1)
        self.actor_optimizer.descend(actor_loss.sum())

        missing = (log_prob.detach() + s.target_entropy[:, None] * self.action_size).mean(-1, keepdim=True)
        self.temperature_optimizer.step([-missing])  # the slope of −log α · missing

        soft_update([self.critic_weights], [self.target_critic_weights], tau := self.clock.tick())
        if self.any_follows:
            soft_update([self.actor_weights], [self.target_actor_weights], tau)
        self.evaluated.update(self.actor_weights)
        self.resets.tick()

        q = q.detach()
        return {
            "loss": loss.detach(),
            "q_mean": q[:, 0].mean(-1),
            "q_max": q.abs().amax((1, 2)),
            "entropy": -log_prob.detach().mean(-1),
            "temperature": temperature.squeeze(-1),
        }

    @torch.no_grad()
    def policy(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch action"]:
        """The deterministic action that is evaluated: tanh of the mean."""
        return self.evaluated.of(self.actor)(observation).chunk(2, -1)[0].tanh()
