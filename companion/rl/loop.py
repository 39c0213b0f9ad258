"""A population in its world: the program of one step, and all that it changes."""

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from companion.population import Noise
from companion.rl.environments import World
from companion.rl.replay import Replay

__all__ = ["Loop"]


class Loop:
    """A population in its world: the program of one step, and all that it changes.

    :meth:`collect` and :meth:`learn` are functions of tensors with fixed shapes. They read nothing back to the host and
    take no branch on data, so a GPU can run them as a recorded graph (a world that is no tensor program excepted, in
    which :meth:`collect` is run as it is). The caller refills ``noise`` before every ``noise.length``-th step.

    Args:
        agents_type: class of the population.
        world: one environment a member.
        settings: the algorithm's settings by name; those that decide no shape as tensors ``(member,)``.
        seeds: one integer a member.
        steps: how many there will be; bounds the memory for the replay.
        device: where everything lives.
    """

    def __init__(
        self,
        agents_type: type,
        world: World,
        settings: SimpleNamespace,
        seeds: Sequence[int],
        steps: int,
        device: torch.device,
    ) -> None:
        self.world = world
        self.agents = agents_type(settings, world.observation_size, world.actions or world.action_size, seeds, device)
        capacity = min(int(settings.buffer_size.max()), steps)
        self.replay = Replay(settings.buffer_size, capacity, world.observation_size, world.action_size)
        uniform = {**self.agents.uniform, "reset": world.reset_width, "replay": settings.batch_size}
        self.noise = Noise(seeds, uniform | self.agents.normal, device, normal=self.agents.normal)
        self.watched = {name: torch.zeros(len(seeds), device=device) for name in self.agents.WATCHED}

    def collect(self) -> dict[str, Float[Tensor, "member _"]]:
        """Every member acts once and remembers what happened; returns the step's random numbers."""
        noise = self.noise.draw()
        observation = self.world.observation.clone()
        action = self.agents.act(observation, noise)
        seen, reward, terminated, real = self.world.step(action, noise["reset"])
        self.replay.store(observation, action.view(len(action), -1).float(), reward, seen, terminated, real)
        return noise

    def step(self, update: int) -> None:
        """Every member acts once, and learns from a batch of what it remembers.

        Args:
            update: how many updates came before, modulo ``agents.cycle``: which of the forms of an update it is.
        """
        noise = self.collect()
        seen = self.agents.learn(self.replay.sample(noise["replay"]), noise, update)
        for name, how in self.agents.WATCHED.items():
            if how == "max":
                torch.maximum(self.watched[name], seen[name], out=self.watched[name])
            else:
                self.watched[name].add_(seen[name])

    def read_watched(self, updates: int) -> dict[str, np.ndarray]:
        """What was watched over the last so many updates, NaN where there were none; then watch afresh."""
        divisors = {name: updates if how == "mean" else min(updates, 1) for name, how in self.agents.WATCHED.items()}
        read = {name: (self.watched[name] / divisors[name]).cpu().numpy() for name in divisors}  # 0/0 is NaN
        for tensor in self.watched.values():
            tensor.zero_()
        return read
