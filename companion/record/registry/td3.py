"""TD3 on Pendulum, and the three algorithms with continuous actions on MuJoCo's tasks."""

from companion.record.recording import Recording
from companion.record.registry.ddpg import tau_map

RECORDINGS = [
    tau_map("td3"),
    Recording(
        "td3-parts",
        "TD3 on Pendulum with and without each of its three parts: value and what is earned",
        "companion.rl:train",
        ("td3", "Pendulum-v1"),
        {
            "tau": 0.05,
            "period": 1,
            "policy_delay": [2, 1],
            "clipped_double_q": [True, False],
            "target_noise": [0.2, 0.0],
            "horizon": 800,
            "steps": 20_000,
            "evaluate_every": 2_000,
        },
    ),
    Recording(
        "td3-delay",
        "TD3 on Pendulum: tau, the delay of the policy and the period of the slow copies",
        "companion.rl:train",
        ("td3", "Pendulum-v1"),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.01],
            "policy_delay": [1, 2, 8],
            "period": [1, 2, 8],
            "horizon": 800,
            "steps": 12_000,
            "evaluate_every": 3_000,
        },
        seeds=4,
    ),
    *(
        Recording(
            f"mujoco-{algorithm}-{task}",
            f"{algorithm.upper()} on MuJoCo's {world}: return and value",
            "companion.rl:train",
            (algorithm, world),
            {"steps": 60_000, "learning_starts": 1_000, "evaluate_every": 6_000, "evaluation_episodes": 3},
            seeds=4,
        )
        for task, world in (("hopper", "Hopper-v5"), ("halfcheetah", "HalfCheetah-v5"))
        for algorithm in ("td3", "ddpg", "sac")
    ),
]
