"""Write `entropies(sd)`: for u ~ N(0, sd²) with a large sd, the entropy of u and that of a = tanh u, the latter up to
what vanishes as sd grows.
"""

import math

import numpy as np

from companion.exercises import Answer, Exercise, expect, matches, several


def entropies(sd: float) -> tuple[float, float]:
    """E log(1 − tanh²u) → log 4 − 2 E|u|, and E|u| = sd √(2/π)."""
    believed = math.log(sd) + 0.5 * math.log(2 * math.pi * math.e)
    return believed, believed + math.log(4) - 2 * sd * math.sqrt(2 / math.pi)


def exactly(sd: float) -> float:
    """The true entropy, by integration."""
    u = np.linspace(-12 * sd, 12 * sd, 400_001)
    density = np.exp(-0.5 * (u / sd) ** 2) / (sd * math.sqrt(2 * math.pi))
    squashing = 2 * (math.log(2) - abs(u) - np.log1p(np.exp(-2 * abs(u))))
    return entropies(sd)[0] + float((density * squashing).sum() * (u[1] - u[0]))


SDS = (5.0, math.exp(2), 30.0, 200.0)


def pair(answer: Answer, sd: float) -> tuple[float, float]:
    believed, true = several(answer(sd), 2, "Return two numbers: the entropy of u, and that of tanh u.")
    return float(believed), float(true)


def believed_is_the_gaussian_s(answer: Answer) -> None:
    """What is believed is the Gaussian's: log σ + ½ log 2πe."""
    for sd in SDS:
        hint = f"At σ = {sd:.3g} the entropy of a Gaussian is not this. It is −E log N(u), and E u²/σ² = 1."
        matches(pair(answer, sd)[0], entropies(sd)[0], hint)


def the_correction_lowers_it(answer: Answer) -> None:
    """Squashing takes entropy away, the more the wider."""
    slopes = [(pair(answer, sd + 1)[1] - pair(answer, sd)[1]) for sd in SDS]
    expect(
        max(slopes) < 0,
        "Your true entropy rises with σ somewhere. Entropy is −E log π(a), and log π has *minus* log(1 − tanh²u): add "
        "the mean of log(1 − tanh²u), which is negative.",
    )


def falls_like_a_line(answer: Answer) -> None:
    """The true one falls like a line, at 2 √(2/π) nats for each unit of σ."""
    slope = (pair(answer, 2_000.0)[1] - pair(answer, 1_000.0)[1]) / 1_000
    want = (entropies(2_000.0)[1] - entropies(1_000.0)[1]) / 1_000
    hint = (
        f"From σ = 1,000 to 2,000 yours falls by {-slope:.3f} nats for each unit of σ. log(1 − tanh²u) falls by 2 for "
        "each unit of |u|; what is the mean of |u|, when u is Gaussian?"
    )
    matches(slope, want, hint, rtol=1e-3)


def meets_the_integral(answer: Answer) -> None:
    """And it is what an integral gives, up to what vanishes."""
    for sd in SDS:
        true = pair(answer, sd)[1]
        expect(
            abs(true - exactly(sd)) < 1 / sd,
            f"At σ = {sd:.3g} integration gives {exactly(sd):.3f}, and you {true:.3f}: the slope is right, a constant "
            "is not. 1 − tanh²u = 4/(eᵘ + e⁻ᵘ)².",
        )


EXERCISE = Exercise(
    place=4,
    title="What a wide Gaussian plays",
    difficulty="medium",
    minutes=30,
    expects="a function of a number that returns two numbers",
    solution=entropies,
    why="By (7.7) $\\mathcal H(a) = \\mathcal H(u) + \\mathbb E \\log(1 - \\tanh^2 u)$. With $1 - \\tanh^2 u = "
    "4/(e^u + e^{-u})^2 \\approx 4 e^{-2|u|}$ the second term is $\\log 4 - 2\\,\\mathbb E|u|$, and $\\mathbb E|u| "
    "= \\sigma \\sqrt{2/\\pi}$. So what the forgetful agent believes grows like $\\log\\sigma$, and the truth falls "
    "by 1.6 nats for each unit of $\\sigma$. A mean away from 0 makes $\\mathbb E|u|$ larger still.",
    checks=[believed_is_the_gaussian_s, the_correction_lowers_it, falls_like_a_line, meets_the_integral],
)
