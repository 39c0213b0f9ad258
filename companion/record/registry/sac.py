"""SAC on Pendulum."""

from companion.record.recording import Recording
from companion.record.registry.ddpg import tau_map

RECORDINGS = [
    tau_map("sac"),
    Recording(
        "sac-period",
        "SAC on Pendulum: return and value over the period of hard updates",
        "companion.rl:train",
        ("sac", "Pendulum-v1"),
        {"tau": 1.0, "period": [3, 10, 30, 100, 300, 1_000], "steps": 20_000},
        seeds=4,
    ),
    Recording(
        "sac-target-actor",
        "SAC on Pendulum with and without a slow copy of the actor, over tau",
        "companion.rl:train",
        ("sac", "Pendulum-v1"),
        {"target_actor": [False, True], "tau": [0.1, 0.03, 0.01], "steps": 20_000},
        seeds=4,
    ),
    Recording(
        "sac-entropy",
        "SAC on Pendulum: return, entropy and temperature over the entropy asked for",
        "companion.rl:train",
        ("sac", "Pendulum-v1"),
        {"tau": 0.03, "target_entropy": [-4.0, -3.0, -2.0, -1.0, -0.5, 0.0, 0.5, 1.0], "steps": 10_000},
        seeds=4,
    ),
]
