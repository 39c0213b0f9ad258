"""TD3 and SAC on Pendulum: populations of this book's agents against Stable-Baselines3's, in one run.

    OMP_NUM_THREADS=2 python benchmarks/continuous.py

For each algorithm one Stable-Baselines3 agent learns alone in a process of one thread, then two side by side in two
such processes, and after them populations of 1 to 256 agents, each population in a process of its own, so that its peak
of resident memory is its own too; and 64 agents once more, split by torchrun over two processes of one thread, which is
what Stable-Baselines3 has. Everywhere: 64-64 networks, batches of 64, one update a step, soft targets. What is
timed is the whole call that trains, the random steps before learning starts included; what is counted is the steps that
learn. That both libraries' updates are the same is shown by `tests/rl/test_against_sb3.py`.

The limit is the rate at which this machine multiplies batches of large float32 matrices, measured in the same run. What
a population reaches of it is counted from the sizes of the layers: a layer (in, out) costs 2 · batch · in · out
floating-point operations forward, as many for the gradient of its weights, and as many for the slope of its input.
Biases, activations, Adam, the soft update, the replay and the environment count as nothing.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from itertools import pairwise
from typing import Any

import numpy as np
import torch

OBSERVATION, ACTION = 3, 1  # Pendulum's sizes
TD3_POLICY_DELAY = 2
STARTS = 64  # random steps before the first update
SB3_STEPS = 4_000
POPULATIONS = {1: 4_000, 4: 4_000, 16: 4_000, 64: 4_000, 256: 1_000}  # agents: steps
MEMORY = 1_000  # transitions remembered, the same in all, so that memories can be compared
GPU_POPULATIONS = {"1,024 agents, 64-64, batch 64": (1024, 64), "64 agents, 256-256, batch 256": (64, 256)}
GPU_STEPS = 20_000
GPU_HELP = "only the table of the large populations; on another device, cpu, to try it out"
MANY_GOAL, ONE_GOAL = 14, 1
GPU_GOALS = "1,000,000 a second of the first and 60,000 of the second, on one H200"


def operations(algorithm: str, width: int, batch: int) -> int:
    """Floating-point operations of one agent's step: it acts once and learns from one batch."""
    outputs = ACTION if algorithm == "td3" else 2 * ACTION  # SAC's actor gives a mean and a standard deviation
    actor = [2 * a * b for a, b in pairwise((OBSERVATION, width, width, outputs))]
    critic = [2 * a * b for a, b in pairwise((OBSERVATION + ACTION, width, width, 1))]

    def trained(layers: list[int]) -> int:  # forward, gradients of the weights, slopes down to the first layer's output
        return 3 * sum(layers) - layers[0]

    label = sum(actor) + 2 * sum(critic)
    through = 2 * sum(critic)  # an action's value, and its slope
    if algorithm == "td3":  # both critics each time, the actor through the first of them at every second update
        learning = label + 2 * trained(critic) + (trained(actor) + through) // TD3_POLICY_DELAY
    else:  # both critics and the actor through both
        learning = label + 2 * trained(critic) + trained(actor) + 2 * through
    return sum(actor) + batch * learning


def matrix_rate(device: str) -> float:
    """Floating-point operations a second in the product of batches of large matrices; the best of several."""
    many, size = (8, 768) if device == "cpu" else (16, 4096)
    a, b = (torch.randn(many, size, size, device=device) for _ in range(2))
    rates = []
    for _ in range(8):
        began = time.perf_counter()
        torch.bmm(a, b)
        if device != "cpu":
            torch.cuda.synchronize()
        rates.append(2 * many * size**3 / (time.perf_counter() - began))
    return max(rates)


def sb3(algorithm: str, steps: int, seed: int) -> dict[str, float]:
    """Train one Stable-Baselines3 agent in this process."""
    import stable_baselines3
    from stable_baselines3.common.noise import NormalActionNoise

    torch.set_num_threads(1)
    own = {
        "td3": {"policy_delay": TD3_POLICY_DELAY, "action_noise": NormalActionNoise(np.zeros(1), np.full(1, 0.1))},
        "sac": {"ent_coef": "auto"},
    }
    model = getattr(stable_baselines3, algorithm.upper())(
        "MlpPolicy",
        "Pendulum-v1",
        learning_rate=1e-3,
        gamma=0.99,
        tau=0.005,
        batch_size=64,
        buffer_size=MEMORY,
        learning_starts=STARTS,
        train_freq=1,
        gradient_steps=1,
        policy_kwargs={"net_arch": [64, 64]},
        device="cpu",
        seed=seed,
        **own[algorithm],
    )
    began = time.perf_counter()
    model.learn(steps)
    return {"rate": (steps - STARTS) / (time.perf_counter() - began)}


def population(algorithm: str, agents: int, steps: int, width: int, batch: int, device: str) -> dict[str, float]:
    """Train a population in this process."""
    from companion import rl

    began = time.perf_counter()
    rl.train(
        algorithm,
        "Pendulum-v1",
        seeds=agents,
        steps=steps,
        hidden=(width, width),
        batch_size=batch,
        buffer_size=MEMORY,
        learning_starts=STARTS,
        evaluate_every=steps,
        evaluation_episodes=1,
        device=device,
        progress=False,
    )
    rate = agents * (steps - STARTS) / (time.perf_counter() - began)
    if device == "cpu":
        unit = 1 if sys.platform == "darwin" else 1024
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    else:
        memory = torch.cuda.max_memory_reserved()
    return {"rate": rate, "memory": memory}


JOBS = {"sb3": sb3, "population": population, "matrix_rate": lambda device: {"rate": matrix_rate(device)}}


