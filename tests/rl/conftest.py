"""A population of agents in its environments, for tests to step by hand."""

from collections.abc import Callable

import pytest
import torch

from companion.population import Grid
from companion.population.settings import check, shape_settings
from companion.rl.algorithms import named, settings_of
from companion.rl.environments import Environment, TensorWorld, make
from companion.rl.loop import Loop


@pytest.fixture
def make_loop() -> Callable[..., Loop]:
    """``make_loop(environment, algorithm="dqn", seeds=2, steps=100, **settings)``, as `rl.train` would make it."""

    def build(
        environment: str | Environment = "CartPole-v1", *, algorithm="dqn", seeds=1, steps: int = 100, **settings
    ) -> Loop:
        program = make(environment) if isinstance(environment, str) else environment
        settings_type, agents_type = named(algorithm)
        grid = Grid(check(settings_type, settings), seeds)
        ((members, fixed),) = grid.groups(shape_settings(settings_type))
        device = torch.device("cpu")
        values, seeds = settings_of(grid, members, fixed, device), grid.seeds.tolist()
        return Loop(agents_type, TensorWorld(program, seeds, device), values, seeds, steps, device)

    return build
