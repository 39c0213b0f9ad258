"""Networks compute in bf16 on a GPU. What must not is shown on a CPU, which can do both."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from companion import vision
from companion.vision import moco
from companion.vision.loop import Training
from tests.helpers import needs_cuda

PICTURES = vision.shapes(train=96, test=64)
SMALL = {"batch_size": 32, "hidden": 16, "embedding": 8, "warmup": 2}


class Kept(vision.Views):
    """Keeps what it gave."""

    given: vision.Pair

    def __call__(self, step: int) -> vision.Pair:
        self.given = super().__call__(step)
        return self.given


def in_bf16(algorithm: str, **settings) -> Training:
    learner = vision.make_learner(algorithm, updates=4, **SMALL, **settings)
    views = Kept(PICTURES.train.images, PICTURES.augmentation, batch_size=32, seed=0, shuffle=algorithm == "moco")
    return Training(learner, views, 4, bf16=True)


@pytest.mark.parametrize(
    ("algorithm", "settings"),
    [("byol", {}), ("moco", {"queue_size": 64, "parts": 4}), ("byol", {"encoder": "resnet18"})],
)
def test_networks_compute_in_bf16_and_pictures_weights_and_losses_are_in_float32(algorithm, settings):
    trained = in_bf16(algorithm, **settings)
    outputs = []
    for module in trained.learner.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(lambda _module, _given, output: outputs.append(output.dtype))
    for step in (1, 2, 3):
        trained.step(step)
        views, plain = trained.views.given, vision.Views.__call__(trained.views, step)
        assert torch.equal(views.first, plain.first)
        assert torch.equal(views.second, plain.second)
    assert set(outputs) == {torch.bfloat16}
    loss = trained.read_loss()
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    kept = [value for value in trained.learner.state_dict().values() if torch.is_tensor(value)]
    assert {value.dtype for value in kept if value.is_floating_point()} == {torch.float32}


def test_the_drift_of_a_copy_that_stands_still_is_nothing_in_bf16_too(monkeypatch):
    """Keys are asked again in the precision they were made in: in another, all of them would seem to have drifted."""
    trained = in_bf16("moco", tau=0.0, queue_size=64)
    for step in (1, 2, 3):
        trained.step(step)
    with trained.precision():
        assert (trained.learner.drift(trained.views, 3) == 0).all()
    assert (trained.learner.drift(trained.views, 3) > 1e-6).all()
    begin = Training.__init__
    monkeypatch.setattr(Training, "__init__", lambda *given, **named: begin(*given, **named, bf16=True))
    run = vision.train("moco", PICTURES, tau=0.0, queue_size=64, epochs=2, seeds=1, progress=False, **SMALL)
    assert (run["drift"][:, :, 1:] == 0).all()


@needs_cuda
@pytest.mark.parametrize("encoder", ["small", "resnet18"])
@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_a_run_on_a_gpu_is_near_one_on_a_cpu_and_goes_on_from_its_checkpoint(algorithm, encoder, tmp_path):
    """Compiled, in bf16: near, since a GPU rounds and adds up otherwise."""
    settings = {"encoder": encoder, "tau": 0.0, "epochs": 4, "seeds": 1, "progress": False, **SMALL}
    plain, whole = (vision.train(algorithm, PICTURES, **settings, device=device) for device in ("cpu", "cuda"))
    assert whole.attrs["device"] != "cpu"
    np.testing.assert_allclose(whole["loss"], plain["loss"], rtol=0.1)
    if algorithm == "moco":
        assert whole["drift"].max() < 1e-3  # a compiled key and a plain one are rounded differently
    settings |= {"device": "cuda", "checkpoint": tmp_path / "run.pt", "minutes": 0}
    run = vision.train(algorithm, PICTURES, **settings)
    while "interrupted" in run.attrs:
        run = vision.train(algorithm, PICTURES, **settings)
    np.testing.assert_allclose(run["loss"], whole["loss"], rtol=0.1)


def test_a_key_and_the_queue_are_compared_alike():
    numbers = torch.Generator().manual_seed(0)
    query, key, queue = (normalize(torch.randn(n, 16, generator=numbers), dim=1) for n in (8, 8, 32))
    with torch.autocast("cpu", torch.bfloat16):
        loss = moco.loss(query, key, queue, 0.1)
    assert loss.item() == moco.loss(query, key, queue, 0.1).item()
