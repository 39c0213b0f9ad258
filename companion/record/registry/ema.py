"""Averages of a network's weights, as it learns digits."""

from companion.record.recording import Recording

RECORDINGS = [
    Recording(
        "digits-ema",
        "EMA of a small network's weights on digits: loss and error over tau, label noise and the run's length",
        "companion.supervised:train",
        ("digits",),
        {
            "tau": [1.0, 0.3, 0.1, 0.03, 0.01, 0.006, 0.003, 0.002, 0.001, 0.0006, 0.0003, 0.0001],
            "label_noise": [0.0, 0.2],
            "steps": 8_000,
            "evaluate_every": 500,
            "batch_size": 4,
            "learning_rate": 0.3,
        },
        seeds=64,
    ),
]