def in_processes(
    job: str, *arguments: dict[str, Any], threads: int | None = None, shares: int = 1
) -> list[dict[str, float]]:
    """Run a job once for each dictionary of arguments, all at the same time, a process each, or several by torchrun."""
    environment = os.environ if threads is None else {**os.environ, "OMP_NUM_THREADS": str(threads)}
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(shares)] if shares > 1 else []
    commands = [[sys.executable, *torchrun, __file__, "--job", job, json.dumps(argument)] for argument in arguments]
    processes = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for command in commands]
    answers = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{job} failed; its error stands above")
    return [json.loads(answer) for answer in answers]


def compare(algorithm: str, limit: float, shrink: int) -> str:
    """Print an algorithm's table, and return what it says about the figures to reach."""
    print(f"\n### {algorithm.upper()}\n\n| what | agent-steps/s | of the limit | peak memory | a further agent |")
    print("| --- | ---: | ---: | ---: | ---: |")
    work = operations(algorithm, 64, 64)

    def row(name: str, rate: float, memory: str = "", each: str = "") -> None:
        print(f"| {name} | {rate:,.0f} | {rate * work / limit:.1%} | {memory} | {each} |", flush=True)

    runs = [{"algorithm": algorithm, "steps": max(SB3_STEPS // shrink, 2 * STARTS), "seed": seed} for seed in range(2)]
    (alone,) = in_processes("sb3", runs[0], threads=1)
    row("Stable-Baselines3, one process alone", alone["rate"])
    both = sum(answer["rate"] for answer in in_processes("sb3", *runs, threads=1))
    row("Stable-Baselines3, two processes side by side", both)

    jobs = {
        agents: {
            "algorithm": algorithm,
            "agents": agents,
            "steps": max(steps // shrink, 2 * STARTS),
            "width": 64,
            "batch": 64,
            "device": "cpu",
        }
        for agents, steps in POPULATIONS.items()
    }
    rates: dict[int, float] = {}
    memories: dict[int, float] = {}
    for agents, job in jobs.items():
        (answer,) = in_processes("population", job)
        rates[agents], memories[agents] = answer["rate"], answer["memory"]
        each = f"{(memories[agents] - memories[1]) / (agents - 1) / 2**20:.2f} MiB" if agents > 1 else ""
        name = f"companion, {agents} agent{'s' * (agents > 1)}"
        row(name, rates[agents], f"{memories[agents] / 2**20:,.0f} MiB", each)
    (answer,) = in_processes("population", jobs[64], threads=1, shares=2)
    split = answer["rate"]
    row("companion, 64 agents in two processes side by side", split)

    to_256, to_64 = ((memories[many] - memories[few]) / (many - few) / 2**20 for many, few in ((256, 64), (64, 16)))
    return (
        f"{algorithm.upper()}: 64 agents in two processes are {split / both:.1f} times the two processes of "
        f"Stable-Baselines3 (the figure to reach: {MANY_GOAL}), and in one process of two threads "
        f"{rates[64] / both:.1f} times; one agent is {rates[1] / alone['rate']:.2f} times the one process alone (the "
        f"figure to reach: {ONE_GOAL}); a further agent takes {to_64:.2f} MiB from 16 to 64, and {to_256:.2f} to 256."
    )


def on_gpu(shrink: int, device: str = "cuda") -> None:
    """Print the table of the large populations, where there is a GPU."""
    print("\n### TD3 on a GPU\n")
    if device == "cuda" and not torch.cuda.is_available():
        print("Not measured: this machine has no GPU.")
        return
    (limit,) = (answer["rate"] for answer in in_processes("matrix_rate", {"device": device}))
    print(f"{torch.cuda.get_device_name() if device == 'cuda' else device}; the limit is {limit / 1e12:,.1f} TFLOP/s.")
    print("\n| what | agent-steps/s, of an update each | of the limit | peak memory |\n| --- | ---: | ---: | ---: |")
    steps = max(GPU_STEPS // shrink, 2 * STARTS)
    for name, (agents, size) in GPU_POPULATIONS.items():
        job = {"algorithm": "td3", "agents": agents, "steps": steps, "width": size, "batch": size, "device": device}
        (answer,) = in_processes("population", job)
        share = answer["rate"] * operations("td3", size, size) / limit
        memory = f"{answer['memory'] / 2**20:,.0f} MiB"
        print(f"| {name} | {answer['rate']:,.0f} | {share:.1%} | {memory} |", flush=True)
    print(f"\nThe figures to reach: {GPU_GOALS}.")


def main() -> None:
    parser = argparse.ArgumentParser(description="TD3 and SAC on Pendulum, against Stable-Baselines3.")
    parser.add_argument("--shrink", type=int, default=1, help="divide all numbers of steps, to try this script out")
    parser.add_argument("--gpu", nargs="?", const="cuda", metavar="DEVICE", help=GPU_HELP)
    parser.add_argument("--job", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.job:
        name, arguments = asked.job
        answer = JOBS[name](**json.loads(arguments))
        if os.environ.get("RANK", "0") == "0":
            print(json.dumps(answer))
        return
    if asked.gpu:
        on_gpu(asked.shrink, asked.gpu)
        return
    (limit,) = (answer["rate"] for answer in in_processes("matrix_rate", {"device": "cpu"}))
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    print(f"The limit, batches of large float32 matrices: {limit / 1e9:,.0f} GFLOP/s.")
    for algorithm in ("td3", "sac"):
        print(f"A step of one {algorithm.upper()} agent: {operations(algorithm, 64, 64) / 1e6:.2f} MFLOP.")
    findings = [compare(algorithm, limit, asked.shrink) for algorithm in ("td3", "sac")]
    on_gpu(asked.shrink)
    print("\n" + "\n".join(findings))


if __name__ == "__main__":
    main()
