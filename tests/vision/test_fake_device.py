"""Whole training calls on a second device: nothing is left on the CPU, and no step looks at data.

On the way: views, encoders, optimizers, the slow copy and its schedule, the queue; nearest neighbours, the linear
probe, and how far keys have drifted.
"""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import distributed
from torch.testing._internal.distributed.fake_pg import FakeStore

from companion import vision
from companion.vision import augmentation, loop, moco, probes
from companion.vision.loop import Training
from companion.vision.momentum import MomentumLearner
from tests.fake_device import CPU, DEVICE, DeviceError, FakeDevice, in_slices, second_device

PICTURES = vision.shapes(train=64, test=32)
SMALL = {"device": DEVICE, "seeds": 1, "epochs": 2, "batch_size": 32, "hidden": 16, "embedding": 8, "progress": False}
STEPS = 4
CALLS = STEPS + SMALL["epochs"]
CASES = {
    "byol": ("byol", {}),
    "byol, one network": ("byol", {"stop_gradient": False, "optimizer": "sgd", "predictor": False}),
    "moco": ("moco", {"queue_size": 50}),
    "moco, shuffled parts": ("moco", {"queue_size": 70, "parts": 4, "optimizer": "sgd"}),
    "moco, in order": ("moco", {"queue_size": 20, "shuffle": False, "normalized": False}),
    "resnet18": ("byol", {"encoder": "resnet18"}),
}


def train(case: str, **options):
    algorithm, settings = CASES[case]
    return vision.train(algorithm, PICTURES, **SMALL, **settings, **options)


@pytest.fixture
def device(monkeypatch) -> Iterator[FakeDevice]:
    """A step may take pictures' numbers along from the CPU, and look at nothing."""
    with second_device() as device:
        monkeypatch.setattr(Training, "step", device.steps_in(Training.step))
        yield device


@pytest.mark.parametrize("case", CASES)
def test_a_run_and_what_it_measures_keep_to_the_device(case, device):
    run = train(case, keep_features=True)
    assert device.steps == {"step": STEPS, "recorded step": 0}
    assert run.attrs["device"] == DEVICE.type
    assert all(run[name].notnull().all() for name in ("knn", "linear", "features"))
    assert run["loss"].sel(epoch=2).notnull().all()
    assert ("drift" in run) == case.startswith("moco")


def test_every_change_of_a_view_is_made_on_the_device(device):
    train("byol", augmentation=vision.Augmentation(blur=0.5, solarize=0.5, grayscale=0.5))


@pytest.mark.parametrize("case", ["byol", "moco", "moco, shuffled parts"])
def test_a_checkpoint_is_taken_and_put_back(case, device, tmp_path):
    assert in_slices(partial(train, case), tmp_path / "run.pt") == CALLS
    assert device.saved == [{DEVICE}] * (CALLS - 1) + [set()]


@pytest.fixture
def two_processes(monkeypatch) -> Iterator[None]:
    """This is the first of two, whose messages lead nowhere. Torch's ``DistributedDataParallel`` wants real memory, and
    so has no part in it: what is ours are the statistics, the keys and the loss of all."""
    monkeypatch.setattr(loop, "DistributedDataParallel", lambda learner, **how: learner)
    distributed.init_process_group("fake", rank=0, world_size=2, store=FakeStore())
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore:.*copying from a non-meta parameter")  # of a device without values
@pytest.mark.parametrize("case", ["byol", "byol, one network", "moco", "moco, shuffled parts"])
def test_a_batch_split_over_processes_keeps_to_the_device(case, two_processes, device, tmp_path):
    assert in_slices(partial(train, case, data_parallel=True), tmp_path / "run.pt") == CALLS
    assert device.steps["step"] == STEPS
    assert device.saved == [{DEVICE}] * (CALLS - 1) + [set()]


@pytest.mark.parametrize("answer", [0, 1])
def test_the_linear_probe_searches_its_line_on_the_device(answer, device):
    """L-BFGS looks at data all the time. Where the answer is 0 it goes on to the end, where it is 1 it is content."""
    device.answer = answer
    features, labels = torch.zeros(20, 4, device=DEVICE), torch.zeros(20, dtype=torch.int64, device=DEVICE)
    told = probes.linear_probe(features, labels, features, classes=3)
    assert (told.device, told.shape) == (DEVICE, (20,))


FAULTS = {
    "a look": lambda learner: learner.online[0].layers[0].weight.sum().item(),
    "a branch": lambda learner: bool(learner.online[0].layers[0].weight.isfinite().all()),
    "a tensor left on the CPU": lambda learner: learner.online[0].layers[0].weight * torch.ones(1),
    "a number left on the CPU": lambda learner: learner.online[0].layers[0].weight * torch.tensor(0.5),
    "an index left on the CPU": lambda learner: learner.online[0].layers[0].weight[torch.arange(2)],
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("case", ["byol", "moco"])
def test_a_planted_fault_is_found_in_a_step(case, fault, device, monkeypatch):
    follow = MomentumLearner.follow

    def faulty(learner):
        FAULTS[fault](learner)
        follow(learner)

    monkeypatch.setattr(MomentumLearner, "follow", faulty)
    with pytest.raises(DeviceError):
        train(case)


def test_so_is_a_constant_of_the_colours_on_the_cpu(device, monkeypatch):
    monkeypatch.setattr(augmentation, "colour_space", lambda _: (augmentation.YIQ, augmentation.YIQ))
    with pytest.raises(DeviceError, match="on cpu and meta"):
        train("byol")


@pytest.mark.parametrize("measured", ["knn", "linear_probe", "alignment"])
def test_so_is_a_tensor_on_the_cpu_in_a_measurement(measured, device, monkeypatch):
    measure = getattr(probes, measured)
    monkeypatch.setattr(probes, measured, lambda first, *rest, **named: measure(first.cpu(), *rest, **named))
    with pytest.raises(DeviceError, match="on cpu and meta"):
        train("byol")


def test_so_is_a_queue_on_the_cpu_when_its_drift_is_asked(device, monkeypatch):
    drift = moco.Learner.drift

    def faulty(learner, views, step):
        learner.queue = learner.queue.to(CPU)
        return drift(learner, views, step)

    monkeypatch.setattr(moco.Learner, "drift", faulty)
    with pytest.raises(DeviceError, match="on cpu and meta"):
        train("moco")
