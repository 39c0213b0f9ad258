"""A population in its world: the program of a training run."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from companion.members import Noise
from companion.rl.environments import World
from companion.rl.population import Population
from companion.rl.replay import Replay
from companion.runs.capture import Captured, warn_unrecorded
from companion.runs.state import StateGuard

__all__ = ["Loop"]


class Loop:
    """A population in its world: the program of a training run.

        loop = Loop(agents, world, steps=1_000)
        for step in range(1, 1_001):
            loop.step(step)
        loop.measure(1_000)["return"]

    :meth:`collect` and :meth:`learn` are functions of tensors with fixed shapes. They read nothing back to the host and
    take no branch on data, so that a GPU records them as a graph and replays it, while a CPU just calls them. (In a
    world that is no tensor program :meth:`collect` is run as it is.)

    Args:
        agents: the population, on the device of the world.
        world: one environment a member.
        steps: how many there will be; bounds the memory for the replay.
        evaluation_episodes: greedy ones in an evaluation, of each agent.
        horizon: steps over which the discounted return is summed; by default the time limit.
        film: whether one greedy episode of each agent is measured after the last step.
        report: is told why a GPU could not record a step.
    """

    def __init__(
        self,
        agents: Population,
        world: World,
        steps: int,
        *,
        evaluation_episodes: int = 10,
        horizon: int | None = None,
        film: bool = False,
        report: Callable[[str], object] = warn_unrecorded,
    ) -> None:
        self.agents = agents
        self.world = world
        self.steps = steps
        self.evaluation_episodes = evaluation_episodes
        self.film = film
        settings, seeds = agents.settings, world.seeds
        horizon = world.time_limit if horizon is None else horizon
        self._play = partial(world.play, agents, settings.gamma, horizon=horizon)

        capacity = min(int(settings.buffer_size.max()), steps)
        self.replay = Replay(settings.buffer_size, capacity, world.observation_size, world.action_size)
        uniform = {**agents.uniform, "reset": world.reset_width, "replay": settings.batch_size}
        self.noise = Noise(seeds, {**uniform, **agents.normal}, world.device, normal=agents.normal)
        self.watched = {name: torch.zeros(len(seeds), device=world.device) for name in agents.WATCHED}
        self.taken = 0
        """Steps that were taken."""
        self.measured = 0
        """After how many of them it was measured last."""
        self._guard = StateGuard(agents, "agents")  # type: ignore[arg-type]  # a module, as all that we make

        captured = partial(Captured, device=world.device, report=report)
        learn = [partial(self.learn, update) for update in range(agents.cycle)]
        self._collect: Callable[[], None] = captured(self.collect) if world.captured else self.collect
        self._both: list[Callable[[], None]] = [
            captured(partial(self._collect_and, each)) if world.captured else partial(self._collect_and, captured(each))
            for each in learn
        ]

    def step(self, step: int) -> None:
        """Take step 1, 2, 3, …: every member acts once and, after ``learning_starts`` steps, learns once."""
        if (step - 1) % self.noise.length == 0:
            self.noise.refill()
        update = self.updates(step)
        with self._threads():
            if update == 0:
                self._collect()
            else:
                self._both[(update - 1) % self.agents.cycle]()
        self.taken = step

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
            update: how many updates came before, modulo ``agents.cycle``.
        """
        noise = self.noise.drawn
        seen = self.agents.learn(self.replay.sample(noise["replay"]), noise, update)
        for name, how in self.agents.WATCHED.items():
            if how == "max":
                torch.maximum(self.watched[name], seen[name], out=self.watched[name])
            else:
                self.watched[name].add_(seen[name])

    def updates(self, steps: int) -> int:
        """Updates in the first so many steps: one in each that comes after ``learning_starts``."""
        return max(0, steps - self.agents.settings.learning_starts)

    def measure(self, step: int, look: Callable[[], None] = lambda: None) -> dict[str, np.ndarray]:
        """Play greedy episodes, and read what was watched since the last measurement.

        Args:
            step: how many were taken.
            look: called again and again meanwhile; what it raises ends the measurement, which leaves no trace.

        Returns:
            A number a member: ``return``, ``discounted_return``, ``predicted`` and, if there were updates since the
            last measurement, what the agents watch. After the last step, with ``film``, also ``episode``, ``(member,
            frame, observation)``.
        """
        with self._threads():
            measured = self._play(episodes=self.evaluation_episodes, look=look)
            if self.film and step == self.steps:
                measured["episode"] = self._play(episodes=1, film=True, look=look)["episode"]
        if updates := self.updates(step) - self.updates(self.measured):
            for name, how in self.agents.WATCHED.items():
                measured[name] = (self.watched[name] / (updates if how == "mean" else 1)).cpu().numpy()
                self.watched[name].zero_()
        self.measured = step
        return measured

    def state_dict(self) -> dict[str, Any]:
        """All that lasts between two steps; it shares the loop's memory.

        Raises:
            TypeError: the agents hold what a checkpoint cannot, such as an optimizer of torch's.
            ValueError: they go on from something that is not in their ``state_dict()``.
        """
        self._guard.check()
        return {
            "agents": self.agents.state_dict(),
            "replay": self.replay.state_dict(),
            "watched": dict(self.watched),
            "world": self.world.state_dict(),
            "taken": self.taken,  # which is the noise's position, too
            "measured": self.measured,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from where :meth:`state_dict` was taken, in place.

        Raises:
            RuntimeError: the state is of other agents, or the world cannot go on from there.
        """
        self.agents.load_state_dict(state["agents"])
        self.replay.load_state_dict(state["replay"])
        for name, tensor in self.watched.items():
            tensor.copy_(state["watched"][name])
        self.world.load_state_dict(state["world"])
        self.taken, self.measured = state["taken"], state["measured"]
        self.noise.seek(self.taken)

    def _collect_and(self, learn: Callable[[], None]) -> None:
        self.collect()
        learn()

    @contextlib.contextmanager
    def _threads(self) -> Iterator[None]:
        """One CPU thread for an agent alone, whose small matrices gain nothing from more.

        Split between threads, the product of a single pair of matrices is rounded differently, and the agent would no
        longer be the one that trains beside others, where every thread has whole matrices to multiply.
        """
        before = torch.get_num_threads()
        torch.set_num_threads(1 if len(self.world.seeds) == 1 else before)
        try:
            yield
        finally:
            torch.set_num_threads(before)
