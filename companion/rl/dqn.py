"""Deep Q-learning with a target network (Mnih et al. 2015), a population of agents at once.

The algorithm is :meth:`Agents.act` and :meth:`Agents.learn`, which read as the pseudocode of the paper's Algorithm 1.
A Q-network learns to predict the target

    y = r + γ · max_a Q(s′, a; θ⁻)          (y = r where s′ ended the episode)

from a batch of remembered transitions, where θ⁻ are the weights of the target network. Every ``period`` updates the
target network moves by the line this book is about, θ⁻ ← tau · θ + (1 − tau) · θ⁻. With ``tau=1`` and
``period=10_000`` that is the paper's hard update; with ``tau=0.005`` and ``period=1`` it is a soft one; with ``tau=1``
and ``period=1`` there is no target network. ``double_q=True`` is Double DQN
(van Hasselt, Guez and Silver 2016, section "Double DQN"): the online network chooses the action and the target network
values it,

    y = r + γ · Q(s′, argmax_a Q(s′, a; θ); θ⁻).

Departures from the paper, whose task was Atari games from pixels:

- a small fully connected network on the state, not a convolutional one on frames; no frame is skipped or repeated;
- one gradient update a step, not one every four;
- Adam (Kingma and Ba 2015) in place of RMSProp;
- rewards are not clipped;
- clipping the error to [−1, 1] is written as the Huber loss, whose slope it is, and the bound is a setting;
- an episode cut by its time limit is not treated as ended: its last transition bootstraps from what was really seen.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from companion.averaging import soft_update
from companion.members import MLP, Adam, flatten
from companion.rl.clock import MemberClock
from companion.rl.evaluated import Evaluated
from companion.rl.population import Settled, Watch
from companion.rl.replay import Batch
from companion.rl.resets import Resets
from companion.runs.settings import PerMember, Settings, setting

__all__ = ["Agents", "DQNSettings"]


class DQNSettings(Settings):
    """Hyperparameters of DQN. Where a source is named, the default is its value."""

    tau: PerMember = setting(1.0, least=0, most=1)
    """Weight of the online network in a target update; 1 is a copy (Mnih et al. 2015)."""
    period: PerMember = setting(1, least=1)
    """Gradient updates from one target update to the next (Mnih et al. 2015: 10,000)."""
    learning_rate: PerMember = setting(1e-3, least=0)
    """Adam's step size (Kingma and Ba 2015)."""
    gamma: PerMember = setting(0.99, least=0, most=1)
    """Discount per step (Mnih et al. 2015)."""
    double_q: PerMember = setting(False)
    """Whether the online network chooses the action that the target network values (van Hasselt et al. 2016)."""
    error_clip: PerMember = setting(1.0, least=0, finite=False)
    """Error beyond which the loss grows linearly, in units of value (Mnih et al. 2015); inf is the squared error."""
    reset_every: PerMember = setting(0, least=0)
    """Updates from one reset of the network to the next (Nikishin et al. 2022); 0 is none."""
    average: PerMember = setting(1.0, least=0, most=1)
    """Weight of the network in the average of it that is evaluated; 1 evaluates the network itself."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Transitions in a gradient update (Mnih et al. 2015: 32)."""
    hidden: tuple[int, ...] = setting((64, 64), least=1, shapes=True)
    """Units of each hidden layer, rectified linear."""
    normalization: str = setting("none", among=("none", "layer", "fixed-layer"), shapes=True)
    """Normalisation of hidden layers: none, "layer" (Gallici et al. 2025), or that without learned scales."""
    buffer_size: PerMember = setting(10_000, least=1, most=2**24)
    """Transitions remembered (Mnih et al. 2015: 1,000,000); 1 is no replay, the latest transition only."""
    learning_starts: int = setting(500, least=0, shapes=True)
    """Steps before the first gradient update (Mnih et al. 2015: 50,000)."""
    epsilon_start: PerMember = setting(1.0, least=0, most=1)
    """Probability of a random action at the first step (Mnih et al. 2015)."""
    epsilon_end: PerMember = setting(0.05, least=0, most=1)
    """Probability of a random action once exploration has been annealed (Mnih et al. 2015: 0.1)."""
    epsilon_steps: PerMember = setting(2_000, least=1)
    """Steps over which exploration is annealed linearly (Mnih et al. 2015: 1,000,000)."""


