"""Where members act: one environment for each, and the bookkeeping of episodes around them.

What an algorithm must not get wrong is here, once: the next observation that is remembered is what was really seen
last, never the first of the next episode; and time running out is told apart from the episode's end.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from companion.members import Streams
from companion.rl.environments.environment import Environment
from companion.version import __version__

__all__ = ["Player", "TensorWorld", "Transition", "World"]


class Transition(NamedTuple):
    """What came of every member's action."""

    next_observation: Float[Tensor, "member observation"]
    """What was seen last: of a finished episode its last observation, never one of the next episode."""
    reward: Float[Tensor, "member"]
    terminated: Float[Tensor, "member"]
    """1 where the episode ended by its own rules; 0 where it goes on, and where merely its time ran out."""
    real: Bool[Tensor, "member"] | None = None
    """False where there was no transition but a reset; None where all are real."""


@runtime_checkable
class Player(Protocol):
    """What a world asks of the agents whose return it measures."""

    def policy(self, observation: Float[Tensor, "member batch observation"]) -> Tensor:
        """The action to evaluate."""

    def predict(self, observation: Float[Tensor, "member batch observation"]) -> Float[Tensor, "member batch"]:
        """The return that the agent expects of it, discounted."""


@runtime_checkable
class World(Protocol):
    """One environment a member.

    Continuous actions are in [-1, 1], in units of the largest action that the environment takes.
    """

    seeds: Sequence[int]
    """One integer a member."""
    device: torch.device
    """Where actions come from, and what is seen goes."""
    observation_size: int
    action_size: int
    """Numbers in an action; 1 where actions are discrete."""
    actions: int | None
    """Number of discrete actions; None where actions are continuous."""
    time_limit: int
    simulator: str
    """What computes the environment, with versions."""
    registered: dict[str, Any]
    """All that decides what the environment is beside its name, see ``companion.runs.described``;
    nothing where that is the package's own."""
    captured: bool
    """Whether `step` is a tensor program, which a GPU can record."""
    reset_width: int
    """Uniform numbers that a step may need to start an episode."""
    observation: Float[Tensor, "member observation"]
    """What every member sees now."""

    def step(self, action: Tensor, noise: Float[Tensor, "member width"]) -> Transition:
        """Act once; where an episode is over, the next one starts."""

    def play(
        self,
        agents: Player,
        gamma: Float[Tensor, "member"],
        *,
        episodes: int,
        horizon: int,
        film: bool = False,
        look: Callable[[], None] = lambda: None,
    ) -> dict[str, np.ndarray]:
        """Play greedy episodes elsewhere, always from the same start states, and measure their returns.

        Args:
            agents: who plays.
            gamma: discount of each member.
            episodes: how many for each member.
            horizon: steps over which the discounted return is summed, which may lie beyond the time limit.
            film: whether to return what was seen in the first episode.
            look: called before every step; what it raises ends the playing, which leaves no trace.

        Returns:
            Means over the episodes, a number a member: ``return`` (of the steps within the time limit),
            ``discounted_return`` and ``predicted`` (what the agent expected at the start). With ``film`` also
            ``episode``: observations ``(member, frame, observation)``, NaN after its end.
        """

    def state_dict(self) -> dict[str, Tensor]:
        """All that a checkpoint needs; it shares the world's memory."""

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state` was taken."""


class TensorWorld:
    """A tensor program as every member's environment; a :class:`World`.

    Args:
        environment: the tensor program.
        seeds: one integer a member.
        device: where it runs.
    """

    simulator = f"companion {__version__}"
    captured = True

    def __init__(self, environment: Environment, seeds: Sequence[int], device: torch.device) -> None:
        self.environment = environment
        self.seeds = seeds
        self.device = device
        self.observation_size = environment.observation_size
        self.action_size = environment.action_size or 1
        self.actions = environment.actions
        self.time_limit = environment.time_limit
        self.reset_width = environment.reset_width
        self.registered: dict[str, Any] = {}
        self.now = self.start("start", 1).squeeze(1)
        """Every member's state."""
        self.observation = environment.observe(self.now).clone()
        self.elapsed = torch.zeros(len(seeds), dtype=torch.int64, device=device)
        """Steps since the episode began."""

    def start(self, purpose: str, episodes: int) -> Float[Tensor, "member episode state"]:
        """Start states, of a purpose's own random stream."""
        noise = Streams(self.seeds, purpose).uniform(episodes, self.environment.reset_width)
        return self.environment.reset(torch.from_numpy(noise).to(self.device))

    def step(self, action: Tensor, noise: Float[Tensor, "member width"]) -> Transition:
        """Act once; where an episode is over, the next one starts."""
        environment = self.environment
        state, reward, terminated = environment.step(self.now, self._scaled(action))
        seen = environment.observe(state)
        # Out of time is not terminated: the next episode starts, but what was cut short is still bootstrapped, from
        # the state that was reached.
        self.elapsed.add_(1)
        over = terminated | (self.elapsed >= self.time_limit)
        self.now.copy_(torch.where(over[:, None], environment.reset(noise), state))
        self.observation.copy_(environment.observe(self.now))
        self.elapsed.mul_(~over)
        return Transition(seen, reward, terminated.float())

    @torch.no_grad()
    def play(
        self,
        agents: Player,
        gamma: Float[Tensor, "member"],
        *,
        episodes: int,
        horizon: int,
        film: bool = False,
        look: Callable[[], None] = lambda: None,
    ) -> dict[str, np.ndarray]:
        """Play greedy episodes, see :meth:`World.play`; one more start state where a film is asked for is its own."""
        environment = self.environment
        state = self.start("film", 1) if film else self.start("evaluation", episodes)
        alive = torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)
        total, discounted, discount = (torch.zeros(state.shape[:2], device=state.device) for _ in range(3))
        discount += 1
        observation = environment.observe(state)
        predicted = agents.predict(observation).mean(-1)
        frames = [observation[:, 0]]
        for t in range(self.time_limit if film else max(self.time_limit, horizon)):
            look()
            if t % 25 == 0 and not alive.any():  # a look at data, outside the training step
                break
            state, reward, terminated = environment.step(state, self._scaled(agents.policy(observation)))
            observation = environment.observe(state)
            if t < self.time_limit:
                total += torch.where(alive, reward, 0.0)
            if t < horizon:
                discounted += torch.where(alive, discount * reward, 0.0)
            discount *= gamma[:, None]
            if film:
                frames.append(torch.where(alive[:, :1], observation[:, 0], torch.nan))
            alive &= ~terminated
        measured = {"return": total.mean(-1), "discounted_return": discounted.mean(-1), "predicted": predicted}
        if film:
            measured["episode"] = torch.full((len(state), self.time_limit + 1, self.observation_size), torch.nan)
            measured["episode"][:, : len(frames)] = torch.stack(frames, 1)
        return {name: tensor.cpu().numpy() for name, tensor in measured.items()}

    def state_dict(self) -> dict[str, Tensor]:
        """States, observations and clocks."""
        return {"now": self.now, "observation": self.observation, "elapsed": self.elapsed}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state` was taken."""
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])

    def _scaled(self, action: Tensor) -> Tensor:
        high = self.environment.action_high
        return action if high is None else action * high
