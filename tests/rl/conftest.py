"""A population of DQN agents in its environments, for tests to step by hand."""

from collections.abc import Callable

import pytest
import torch

from companion.population import Grid
from companion.population.settings import check, shape_settings
from companion.rl.dqn import DQN, Agents
from companion.rl.environments import Environment, make
from companion.rl.training import Loop, settings_of


@pytest.fixture
def make_loop() -> Callable[..., Loop]:
    """``make_loop(environment, seeds=2, steps=100, **settings)``, as `rl.train` would make it."""

    def build(environment: str | Environment = "CartPole-v1", *, seeds=1, steps: int = 100, **settings) -> Loop:
        world = make(environment) if isinstance(environment, str) else environment
        grid = Grid(check(DQN, settings), seeds)
        ((members, fixed),) = grid.groups(shape_settings(DQN))
        device = torch.device("cpu")
        return Loop(Agents, world, settings_of(grid, members, fixed, device), grid.seeds.tolist(), steps, device)

    return build
