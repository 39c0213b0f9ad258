"""Generators of eight Gaussians and of digits, and averages of them."""

from companion.record.recording import Recording

TAUS = [0.1, 0.03, 0.01, 0.003, 0.001, 0.0003, 0.0001]

RECORDINGS = [
    Recording(
        "generators-length",
        "Diffusion at a constant learning rate: averages over tau, with and without a warm-up, at eight lengths",
        "companion.generation:train",
        ("diffusion",),
        {"tau": TAUS, "warmup": [False, True], "steps": 25_600, "halvings": 7},
        seeds=16,
    ),
    Recording(
        "generators-falling",
        "Diffusion at a falling learning rate: averages over tau",
        "companion.generation:train",
        ("diffusion",),
        {"tau": TAUS, "anneal": True, "steps": 25_600},
        seeds=32,
    ),
    Recording(
        "generators-gan",
        "A GAN, and averages of its generator over tau",
        "companion.generation:train",
        ("gan",),
        {"tau": TAUS, "steps": 16_000, "halvings": 3},
        seeds=32,
    ),
    Recording(
        "generators-consistency",
        "Consistency training over the tau of its target and that of an observer",
        "companion.generation:train",
        ("consistency",),
        {"target_tau": [1.0, 0.3, 0.1, 0.05, 0.01, 0.005], "tau": TAUS[:5], "steps": 19_200, "halvings": 4},
        seeds=16,
    ),
    Recording(
        "generators-digits",
        "Diffusion on pictures of digits at a constant learning rate: averages over tau",
        "companion.generation:train",
        ("diffusion",),
        {
            "world": "digits",
            "hidden": (32, 32, 32),
            "levels": 25,
            "batch_size": 32,
            "tau": TAUS[:5],
            "steps": 24_000,
            "halvings": 4,
            "samples": 224,
        },
        seeds=8,
    ),
]
