"""A population of agents in its environments, for tests to step by hand."""

from collections.abc import Callable

import pytest
import torch

from companion.members import Grid
from companion.rl.algorithms import ALGORITHMS, make_agents
from companion.rl.environments import Environment, TensorWorld, World, make
from companion.rl.loop import Loop
from companion.runs.settings import check


@pytest.fixture
def make_loop() -> Callable[..., Loop]:
    """``make_loop(world, algorithm="dqn", seeds=2, steps=100, **settings)``, as `rl.train` would make it.

    The world is a name, a tensor program, or a world that is there already, whose seeds it takes.
    """

    def build(
        world: str | Environment | World = "CartPole-v1", *, algorithm="dqn", seeds=1, steps: int = 100, **settings
    ) -> Loop:
        if isinstance(world, World):
            seeds = world.seeds
        else:
            program = make(world) if isinstance(world, str) else world
            members = Grid(check(ALGORITHMS[algorithm][0], settings), seeds).seeds.tolist()
            world = TensorWorld(program, members, torch.device("cpu"))
        sizes = {"observation_size": world.observation_size, "action_size": world.actions or world.action_size}
        return Loop(make_agents(algorithm, **sizes, seeds=seeds, **settings), world, steps)

    return build
