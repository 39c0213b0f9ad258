"""Self-distillation: an update by hand, and the two collapses."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from companion import teachers
from companion.teachers.distillation import Distillation, DistillationSettings
from companion.teachers.losses import cross, sharpened

OUTPUTS = 32


def test_a_step_is_two_views_crossed_then_teacher_and_centre_follow():
    settings = DistillationSettings(tau=[0.25, 0.25], centre_tau=[0.5, 0.0], learning_rate=[0.01, 0.01], hidden=(9, 6))
    program, twin = (Distillation([3, 4], settings, torch.device("cpu")) for _ in range(2))
    for each in (program, twin):
        each.followed.mul_(-0.8)
        each.centre.value.normal_(generator=torch.Generator().manual_seed(0))
    before, centre = twin.followed.clone(), twin.centre.value.clone()
    program.step(1)
    pair = twin.pictures.draw(1)[2]
    told = [twin.teacher(view).detach() for view in (pair.first, pair.second)]
    said = [twin.student(view) for view in (pair.first, pair.second)]
    cold, warm = settings.teacher_temperature.expand(2), settings.student_temperature.expand(2)
    crossed = [cross(sharpened(told[i], centre, cold), said[1 - i], warm) for i in (0, 1)]
    twin.optimizer.descend((sum(crossed) / 2).sum())
    torch.testing.assert_close(program.optimizer.weights, twin.optimizer.weights, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(program.followed, 0.25 * program.optimizer.weights + 0.75 * before)
    mean = torch.cat(told, 1).mean(1, keepdim=True)
    torch.testing.assert_close(program.centre.value[0], (0.5 * mean + 0.5 * centre)[0])
    torch.testing.assert_close(program.centre.value[1], centre[1])


def test_it_describes_features_of_length_one():
    program = Distillation([3], DistillationSettings(hidden=(9, 6)), torch.device("cpu"))
    shown = torch.rand(1, 5, 64)
    features = normalize(program.student.encoder(shown), dim=2)[0]
    by_hand = features @ program.student.head.weights[0][0] + program.student.head.biases[0][0]
    torch.testing.assert_close(program.student(shown)[0], by_hand)


@pytest.fixture(scope="module")
def remedies():
    settings = {"centre_tau": [0.1, 0.0], "teacher_temperature": [0.02, 0.1], "outputs": OUTPUTS}
    return teachers.distil(**settings, steps=300, evaluate_every=100, seeds=3, progress=False).isel(step=-1)


def test_without_centring_all_pictures_get_one_output(remedies):
    alone = remedies.sel(centre_tau=0.0, teacher_temperature=0.02)
    for name in ("entropy", "kl", "spread", "loss"):
        assert (alone[name] < 0.05).all(), name


def test_without_sharpening_no_output_stands_out_and_the_loss_is_flat_at_ln_k(remedies):
    alone = remedies.sel(centre_tau=0.1, teacher_temperature=0.1)
    for name in ("entropy", "spread", "loss"):
        np.testing.assert_allclose(alone[name], math.log(OUTPUTS), rtol=0.01)
    assert (alone["kl"] < 0.01).all()


def test_with_both_the_output_tells_pictures_apart_and_an_output_is_one_digits(remedies):
    both = remedies.sel(centre_tau=0.1, teacher_temperature=0.02)
    assert (both["spread"] - both["entropy"] > 1).all()
    assert (both["error"] < 0.75).all()
    assert (remedies["error"].sel(centre_tau=0.0) > 0.85).all()


def test_the_divergence_is_the_loss_less_the_entropy(remedies):
    np.testing.assert_allclose(remedies["kl"], remedies["loss"] - remedies["entropy"], atol=1e-5)
    assert (remedies["kl"] > -1e-4).all()


def test_a_member_is_the_same_whichever_others_train_beside_it():
    small = {"steps": 20, "evaluate_every": 20, "hidden": (8, 4), "progress": False}
    alone = teachers.distil(seeds=[5], **small)
    among = teachers.distil(seeds=[2, 5], tau=[0.01, 0.5], **small).sel(tau=0.01, seed=[5])
    np.testing.assert_allclose(alone["loss"], among["loss"], rtol=1e-3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"centre": 0.1}, "unknown setting 'centre'"),
        ({"centre_tau": 1.5}, "centre_tau=1.5 is out of range"),
        ({"teacher_temperature": 0.0}, "teacher_temperature=0.0"),
        ({"outputs": 1}, "outputs=1"),
    ],
)
def test_what_is_wrong_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        teachers.distil(**arguments)
