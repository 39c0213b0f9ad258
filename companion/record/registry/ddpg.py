"""DDPG on Pendulum."""

from companion.record.recording import Recording


def tau_map(algorithm: str) -> Recording:
    """The same sweep of tau for every algorithm, so that their maps can be laid side by side."""
    return Recording(
        f"{algorithm}-tau-map",
        f"{algorithm.upper()} on Pendulum: return and value over tau",
        "companion.rl:train",
        (algorithm, "Pendulum-v1"),
        {"tau": [1.0, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005, 0.003, 0.001, 0.0003, 0.0], "steps": 20_000},
        seeds=12,
    )


RECORDINGS = [
    tau_map("ddpg"),
    Recording(
        "ddpg-hard",
        "DDPG on Pendulum: return and value over the period of hard updates",
        "companion.rl:train",
        ("ddpg", "Pendulum-v1"),
        {"tau": 1.0, "period": [1, 3, 10, 33, 100, 333, 1_000, 3_333, 10_000], "steps": 20_000},
        seeds=8,
    ),
    Recording(
        "ddpg-actor-copy",
        "DDPG on Pendulum with and without a slow copy of the actor, over tau",
        "companion.rl:train",
        ("ddpg", "Pendulum-v1"),
        {"tau": [0.3, 0.1, 0.03, 0.01, 0.003], "target_actor": [True, False], "steps": 20_000},
        seeds=8,
    ),
    Recording(
        "ddpg-actor-copy-halfcheetah",
        "DDPG on MuJoCo's HalfCheetah-v5 with and without a slow copy of the actor",
        "companion.rl:train",
        ("ddpg", "HalfCheetah-v5"),
        {
            "target_actor": [True, False],
            "steps": 60_000,
            "learning_starts": 1_000,
            "evaluate_every": 6_000,
            "evaluation_episodes": 3,
        },
        seeds=8,
    ),
]
