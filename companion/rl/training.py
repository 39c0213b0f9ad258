"""One call trains a figure: every combination of the settings, times every seed, as one batched program."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from tqdm import tqdm

from companion.population import Grid
from companion.population.runs import choose_device, progress_bar, provenance
from companion.population.settings import check, shape_settings
from companion.rl import environments
from companion.rl.algorithms import named, settings_of
from companion.rl.environments import TensorWorld
from companion.rl.loop import Loop

__all__ = ["train"]


def train(
    algorithm: str,
    environment: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 8_000,
    device: str | torch.device | None = None,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 10,
    horizon: int | None = None,
    film: bool = False,
    progress: bool = True,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of agents and return what was measured, labelled.

        run = rl.train("td3", "Pendulum-v1", tau=[1.0, 0.1, 0.005], seeds=8, steps=8_000)
        run["return"].sel(tau=0.005).median("seed")

    A setting given as a list is swept and becomes a dimension of the result. Settings that are numbers train side by
    side in one program; those that decide shapes (``hidden``, ``batch_size``, ``learning_starts``) one value after
    another. The agent with seed 5 is the same whichever others train beside it: on a CPU bit for bit where the widths
    of its hidden layers are multiples of 16, and to float32 rounding otherwise, since matrix kernels treat unaligned
    rows differently.

    Args:
        algorithm: ``"dqn"``, ``"ddpg"``, ``"td3"`` or ``"sac"``.
        environment: a name that ``rl.environments.make`` knows: ``"CartPole-v1"`` for ``"dqn"``, ``"Pendulum-v1"`` for
            the others.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves.
        steps: environment steps of each agent. After ``learning_starts`` of them there is one gradient update a step.
        device: where to train; by default the GPU where there is one, else the CPU.
        evaluate_every: steps from one evaluation to the next; by default a sixteenth of ``steps``.
        evaluation_episodes: greedy episodes in an evaluation, of each agent, always from the same start states.
        horizon: steps over which ``discounted_return`` is summed, by default the time limit. Values are learned as if
            an episode went on for ever, so to hold ``predicted`` against what is really obtained, let it be some times
            1 / (1 − gamma): the episode is then played on past its time limit.
        film: whether to add one greedy episode of each trained agent, as observations.
        progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0).
        settings: the algorithm's own: the fields of :class:`companion.rl.dqn.DQN`, :class:`~companion.rl.ddpg.DDPG`,
            :class:`~companion.rl.td3.TD3` or :class:`~companion.rl.sac.SAC`.

    Returns:
        A dataset with dimensions (swept settings, ``seed``, ``step``). Of the evaluations: ``return`` (mean return of
        the greedy episodes), ``discounted_return`` (their mean discounted return), ``predicted`` (mean Q(s₀, a) at
        their start states, a the greedy action). Of the training batches since the previous evaluation: ``loss`` and
        ``q_mean`` (their means; NaN before learning starts) and ``q_max`` (the largest ``|Q|``), of SAC also
        ``entropy`` and ``temperature``. With ``film``, ``episode`` over
        (``frame``, ``observation``), NaN after the episode's end. Its attributes hold every argument, the device,
        versions, the date and the wall time in seconds.

    Raises:
        ValueError: an unknown algorithm, environment or setting (the nearest known one is named), or a value out of
            range; all before any training.
        TypeError: a value of the wrong type.
    """
    settings_type, agents_type = named(algorithm)
    program = environments.make(environment)
    if (program.actions is not None) != agents_type.DISCRETE:
        has, needs = ("continuous", "discrete") if agents_type.DISCRETE else ("discrete", "continuous")
        raise ValueError(f"environment={environment!r} has {has} actions, and {algorithm!r} needs {needs} ones")
    horizon = program.time_limit if horizon is None else horizon
    for name, count in {"steps": steps, "evaluation_episodes": evaluation_episodes, "horizon": horizon}.items():
        _at_least_one(name, count)
    every = max(1, steps // 16) if evaluate_every is None else evaluate_every
    _at_least_one("evaluate_every", every)
    checked = check(settings_type, settings)
    grid = Grid(checked, seeds)
    if np.max(grid.column("learning_starts")) >= steps:
        raise ValueError(
            f"learning_starts={checked['learning_starts']} leaves nothing of steps={steps} to learn in; raise steps"
        )
    where = choose_device(device)

    began = time.perf_counter()
    checkpoints = sorted({*range(every, steps + 1, every), steps})
    results: dict[str, np.ndarray] = {}
    groups = list(grid.groups(shape_settings(settings_type)))
    with (
        _threads_for(grid.members // len(groups)),
        progress_bar(algorithm, steps * len(groups), show=progress) as bar,
    ):
        for indices, fixed in groups:
            values = settings_of(grid, indices, fixed, where)
            members = grid.seeds[indices].tolist()
            loop = Loop(agents_type, TensorWorld(program, members, where), values, members, steps, where)
            part = _run(loop, steps, checkpoints, evaluation_episodes, horizon, film, bar)
            for name, array in part.items():
                whole = results.setdefault(name, np.full((grid.members, *array.shape[1:]), np.nan, dtype=np.float32))
                whole[indices] = array
        made = provenance(where, began)

    own = {name: ("frame", "observation") if name == "episode" else ("step",) for name in results}
    if film:  # frames after the longest episode hold nothing
        seen = ~np.isnan(results["episode"][..., 0]).all(axis=0)
        results["episode"] = results["episode"][:, seen]
    return grid.dataset(
        {name: (own[name], array) for name, array in results.items()},
        coords={"step": checkpoints},
        attrs={
            "algorithm": algorithm,
            "environment": environment,
            **checked,
            "seeds": grid.seed_values,
            "steps": steps,
            "evaluate_every": every,
            "evaluation_episodes": evaluation_episodes,
            "horizon": horizon,
            "film": film,
            **made,
        },
    )


def _run(
    loop: Loop, steps: int, checkpoints: Sequence[int], episodes: int, horizon: int, film: bool, bar: "tqdm[Any]"
) -> dict[str, np.ndarray]:
    """Train one batched program to its end; arrays lead with member, then checkpoint."""
    settings = loop.agents.settings
    rows: list[dict[str, np.ndarray]] = []
    updates = read = 0
    for step in range(1, steps + 1):
        if (step - 1) % loop.noise.length == 0:
            loop.noise.refill()
        if step <= settings.learning_starts:
            loop.collect()
        else:
            loop.step(updates % loop.agents.cycle)
            updates += 1
        if step == checkpoints[len(rows)]:
            measured = loop.world.play(loop.agents, settings.gamma, episodes=episodes, horizon=horizon)
            rows.append({**measured, **loop.read_watched(updates - read)})
            read = updates
        if step % 100 == 0 or step == steps:
            bar.update((step - 1) % 100 + 1)
    results = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    if film:
        shown = loop.world.play(loop.agents, settings.gamma, episodes=1, horizon=horizon, film=True)
        results["episode"] = shown["episode"]
    return results


@contextlib.contextmanager
def _threads_for(members: int) -> Iterator[None]:
    """One CPU thread for an agent alone, whose small matrices gain nothing from more.

    Split between threads, the product of a single pair of matrices is rounded differently, and the agent would no
    longer be the one that trains beside others, where every thread has whole matrices to multiply.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if members == 1 else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _at_least_one(name: str, count: Any) -> None:
    if isinstance(count, bool) or not isinstance(count, (int, np.integer)):
        raise TypeError(f"{name}={count!r} must be an integer; it cannot be swept")
    if count < 1:
        raise ValueError(f"{name}={count} must be at least 1")
