r"""Write `log_prob(u, mean, log_sd)`, equation (7.7): the log-density of $a = \tanh u$ where $u$ is Gaussian, summed
over the last axis. Single precision must do.
"""

import math

import torch
from scipy.integrate import quad
from torch import Tensor
from torch.nn.functional import softplus

from companion.exercises import Answer, Exercise, agrees, expect, matches, returned


def log_prob(u: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """Log-density of a = tanh(u), u ~ N(mean, sd²), summed over the action's numbers."""
    standard = (u - mean) / log_sd.exp()
    gaussian = -0.5 * standard.square() - log_sd - 0.5 * math.log(2 * math.pi)
    squashing = 2 * (math.log(2) - u - softplus(-2 * u))
    return (gaussian - squashing).sum(-1)


def integrates_to_one(answer: Answer) -> None:
    """The density of a integrates to one over [−1, 1]."""

    def density(a: float, mean: float, sd: float) -> float:
        u = torch.atanh(torch.tensor([[a]], dtype=torch.float64))
        one = torch.ones_like(u)
        got = returned(answer(u, mean * one, math.log(sd) * one))
        return float(torch.as_tensor(got).exp().flatten()[0])

    for mean, sd in ((0.0, 0.5), (0.7, 0.3)):
        area, _ = quad(density, -1 + 1e-12, 1 - 1e-12, args=(mean, sd), limit=200)
        expect(
            abs(area - 1) < 1e-4,
            f"With mean {mean} and standard deviation {sd} your density of a integrates to {area:.3f} over [−1, 1], "
            "and 1 is right. tanh squeezes lengths by 1 − tanh²(u); density is probability *per length*, so does it "
            "grow or shrink there?",
        )


def one_number_an_action(answer: Answer) -> None:
    """Independent numbers of an action multiply, so logarithms add over the last axis."""
    u = torch.tensor([[[0.3, -1.0], [0.1, 2.0], [0.0, 0.5]]], dtype=torch.float64)
    mean, log_sd = 0.5 * u, torch.full_like(u, -0.7)
    agrees(
        answer,
        log_prob,
        (u, mean, log_sd),
        "For an action of several numbers sum their logarithms over the last axis: (member, batch, action) becomes "
        "(member, batch).",
        rtol=1e-3,  # a small number inside the logarithm is for the next check
    )


def survives_saturation(answer: Answer) -> None:
    """It is exact where tanh(u) rounds to ±1, in single precision."""
    for u in (5.0, 9.5, 20.0, -20.0):
        one = torch.tensor([[u]])
        got = torch.as_tensor(answer(one, one, torch.zeros_like(one))).flatten()
        want = log_prob(one.double(), one.double(), torch.zeros(1, 1, dtype=torch.float64))
        expect(
            bool(torch.isfinite(got).all()),
            f"At u = {u:g} it is {float(got[0])}: in float32 tanh(u) is ±1 and 1 − tanh²(u) is 0. Write log(1 − "
            "tanh²u) as 2 (log 2 − u − softplus(−2u)).",
        )
        hint = (
            f"At u = {u:g} the log-density is {float(want):.3f}, and yours is {float(got[0]):.3f}. A small number "
            "added inside the logarithm keeps it finite and makes it wrong: from there on every u looks alike."
        )
        matches(got.double(), want, hint, rtol=1e-4)


EXERCISE = Exercise(
    place=1,
    title="The price of squashing",
    difficulty="medium",
    minutes=20,
    expects="a function of (u, mean, log_sd), each (..., action), that returns a tensor (...)",
    solution=log_prob,
    why="Where tanh is flat, many $u$ land on few $a$, and the density of $a$ is high: the correction *adds* "
    "$-\\log(1 - \\tanh^2 u) \\ge 0$. The stable form follows from $1 - \\tanh^2 u = 4 / (e^u + e^{-u})^2$. It came to "
    "rlkit from TensorFlow Probability, by [way of an issue](https://github.com/rail-berkeley/rlkit/issues/37).",
    checks=[integrates_to_one, one_number_an_action, survives_saturation],
)
