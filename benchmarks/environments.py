"""How to step environments that are no tensor programs: HalfCheetah-v5, several ways, in one run.

    OMP_NUM_THREADS=2 python benchmarks/environments.py

The ways: one environment after another in one process (gymnasium's ``"sync"``); a process for each environment
(gymnasium's ``"async"``, observations in shared memory); a thread for each core, or a process for each core, the
learner's among them or not, that steps its share of the environments one after another. Every way is timed several
times, in turns, and the median is printed. Beside it stands the processor time that it takes in the process that
learns: on many cores all else can be done by others, but no way is faster than one step in that time.

Then the adapter, which steps them one after another, by itself, with TD3 agents acting in it, and learning in it.
"""

import contextlib
import itertools
import multiprocessing
import os
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import gymnasium
import mujoco
import numpy as np
import torch
from gymnasium.vector import AutoresetMode

NAME, ACTION = "HalfCheetah-v5", 6
COUNTS = (8, 32)
SECONDS, TURNS = 1.0, 5
CORES = os.cpu_count() or 1
Step = Callable[[np.ndarray], Any]


def vector(count: int, mode: str = "sync", **arguments: Any) -> gymnasium.vector.VectorEnv:
    mujoco.set_mju_user_warning(lambda message: None)  # it has a word in gymnasium's model deprecated
    arguments["autoreset_mode"] = AutoresetMode.SAME_STEP
    made = gymnasium.make_vec(NAME, count, mode, vector_kwargs=arguments, disable_env_checker=True)
    made.reset(seed=0)
    return made


@contextlib.contextmanager
def one_after_another(count: int) -> Iterator[Step]:
    with contextlib.closing(vector(count)) as environments:
        yield environments.step


@contextlib.contextmanager
def a_process_each(count: int) -> Iterator[Step]:
    with contextlib.closing(vector(count, "async", shared_memory=True)) as environments:
        yield environments.step


@contextlib.contextmanager
def a_thread_a_core(count: int) -> Iterator[Step]:
    shares = [vector(count // CORES) for _ in range(CORES)]
    with ThreadPoolExecutor(CORES) as pool:
        yield lambda action: list(pool.map(lambda share, part: share.step(part), shares, np.split(action, CORES)))


def serve(pipe: Any, count: int) -> None:
    """Step a share of the environments whenever actions come."""
    environments = vector(count)
    pipe.send(None)
    while (action := pipe.recv()) is not None:
        pipe.send(environments.step(action)[:4])


@contextlib.contextmanager
def a_process_a_core(count: int, own: int = 0) -> Iterator[Step]:
    """With ``own=1`` one of the processes is this one, which steps its share while the others step theirs."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = [], []
    for _ in range(CORES - own):
        ours, theirs = context.Pipe()
        processes.append(context.Process(target=serve, args=(theirs, count // CORES)))
        processes[-1].start()
        pipes.append(ours)
    here = [vector(count // CORES) for _ in range(own)]

    def step(action: np.ndarray) -> list[Any]:
        *shares, last = np.split(action, CORES)
        for pipe, share in zip(pipes, shares if own else [*shares, last], strict=True):
            pipe.send(share)
        return [*(environments.step(last) for environments in here), *(pipe.recv() for pipe in pipes)]

    for pipe in pipes:
        pipe.recv()
    yield step
    for pipe, process in zip(pipes, processes, strict=True):
        pipe.send(None)
        process.join()


WAYS = {
    "one after another": one_after_another,
    "a process for each environment": a_process_each,
    f"{CORES} threads, a share each": a_thread_a_core,
    f"{CORES} processes, a share each": a_process_a_core,
    f"{CORES - 1} process{'es' * (CORES > 2)} and the learner's, a share each": partial(a_process_a_core, own=1),
}


def timed(step: Callable[[], Any]) -> tuple[float, float]:
    """Seconds, and seconds of this process's processor time, that one call takes; over about a second."""
    for _ in range(10):
        step()
    began, used, calls = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < SECONDS:
        for _ in range(10):
            step()
        calls += 10
    return (time.perf_counter() - began) / calls, (time.process_time() - used) / calls


def compare(count: int) -> dict[str, tuple[float, float]]:
    """Medians over the turns: environment steps a second, and microseconds of the learner's process for each."""
    actions = np.random.default_rng(0).uniform(-1, 1, (count, ACTION)).astype(np.float32)
    turns: dict[str, list[tuple[float, float]]] = {name: [] for name in WAYS}
    with contextlib.ExitStack() as stack:
        steps = {name: stack.enter_context(way(count)) for name, way in WAYS.items()}
        for _ in range(TURNS):
            for name, step in steps.items():
                turns[name].append(timed(lambda step=step: step(actions)))
    medians = {
        name: [statistics.median(column) for column in zip(*pairs, strict=True)] for name, pairs in turns.items()
    }
    return {name: (count / wall, used / count * 1e6) for name, (wall, used) in medians.items()}


def turns_meanwhile() -> int:
    """Turns of a loop in Python while another thread is in one long call of MuJoCo's: 0 if it kept Python's lock."""
    environment = vector(1).envs[0].unwrapped
    call = threading.Thread(target=lambda: mujoco.mj_step(environment.model, environment.data, nstep=20_000))
    call.start()
    turns = 0
    while call.is_alive():
        turns += 1
    return turns


def adapter(count: int, width: int) -> dict[str, float]:
    """Environment steps a second of the adapter, by itself, with TD3 agents that act, and that act and learn."""
    from companion.rl import make_agents
    from companion.rl.environments.adapter import GymnasiumWorld
    from companion.rl.loop import Loop

    device = torch.device("cpu")
    world = GymnasiumWorld(NAME, list(range(count)), device)
    sizes = {"observation_size": world.observation_size, "action_size": world.action_size}
    settings = {"hidden": (width, width), "batch_size": width}
    action, resets = 2 * torch.rand(count, world.action_size) - 1, torch.rand(count, world.reset_width)

    def steps(learning_starts: int) -> Callable[[], None]:
        agents = make_agents("td3", **sizes, seeds=count, learning_starts=learning_starts, **settings)
        loop, clock = Loop(agents, world, 100_000), itertools.count(1)
        return lambda: loop.step(next(clock))

    ways = {
        "by itself": lambda: world.step(action, resets),
        "and they act": steps(learning_starts=100_000),
        "and they act and learn": steps(learning_starts=0),
    }
    walls = {name: statistics.median(timed(step)[0] for _ in range(TURNS)) for name, step in ways.items()}
    world.close()
    return {name: count / wall for name, wall in walls.items()}


def main() -> None:
    versions = f"gymnasium {gymnasium.__version__}, MuJoCo {mujoco.__version__}, torch {torch.__version__}"
    print(f"{versions}; {CORES} cores, {torch.get_num_threads()} threads for the learner")
    print(f"While one thread was in MuJoCo, another went {turns_meanwhile():,} times round a loop.\n")
    results = [compare(count) for count in COUNTS]
    heads = "".join(f" {count} of them, steps/s | learner's µs a step |" for count in COUNTS)
    print(f"| {NAME} |{heads}\n| --- |{' ---: | ---: |' * len(COUNTS)}")
    for name in WAYS:
        cells = (f" {rate:,.0f} | {used:.1f} |" for rate, used in (result[name] for result in results))
        print(f"| {name} |{''.join(cells)}")
    print("\n| the adapter, 8 TD3 agents | steps/s |\n| --- | ---: |")
    for width in (64, 256):
        for name, rate in adapter(8, width).items():
            print(f"| {name}; {width}-{width}, batches of {width} | {rate:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
