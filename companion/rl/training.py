"""One call trains a figure: every combination of the settings, times every seed, as one batched program."""

import contextlib
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr

from companion.population import Grid
from companion.population.checkpoints import Checkpoint
from companion.population.runs import choose_device, device_name, interruptible, progress_bar, provenance
from companion.population.settings import check, shape_settings
from companion.population.shares import gather, share
from companion.rl.algorithms import named, settings_of
from companion.rl.environments.adapter import make_world
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
      result without training.
    - *Ctrl-C* ends it after the step it is in, and what was measured so far is returned, NaN where nothing was; a
      second Ctrl-C ends it at once, with nothing. ``minutes`` end it as one Ctrl-C does.
    - *A member whose loss or value is no longer finite* is out from that evaluation on: its results are NaN, and it
      touches no other.
    - *Started by torchrun* in several processes, each trains its share of the members, and all return the whole.

    Args:
        algorithm: ``"dqn"``, ``"ddpg"``, ``"td3"`` or ``"sac"``.
        environment: ``"CartPole-v1"`` or ``"Pendulum-v1"``, which are tensor programs, or any other of gymnasium's with
            vectors to observe: one with discrete actions for ``"dqn"``, with continuous ones for the others.
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
            range, or a checkpoint that cannot be written, is damaged, or is of other arguments (which, is named), of
            another device or version; all before any training.
        TypeError: a value of the wrong type.
        ImportError: the environment needs a package that is not installed.
    """
    agents_type: Any
    settings_type, agents_type = named(algorithm)
    world = make_world(environment, [0], torch.device("cpu"))  # to be asked
    if (world.actions is not None) != agents_type.DISCRETE:
        has, needs = ("continuous", "discrete") if agents_type.DISCRETE else ("discrete", "continuous")
        raise ValueError(f"environment={environment!r} has {has} actions, and {algorithm!r} needs {needs} ones")
    _at_least_one("steps", steps)
    counts = {
        "steps": steps,
        "evaluate_every": max(1, steps // 16) if evaluate_every is None else evaluate_every,
        "evaluation_episodes": evaluation_episodes,
        "horizon": world.time_limit if horizon is None else horizon,
    }
    for name, count in counts.items():
        _at_least_one(name, count)
    checked = check(settings_type, settings)
    grid = Grid(checked, seeds)
    if np.max(grid.column("learning_starts")) >= steps:
        raise ValueError(
            f"learning_starts={checked['learning_starts']} leaves nothing of steps={steps} to learn in; raise steps"
        )
    where = choose_device(device)
    arguments = {"algorithm": algorithm, "environment": environment, **checked, "seeds": grid.seed_values, **counts}
    arguments |= {"film": film}

    marks = sorted({*range(counts["evaluate_every"], steps + 1, counts["evaluate_every"]), steps})
    shapes: dict[str, tuple[int, ...]]
    shapes = {name: (len(marks),) for name in ("return", "discounted_return", "predicted", *agents_type.WATCHED)}
    if film:
        shapes["episode"] = (world.time_limit + 1, world.observation_size)
    run = _Run(grid.members, shapes)
    saved = Checkpoint(checkpoint, {**arguments, "device": device_name(where)}, checkpoint_every)
    loop_state = run.load_state(saved.load(where))
    groups = [(share(members), fixed) for members, fixed in grid.groups(shape_settings(settings_type))]
    groups = [(own, fixed) for own, fixed in groups if len(own)]  # those that this process has a share of
    taken = [run.steps_of(own) for own, _ in groups]
    with (
        progress_bar(algorithm, steps * len(groups), done=sum(taken), show=progress) as bar,
        interruptible(None if minutes is None else 60 * minutes) as stop,
    ):
        for (own, fixed), before in zip(groups, taken, strict=True):
            if before == steps:
                continue
            with _threads_for(len(own)):
                members = grid.seeds[own].tolist()
                world = make_world(environment, members, where)
                loop = Loop(agents_type, world, settings_of(grid, own, fixed, where), members, steps, where)
                if before:
                    loop.load_state(loop_state, before)
                    del loop_state  # as large as the loop
                for step in _steps(loop, before, steps):
                    run.trained[own] = step
                    if step in marks:
                        run.measure(own, loop, marks, evaluation_episodes, counts["horizon"])
                    bar.update()
                    if step < steps and (stop.asked or saved.due):
                        saved.save(run.state(loop))
                    if stop.asked:
                        break
                run.made = provenance(where, run.began)
                if run.steps_of(own) == steps:
                    if film:
                        run.film(own, loop)
                    saved.save(run.state())
            if stop.asked:
                break

    own = np.concatenate([own for own, _ in groups]) if groups else np.zeros(0, np.int64)
    results = gather({name: array[own] for name, array in run.arrays.items()}, own, grid.members)
    facts = _facts(grid, results.pop("trained"), results.pop("diverged"), steps)
    if film:  # frames after the longest episode hold nothing
        seen = ~np.isnan(results["episode"][..., 0]).all(axis=0)
        results["episode"] = results["episode"][:, seen]
    return grid.dataset(
        {name: (("frame", "observation") if name == "episode" else ("step",), a) for name, a in results.items()},
        coords={"step": marks},
        attrs={**arguments, **facts, **(run.made or provenance(where, run.began))},
    )


class _Run:
    """What was measured so far, NaN where nothing was, and what else a run goes on from.

    Args:
        members: how many there are, those of other processes included.
        shapes: of the results, a row of each of which is one member's.
    """

    def __init__(self, members: int, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.results = {name: np.full((members, *shape), np.nan, np.float32) for name, shape in shapes.items()}
        self.trained = np.zeros(members, np.int64)
        """Steps that each member has behind it."""
        self.diverged = np.zeros(members, np.int64)
        """The step at which that was found of each member, else 0."""
        self.began = time.perf_counter()
        self.made: dict[str, Any] = {}
        """Where, when and by what, and the wall time."""

    @property
    def arrays(self) -> dict[str, np.ndarray]:
        """All that leads with a row a member."""
        return {**self.results, "trained": self.trained, "diverged": self.diverged}

    def steps_of(self, own: np.ndarray) -> int:
        """Steps that members who train together have behind them."""
        return int(self.trained[own[0]])

    def measure(self, own: np.ndarray, loop: Loop, marks: Sequence[int], episodes: int, horizon: int) -> None:
        """Evaluate some members' agents, and read what was watched since the last evaluation.

        Who has lost a number to infinity never finds it again: its results end here.
        """
        step = self.steps_of(own)
        column = marks.index(step)
        updates = loop.updates(step) - loop.updates(marks[column - 1] if column else 0)
        row = loop.world.play(loop.agents, loop.agents.settings.gamma, episodes=episodes, horizon=horizon)
        row |= loop.read_watched(updates)
        if updates:
            finite = np.isfinite(list(row.values())).all(axis=0)
            self.diverged[own[~finite & (self.diverged[own] == 0)]] = step
        well = self.diverged[own] == 0
        for name, values in row.items():
            self.results[name][own[well], column] = values[well]

    def film(self, own: np.ndarray, loop: Loop) -> None:
        """Let some members' agents play one episode, and keep what they see."""
        shown = loop.world.play(loop.agents, loop.agents.settings.gamma, episodes=1, horizon=1, film=True)
        self.results["episode"][own] = shown["episode"]

    def state(self, loop: Loop | None = None) -> dict[str, Any]:
        """All that the run goes on from; without a loop, from the beginning of the next group, or it has ended."""
        return {
            "arrays": {name: torch.from_numpy(array) for name, array in self.arrays.items()},
            "seconds": time.perf_counter() - self.began,
            "made": self.made,
            "loop": None if loop is None else loop.state(),
        }

    def load_state(self, state: Mapping[str, Any] | None) -> Any:
        """Go on from where :meth:`state` was taken, if it was; returns the loop's own state."""
        if state is None:
            return None
        for name, array in self.arrays.items():
            array[:] = state["arrays"][name].cpu().numpy()
        self.began -= state["seconds"]
        self.made = state["made"]
        return state["loop"]


def _steps(loop: Loop, taken: int, steps: int) -> Iterator[int]:
    """Take one step after another; yields the number of each, from 1, when it has been taken."""
    collect, forms = loop.programs()
    for step in range(taken + 1, steps + 1):
        if (step - 1) % loop.noise.length == 0:
            loop.noise.refill()
        if updates := loop.updates(step):
            forms[(updates - 1) % len(forms)]()
        else:
            collect()
        yield step


def _facts(grid: Grid, trained: np.ndarray, diverged: np.ndarray, steps: int) -> dict[str, Any]:
    """Who diverged, and how far the run came, where there is something to be said."""
    facts: dict[str, Any] = {}
    if diverged.any():
        facts["diverged"] = "; ".join(
            f"{grid.name(i)} at step {diverged[i]}" for i in range(len(diverged)) if diverged[i]
        )
    least, most = trained.min(), trained.max()
    if least < steps:
        facts["interrupted"] = (
            f"at step {least} of {steps}" if least == most else f"between steps {least} and {most} of {steps}"
        )
        facts["trained"] = float(trained.mean() / steps)
    return facts


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
