"""The exercises on choosing: solutions pass, typical wrong answers get their own hints."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from companion.exercises.choosing.joint_batch import joint
from companion.exercises.choosing.mean_or_variance import mean_or_variance
from companion.exercises.choosing.smaller_of_two import smaller_of_two
from tests.exercises.helpers import Wrong


def wrong_same_share() -> Wrong:
    return {
        "upside down": (lambda d, n, m: d ** (m / n), "stands on its head"),
        "times tau": (lambda d, n, m: 1 - (1 - d) * n / m, "exact for small"),
        "the paper's": (lambda d, n, m: d, "left of the start after n"),
        "no return": (lambda d, n, m: None, "returned None"),
    }


def normed(batch: Tensor, like: Tensor, epsilon: float, dim: Any = 1, correction: int = 0) -> Tensor:
    mean, variance = like.mean(dim, keepdim=True), like.var(dim, keepdim=True, correction=correction)
    return (batch - mean) / (variance + epsilon).sqrt()


def of_both(now: Tensor, after: Tensor, epsilon: float = 1e-3, **how: Any) -> tuple[Tensor, Tensor]:
    both = torch.cat((now, after), 1)
    return normed(now, both, epsilon, **how), normed(after, both, epsilon, **how)


def halved(now: Tensor, after: Tensor, epsilon: float = 1e-3) -> tuple[Tensor, Tensor]:
    mean = (now.mean(1, keepdim=True) + after.mean(1, keepdim=True)) / 2
    square = ((now - mean).square().mean(1, keepdim=True) + (after - mean).square().mean(1, keepdim=True)) / 2
    return (now - mean) / (square + epsilon).sqrt(), (after - mean) / (square + epsilon).sqrt()


def outside(now: Tensor, after: Tensor, epsilon: float = 1e-3) -> tuple[Tensor, Tensor]:
    mean, sd = (
        f(torch.cat((now, after), 1), 1, keepdim=True)
        for f in (torch.mean, lambda *a, **k: torch.std(*a, **k, correction=0))
    )
    return (now - mean) / (sd + epsilon), (after - mean) / (sd + epsilon)


def wrong_joint_batch() -> Wrong:
    return {
        "the code that was given": (lambda a, b, e=1e-3: (normed(a, a, e, 1, 1), normed(b, b, e, 1, 1)), "by itself"),
        "apart": (lambda a, b, e=1e-3: (normed(a, a, e), normed(b, b, e)), "Take the statistics over both"),
        "by the first": (lambda a, b, e=1e-3: (normed(a, a, e), normed(b, a, e)), "Half of CrossQ"),
        "over members": (lambda a, b, e=1e-3: of_both(a, b, e, dim=(0, 1)), "strangers"),
        "unbiased": (lambda a, b, e=1e-3: of_both(a, b, e, correction=1), "correction=0"),
        "mean of means": (halved, "mean of the two means"),
        "epsilon outside of the root": (outside, "under the root"),
        "one tensor": (lambda a, b, e=1e-3: torch.cat((a, b), 1), "as a pair"),
        "exchanged": (lambda a, b, e=1e-3: (joint(a, b, e)[0][:, :1], joint(a, b, e)[1]), "as it came"),
    }


def wrong_smaller_of_two() -> Wrong:
    def scaled(once: float, settled: float = 1.0) -> Any:
        def answer(sd: float, rho: float, gamma: float) -> tuple[float, float]:
            a, b = smaller_of_two(sd, rho, gamma)
            return once * a, settled * b

        return answer

    def no_correlation(sd: float, rho: float, gamma: float) -> tuple[float, float]:
        return smaller_of_two(sd, 0.0, gamma)

    def at_its_own(sd: float, rho: float, gamma: float) -> tuple[float, float]:
        once = smaller_of_two(sd, rho, gamma)[0]
        return once, once / (1 - gamma)

    def one_label(sd: float, rho: float, gamma: float) -> tuple[float, float]:
        once = smaller_of_two(sd, rho, gamma)[0]
        return once, gamma * once

    return {
        "a sign": (scaled(-1), "a sign"),
        "of one sd": (scaled(1 / math.sqrt(2)), "for one of"),
        "not halved": (scaled(2), "*half*"),
        "something else": (scaled(1.1), "√π"),
        "no correlation": (no_correlation, "million draws"),
        "at its own state": (at_its_own, "one γ more"),
        "one label": (one_label, "and so on"),
        "half settled": (scaled(1, 0.5), "solve b"),
        "one number": (lambda sd, rho, gamma: -0.5, "two numbers"),
    }


def wrong_mean_or_variance() -> Wrong:
    letter, share = mean_or_variance()
    return {
        "the other letter": (("B", share), "Run it"),
        "both alike": (("C", share), "Run it"),
        "no such letter": (("D", share), "A, B or C"),
        "a percentage": ((letter, 100 * share), "not a percentage"),
        "without": ((letter, 0.9008), "without any"),
        "with both": ((letter, 0.9813), "*and* variance"),
        "current states only": ((letter, 0.95), "*and* next"),
        "a letter": ("A", "a pair"),
    }


def test_the_answer_is_what_the_table_of_the_chapter_lies_between() -> None:
    letter, share = mean_or_variance()
    assert letter == "A"
    assert 0.9008 < share < 0.9813


def test_the_bias_of_a_minimum_needs_two_that_disagree() -> None:
    once = np.array([smaller_of_two(1.0, rho, 0.5)[0] for rho in (-1.0, 0.0, 0.5, 1.0)])
    assert np.allclose(once, [-math.sqrt(2 / math.pi), -1 / math.sqrt(math.pi), -1 / math.sqrt(2 * math.pi), 0])