class Agents(Settled):
    """A population of DQN agents: their networks, slow copies, optimizer and clock.

    Args:
        settings: with one value a member.
        observation_size: numbers in an observation.
        actions: number of actions.
        seeds: one integer a member.
        device: where everything lives.
    """

    DISCRETE: ClassVar[bool] = True
    WATCHED: ClassVar[Mapping[str, Watch]] = {"loss": "mean", "q_mean": "mean", "q_max": "max"}
    cycle: int = 1
    steps: Tensor

    def __init__(
        self,
        settings: DQNSettings,
        observation_size: int,
        actions: int,
        seeds: Sequence[int],
        device: torch.device,
    ) -> None:
        super().__init__()
        self.settings = settings
        self.actions = actions
        self.uniform = {"explore": 2}
        self.normal: dict[str, int] = {}
        self.any_double = bool(settings.double_q.any())  # read once, here: a step may look at no data
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64, device=device))

        sizes = (observation_size, *settings.hidden, actions)
        self.online = MLP(sizes, seeds, activation=torch.relu_, normalization=settings.normalization).to(device)
        self.target = deepcopy(self.online).requires_grad_(False)
        self.optimizer = Adam(self.online, settings.learning_rate)
        self.clock = MemberClock(settings.tau, settings.period)
        # In one piece each, a row a member, so that a soft update is one call.
        self.online_weights, self.target_weights = self.optimizer.weights, flatten(self.target)
        self.evaluated = Evaluated(self.online, settings.average)
        self.resets = Resets(settings.reset_every, [self.online_weights, self.target_weights, *self.evaluated.weights])

    @torch.no_grad()
    def act(self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]) -> Int[Tensor, "member"]:
        """Choose an action: a random one with probability ε, else the best by the online network."""
        s = self.settings
        fraction = (1 - self.steps / s.epsilon_steps).clamp(min=0)
        epsilon = s.epsilon_end + (s.epsilon_start - s.epsilon_end) * fraction
        self.steps.add_(1)
        coin, which = noise["explore"].unbind(-1)
        any_action = (which * self.actions).long()
        best = self.online(observation[:, None]).argmax(-1).squeeze(1)
        return torch.where(coin < epsilon, any_action, best)

    def learn(self, batch: Batch, noise: dict[str, Tensor], update: int) -> dict[str, Float[Tensor, "member"]]:
        """Take one gradient step on a batch, then let the target network follow.

        Args:
            batch: transitions of every member.
            noise: nothing; DQN draws no random numbers when it learns.
            update: of any number; all are alike.

        Returns:
            What to watch, a number a member: ``loss``, ``q_mean`` (mean Q(s, a)) and ``q_max`` (largest |Q(s, a)|).
        """
        s = self.settings
        with torch.no_grad():
            q_next = self.target(batch.next_observation)
            value = q_next.amax(-1)
            if self.any_double:
                choice = self.online(batch.next_observation).argmax(-1, keepdim=True)
                value = torch.where(s.double_q[:, None], q_next.gather(-1, choice).squeeze(-1), value)
            y = batch.reward + s.gamma[:, None] * (1 - batch.terminated) * value

        q = self.online(batch.observation).gather(-1, batch.action.long()).squeeze(-1)
        error = q - y
        clipped = error.detach().clamp(-s.error_clip[:, None], s.error_clip[:, None])
        loss = (clipped * (error - clipped / 2)).mean(-1)  # Huber's, whose slope is the clipped error; of each member
        self.optimizer.descend(loss.sum())

        soft_update([self.online_weights], [self.target_weights], self.clock.tick())
        self.evaluated.update(self.online_weights)
        self.resets.tick()

        q = q.detach()
        return {"loss": loss.detach(), "q_mean": q.mean(-1), "q_max": q.abs().amax(-1)}

    @torch.no_grad()
    def values(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch action"]:
        """Q(s, a) of the network that is evaluated: the online one, or the average of it."""
        return self.evaluated.of(self.online)(observation)

    def policy(self, observation: Float[Tensor, "member batch observation"]) -> Int[Tensor, "member batch"]:
        """The best action by the network that is evaluated."""
        return self.values(observation).argmax(-1)

    def predict(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch"]:
        """max_a Q(s, a) of the network that is evaluated."""
        return self.values(observation).amax(-1)
