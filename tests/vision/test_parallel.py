"""A batch split over two processes: what either computes is what one process does that has the whole batch."""

from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from companion import vision
from companion.runs.processes import ALONE, Processes
from companion.vision import training
from tests.helpers import torchrun
from tests.vision.reference import assert_close, in_double

STEPS = 4
CASES = {
    "byol": ("byol", {"learning_rate": 2e-4}),  # see test_byol
    "byol, one network": ("byol", {"learning_rate": 2e-4, "stop_gradient": False, "optimizer": "sgd"}),
    "moco": ("moco", {"queue_size": 50}),
    "moco, shuffled": ("moco", {"queue_size": 50, "parts": 2}),
    "moco, four parts": ("moco", {"queue_size": 20, "parts": 4, "shuffle": False, "normalized": False}),
}
TRAINED = {
    "batch_size": 32,
    "hidden": 16,
    "embedding": 8,
    "warmup": 2,
    "epochs": 2,
    "seeds": 1,
    "progress": False,
    "optimizer": "sgd",
    "learning_rate": 0.01,
}

SCRIPT = f"""
import sys
import torch
from companion import vision
from companion.runs.processes import launched
from tests.vision.reference import in_double

folder, processes = sys.argv[1], launched()
rank, found = processes.rank, dict()
assert processes.world == 2
for case, (algorithm, settings) in {CASES!r}.items():
    training, losses = in_double(algorithm, steps={STEPS}, processes=processes, **settings), []
    for step in range(1, {STEPS} + 1):
        training.step(step)
        losses.append(training.read_loss().item())
    state = training.learner.state_dict()
    found[case] = dict(losses=losses, state={{k: v for k, v in state.items() if isinstance(v, torch.Tensor)}})
    if algorithm == "moco":
        found[case]["drift"] = training.learner.drift(training.views, {STEPS})
whole = torch.arange(12.0, dtype=torch.float64).view(4, 3)
own = processes.rows(whole).clone().requires_grad_()
found["rows"] = processes.all_gather(own.detach())
assert len(own) == 2
summed = processes.all_reduce(own)
((rank + 1) * summed.square()).sum().backward()
found["total"] = dict(sum=summed.detach(), gradient=own.grad)
torch.save(found, f"{{folder}}/found.{{rank}}.pt")

pictures = vision.shapes(train=128, test=64)
for algorithm, more in dict(byol=dict(), moco=dict(queue_size=50, parts=2)).items():
    def train(**options):
        return vision.train(algorithm, pictures, data_parallel=True, **{TRAINED!r}, **more, **options)
    path = f"{{folder}}/{{algorithm}}.pt"
    train().to_netcdf(f"{{path}}.whole.{{rank}}.nc", engine="scipy")
    for _ in range(2):  # only one of them runs out of time
        stopped = train(checkpoint=path, minutes=0 if rank == 1 else None)
        sys.stdout.write(stopped.attrs["interrupted"] + "\\n")
    train(checkpoint=path).to_netcdf(f"{{path}}.resumed.{{rank}}.nc", engine="scipy")
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What two processes left behind."""
    folder = tmp_path_factory.mktemp("parallel")
    (folder / "script.py").write_text(SCRIPT)
    ended = torchrun(folder / "script.py", str(folder))
    assert ended.returncode == 0, ended.stderr
    (folder / "said").write_text(ended.stdout)
    return folder


def found(folder: Path) -> list[dict]:
    return [torch.load(folder / f"found.{rank}.pt") for rank in range(2)]


def opened(path: Path) -> xr.Dataset:
    with xr.open_dataset(path, engine="scipy") as run:
        return run.load()


