"""What may stand in for a slow copy: DQN on CartPole, SAC and TD3 on Pendulum, with normalised values."""

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "choosing-dqn",
        "DQN on CartPole with layer norm or none, clipped or squared errors: return and value over tau",
        "companion.rl:train",
        ("dqn", "CartPole-v1"),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.003],
            "normalization": ["none", "layer"],
            "error_clip": [1.0, float("inf")],
            "steps": 12_000,
        },
        seeds=8,
    ),
    Recording(
        "choosing-sac",
        "SAC on Pendulum with layer norm, joint batch norm or none: return and value over tau",
        "companion.rl:train",
        ("sac", "Pendulum-v1"),
        {"tau": [1.0, 0.3, 0.1, 0.03, 0.005], "normalization": ["none", "layer", "batch"], "steps": 20_000},
    ),
    Recording(
        "choosing-td3",
        "TD3 on Pendulum with layer norm, joint batch norm or none: return and value over tau",
        "companion.rl:train",
        ("td3", "Pendulum-v1"),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.005],
            "period": 1,
            "normalization": ["none", "layer", "batch"],
            "steps": 20_000,
        },
    ),
]
