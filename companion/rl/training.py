"""One call trains a figure: every combination of the settings, times every seed, as one batched program."""

import contextlib
import os
from collections.abc import Iterator, Sequence
from functools import cache, partial
from typing import Any

import numpy as np
import torch
import xarray as xr

from companion.members import Grid
from companion.rl.algorithms import named
from companion.rl.environments import make_world
from companion.rl.loop import Loop
from companion.runs.capture import warn_unrecorded
from companion.runs.modes import plain_modes
from companion.runs.run import Run, choose_device
from companion.runs.settings import at_least_one, check, settings_of, shape_settings, true_or_false

__all__ = ["train"]


@plain_modes()
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
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int | float = 60.0,
    minutes: int | float | None = None,
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
        device: where to train; by default the GPU where there is one, else the CPU.
        evaluate_every: steps from one evaluation to the next; by default a sixteenth of ``steps``.
        evaluation_episodes: greedy episodes in an evaluation, of each agent, always from the same start states.
        horizon: steps over which ``discounted_return`` is summed, by default the time limit. Values are learned as if
            an episode went on for ever, so to hold ``predicted`` against what is really obtained, let it be some times
            1 / (1 − gamma): the episode is then played on past its time limit.
        film: whether to add one greedy episode of each trained agent, as observations.
        checkpoint: file that the run is kept in while it trains, and its result afterwards. It is replaced as a whole.
            Under ``torchrun`` every process has its own, with its rank in the name.
        checkpoint_every: seconds from one writing to the next; 0 is after every step.
        minutes: time after which to stop; no limit if None. With a ``checkpoint``, call again to go on.
        progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0).
        settings: the algorithm's own: the fields of :class:`companion.rl.dqn.DQN`, :class:`~companion.rl.ddpg.DDPG`,
            :class:`~companion.rl.td3.TD3` or :class:`~companion.rl.sac.SAC`.

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
    settings_type, agents_type = named(algorithm)
    true_or_false(film=film)
    world = make_world(environment, [0], torch.device("cpu"))  # to be asked
    if (world.actions is not None) != agents_type.DISCRETE:
        has, needs = ("continuous", "discrete") if agents_type.DISCRETE else ("discrete", "continuous")
        raise ValueError(f"environment={environment!r} has {has} actions, and {algorithm!r} needs {needs} ones")
    horizon = world.time_limit if horizon is None else horizon
    at_least_one(steps=steps, evaluation_episodes=evaluation_episodes, horizon=horizon)
    every = max(1, steps // 16) if evaluate_every is None else evaluate_every
    at_least_one(evaluate_every=every)
    checked = check(settings_type, settings, train)
    grid = Grid(checked, seeds)
    if np.max(grid.column("learning_starts")) >= steps:
        raise ValueError(
            f"learning_starts={checked['learning_starts']} leaves nothing of steps={steps} to learn in; raise steps"
        )
    where = choose_device(device)
    arguments = {
        "algorithm": algorithm,
        "environment": environment,
        "simulator": world.simulator,
        **({"registered": world.registered} if world.registered else {}),
        **checked,
        "seeds": grid.seed_values,
        "steps": steps,
        "evaluate_every": every,
        "evaluation_episodes": evaluation_episodes,
        "horizon": horizon,
        "film": film,
    }

    report = cache(partial(warn_unrecorded, name=algorithm))  # the same reason once, in a whole run
    marks = {step: column for column, step in enumerate(sorted({*range(every, steps + 1, every), steps}))}
    measured = ("return", "discounted_return", "predicted", *agents_type.WATCHED)
    shapes: dict[str, tuple[int, ...]] = {name: (len(marks),) for name in measured}
    if film:
        shapes["episode"] = (world.time_limit + 1, world.observation_size)
    with Run(
        algorithm,
        grid,
        shapes,
        steps,
        where,
        apart=shape_settings(settings_type),
        arguments=arguments,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        minutes=minutes,
        progress=progress,
    ) as run:
        for own, fixed in run.groups():
            with _threads_for(len(own)):
                members = grid.seeds[own].tolist()
                world = make_world(environment, members, where)
                values = settings_of(grid, own, fixed, where)
                actions = world.actions or world.action_size
                agents = agents_type(values, world.observation_size, actions, members, where)
                loop = Loop(agents, world, steps)
                play = partial(world.play, agents, values.gamma, horizon=horizon, look=run.look)
                collect, learn = loop.programs(report)
                for step in run.steps(own, loop):
                    updates = loop.updates(step)
                    if not run.owed:
                        if (step - 1) % loop.noise.length == 0:
                            loop.noise.refill()
                        if updates == 0:
                            collect()
                        else:
                            learn[(updates - 1) % len(learn)]()
                    if step not in marks:
                        continue
                    with run.measuring():
                        row = play(episodes=evaluation_episodes)
                        film_of = play(episodes=1, film=True) if film and step == steps else {}
                        new = updates - loop.updates((step - 1) // every * every)
                        run.write(own, marks[step], {**row, **loop.read_watched(new)}, step, judge=new > 0)
                        if film_of:
                            run.write(own, slice(None), {"episode": film_of["episode"]}, steps, judge=False)

    results, facts = run.gathered()
    if film:  # frames after the longest episode hold nothing
        seen = ~np.isnan(results["episode"][..., 0]).all(axis=0)
        results["episode"] = results["episode"][:, seen]
    dims = {name: ("frame", "observation") if name == "episode" else ("step",) for name in results}
    return grid.dataset(
        {name: (dims[name], array) for name, array in results.items()},
        coords={"step": list(marks)},
        attrs={**arguments, **facts},
    )


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
