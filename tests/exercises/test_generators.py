"""The exercises on generators."""

import contextlib
import math

import numpy as np
import pytest
import torch
from torch import nn

from companion import power_sigma
from companion.exercises.generators.cadence import PowerAverage
from companion.exercises.generators.spiral import distance
from companion.exercises.generators.swap import copy, with_average
from companion.exercises.generators.warm_profile import warm_profile
from tests.exercises.helpers import Wrong


def wrong_warm_profile() -> Wrong:
    def power(updates):
        weights = np.arange(updates + 1.0) ** 8
        return weights / weights.sum()

    def without_the_start(updates):
        return warm_profile(updates)[1:]

    def product_of_all(updates):
        k = np.arange(updates + 1.0)
        weights = 9 / (9 + k) * np.cumprod(np.append(1.0, k[1:] / (9 + k[1:])))
        return weights / weights.sum()

    def overflows(updates):
        j = np.arange(updates + 1.0)
        with np.errstate(all="ignore"):
            weights = np.prod([(j + i) ** (40 if updates > 1_000 else 1) for i in range(1, 9)], axis=0)
            return weights / weights.sum()

    return {
        "the eighth power": (power, "the eighth power of j"),
        "no start": (without_the_start, "the start included"),
        "kept before and not after": (product_of_all, "has not the weight"),
        "unnormalised": (lambda updates: 2 * warm_profile(updates), "add up to 2"),
        "overflow": (overflows, "use logarithms"),
    }


def wrong_swap() -> Wrong:
    def never_restores(model, average, evaluate):
        copy(average.parameters(), model.parameters())
        return evaluate(model)

    def stores_an_alias(model, average, evaluate):
        stored = list(model.parameters())
        copy(average.parameters(), model.parameters())
        result = evaluate(model)
        copy(stored, model.parameters())
        return result

    def evaluates_the_average(model, average, evaluate):
        return evaluate(average)

    def forgets_to_copy(model, average, evaluate):
        return evaluate(model)

    def no_finally(model, average, evaluate):
        stored = [p.detach().clone() for p in model.parameters()]
        copy(average.parameters(), model.parameters())
        result = evaluate(model)
        copy(stored, model.parameters())
        return result

    def only_after_errors(model, average, evaluate):
        stored = [p.detach().clone() for p in model.parameters()]
        copy(average.parameters(), model.parameters())
        try:
            result = evaluate(model)
        except Exception:
            copy(stored, model.parameters())
            raise
        copy(stored, model.parameters())
        return result

    def swallows(model, average, evaluate):
        with contextlib.suppress(Exception):
            return with_average(model, average, evaluate)

    def points_elsewhere(model, average, evaluate):
        stored = [p.detach().clone() for p in model.parameters()]
        try:
            copy(average.parameters(), model.parameters())
            return evaluate(model)
        finally:
            for p, old in zip(model.parameters(), stored, strict=True):
                p.data = old

    def lends_the_average(model, average, evaluate):
        own = [p.data for p in model.parameters()]
        try:
            for p, a in zip(model.parameters(), average.parameters(), strict=True):
                p.data = a.data
            return evaluate(model)
        finally:
            for p, old in zip(model.parameters(), own, strict=True):
                p.data = old

    def returns_nothing(model, average, evaluate):
        with_average(model, average, evaluate)

    return {
        "never restored": (never_restores, "training would go on from there"),
        "an alias is stored": (stores_an_alias, "or the parameters themselves"),
        "the average evaluated": (evaluates_the_average, "the model itself"),
        "nothing copied": (forgets_to_copy, "did not hold the average's"),
        "not after an error": (no_finally, "was stopped in between"),
        "not after Ctrl-C": (only_after_errors, "by a KeyboardInterrupt"),
        "the error swallowed": (swallows, "The RuntimeError of the evaluation was swallowed"),
        "another memory": (points_elsewhere, "in another memory"),
        "the average lent": (lends_the_average, "must not reach it"),
        "no result": (returns_nothing, "is to be returned"),
    }


class OneStepHasPassed(PowerAverage):
    """The notebook's."""

    def step(self, x):
        self.steps += 1
        if self.steps % self.every == 0:
            beta = (1 - 1 / self.steps) ** (self.gamma + 1)
            self.value = beta * self.value + (1 - beta) * x


class AtEveryStep(PowerAverage):
    def __init__(self, start, gamma, every):
        super().__init__(start, gamma, 1)


class CopiesOnlyAtFirst(OneStepHasPassed):
    def step(self, x):
        super().step(x)
        if self.steps == self.every:
            self.value = np.array(x)


class ConstantBeta(PowerAverage):
    def step(self, x):
        self.steps += 1
        if self.steps % self.every == 0:
            self.value = self.value + 0.1 * (x - self.value)


class GammaAlone(PowerAverage):
    def __init__(self, start, gamma, every):
        super().__init__(start, gamma - 1, every)


class DriftsBetween(PowerAverage):
    def step(self, x):
        super().step(x)
        if self.steps > 400:
            self.value = self.value + 0.01 * (x - self.value)


def wrong_cadence() -> Wrong:
    return {
        "one step has passed": (OneStepHasPassed, "something of the start was kept"),
        "at every step": (AtEveryStep, "It moves at every step"),
        "repaired at the first update only": (CopiesOnlyAtFirst, "What is Δt"),
        "an EMA": (ConstantBeta, "it is not (12.7)"),
        "gamma for gamma + 1": (GammaAlone, "it is not (12.7)"),
        "drifts between": (DriftsBetween, "between two updates"),
    }


def wrong_spiral() -> Wrong:
    return {
        "as far": (7.316, "400 steps of 0.1"),
        "twice as many of the old": (53.5, "half as long, too"),
        "as many of the new": (1.648, "twice as many"),
        "on the circle": (1.0, "along its tangent"),
        "inwards": (0.3, "by Pythagoras"),
        "a word": ("far", "one number"),
        "the whole way": (np.ones((801, 2)), "take its last place"),
        "a place": (np.array([0.7, -2.6]), "how far that is"),
    }


def test_a_warm_up_is_as_wide_as_the_eighth_power_says() -> None:
    weights, at = warm_profile(50_000), np.arange(50_001) / 50_000
    assert np.sqrt(weights @ at**2 - (weights @ at) ** 2) == pytest.approx(power_sigma(8), rel=1e-3)


def test_the_spiral_is_the_one_that_is_played() -> None:
    x, y = 1.0, 0.0
    for _ in range(800):
        x, y = x - 0.05 * y, y + 0.05 * x
    assert distance() == pytest.approx(math.hypot(x, y))


def test_an_optimizer_goes_on_as_if_nobody_had_looked() -> None:
    """The bug that the exercise is about, in a training: with it another network comes out, without it the same."""

    def trained(look) -> torch.Tensor:
        torch.manual_seed(0)
        model, average = nn.Linear(3, 1), nn.Linear(3, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(5):
            optimizer.zero_grad()
            model(torch.ones(1, 3)).square().sum().backward()
            optimizer.step()
            look(model, average, lambda given: None)
        return model.weight.detach().clone()

    untouched = trained(lambda *given: None)
    assert torch.equal(trained(with_average), untouched)
    assert not torch.allclose(trained(wrong_swap()["never restored"][0]), untouched)
