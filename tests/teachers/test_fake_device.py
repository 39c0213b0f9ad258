"""Whole training calls on a second device: nothing is left on the CPU, and no step looks at data."""

from functools import partial

import pytest

from companion import teachers
from companion.teachers import ALGORITHMS
from companion.teachers.distillation import Distillation
from companion.teachers.training import Training
from tests.fake_device import DEVICE, DeviceError, in_slices, second_device

STEPS = 6
SMALL = {"device": DEVICE, "seeds": 2, "steps": STEPS, "evaluate_every": 2, "batch_size": 8, "progress": False}
train = partial(teachers.train, tau=[1.0, 0.1], hidden=(8,), **SMALL)
distil = partial(teachers.distil, tau=[1.0, 0.1], hidden=(8, 4), **SMALL)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_run_and_what_it_measures_keep_to_the_device(algorithm, monkeypatch):
    with second_device() as device:
        monkeypatch.setattr(Training, "step", device.steps_in(Training.step))
        run = train(algorithm=algorithm, shift=[True, False], ramp_up=[0.0, 1.0])
    assert device.steps["step"] == STEPS
    assert run.attrs["device"] == DEVICE.type
    assert run["error"].notnull().all()


def test_so_does_a_distillation(monkeypatch):
    with second_device() as device:
        monkeypatch.setattr(Distillation, "step", device.steps_in(Distillation.step))
        run = distil(centre_tau=[0.1, 0.0])
    assert device.steps["step"] == STEPS
    assert run["entropy"].notnull().all()


@pytest.mark.parametrize("call", [train, distil])
def test_a_checkpoint_is_taken_and_put_back(call, tmp_path):
    with second_device() as device:
        assert in_slices(call, tmp_path / "run.pt") == STEPS
    assert len(device.saved) == STEPS


def test_a_look_at_data_in_a_step_is_found(monkeypatch):
    update = Training.update

    def faulty(self, loss):
        loss.sum().item()
        update(self, loss)

    monkeypatch.setattr(Training, "update", faulty)
    with second_device() as device:
        monkeypatch.setattr(Training, "step", device.steps_in(Training.step))
        with pytest.raises(DeviceError):
            train()
