"""One call trains a figure: every combination of the settings, times every seed, as one batched program."""

from collections.abc import Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from companion.members import Grid
from companion.rl.algorithms import ALGORITHMS
from companion.rl.environments import World, make_world
from companion.rl.loop import Loop
from companion.runs.capture import warn_unrecorded
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.memory import keep_freed_memory
from companion.runs.options import Options, takes_options
from companion.runs.settings import at_least_one, check, one_of, shape_settings, true_or_false

__all__ = ["train"]


@takes_options
def train(
    algorithm: str,
    environment: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 8_000,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 10,
    horizon: int | None = None,
    film: bool = False,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of agents and return what was measured, labelled.

        run = rl.train("td3", "Pendulum-v1", tau=[1.0, 0.1, 0.005], seeds=8, steps=8_000)
        run["return"].sel(tau=0.005).median("seed")

    A setting given as a list is swept and becomes a dimension of the result. Settings that are numbers train side by
    side in one program; those that decide shapes (``hidden``, ``batch_size``, ``learning_starts``) or the networks
    (``normalization``) one value after another. The agent with seed 5 is the same whichever others train beside it: on
    a CPU bit for bit where the widths of its hidden layers are multiples of 16, and to float32 rounding otherwise,
    since matrix kernels treat unaligned rows differently.

    A long run survives what happens to long runs:

    - *Killed*, at any moment, it goes on from its ``checkpoint`` when it is called again with the same arguments, and
      on a CPU ends with the same bits as one that was never killed. When it has ended, calling again returns the
      result without training. Of an environment of your own all that it was registered with belongs to the arguments,
      but not the code of its class: when you have changed that, give another path. While a run has a checkpoint every
      other is refused it.
    - *Ctrl-C* ends it after the step it is in, and what was measured so far is returned, NaN where nothing was; a
      second Ctrl-C ends it at once, with nothing. ``minutes`` end it as one Ctrl-C does, and so does SIGTERM, which a
      cluster sends when the time is up.
    - *A member whose loss or value is no longer finite* is out from that evaluation on: its results are NaN, and it
      touches no other.
    - *Started by torchrun* in several processes, each trains its share of the members, and all return the whole.

    Modes of torch that happen to be on around the call (autocast, ``no_grad``, inference mode, another default dtype or
    device) change nothing.

    Args:
        algorithm: ``"dqn"``, ``"ddpg"``, ``"td3"`` or ``"sac"``.
        environment: ``"CartPole-v1"`` or ``"Pendulum-v1"``, which are tensor programs, or any other of gymnasium's with
            vectors to observe: one with discrete actions for ``"dqn"``, with continuous ones for the others. One that a
            package registers when it is imported is ``"package:Name-v0"``.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves.
        steps: environment steps of each agent. After ``learning_starts`` of them there is one gradient update a step.
        evaluate_every: steps from one evaluation to the next; by default a sixteenth of ``steps``.
        evaluation_episodes: greedy episodes in an evaluation, of each agent, always from the same start states.
        horizon: steps over which ``discounted_return`` is summed, by default the time limit. Values are learned as if
            an episode went on for ever, so to hold ``predicted`` against what is really obtained, let it be some times
            1 / (1 − gamma): the episode is then played on past its time limit.
        film: whether to add one greedy episode of each trained agent, as observations.
        {options}
        settings: the algorithm's own: the fields of :class:`companion.rl.dqn.DQNSettings`,
            :class:`~companion.rl.ddpg.DDPGSettings`, :class:`~companion.rl.td3.TD3Settings` or
            :class:`~companion.rl.sac.SACSettings`.

    Returns:
        A dataset with dimensions (swept settings, ``seed``, ``step``). Of the evaluations: ``return`` (mean return of
        the greedy episodes), ``discounted_return`` (their mean discounted return), ``predicted`` (mean Q(s₀, a) at
        their start states, a the greedy action). Of the training batches since the previous evaluation: ``loss`` and
        ``q_mean`` (their means; NaN before learning starts) and ``q_max`` (the largest ``|Q|``), of SAC also
        ``entropy`` and ``temperature``. With ``film``, ``episode`` over
        (``frame``, ``observation``), NaN after the episode's end. Its attributes hold every argument that the numbers
        depend on, the device, versions, the date and the wall time in seconds. Where members diverged, ``diverged``
        names each, and the evaluation that found it: ``"tau=1.0, seed=3 at step 4000"``. Where the run did not reach
        its end, ``interrupted`` says how far it came, and ``trained`` what share of all its steps that is.

    Raises:
        ValueError: an unknown algorithm, environment or setting (the nearest known one is named), a value out of
            range, or a checkpoint that cannot be written, is damaged, is another run's that is under way, or is of
            other arguments (which, is named), of another device or version; all before any training.
        TypeError: a value of the wrong type; or a run with a checkpoint in an environment registered with something
            that cannot be compared, such as an open file.
        ImportError: the environment needs a package that is not installed.

    Warns:
        RuntimeWarning: a GPU cannot record the steps, which makes them slower and changes no number; with the reason.
    """
    options = Options.among(settings)
    settings_type, agents_type = one_of(ALGORITHMS, "algorithm", algorithm)
    asked = _world_for(algorithm, environment)
    every = interval(evaluate_every, 16, steps=steps)
    grid = Grid(check(settings_type, settings, train), seeds)
    horizon = asked.time_limit if horizon is None else horizon
    evaluation: dict[str, Any] = {"evaluation_episodes": evaluation_episodes, "horizon": horizon, "film": film}
    _check(grid, steps, **evaluation)
    named: dict[str, Any] = {"algorithm": algorithm, "environment": environment, "simulator": asked.simulator}
    named |= {"registered": asked.registered} if asked.registered else {}
    counts = {"seeds": grid.seed_values, "steps": steps, "evaluate_every": every}
    report = cache(partial(warn_unrecorded, name=algorithm))  # the same reason once, in a whole run
    variables = dict.fromkeys(("return", "discounted_return", "predicted", *agents_type.WATCHED), ("step",))
    run = experiment(
        algorithm,
        grid,
        partial(_program, algorithm, environment, grid, steps, options.chosen_device, report=report, **evaluation),
        {**variables, "episode": ("frame", "observation")} if film else variables,
        sizes={"frame": asked.time_limit + 1, "observation": asked.observation_size},
        steps=steps,
        marks=marks_every(every, steps),
        apart=shape_settings(settings_type),
        arguments={**named, **grid.settings, **counts, **evaluation},
        options=options,
    )
    return _until_the_last_ended(run) if film else run


def _program(
    algorithm: str,
    environment: str,
    grid: Grid,
    steps: int,
    device: torch.device,
    own: np.ndarray,
    fixed: dict[str, Any],
    **loop: Any,
) -> Loop:
    """The program of some members, who agree on the settings that decide shapes."""
    keep_freed_memory()
    settings_type, agents_type = ALGORITHMS[algorithm]
    members = grid.seeds[own].tolist()
    world = make_world(environment, members, device)
    settings = settings_type.of(grid, own, fixed, device)
    agents = agents_type(settings, world.observation_size, world.actions or world.action_size, members, device)
    return Loop(agents, world, steps, **loop)


def _until_the_last_ended(run: xr.Dataset) -> xr.Dataset:
    """Without the film's frames after the longest episode, which hold nothing."""
    episode = run["episode"]
    return run.isel(frame=episode.notnull().any([dim for dim in episode.dims if dim != "frame"]))


def _check(grid: Grid, steps: int, *, evaluation_episodes: int, horizon: int, film: bool) -> None:
    """Raise unless these go together.

    Raises:
        ValueError: a count is below 1, or nothing of the steps is left to learn in.
        TypeError: one is of the wrong type.
    """
    at_least_one(evaluation_episodes=evaluation_episodes, horizon=horizon)
    true_or_false(film=film)
    if np.max(grid.column("learning_starts")) >= steps:
        starts = grid.settings["learning_starts"]
        raise ValueError(f"learning_starts={starts} leaves nothing of steps={steps} to learn in; raise steps")


def _world_for(algorithm: str, environment: str) -> World:
    """The environment, to be asked what it is.

    Raises:
        ValueError: there is none of that name, or its actions are not of the algorithm's kind.
    """
    world = make_world(environment, [0], torch.device("cpu"))
    discrete = ALGORITHMS[algorithm][1].DISCRETE
    if (world.actions is not None) != discrete:
        has, needs = ("continuous", "discrete") if discrete else ("discrete", "continuous")
        raise ValueError(f"environment={environment!r} has {has} actions, and {algorithm!r} needs {needs} ones")
    return world
