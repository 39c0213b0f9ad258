"""DQN on CartPole: a population of this book's agents against Stable-Baselines3's, in one run.

    OMP_NUM_THREADS=2 python benchmarks/dqn.py

First one update of both from the same weights and batch is compared, so that the same work is timed. Then two
Stable-Baselines3 agents learn side by side in two processes of one thread each, and after them populations of 1 to 256
agents in this process. Everywhere: a 64-64 network, batches of 64, one update and one soft target update a step.
What is timed is the whole call that trains.
"""

import json
import os
import subprocess
import sys
import time

import torch

SETTINGS = {"learning_rate": 1e-3, "gamma": 0.99, "batch_size": 64, "buffer_size": 10_000, "tau": 0.005}
SB3_STEPS = 8_000
POPULATIONS = {1: 8_000, 4: 8_000, 16: 6_000, 64: 4_000, 256: 1_500}  # agents: steps


def sb3_model(seed: int):
    import gymnasium
    from stable_baselines3 import DQN

    return DQN(
        "MlpPolicy",
        gymnasium.make("CartPole-v1"),
        **SETTINGS,
        learning_starts=64,
        train_freq=1,
        gradient_steps=1,
        target_update_interval=1,
        exploration_fraction=2_000 / SB3_STEPS,
        policy_kwargs={"net_arch": [64, 64]},
        max_grad_norm=float("inf"),
        device="cpu",
        seed=seed,
    )


def sb3_rate(seed: int) -> float:
    """Steps a second of one Stable-Baselines3 agent."""
    torch.set_num_threads(1)
    model = sb3_model(seed)
    began = time.perf_counter()
    model.learn(SB3_STEPS)
    return SB3_STEPS / (time.perf_counter() - began)


def sb3_side_by_side() -> list[float]:
    """Steps a second of two Stable-Baselines3 agents that learn at the same time, a process and a thread each."""
    command = [sys.executable, __file__, "--sb3"]
    one_thread = {**os.environ, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen([*command, str(seed)], env=one_thread, stdout=subprocess.PIPE, text=True) for seed in range(2)
    ]
    return [json.loads(process.communicate()[0]) for process in processes]


def population_rate(agents: int, steps: int) -> float:
    """Steps a second of all agents of a population together."""
    from companion import rl

    settings = {**SETTINGS, "learning_starts": 64, "steps": steps, "evaluate_every": steps, "evaluation_episodes": 1}
    began = time.perf_counter()
    rl.train("dqn", "CartPole-v1", seeds=agents, progress=False, **settings)
    return agents * steps / (time.perf_counter() - began)


def assert_same_update() -> float:
    """Update both libraries twenty times from the same weights and batches; return the largest difference."""
    import numpy as np
    from stable_baselines3.common.buffers import ReplayBufferSamples
    from stable_baselines3.common.logger import Logger

    from companion.rl import make_agents
    from companion.rl.replay import Batch

    model = sb3_model(0)
    model.set_logger(Logger(None, []))
    settings = {**SETTINGS, "tau": 0.0}  # Stable-Baselines3 moves the target outside of train()
    agents = make_agents("dqn", observation_size=4, action_size=2, **settings)
    for network, theirs in ((agents.online, model.q_net), (agents.target, model.q_net_target)):
        layers = [layer for layer in theirs.q_net if isinstance(layer, torch.nn.Linear)]
        for weight, bias, layer in zip(network.weights, network.biases, layers, strict=True):
            weight.data[0], bias.data[0, 0] = layer.weight.data.T, layer.bias.data
    rng = np.random.default_rng(0)
    for _ in range(20):
        s, s_next = (torch.from_numpy(rng.standard_normal((64, 4)).astype(np.float32)) for _ in range(2))
        a = torch.from_numpy(rng.integers(2, size=(64, 1)))
        r = torch.from_numpy(rng.standard_normal((64, 1)).astype(np.float32))
        done = torch.from_numpy((rng.random((64, 1)) < 0.2).astype(np.float32))
        batch = ReplayBufferSamples(s, a, s_next, done, r)
        model.replay_buffer.sample = lambda *_, batch=batch, **__: batch
        model.train(gradient_steps=1, batch_size=64)
        agents.learn(Batch(s[None], a[None].float(), r.T, s_next[None], done.T), {}, 0)
    layers = [layer for layer in model.q_net.q_net if isinstance(layer, torch.nn.Linear)]
    ours = [*(w[0].T for w in agents.online.weights), *(b[0, 0] for b in agents.online.biases)]
    theirs = [*(layer.weight for layer in layers), *(layer.bias for layer in layers)]
    difference = max(float((a - b).detach().abs().max()) for a, b in zip(ours, theirs, strict=True))
    assert difference < 1e-4, f"the two libraries' updates differ by {difference}"
    return difference


def main() -> None:
    threads = torch.get_num_threads()
    print(f"torch {torch.__version__}, {threads} threads, {os.cpu_count()} cores")
    print(
        f"after 20 updates from the same weights and batches, no weight differs by more than {assert_same_update():.1e}"
    )
    print("\n| what | agent-steps/s |\n| --- | ---: |")
    rates = sb3_side_by_side()
    for number, rate in enumerate(rates, 1):
        print(f"| Stable-Baselines3, process {number} of 2 | {rate:,.0f} |")
    print(f"| Stable-Baselines3, both | {sum(rates):,.0f} |")
    grown = {}
    for agents, steps in POPULATIONS.items():
        grown[agents] = population_rate(agents, steps)
        print(f"| companion, {agents} agent{'s' * (agents > 1)} | {grown[agents]:,.0f} |", flush=True)
    print(f"\n64 agents are {grown[64] / sum(rates):.1f} times the two processes (the figure to reach: 14).")
    print(f"One agent is {grown[1] / (sum(rates) / 2):.2f} times one of the processes (the figure to reach: 1).")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--sb3"]:
        print(json.dumps(sb3_rate(int(sys.argv[2]))))
    else:
        main()
