"""One call trains a figure: every combination of the settings, times every seed, as one batched program."""

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from companion.population import Grid, Noise, Streams
from companion.population.runs import choose_device, progress_bar, provenance
from companion.population.settings import check, nearest, shape_settings
from companion.rl import environments
from companion.rl.dqn import DQN, Agents
from companion.rl.environments import Environment
from companion.rl.replay import Replay

__all__ = ["Loop", "evaluate", "train"]

ALGORITHMS: dict[str, tuple[type, type]] = {"dqn": (DQN, Agents)}
_WATCHED = ("loss", "q_mean", "q_max")


def train(
    algorithm: str,
    environment: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 8_000,
    device: str | torch.device | None = None,
    evaluate_every: int | None = None,
    evaluation_episodes: int = 10,
    film: bool = False,
    progress: bool = True,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of agents and return what was measured, labelled.

        run = rl.train("dqn", "CartPole-v1", tau=[1.0, 0.1, 0.005], seeds=8, steps=8_000)
        run["return"].sel(tau=0.005).median("seed")

    A setting given as a list is swept and becomes a dimension of the result. Settings that are numbers train side by
    side in one program; those that decide shapes (``hidden``, ``batch_size``, ``learning_starts``) one value after
    another. The agent with seed 5 is the same whichever others train beside it: on a CPU bit for bit where the widths
    of its hidden layers are multiples of 16, and to float32 rounding otherwise, since matrix kernels treat unaligned
    rows differently.

    Args:
        algorithm: ``"dqn"``.
        environment: ``"CartPole-v1"``, or another name that ``rl.environments.make`` knows.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves.
        steps: environment steps of each agent. After ``learning_starts`` of them there is one gradient update a step.
        device: where to train; by default the GPU where there is one, else the CPU.
        evaluate_every: steps from one evaluation to the next; by default a sixteenth of ``steps``.
        evaluation_episodes: greedy episodes in an evaluation, of each agent, always from the same start states.
        film: whether to add one greedy episode of each trained agent, as observations.
        progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0).
        settings: the algorithm's own, such as the fields of :class:`companion.rl.dqn.DQN`.

    Returns:
        A dataset with dimensions (swept settings, ``seed``, ``step``). Of the evaluations: ``return`` (mean return of
        the greedy episodes), ``discounted_return`` (their mean discounted return), ``predicted`` (mean max_a Q(s₀, a)
        at their start states). Of the training batches since the previous evaluation: ``loss`` and ``q_mean`` (their
        means; NaN before learning starts) and ``q_max`` (the largest ``|Q|``). With ``film``, ``episode`` over
        (``frame``, ``observation``), NaN after the episode's end. Its attributes hold every argument, the device,
        versions, the date and the wall time in seconds.

    Raises:
        ValueError: an unknown algorithm, environment or setting (the nearest known one is named), or a value out of
            range; all before any training.
        TypeError: a value of the wrong type.
    """
    if algorithm not in ALGORITHMS:
        raise ValueError(
            f"unknown algorithm {algorithm!r}: did you mean {nearest(algorithm, ALGORITHMS)!r}? "
            f"Known algorithms: {', '.join(ALGORITHMS)}."
        )
    world = environments.make(environment)
    settings_type, agents_type = ALGORITHMS[algorithm]
    if world.actions is None:
        raise ValueError(f"environment={environment!r} has continuous actions, and {algorithm!r} needs discrete ones")
    for name, count in {"steps": steps, "evaluation_episodes": evaluation_episodes}.items():
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
            loop = Loop(agents_type, world, values, grid.seeds[indices].tolist(), steps, where)
            part = _run(loop, steps, checkpoints, evaluation_episodes, film, bar)
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
            "film": film,
            **made,
        },
    )


def settings_of(grid: Grid, members: np.ndarray, fixed: Mapping[str, Any], device: torch.device) -> SimpleNamespace:
    """Some members' settings by name: those fixed for all as they are, the others as tensors ``(member,)``."""
    columns = {name: torch.as_tensor(grid.column(name)[members]) for name in grid.settings if name not in fixed}
    tensors = {name: (c.float() if c.is_floating_point() else c).to(device) for name, c in columns.items()}
    return SimpleNamespace(**fixed, **tensors)


