"""Does a step become slower in the course of a run? Populations of DQN, TD3 and SAC agents, early and late, in one run.

    OMP_NUM_THREADS=2 python benchmarks/subnormal.py

The averages that Adam keeps of the gradients of dead units fall by a tenth a step, and would after some 800 steps be
subnormal numbers, with which many processors compute slowly. For each algorithm 64 agents train three times, each time
in a process of its own: as the package does it, which sets such averages to zero; without that; and with subnormal
numbers flushed by the processor in every thread, which is as fast as it can be, but changes what a reader's whole
program computes. Of each, agent-steps a second early (steps 600 to 1,000) and late (steps 3,000 to 4,000), and the
share of first moments that are subnormal at the end.
"""

import json
import os
import subprocess
import sys
import time

import numpy as np
import torch

AGENTS, LAST = 64, 4_000
EARLY, LATE = (600, 1_000), (3_000, 4_000)
TASKS = {"dqn": "CartPole-v1", "td3": "Pendulum-v1", "sac": "Pendulum-v1"}
HOW = {"as it is": "", "moments left to decay": "decay", "flushed by the processor": "flush"}


def measure(algorithm: str, how: str) -> dict[str, float]:
    """Train in this process; agent-steps a second early and late."""
    if how == "flush":
        torch.set_flush_denormal(True)  # before the first parallel operation: threads made later inherit it
    from companion.members import optimizers
    from companion.rl import make_agents
    from companion.rl.environments import make_world
    from companion.rl.loop import Loop

    if how == "decay":
        optimizers.forget = lambda average, below: None
    world = make_world(TASKS[algorithm], range(AGENTS), torch.device("cpu"))
    sizes = {"observation_size": world.observation_size, "action_size": world.actions or world.action_size}
    agents = make_agents(algorithm, **sizes, seeds=AGENTS)
    loop = Loop(agents, world, LAST)
    clock = np.zeros(LAST + 1)
    for step in range(1, LAST + 1):
        loop.step(step)
        clock[step] = time.perf_counter()
    moments = [part.first for part in agents.modules() if isinstance(part, optimizers.Adam)]
    tiny = torch.finfo(torch.float32).tiny
    subnormal = sum(int(((m != 0) & (m.abs() < tiny)).sum()) for m in moments) / sum(m.numel() for m in moments)
    rates = {
        name: AGENTS * (end - begin) / (clock[end] - clock[begin])
        for name, (begin, end) in (("early", EARLY), ("late", LATE))
    }
    return {**rates, "subnormal": subnormal}


def main() -> None:
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads, {os.cpu_count()} cores, {AGENTS} agents\n")
    print("| algorithm | moments | early, agent-steps/s | late | late / early | subnormal |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for algorithm in TASKS:
        for name, how in HOW.items():
            command = [sys.executable, __file__, algorithm, how]
            found = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            early, late = found["early"], found["late"]
            share = f"{found['subnormal']:.1%}"
            print(f"| {algorithm} | {name} | {early:,.0f} | {late:,.0f} | {late / early:.2f} | {share} |", flush=True)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(*sys.argv[1:])))
    else:
        main()
