"""MoCo on shapes and on CIFAR-10."""

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "moco-tau-table",
        "MoCo on shapes: probes, measures of collapse and the drift of keys over tau",
        "companion.vision:train",
        ("moco", "shapes"),
        {"tau": [1.0, 0.1, 0.01, 0.001, 0.0001], "epochs": 16, "evaluate_every": 4},
        seeds=4,
    ),
    Recording(
        "moco-norm",
        "MoCo on shapes: batch norm over the whole batch or eight parts, keys shuffled or not",
        "companion.vision:train",
        ("moco", "shapes"),
        {"tau": 0.02, "parts": [1, 8], "shuffle": [True, False], "epochs": 12},
        seeds=3,
    ),
    Recording(
        "moco-queue",
        "MoCo on shapes over the length of the queue",
        "companion.vision:train",
        ("moco", "shapes"),
        {"tau": 0.02, "queue_size": [128, 512, 2_048, 8_192], "epochs": 12},
        seeds=3,
    ),
    Recording(
        "cifar10-moco",
        "MoCo on CIFAR-10 with the small encoder: probes and measures",
        "companion.vision:train",
        ("moco", "cifar10"),
        {"tau": 0.01, "epochs": 4, "evaluate_every": 1},
        seeds=2,
    ),
]
