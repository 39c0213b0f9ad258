"""The exercises on BYOL."""

import numpy as np
import torch
from torch.nn.functional import mse_loss, normalize

from companion.averaging import cosine
from companion.exercises import normal
from companion.exercises.byol.best_predictor import LEAST_SPREAD, best_prediction, spread_with
from companion.exercises.byol.collapse import health
from companion.exercises.byol.find_the_line import LISTING, suspect
from companion.exercises.byol.loss import byol_loss
from companion.exercises.byol.shares import shares
from companion.exercises.byol.stop_gradient import symmetric_loss, trio
from companion.vision import byol as package
from companion.vision import probes
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_loss() -> Wrong:
    def unit(rows):
        return normalize(rows, dim=1)

    return {
        "mse_loss": (lambda p, z: mse_loss(unit(p), unit(z)), "summed over a vector's numbers"),
        "half of it": (lambda p, z: (1 - (unit(p) * unit(z)).sum(1)).mean(), "squared distance"),
        "a sum over pictures": (lambda p, z: (2 - 2 * (unit(p) * unit(z)).sum(1)).sum(), "averaged over"),
        "one a picture": (lambda p, z: 2 - 2 * (unit(p) * unit(z)).sum(1), "shape"),
        "no scaling": (lambda p, z: (p - z).square().sum(1).mean(), "length 1 first"),
        "columns scaled": (
            lambda p, z: (normalize(p, dim=0) - normalize(z, dim=0)).square().sum(1).mean(),
            "every *row*",
        ),
        "targets not scaled": (lambda p, z: (unit(p) - z).square().sum(1).mean(), "targets: they are scaled"),
        "detached": (lambda p, z: byol_loss(p.detach(), z), "must pass"),
        "nothing": (lambda p, z: print(end=""), "a `return` missing"),
    }


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


def wrong_collapse() -> Wrong:
    right = health

    def spread_without_scaling(rows):
        return rows.std(0).mean() * rows.shape[1] ** 0.5, right(rows)[1]

    def without_root(rows):
        return normalize(rows, dim=1).std(0).mean(), right(rows)[1]

    def of_values(rows, power=1, centre=True):
        unit = normalize(rows, dim=1)
        values = torch.linalg.svdvals(unit - unit.mean(0) * centre) ** power
        return right(rows)[0], torch.special.entr(values / values.sum()).sum()

    def uncentred(rows):
        spread, entropy = of_values(rows, centre=False)
        return spread, entropy.exp()

    return {
        "no √d": (without_root, "multiply by √d"),
        "no scaling": (spread_without_scaling, "length 1"),
        "entropy, not its exp": (of_values, "exp of the entropy"),
        "not centred": (uncentred, "Subtract the mean"),
        "one number": (lambda rows: right(rows)[0], "two numbers"),
        "nothing": (lambda rows: None, "a `return` missing"),
    }


def test_health_is_the_packages():
    rows = normal(3)(100, 8) + 0.5
    unit = normalize(rows, dim=1)
    ours = torch.stack(health(rows))
    assert torch.allclose(ours, torch.stack([probes.spread(unit), probes.effective_rank(unit)]), rtol=1e-12)


def wrong_shares() -> Wrong:
    def constant(taus):
        tau, updates = taus[0], len(taus)
        return np.append((1 - tau) ** updates, tau * (1 - tau) ** np.arange(updates - 1, -1, -1))

    def turned(taus):
        return np.append(shares(taus)[:1], shares(taus)[:0:-1])

    def before(taus):
        kept = np.cumprod(1 - np.asarray(taus))
        return np.append(kept[-1], np.asarray(taus) * np.append(1, kept[:-1]))

    return {
        "no start": (lambda taus: shares(taus)[1:], "start first"),
        "the start last": (lambda taus: np.roll(shares(taus), -1), "start first"),
        "not shrunk": (lambda taus: np.append(shares(taus)[0], taus), "add up to"),
        "turned round": (turned, "the last the most"),
        "updates before": (before, "the last the most"),
        "the first τ for all": (constant, "each with its own"),
    }


def test_shares_are_those_of_an_average():
    """The slow copy of numbers that are each their own dimension."""
    schedule = cosine(0.3, 20)
    copy, online = np.eye(21)[0], np.eye(21)[1:]
    for k, new in enumerate(online, 1):
        copy = schedule(k) * new + (1 - schedule(k)) * copy
    assert np.allclose(copy, shares([schedule(k) for k in range(1, 21)]), atol=1e-15)


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
