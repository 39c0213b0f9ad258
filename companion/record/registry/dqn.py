"""DQN on CartPole."""

import math

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "dqn-tau-map",
        "DQN on CartPole: return and value over tau, the target updated at every step",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {"tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 0.0003], "steps": 30_000},
    ),
    Recording(
        "dqn-period",
        "DQN on CartPole: return and value over the period of hard updates",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {"period": [1, 3, 10, 30, 100, 300, 1_000, 3_000], "steps": 20_000},
        seeds=12,
    ),
    Recording(
        "dqn-replay-target",
        "DQN on CartPole with and without replay, target network and clipped error",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {"buffer_size": [1, 10_000], "period": [1, 100], "error_clip": [1.0, math.inf], "steps": 20_000},
        seeds=12,
    ),
    Recording(
        "dqn-hard-soft",
        "DQN on CartPole: soft updates as fast as hard ones with periods 10 to 3,000",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {"tau": [1 / period for period in (10, 30, 100, 300, 1_000, 3_000)], "steps": 20_000},
        seeds=12,
    ),
    Recording(
        "dqn-double",
        "DQN and Double DQN on CartPole with noisy updates: value and return over the period of hard updates",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {
            "period": [1, 3, 10, 30, 100, 300],
            "double_q": [False, True],
            "batch_size": 8,
            "learning_rate": 3e-3,
            "error_clip": math.inf,
            "steps": 10_000,
        },
    ),
]
