"""BYOL on shapes and on CIFAR-10."""

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "byol-tau-table",
        "BYOL on shapes over tau, which stays, with a predictor as fast as the rest and ten times as fast",
        "companion.vision:train",
        ("byol", "shapes"),
        {
            "tau": [1.0, 0.1, 0.01, 0.001, 0.0],
            "anneal": False,
            "predictor_rate": [1.0, 10.0],
            "epochs": 16,
            "evaluate_every": 4,
        },
        seeds=4,
    ),
    Recording(
        "byol-anneal",
        "BYOL on shapes over tau, which stays or falls to 0 along half a cosine",
        "companion.vision:train",
        ("byol", "shapes"),
        {"tau": [0.2, 0.03], "anneal": [True, False], "epochs": 12},
        seeds=3,
    ),
    Recording(
        "cifar10-byol",
        "BYOL on CIFAR-10 with the small encoder: probes and measures",
        "companion.vision:train",
        ("byol", "cifar10"),
        {"tau": 0.05, "epochs": 4, "evaluate_every": 1},
        seeds=2,
    ),
]
