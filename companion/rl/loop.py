"""A population in its world: the program of one step, and all that it changes."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from companion.members import Noise
from companion.rl.algorithms import Population
from companion.rl.environments import World
from companion.rl.replay import Replay
from companion.runs.capture import Captured, warn_unrecorded
from companion.runs.lasting import Lasting, put_back
from companion.runs.memory import keep_freed_memory

__all__ = ["Loop"]


class Loop:
    """A population in its world: the program of one step, and all that it changes.

    :meth:`collect` and :meth:`learn` are functions of tensors with fixed shapes. They read nothing back to the host and
    take no branch on data, so a GPU can run them as a recorded graph (a world that is no tensor program excepted, in
    which :meth:`collect` is run as it is): :meth:`programs`. The caller refills ``noise`` before every
    ``noise.length``-th step.

    Args:
        agents: the population, on the device of the world.
        world: one environment a member.
        steps: how many there will be; bounds the memory for the replay.
    """

    def __init__(self, agents: Population, world: World, steps: int) -> None:
        keep_freed_memory()
        self.agents = agents
        self.world = world
        self.device = world.device
        settings, seeds = agents.settings, world.seeds
        capacity = min(int(settings.buffer_size.max()), steps)
        self.replay = Replay(settings.buffer_size, capacity, world.observation_size, world.action_size)
        uniform = {**agents.uniform, "reset": world.reset_width, "replay": settings.batch_size}
        self.noise = Noise(seeds, uniform | agents.normal, self.device, normal=agents.normal)
        self.watched = {name: torch.zeros(len(seeds), device=self.device) for name in agents.WATCHED}
        self._lasting = Lasting({"agents": self.agents, "replay": self.replay, "watched": self.watched})

    def collect(self) -> None:
        """Every member acts once and remembers what happened."""
        noise = self.noise.draw()
        observation = self.world.observation.clone()
        action = self.agents.act(observation, noise)
        seen, reward, terminated, real = self.world.step(action, noise["reset"])
        self.replay.store(observation, action.view(len(action), -1).float(), reward, seen, terminated, real)

    def learn(self, update: int) -> None:
        """Every member learns from a batch of what it remembers, by the random numbers that :meth:`collect` drew.

        Args:
            update: how many updates came before, modulo ``agents.cycle``: which of the forms of an update it is.
        """
        noise = self.noise.drawn
        seen = self.agents.learn(self.replay.sample(noise["replay"]), noise, update)
        for name, how in self.agents.WATCHED.items():
            if how == "max":
                torch.maximum(self.watched[name], seen[name], out=self.watched[name])
            else:
                self.watched[name].add_(seen[name])

    def step(self, update: int) -> None:
        """Every member acts once, and learns once."""
        self.collect()
        self.learn(update)

    def updates(self, steps: int) -> int:
        """Updates in the first so many steps: one in each that comes after ``learning_starts``."""
        return max(0, steps - self.agents.settings.learning_starts)

    def programs(
        self, report: Callable[[str], object] = warn_unrecorded
    ) -> tuple[Callable[[], None], list[Callable[[], None]]]:
        """:meth:`collect`, and each form of :meth:`step`, as a GPU records and replays them; a CPU just calls them.

        Args:
            report: is told why one could not be recorded.
        """
        captured = partial(Captured, device=self.device, report=report)
        forms = range(self.agents.cycle)
        if self.world.captured:
            return captured(self.collect), [captured(partial(self.step, i)) for i in forms]

        def step(learn: Captured) -> None:
            self.collect()
            learn()

        return self.collect, [partial(step, captured(partial(self.learn, i))) for i in forms]

    def read_watched(self, updates: int) -> dict[str, np.ndarray]:
        """What was watched over the last so many updates, NaN where there were none; then watch afresh."""
        divisors = {name: updates if how == "mean" else min(updates, 1) for name, how in self.agents.WATCHED.items()}
        read = {name: (self.watched[name] / divisors[name]).cpu().numpy() for name in divisors}  # 0/0 is NaN
        for tensor in self.watched.values():
            tensor.zero_()
        return read

    def state(self) -> dict[str, Any]:
        """All that a checkpoint needs beside the number of steps; it shares the loop's memory.

        Raises:
            TypeError: the agents hold what a checkpoint cannot, such as an optimizer of torch's.
            ValueError: they keep something that lasts elsewhere than in the values of tensors.
        """
        return {"tensors": self._lasting.tensors(), "world": self.world.state()}

    def load_state(self, state: dict[str, Any], steps: int) -> None:
        """Go on from where :meth:`state` was taken, after so many steps.

        Raises:
            ValueError: the state is of another program. Nothing is changed.
            RuntimeError: the world cannot go on from there.
        """
        put_back(self._lasting.thing, state["tensors"])
        self.world.load_state(state["world"])
        self.noise.seek(steps)
