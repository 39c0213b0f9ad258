"""Write `temperature_for(q, entropy)`: the temperature at which the Boltzmann policy over the values `q` (a NumPy
array) has that entropy, to a thousandth of a nat. It lies between 0 and log n.
"""

import math

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.special import entr, softmax

from companion.exercises import Answer, Exercise, expect, matches, returned


def temperature_for(q: Float[np.ndarray, "action"], entropy: float) -> float:
    """The temperature at which the Boltzmann policy over `q` has this entropy; `entr(p)` is −p log p."""

    def excess(log_temperature: float) -> float:
        return float(entr(softmax(q / math.exp(log_temperature))).sum() - entropy)

    return math.exp(brentq(excess, -20, 20))


def entropy_at(q: Float[np.ndarray, "action"], temperature: float) -> float:
    return float(entr(softmax(q / temperature)).sum())


VALUES = (np.array([1.0, 0.8, 0.5, 0.0]), np.array([0.0, -1.0]), np.array([5.0, 4.9, -3.0, 1.0, 2.0]))


def reaches_the_entropy(answer: Answer) -> None:
    """The policy at that temperature has the entropy asked for."""
    for q in VALUES:
        for share in (0.3, 0.6, 0.95):
            wanted = share * math.log(len(q))
            temperature = float(returned(answer(q, wanted)))
            expect(temperature > 0, f"For q = {q.tolist()} it gave {temperature:g}; a temperature is positive.")
            entropy = entropy_at(q, temperature)
            expect(
                abs(entropy - wanted) < 1e-3,
                f"For q = {q.tolist()} and an entropy of {wanted:.3f} it gave α = {temperature:.4g}, at which the "
                f"Boltzmann policy has entropy {entropy:.3f}. Entropy rises with temperature: search there, best on "
                "log α, or follow (7.8) downhill until it rests.",
            )


def scales_with_reward(answer: Answer) -> None:
    """Ten times the reward needs ten times the temperature."""
    for q in VALUES:
        hint = (
            "Multiply all values by ten and the same policy needs a temperature ten times as high. Is your search "
            "wide enough, and does it search log α?"
        )
        matches(float(answer(10 * q, 0.5)), 10 * temperature_for(q, 0.5), hint, rtol=1e-2)


def shifts_do_not_matter(answer: Answer) -> None:
    """A constant added to all values changes nothing."""
    q = VALUES[0]
    hint = "Adding 500 to every value leaves the policy as it is. Subtract the largest before you exponentiate."
    matches(float(answer(q + 500, 0.9)), temperature_for(q, 0.9), hint, rtol=1e-2)


EXERCISE = Exercise(
    place=4,
    title="The temperature that was asked for",
    difficulty="medium",
    minutes=25,
    expects="a function of (q, entropy) that returns a positive number",
    solution=temperature_for,
    why="It is the least point of the dual (7.8), $\\alpha \\log \\sum_a e^{q/\\alpha} - \\alpha \\bar H$, whose "
    "slope is entropy minus $\\bar H$. SAC takes one small step of this search after every update, while "
    "$Q$ moves under it. That the answer scales with the reward is why a fixed temperature has to be tuned anew for "
    "every task.",
    checks=[reaches_the_entropy, scales_with_reward, shifts_do_not_matter],
)
