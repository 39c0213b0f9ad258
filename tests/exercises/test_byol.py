"""The exercises on BYOL."""

import numpy as np
import pytest
import torch

from companion.exercises import normal
from companion.exercises.byol import byol_loss
from companion.exercises.byol.best_predictor import LEAST_SPREAD, best_prediction, spread_with
from companion.exercises.byol.find_the_line import LISTING, suspect
from companion.exercises.byol.slow_predictor import final_length, simulated
from companion.exercises.byol.stop_gradient import symmetric_loss, trio
from companion.vision import byol as package
from tests.exercises.helpers import Wrong, wrong_lines


def test_loss_is_the_packages():
    prediction, target = normal(0)(12, 5), normal(1)(12, 5)
    assert torch.allclose(byol_loss(prediction, target), package.loss(prediction, target), rtol=1e-12)


def wrong_stop_gradient() -> Wrong:
    loss, right = byol_loss, symmetric_loss

    def no_stop(online, predictor, target, first, second):
        return loss(predictor(online(first)), target(second)) + loss(predictor(online(second)), target(first))

    def wrong_side(online, predictor, target, first, second):
        first_told, second_told = predictor(online(first)), predictor(online(second))
        return loss(first_told.detach(), target(second)) + loss(second_told.detach(), target(first))

    def same_view(online, predictor, target, first, second):
        return right(online, predictor, target, first, first) / 2 + right(online, predictor, target, second, second) / 2

    def one_sided(online, predictor, target, first, second):
        return 2 * loss(predictor(online(first)), target(second).detach())

    def mean_of_both(*given):
        return right(*given) / 2

    def no_predictor(online, predictor, target, first, second):
        return right(online, torch.nn.Identity(), target, first, second)

    def predicts_both(online, predictor, target, first, second):
        return right(online, predictor, torch.nn.Sequential(target, predictor), first, second)

    def all_stopped(*given):
        with torch.no_grad():
            return right(*given)

    def encoder_stopped(online, predictor, target, first, second):
        class Stopped(torch.nn.Module):
            def forward(self, view):
                return online(view).detach()

        return right(Stopped(), predictor, target, first, second)

    return {
        "no stop": (no_stop, "have gradients"),
        "the wrong side": (wrong_side, "have gradients"),
        "not crossed": (same_view, "the other way round"),
        "one side twice": (one_sided, "the other way round"),
        "a mean": (mean_of_both, "the *sum*"),
        "no predictor": (no_predictor, "predictor(online(view))"),
        "a predictor on both sides": (predicts_both, "without a predictor"),
        "everything stopped": (all_stopped, "no gradient passes"),
        "encoder stopped": (encoder_stopped, "No gradient reached the online"),
    }


def wrong_slow_predictor() -> Wrong:
    right = final_length

    def no_rate(length, q, rate, rho):
        return right(length, q, 1.0, rho)

    def times_rate(length, q, rate, rho):
        return right(length, q, 1 / rate, rho)

    def squared(length, q, rate, rho):
        return right(length, q, rate, rho) ** 2

    def always_shrinks(length, q, rate, rho):
        return max(length**2 - abs(q**2 - rho**2) / rate, 0.0) ** 0.5

    def not_a_number(length, q, rate, rho):
        return np.sqrt(abs(length**2 - (q**2 - rho**2) / rate))

    def sign_forgotten(length, q, rate, rho):
        return right(length, abs(q), rate, rho)

    def negative_always_collapses(length, q, rate, rho):
        return 0.0 if q < 0 else right(length, q, rate, rho)

    return {
        "no rate": (no_rate, "where the rate stands"),
        "times the rate": (times_rate, "where the rate stands"),
        "the square": (squared, "nothing moves"),
        "an absolute value": (always_shrinks, "absolute value"),
        "no collapse": (not_a_number, "that is the collapse"),
        "the sign forgotten": (sign_forgotten, "begins *negative*"),
        "every negative one collapses": (negative_always_collapses, "crosses 0"),
    }


@pytest.mark.parametrize("rate", [0.25, 1.0, 4.0])
@pytest.mark.parametrize(("length", "q"), [(0.6, 1.0), (0.5, -0.6), (0.8, -0.6)])
def test_the_motion_ends_where_the_formula_says(length, q, rate):
    assert abs(simulated(length, q, rate, 0.9) - final_length(length, q, rate, 0.9)) < 5e-3


def test_the_sign_of_the_predictor_decides():
    assert (simulated(0.5, -0.6, 1.0, 0.9) < 1e-6, final_length(0.5, -0.6, 1.0, 0.9)) == (True, 0.0)
    assert final_length(0.5, 0.6, 1.0, 0.9) > 0.8


def wrong_find_the_line() -> Wrong:
    return wrong_lines(LISTING, {"loss.backward": "whose weights", "p1 =": "further up"})


def test_the_suspect_teaches_its_predictor_nothing():
    online, predictor, _ = trio(0)
    before = [weight.clone() for weight in (*online.parameters(), *predictor.parameters())]
    optimizer = torch.optim.SGD([*online.parameters(), *predictor.parameters()], 0.1)
    loss = suspect(online, predictor, optimizer, normal(1)(12, 5), normal(2)(12, 5))
    same = [torch.equal(*pair) for pair in zip(before, (*online.parameters(), *predictor.parameters()), strict=True)]
    assert same == [False, False, True, True]
    assert not loss.requires_grad


def wrong_best_predictor() -> Wrong:
    right = best_prediction

    def fitted(online, target, bias=True):
        x = torch.cat((online, torch.ones_like(online[:, :1])), 1) if bias else online
        return x @ torch.linalg.lstsq(x, target).solution

    def all_stopped(online, target):
        return right(online.detach(), target)

    return {
        "no fit": (lambda online, target: online, "must find it"),
        "the targets themselves": (lambda online, target: target, "Fit by least squares"),
        "no bias": (lambda online, target: fitted(online, target, bias=False), "of ones"),
        "a gradient to the targets": (fitted, "reaches the targets"),
        "a gradient through the fit": (lambda online, target: fitted(online, target.detach()), "as given"),
        "no gradient": (all_stopped, "No gradient passes"),
    }


def test_without_a_predictor_the_last_check_sees_a_collapse():
    assert spread_with(lambda online, target: online) < 0.5 * LEAST_SPREAD
