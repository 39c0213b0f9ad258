"""Averages of one trajectory: drawn shapes, digits, and CIFAR-10 with ResNet-18.

Those on CIFAR-10 wait for a GPU: they were tried on a CPU with small sizes, and never run on a GPU.
"""

from companion.record.recording import Made, Recording


def swa(start: int, every: int = 1) -> Made:
    """The schedule of that name."""
    return Made("companion.averaging:swa", (start,), {"every": every})


def averages(steps: int, every: int) -> dict[str, float | Made]:
    """The chapter's, of a run of so many steps, with so many to an epoch."""
    emas = {f"EMA {tau}": tau for tau in (0.1, 0.03, 0.01, 0.003, 0.001)}
    warm = Made("companion.averaging:warmup", (0.001,), {"power": 2 / 3})
    return {**emas, "EMA 0.001, warm-up": warm, "SWA": swa(steps // 2, every), "tail": swa(steps // 2)}


BOTH = {
    "anneal": [False, True],
    "label_noise": [0.0, 0.3],
    "epochs": 80,
    "evaluate_every": 20,
    "widths": (12, 24, 24),
    "keep_networks": False,
}
"""Four times as long as the chapter's quick budget."""
SHAPES = Made("companion.vision:shapes", (), {"train": 960, "test": 1_000})
DIGITS = Made("companion.supervised:Pictures.digits")
CIFAR10 = Made("companion.vision:load", ("cifar10",))

BUDGET = 40
"""Epochs of a falling rate that count as one budget; the paper has 200."""
BATCHES = 50_000 // 128
START = BUDGET * 4 // 5
"""The epoch that the mean begins with, and from which on the rate is constant; the paper has 161 of 200."""
RESNET18 = {
    "residual": True,
    "widths": (64, 128, 256, 512),
    "augment": True,
    "batch_size": 128,
    "learning_rate": 0.05,
    "weight_decay": 5e-4,
    "anneal": True,
    "keep_networks": False,
    "evaluate_every": BUDGET // 4,
}
"""Learning rates, momentum and weight decay are those that the paper's authors give for VGG-16."""
WATCHED = {"SWA": swa(START * BATCHES, BATCHES), "EMA 0.001": 0.001, "EMA 0.0003": 0.0003}

RECORDINGS = [
    Recording(
        "generalise-shapes",
        "Averages of networks that learn shapes, at a constant and a falling rate, from clean and noisy labels",
        "companion.supervised:trajectories",
        (Made("companion.supervised:Pictures.of", (SHAPES,)), averages(80 * 15, 15)),
        BOTH,
    ),
    Recording(
        "generalise-digits",
        "Averages of networks that learn digits, at a constant and a falling rate, from clean and noisy labels",
        "companion.supervised:trajectories",
        (DIGITS, averages(80 * 14, 14)),
        BOTH,
    ),
    Recording(
        "generalise-cifar10-falling",
        "ResNet-18 on CIFAR-10 at a falling rate, one budget",
        "companion.supervised:trajectories",
        (Made("companion.supervised:Pictures.of", (CIFAR10,)), WATCHED),
        {**RESNET18, "epochs": BUDGET},
        seeds=3,
    ),
    Recording(
        "generalise-cifar10-swa",
        "ResNet-18 on CIFAR-10 with SWA at a constant rate: budgets 1, 1.25 and 1.5",
        "companion.supervised:trajectories",
        (Made("companion.supervised:Pictures.of", (CIFAR10,)), WATCHED),
        {**RESNET18, "epochs": BUDGET * 3 // 2, "fall_to": 0.2, "fall_until": START / (BUDGET * 3 // 2)},
        seeds=3,
    ),
]
