"""The exercises on an anchor that moves."""

import numpy as np

from companion.exercises.anchors.speed import measured, speed
from tests.exercises.helpers import Wrong


def wrong_tilt() -> Wrong:
    def overflows(start, reward, beta):
        chances = (start + reward / beta).exp()
        return (chances / chances.sum()).log()

    return {
        "not normalised": (lambda s, r, b: s + r / b, "add up to 1"),
        "beta for 1/beta": (lambda s, r, b: (s + b * r).log_softmax(-1), "λ is 1/β"),
        "without the start": (lambda s, r, b: (r / b).log_softmax(-1), "π₀ a factor"),
        "overflow": (overflows, "Stay in logarithms"),
    }


def wrong_speed() -> Wrong:
    return {
        "only tau": (lambda rate, beta, tau: rate * tau, "nothing holds the policy"),
        "no anchor": (lambda rate, beta, tau: rate, "Once the gap has settled"),
        "of small tau": (lambda rate, beta, tau: rate * tau / (tau + rate * beta), "the leash has no length"),
        "a fixed one": (lambda rate, beta, tau: rate * (1 - rate * beta) if beta else rate, "the leash has no length"),
    }


def wrong_equal_kl() -> Wrong:
    def crosses_last(kl, gold, where):
        kl, gold = np.asarray(kl), np.asarray(gold)
        below = np.flatnonzero(kl < where)
        last = below[-1]
        if last == len(kl) - 1 and kl.max() < where:
            return np.nan
        first = min(last, len(kl) - 2)
        return np.interp(where, kl[first : first + 2], gold[first : first + 2])

    def nearest(kl, gold, where):
        return gold[int(np.abs(np.asarray(kl) - where).argmin())]

    return {
        "np.interp": (lambda kl, gold, where: np.interp(where, kl, gold), "never got to 5 nats"),
        "the last passage": (crosses_last, "wants rising places"),
        "the nearest": (nearest, "the line is at 2.5"),
    }


def wrong_elastic() -> Wrong:
    def wrong_order(policy, average, start):
        for weights, source in ((average, start), (policy, average)):
            for weight, value in zip(weights, source, strict=True):
                weight.copy_(value)

    def shares(policy, average, start):
        for weight, value in zip(policy, average, strict=True):
            weight.copy_(value)
        average[:] = start

    def clones(policy, average, start):
        policy[:] = [weight.clone() for weight in average]
        average[:] = [weight.clone() for weight in start]

    def swaps(policy, average, start):
        for weight, value in zip(policy, average, strict=True):
            weight.copy_(value)

    return {
        "wrong order": (wrong_order, "must be set first"),
        "shares": (shares, "share memory"),
        "clones": (clones, "of which the optimizer knows nothing"),
        "the average stays": (swaps, "not the policy of the start"),
    }


def test_the_speed_is_what_is_walked():
    for rate, beta, tau in ((0.1, 0.5, 0.02), (0.02, 3.0, 0.3)):
        np.testing.assert_allclose(speed(rate, beta, tau), measured(rate, beta, tau), rtol=1e-6)
