"""The exercises on teachers."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, mse_loss

from companion.exercises import normal
from companion.exercises.teachers.consistency import consistency
from companion.exercises.teachers.find_the_line import LISTING, suspect
from companion.exercises.teachers.fixmatch import fixmatch_loss
from companion.exercises.teachers.memory import variance_of_memory
from companion.teachers import losses
from tests.exercises.helpers import Wrong, wrong_lines


def wrong_consistency() -> Wrong:
    def summed(student, teacher):
        return (student.softmax(1) - teacher.detach().softmax(1)).square().sum(1).mean()

    return {
        "of logits": (lambda s, t: mse_loss(s, t.detach()), "through a softmax"),
        "over pictures": (lambda s, t: mse_loss(s.softmax(0), t.detach().softmax(0) + 1e-3), "through a softmax"),
        "summed over classes": (summed, "sum over the classes"),
        "summed": (lambda s, t: consistency(s, t) * s.numel(), "That is a sum"),
        "not detached": (lambda s, t: mse_loss(s.softmax(1), t.softmax(1)), "reached the teacher"),
        "the wrong side": (lambda s, t: consistency(t, s), "No gradient reached the student"),
        "nothing": (lambda s, t: None, "a `return` missing"),
    }


def wrong_fixmatch() -> Wrong:
    def pieces(strong, weak):
        chance, label = weak.detach().softmax(1).max(1)
        return chance, cross_entropy(strong, label, reduction="none")

    def over_the_kept(strong, weak, threshold):
        chance, loss = pieces(strong, weak)
        return loss[chance >= threshold].mean()

    def strong_is_sure(strong, weak, threshold):
        return (pieces(strong, weak)[1] * (strong.softmax(1).amax(1) >= threshold)).mean()

    def logits_are_sure(strong, weak, threshold):
        return (pieces(strong, weak)[1] * (weak.amax(1) >= threshold)).mean()

    def soft(strong, weak, threshold):
        return (
            cross_entropy(strong, weak.softmax(1), reduction="none") * (weak.softmax(1).amax(1) >= threshold)
        ).mean()

    return {
        "the views swapped": (lambda s, w, c: fixmatch_loss(w, s, c), "from the *weak* view"),
        "a mean over the kept": (over_the_kept, "*all* pictures"),
        "the noisy view is sure": (strong_is_sure, "weak view that must be sure"),
        "logits for chances": (logits_are_sure, "weak view's argmax"),
        "soft labels": (soft, "weak view's argmax"),
        "nothing": (lambda s, w, c: None, "a `return` missing"),
    }


def wrong_memory() -> Wrong:
    def undivided(tau, visits):
        return tau / (2 - tau) * (1 - (1 - tau) ** (2 * visits)) if visits > 1 else 1.0

    return {
        "the limit": (lambda tau, visits: tau / (2 - tau), "variance is 1"),
        "a mean": (lambda tau, visits: 1 / visits, "add up to"),
        "weights, not squares": (lambda tau, visits: max(tau, 1 / visits), "*square* the weights"),
        "of Z itself": (undivided, "a mean, 1/n"),
        "nothing": (lambda tau, visits: None, "a `return` missing"),
    }


def wrong_predict() -> Wrong:
    full = math.log(8)
    return {
        "swapped": (((full, full), (0.0, 0.0)), "other way round"),
        "in bits": (((0.0, 0.0), (3.0, 3.0)), "between 0 and ln 8"),
        "healthy": (((0.0, full), (full, full)), "*is* that answer"),
        "one pair": ((0.0, full, 1.0), "Hand in"),
        "half": (((1.0, 1.0), (full, full)), "Without centring"),
    }


def wrong_find_the_line() -> Wrong:
    return wrong_lines(LISTING, {"told = teacher": "Follow `told`", "ramp =": "(11.4)"})


def test_the_losses_are_the_packages():
    said, told = normal(0)(12, 5), 2 * normal(1)(12, 5)
    assert torch.isclose(consistency(said, told), losses.disagreement(said[None], told[None].softmax(2))[0])
    mine = losses.agreed_labels(said[None], told[None], torch.tensor([0.6]))[0]
    assert torch.isclose(fixmatch_loss(said, told, 0.6), mine)


@pytest.mark.parametrize(("tau", "visits"), [(0.4, 1), (0.4, 6), (0.05, 30), (1.0, 4)])
def test_the_variance_is_that_of_a_memory_of_noise(tau, visits):
    memory = np.zeros(visits)  # of unit vectors: the weights of each visit
    for visit in range(visits):
        memory = tau * np.eye(visits)[visit] + (1 - tau) * memory
    weights = memory / (1 - (1 - tau) ** visits)
    assert variance_of_memory(tau, visits) == pytest.approx((weights**2).sum(), rel=1e-9)


class Says(torch.nn.Module):
    """A network that is sure of each of ten pictures."""

    def __init__(self):
        super().__init__()
        self.logits = torch.nn.Parameter(8 * torch.eye(10))

    def forward(self, rows):
        return rows @ self.logits

    def update(self, online):
        self.follows = online


def test_the_suspect_tells_a_student_who_is_right_to_be_less_sure():
    assert torch.eye(10).softmax(1).max() == pytest.approx(0.23, abs=0.01)
    student, teacher, rows = Says(), Says(), torch.eye(10)
    optimizer = torch.optim.SGD(student.parameters(), 100.0)
    before = student(rows).softmax(1).diagonal()
    suspect(student, teacher, optimizer, (rows, torch.arange(10), rows, rows), 1.0)
    assert (student(rows).softmax(1).diagonal() < before).all()
    assert teacher.follows is student
