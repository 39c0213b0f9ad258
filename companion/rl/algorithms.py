"""The algorithms by name, and their populations made from settings by name."""

from collections.abc import Sequence
from typing import Any

import torch

from companion.members import Grid
from companion.rl import ddpg, dqn, sac, td3
from companion.rl.population import Population
from companion.runs.settings import Settings, at_least_one, check, one_of, shape_settings

__all__ = ["ALGORITHMS", "make_agents"]

ALGORITHMS: dict[str, tuple[type[Settings], type[Population]]] = {
    "dqn": (dqn.DQNSettings, dqn.Agents),
    "ddpg": (ddpg.DDPGSettings, ddpg.Agents),
    "td3": (td3.TD3Settings, td3.Agents),
    "sac": (sac.SACSettings, sac.Agents),
}
"""Name to (settings, population)."""


def make_agents(
    algorithm: str, *, observation_size: int, action_size: int, seeds: int | Sequence[int] = 1, **settings: Any
) -> Population:
    """A population by itself, on the CPU, to be handled by hand: its networks looked at, its ``learn`` called.

        agents = rl.make_agents("td3", observation_size=3, action_size=1, seeds=2, tau=[1.0, 0.005])
        agents.learn(batch, noise, update=0)

    Args:
        algorithm: ``"dqn"``, ``"ddpg"``, ``"td3"`` or ``"sac"``.
        observation_size: numbers in an observation.
        action_size: numbers in an action; of a discrete one, how many there are.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves.
        settings: the algorithm's own, lists swept as :func:`companion.rl.train` sweeps them.

    Returns:
        The algorithm's ``Agents``, such as :class:`companion.rl.td3.Agents`.

    Raises:
        ValueError: an unknown algorithm or setting, a value out of range, or a sweep over a setting that decides
            shapes.
    """
    settings_type, agents_type = one_of(ALGORITHMS, "algorithm", algorithm)
    at_least_one(observation_size=observation_size, action_size=action_size)
    grid = Grid(check(settings_type, settings, make_agents), seeds)
    groups = list(grid.groups(shape_settings(settings_type)))
    if len(groups) > 1:
        swept = [name for name in shape_settings(settings_type) if name in grid.swept]
        raise ValueError(f"{', '.join(swept)} is a list, and decides shapes: one population has one value of it")
    ((members, fixed),) = groups
    device = torch.device("cpu")
    values = settings_type.of(grid, members, fixed, device)
    return agents_type(values, observation_size, action_size, grid.seeds.tolist(), device)