@pytest.mark.parametrize("case", CASES)
def test_every_process_has_the_networks_of_one_that_has_the_whole_batch(folder, case):
    """Online network, slow copy, predictor, running statistics and queue, in double precision; the slow copy exactly
    as in the other process."""
    first, second = (of[case] for of in found(folder))
    for name, tensor in first["state"].items():
        assert torch.equal(tensor, second["state"][name]), name
    assert first["losses"] == second["losses"]
    algorithm, settings = CASES[case]
    alone = in_double(algorithm, steps=STEPS, **settings)
    begun = {name: tensor.clone() for name, tensor in alone.learner.state_dict().items() if torch.is_tensor(tensor)}
    for step, loss in enumerate(first["losses"], 1):
        alone.step(step)
        assert alone.read_loss().item() == pytest.approx(loss, rel=1e-6)
    expected = {name: tensor for name, tensor in alone.learner.state_dict().items() if torch.is_tensor(tensor)}
    assert expected.keys() == first["state"].keys()
    for name, tensor in expected.items():
        if tensor.is_floating_point():
            assert_close([first["state"][name]], [tensor])
        else:
            assert torch.equal(first["state"][name], tensor)
    assert not torch.equal(begun["target.module.0.layers.0.weight"], expected["target.module.0.layers.0.weight"])
    if algorithm == "moco":
        assert_close([first["drift"], second["drift"]], [alone.learner.drift(alone.views, STEPS)] * 2)


def test_a_sums_gradient_is_that_of_every_process(folder):
    """Of Σ_r (r + 1)·s², where s is the sum of the processes' rows: 2·s·(1 + 2), for each."""
    whole = torch.arange(12.0, dtype=torch.float64).view(2, 2, 3)
    for of in found(folder):
        assert torch.equal(of["total"]["sum"], whole.sum(0))
        assert torch.equal(of["total"]["gradient"], 2 * whole.sum(0) * 3)
        assert torch.equal(of["rows"], whole.view(4, 3))


@pytest.mark.parametrize("algorithm", ["byol", "moco"])
def test_processes_that_train_together_stop_together_and_go_on_from_one_checkpoint(folder, algorithm):
    said = (folder / "said").read_text().splitlines()
    assert sorted(said) == ["at step 1 of 8"] * 4 + ["at step 2 of 8"] * 4, "two processes, two algorithms"
    assert {file.name for file in folder.glob(f"{algorithm}*.pt")} == {f"{algorithm}.pt"}
    whole, *others = (
        opened(folder / f"{algorithm}.pt.{kind}.{rank}.nc") for kind in ("whole", "resumed") for rank in range(2)
    )
    for run in others:
        xr.testing.assert_equal(whole, run)
        assert "interrupted" not in run.attrs


@pytest.mark.parametrize(("algorithm", "more"), [("byol", {}), ("moco", {"queue_size": 50, "parts": 2})])
def test_the_result_is_that_of_one_process(folder, algorithm, more):
    """In single precision, as far as rounding lets it."""
    alone = vision.train(algorithm, vision.shapes(train=128, test=64), **TRAINED, **more)
    both = opened(folder / f"{algorithm}.pt.whole.0.nc")
    assert set(both.data_vars) == set(alone.data_vars)
    for name in alone.data_vars:
        np.testing.assert_allclose(both[name], alone[name], rtol=1e-2, atol=0.05 if name in ("knn", "linear") else 1e-4)
    np.testing.assert_allclose(both["loss"], alone["loss"], rtol=1e-4)


def test_a_batch_that_cannot_be_split_is_refused(monkeypatch):
    monkeypatch.setattr(training, "launched", lambda: Processes(0, 2))
    pictures = vision.shapes(train=64, test=32)
    for settings, message in [
        ({"batch_size": 33}, "batch_size=33 cannot be split over 2 processes; give a multiple of it"),
        ({"batch_size": 30, "parts": 3}, "parts=3 must divide batch_size=30 .* a multiple of the 2 processes"),
    ]:
        with pytest.raises(ValueError, match=message):
            vision.train("moco", pictures, data_parallel=True, epochs=1, **settings)


def test_one_process_has_every_row():
    rows = torch.arange(6).view(3, 2)
    assert torch.equal(ALONE.rows(rows), rows)
    assert torch.equal(ALONE.all_gather(rows), rows)
    assert torch.equal(ALONE.all_reduce(rows), rows)
