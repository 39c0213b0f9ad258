"""A whole training call on a second device: nothing is left on the CPU, and no step looks at data."""

from functools import partial

import pytest
import torch

from companion import supervised
from companion.supervised import Classifiers
from tests.fake_device import DEVICE, DeviceError, FakeDevice, in_slices, second_device

STEPS = 6
SMALL = {"device": DEVICE, "seeds": 2, "steps": STEPS, "evaluate_every": 2, "hidden": (8,), "progress": False}
train = partial(supervised.train, "digits", tau=[1.0, 0.1], **SMALL)


def recorded(monkeypatch, device: FakeDevice) -> None:
    """Judge a step as if a GPU recorded it."""
    monkeypatch.setattr(Classifiers, "update", device.steps_in(Classifiers.update, "recorded step"))


def test_a_run_and_what_it_measures_keep_to_the_device(monkeypatch):
    with second_device() as device:
        recorded(monkeypatch, device)
        run = train(debias=[False, True], anneal=[False, True], learning_rate=[0.1, 0.01])
    assert device.steps == {"recorded step": STEPS, "step": 0}
    assert run.attrs["device"] == DEVICE.type
    assert run["loss"].notnull().all()


def test_a_checkpoint_is_taken_and_put_back(monkeypatch, tmp_path):
    with second_device() as device:
        recorded(monkeypatch, device)
        assert in_slices(train, tmp_path / "run.pt") == STEPS
    both = {DEVICE, torch.device("cpu")}  # where the count of updates is
    assert device.saved == [both] * (STEPS - 1) + [set()]


FAULTS = {
    "a look": lambda self, batch, rate: self.weights.sum().item(),
    "a branch": lambda self, batch, rate: bool((rate > 0).all()),
    "a mask": lambda self, batch, rate: self.labels[self.labels > 3],
    "a tensor left on the CPU": lambda self, batch, rate: self.weights * torch.ones(1),
    "a number left on the CPU": lambda self, batch, rate: self.weights * torch.tensor(0.5),
    "an index left on the CPU": lambda self, batch, rate: self.labels[:, torch.zeros(1, dtype=torch.int64)],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", ["step", "recorded step"])
def test_a_planted_fault_is_found_in_a_step(fault, kind, monkeypatch):
    update = Classifiers.update

    def faulty(self, *arguments):
        FAULTS[fault](self, *arguments)
        update(self, *arguments)

    with second_device() as device:
        monkeypatch.setattr(Classifiers, "update", device.steps_in(faulty, kind))
        with pytest.raises(DeviceError):
            train()


def test_a_planted_fault_is_found_in_a_measurement(monkeypatch):
    fit = Classifiers.fit

    def faulty(self):
        self.labels = self.labels.cpu()
        return fit(self)

    monkeypatch.setattr(Classifiers, "fit", faulty)
    with second_device(), pytest.raises(DeviceError, match="on cpu and meta"):
        train()