class Loop:
    """A population in its environments: the program of one step, and all that it changes.

    :meth:`collect` and :meth:`step` are functions of tensors with fixed shapes. They read nothing back to the host
    and take no branch on data, so a GPU can run them as a recorded graph. The caller refills ``noise`` before every
    ``noise.length``-th step.

    Args:
        agents_type: class of the population.
        environment: tensor program that the agents act in.
        settings: the algorithm's settings by name; those that decide no shape as tensors ``(member,)``.
        seeds: one integer a member.
        steps: how many there will be; bounds the memory for the replay.
        device: where everything lives.
    """

    def __init__(
        self,
        agents_type: type,
        environment: Environment,
        settings: SimpleNamespace,
        seeds: Sequence[int],
        steps: int,
        device: torch.device,
    ) -> None:
        self.environment = environment
        self.settings = settings
        self.seeds = seeds
        self.device = device
        self.agents = agents_type(settings, environment.observation_size, environment.actions, seeds, device)
        capacity = min(int(settings.buffer_size.max()), steps)
        self.replay = Replay(settings.buffer_size, capacity, environment.observation_size)
        widths = {"explore": 2, "reset": environment.reset_width, "replay": settings.batch_size}
        self.noise = Noise(seeds, widths, device)
        self.state = self.start("start", 1).squeeze(1)
        self.elapsed = torch.zeros(len(seeds), dtype=torch.int64, device=device)
        self.watched = {name: torch.zeros(len(seeds), device=device) for name in _WATCHED}

    def start(self, purpose: str, episodes: int) -> Float[Tensor, "member episode state"]:
        """Start states, of a purpose's own random stream."""
        noise = Streams(self.seeds, purpose).uniform(episodes, self.environment.reset_width)
        return self.environment.reset(torch.from_numpy(noise).to(self.device))

    def collect(self) -> dict[str, Float[Tensor, "member _"]]:
        """Every member acts once and remembers what happened; where an episode is over, the next one starts."""
        noise = self.noise.draw()
        environment = self.environment
        observation = environment.observe(self.state)
        action = self.agents.act(observation, noise["explore"])
        state, reward, terminated = environment.step(self.state, action)
        self.replay.store(observation, action[:, None].float(), reward, environment.observe(state), terminated.float())
        # Out of time is not terminated: the next episode starts, but what was cut short is still bootstrapped, from the
        # state that was reached and that the replay holds.
        self.elapsed.add_(1)
        over = terminated | (self.elapsed >= environment.time_limit)
        self.state.copy_(torch.where(over[:, None], environment.reset(noise["reset"]), state))
        self.elapsed.mul_(~over)
        return noise

    def step(self) -> None:
        """Every member acts once, and learns from a batch of what it remembers."""
        noise = self.collect()
        seen = self.agents.learn(self.replay.sample(noise["replay"]))
        self.watched["loss"].add_(seen["loss"])
        self.watched["q_mean"].add_(seen["q_mean"])
        torch.maximum(self.watched["q_max"], seen["q_max"], out=self.watched["q_max"])

    def read_watched(self, updates: int) -> dict[str, np.ndarray]:
        """What was watched over the last so many updates; then watch afresh."""
        divisors = {"loss": updates, "q_mean": updates, "q_max": min(updates, 1)}  # two means and a maximum
        read = {name: (self.watched[name] / divisors[name]).cpu().numpy() for name in _WATCHED}  # 0/0 is NaN
        for tensor in self.watched.values():
            tensor.zero_()
        return read


def _run(
    loop: Loop, steps: int, checkpoints: Sequence[int], episodes: int, film: bool, bar: "tqdm[Any]"
) -> dict[str, np.ndarray]:
    """Train one batched program to its end; arrays lead with member, then checkpoint."""
    starts = loop.settings.learning_starts
    first_states = loop.start("evaluation", episodes)
    rows: list[dict[str, np.ndarray]] = []
    updates = 0
    for step in range(1, steps + 1):
        if (step - 1) % loop.noise.length == 0:
            loop.noise.refill()
        if step <= starts:
            loop.collect()
        else:
            loop.step()
            updates += 1
        if step == checkpoints[len(rows)]:
            measured = evaluate(loop.agents, loop.environment, first_states, loop.settings.gamma)
            rows.append({**measured, **loop.read_watched(updates)})
            updates = 0
        if step % 100 == 0 or step == steps:
            bar.update((step - 1) % 100 + 1)
    results = {name: np.stack([row[name] for row in rows], axis=1) for name in rows[0]}
    if film:
        shown = evaluate(loop.agents, loop.environment, loop.start("film", 1), loop.settings.gamma, film=True)
        results["episode"] = shown["episode"]
    return results


@torch.no_grad()
def evaluate(
    agents: Agents,
    environment: Environment,
    state: Float[Tensor, "member episode state"],
    gamma: Float[Tensor, "member"],
    *,
    film: bool = False,
) -> dict[str, np.ndarray]:
    """Play greedy episodes to their end or to the time limit, from the given start states.

    Returns:
        Means over the episodes, a number a member: ``return``, ``discounted_return`` and ``predicted``, which is
        max_a Q(s₀, a). With ``film`` also ``episode``, the first episode's observations ``(member, frame,
        observation)``, NaN after its end.
    """
    alive = torch.ones(state.shape[:2], dtype=torch.bool, device=state.device)
    total, discounted, discount = (torch.zeros(state.shape[:2], device=state.device) for _ in range(3))
    discount += 1
    predicted = agents.values(environment.observe(state)).amax(-1).mean(-1)
    episode = torch.full((len(state), environment.time_limit + 1, environment.observation_size), torch.nan)
    episode[:, 0] = environment.observe(state)[:, 0]
    for t in range(environment.time_limit):
        if t % 25 == 0 and not alive.any():  # a look at data, outside the training step
            break
        action = agents.values(environment.observe(state)).argmax(-1)
        state, reward, terminated = environment.step(state, action)
        total += torch.where(alive, reward, 0.0)
        discounted += torch.where(alive, discount * reward, 0.0)
        discount *= gamma[:, None]
        if film:
            episode[:, t + 1] = torch.where(alive[:, :1], environment.observe(state)[:, 0], torch.nan)
        alive &= ~terminated
    measured = {"return": total.mean(-1), "discounted_return": discounted.mean(-1), "predicted": predicted}
    arrays = {name: tensor.cpu().numpy() for name, tensor in measured.items()}
    if film:
        arrays["episode"] = episode.numpy()
    return arrays


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
