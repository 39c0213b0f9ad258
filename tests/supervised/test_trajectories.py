"""Networks with batch norm whose path is watched: against torch by hand and against themselves."""

import signal
from itertools import pairwise

import numpy as np
import pytest
import torch
import xarray as xr
from torch import nn
from torch.nn.functional import cross_entropy

from companion import supervised, vision
from companion.averaging import profile_weights, reestimate_batch_norm, swa
from companion.members import Streams
from companion.supervised import DATASETS, ConvNet, Judge, Pictures, redrawn
from companion.supervised.pictures import moved
from companion.supervised.trajectories import Trajectories
from companion.vision.encoders import make_encoder
from tests.fake_device import DEVICE, second_device
from tests.helpers import assert_can_be_kept

SMALL = {"epochs": 3, "seeds": 2, "batch_size": 8, "widths": (3, 4), "progress": False}
AVERAGES = {"EMA": 0.1, "SWA": swa(4, every=4)}


def pictures(train: int = 34, test: int = 20) -> Pictures:
    """Squares whose class is which of two halves is brighter, or neither."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 3, (train + test,), generator=generator)
    images = torch.randint(0, 120, (train + test, 2, 8, 8), generator=generator, dtype=torch.uint8)
    images[labels == 1, :, :4] += 100
    images[labels == 2, :, 4:] += 100
    return Pictures(images[:train], labels[:train], images[train:], labels[train:], 3)


def train(**settings) -> xr.Dataset:
    return supervised.trajectories(pictures(), AVERAGES, **{**SMALL, **settings})


def plain(row: np.ndarray) -> nn.Sequential:
    """The network of one member, of torch's parts alone."""
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3, padding=1, bias=False),
        nn.BatchNorm2d(3),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(3, 4, 3, padding=1, bias=False),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, 3),
    )
    statistics = [b for n, b in network.named_buffers() if "running" in n]
    numbers = torch.from_numpy(row).split([part.numel() for part in [*network.parameters(), *statistics]])
    for part, values in zip([*network.parameters(), *statistics], numbers, strict=True):
        part.data.copy_(values.view(part.shape))
    return network


def inputs(images: torch.Tensor) -> torch.Tensor:
    return (images.float() - 127.5) / 64


def test_a_run_is_what_plain_torch_makes_of_the_same_start_labels_and_order() -> None:
    data = pictures()
    run = train(label_noise=0.5, learning_rate=0.05)
    program = Trajectories(data, [1], supervised.TrajectorySettings(batch_size=8, widths=(3, 4)), AVERAGES, 3)
    network = plain(program.network.rows()[0].numpy()).train()
    noisy = torch.from_numpy(redrawn(data.labels.numpy()[None], 3, [1], 0.5))[0]
    assert (noisy != data.labels).any()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    order, path = Streams([1], "order"), [program.network.rows()[0].double().numpy()]
    for _ in range(3):
        batches = np.argsort(order.uniform(34)[0], kind="stable")[:32].reshape(4, 8)
        for batch in batches:
            loss = cross_entropy(network(inputs(data.images[batch])), noisy[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            buffers = [b for name, b in network.named_buffers() if "running" in name]
            parts = [*(p.detach() for p in network.parameters()), *buffers]
            path.append(torch.cat([part.reshape(-1) for part in parts]).double().numpy())
    mine = run.sel(seed=1)
    np.testing.assert_allclose(mine["path"], np.array(path)[4::4], atol=2e-4)
    for name, schedule in AVERAGES.items():
        wanted = profile_weights(schedule, 12) @ np.array(path)
        np.testing.assert_allclose(mine["averages"].sel(average=name), wanted, atol=2e-4)


def test_an_error_is_that_of_the_plain_network_with_its_statistics_measured_anew() -> None:
    data, run = pictures(), train()
    network = plain(run["averages"].sel(average="EMA", seed=0).values)
    reestimate_batch_norm(network, inputs(data.images).split(64))
    logits = network.eval()(inputs(data.held_out_images))
    wrong = (logits.argmax(1) != data.held_out_labels).float().mean()
    got = run.sel(average="EMA", seed=0, epoch=3)
    assert float(got["error"]) == pytest.approx(float(wrong))
    loss = cross_entropy(logits, data.held_out_labels).item()
    assert float(got["loss"]) == pytest.approx(loss, rel=1e-4)
    judge = Judge(data, widths=(3, 4))
    rows = torch.from_numpy(run["averages"].values)
    np.testing.assert_allclose(judge.errors(judge.reestimated(rows)), run["error"].sel(epoch=3), atol=1e-6)
    assert judge.logits(rows[0, :1], data.images[:5]).shape == (1, 5, 3)


def test_the_rate_falls_along_half_a_cosine_and_stays() -> None:
    steps = []
    for settings in ({}, {"fall_to": 0.25, "fall_until": 0.5}, {"anneal": False}):
        kinds = {"anneal": True, "batch_size": 34, "widths": (2,), "learning_rate": 0.3, "momentum": 0.0, **settings}
        program = Trajectories(pictures(), [1], supervised.TrajectorySettings(**kinds), AVERAGES, 4)
        program.network.gradient = lambda loss, program=program: torch.ones_like(program.optimizer.point)
        rows = [program.optimizer.point.clone()]
        for step in range(1, 5):
            program.step(step)
            rows.append(program.optimizer.point.clone())
        steps.append([(before - after).mean().item() for before, after in pairwise(rows)])
    cosine = 0.5 + 0.5 * np.cos(np.pi * np.array([0, 0.25, 0.5, 0.75]))
    np.testing.assert_allclose(steps[0], 0.3 * cosine, atol=1e-6)
    np.testing.assert_allclose(steps[1], 0.3 * (0.25 + 0.75 * np.array([1, 0.5, 0, 0])), atol=1e-6)
    np.testing.assert_allclose(steps[2], 0.3, atol=1e-6)


def test_weight_decay_is_torchs() -> None:
    program = Trajectories(
        pictures(), [1], supervised.TrajectorySettings(batch_size=34, widths=(3, 4), weight_decay=0.1), AVERAGES, 1
    )
    network = plain(program.network.rows()[0].numpy()).train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    cross_entropy(network(inputs(pictures().images)), pictures().labels).backward()
    optimizer.step()
    program.step(1)
    wanted = torch.cat([p.detach().reshape(-1) for p in network.parameters()])
    torch.testing.assert_close(program.optimizer.point[0], wanted, atol=1e-5, rtol=0)


def test_a_moved_picture_is_a_window_of_the_padded_one_or_its_mirror_image() -> None:
    images = pictures().images[:3]
    numbers = torch.tensor([[0.5, 0.5, 0.0], [0.0, 0.99, 0.0], [0.99, 0.5, 0.9]])
    got = moved(images, numbers, reach=2)
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), constant_values=128)
    np.testing.assert_array_equal(got[0], images[0])
    np.testing.assert_array_equal(got[1], padded[1, :, 4:12, 0:8])
    np.testing.assert_array_equal(got[2], padded[2, :, 2:10, 4:12][:, :, ::-1])


def test_augmentation_is_a_members_own_and_begins_anew_in_every_epoch() -> None:
    among = train(augment=True).sel(seed=1)
    alone = train(augment=True, seeds=[1]).sel(seed=1)
    np.testing.assert_allclose(among["path"], alone["path"], atol=1e-5)
    assert not np.allclose(alone["path"], train(seeds=[1]).sel(seed=1)["path"])


def test_a_residual_network_is_the_encoders_of_the_same_weights() -> None:
    """Two members in one grouped network, against `vision.encoders`, which a test holds against the paper."""
    network = ConvNet([3, 4], 10, widths=(64, 128, 256, 512), residual=True)
    encoder = make_encoder("resnet18")
    own = sum(p.numel() for p in encoder.parameters())
    assert network.weights == own + 512 * 10 + 10
    statistics = [b for name, b in encoder.named_buffers() if "running" in name]
    images = torch.randint(0, 256, (4, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    logits = network.train()(inputs(images).repeat(1, 2, 1, 1))
    for member, row in enumerate(network.rows()):
        weights, last = row[:own], row[own : network.weights]
        sizes = [part.numel() for part in encoder.parameters()]
        for part, values in zip(encoder.parameters(), weights.split(sizes), strict=True):
            part.data.copy_(values.view(part.shape))
        features = encoder.train()((inputs(images) + 2) / 4)
        wanted = features @ last[:5120].view(10, 512).T + last[5120:]
        torch.testing.assert_close(logits[member], wanted, atol=1e-4, rtol=1e-4)
        kept = torch.cat([each.reshape(-1) for each in statistics])
        torch.testing.assert_close(row[network.weights :], kept, atol=1e-4, rtol=1e-4)
        for norm in encoder.modules():
            if hasattr(norm, "running_mean"):
                norm.running_mean.zero_()
                norm.running_var.fill_(1)


def test_residual_networks_train_by_themselves_and_need_not_be_kept(tmp_path) -> None:
    settings = {"residual": True, "augment": True, "weight_decay": 5e-4, "keep_networks": False, "epochs": 2}
    run = train(**settings)
    assert set(run.data_vars) == {"error", "loss"}
    assert run["error"].notnull().all()
    alone = train(**settings, seeds=[1])
    np.testing.assert_array_equal(run["loss"].sel(seed=[1]), alone["loss"])
    both = train(residual=[False, True], seeds=1, epochs=1)
    assert both["path"].sel(residual=False).isnull().any()
    assert both["path"].sel(residual=True).notnull().all()


def test_pictures_are_made_of_a_data_set_and_of_digits() -> None:
    drawn = vision.shapes(train=5, test=3)
    made = Pictures.of(drawn)
    assert (made.images is drawn.train.images, len(made.held_out_labels), made.classes) == (True, 3, 10)
    digits = Pictures.digits()
    assert (digits.images.shape, digits.held_out_images.shape) == ((899, 1, 8, 8), (898, 1, 8, 8))
    values, labels = DATASETS["digits"]()
    np.testing.assert_array_equal(digits.held_out_labels, labels[1::2])
    np.testing.assert_allclose(digits.images[:, 0].reshape(899, 64) / 255, values[::2], atol=0.51 / 255)


def test_a_member_alone_is_what_it_is_among_others() -> None:
    among = train(anneal=[False, True], label_noise=0.3).sel(anneal=True, seed=1)
    alone = train(anneal=True, label_noise=0.3, seeds=[1]).sel(seed=1)
    np.testing.assert_allclose(among["path"], alone["path"], atol=1e-5)
    np.testing.assert_allclose(among["averages"], alone["averages"], atol=1e-5)


def test_it_learns_something_small_and_the_rate_falls_to_nothing() -> None:
    run = supervised.trajectories(pictures(200, 100), {"EMA": 0.1}, anneal=True, **{**SMALL, "epochs": 10})
    assert (run["error"].isel(epoch=-1) < 0.1).all()
    steps = np.abs(np.diff(run["path"].isel(number=slice(100)), axis=1)).mean((0, 2))
    assert steps[-1] < 0.1 * steps[0]


@pytest.mark.parametrize("optimizer", ["lookahead", "schedule-free"])
def test_other_optimizers_train_apart_and_report_what_is_to_be_evaluated(optimizer: str) -> None:
    run = train(optimizer=["sgd", optimizer])
    alone = train(optimizer=optimizer)
    np.testing.assert_array_equal(run["path"].sel(optimizer=optimizer), alone["path"])
    assert not np.allclose(run["path"].sel(optimizer=optimizer), run["path"].sel(optimizer="sgd"))
    assert alone["error"].notnull().all()


@pytest.mark.parametrize("pressed", [1, 6, 8])
def test_it_goes_on_from_its_checkpoint_with_the_same_bits(pressed, tmp_path, monkeypatch) -> None:
    whole = train(anneal=True, optimizer="lookahead")
    step = Trajectories.step

    def interrupted(self, number):
        if number == pressed:
            signal.raise_signal(signal.SIGINT)
        step(self, number)

    monkeypatch.setattr(Trajectories, "step", interrupted)
    cut = train(anneal=True, optimizer="lookahead", checkpoint=tmp_path / "run.pt")
    assert cut.attrs["interrupted"]
    monkeypatch.undo()
    resumed = train(anneal=True, optimizer="lookahead", checkpoint=tmp_path / "run.pt")
    for name in whole.data_vars:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name
    assert_can_be_kept(resumed, tmp_path)


def test_a_network_that_diverges_is_named_and_touches_no_other() -> None:
    run = train(learning_rate=[0.1, 1e30])
    assert "learning_rate=1e+30, seed=0" in run.attrs["diverged"]
    assert run["error"].sel(learning_rate=0.1).notnull().all()
    np.testing.assert_allclose(run["path"].sel(learning_rate=0.1), train()["path"], atol=1e-5)


def test_another_schedule_under_the_same_name_is_another_run(tmp_path) -> None:
    train(checkpoint=tmp_path / "run.pt", minutes=0)
    other = {"EMA": 0.1, "SWA": swa(4, every=2)}
    with pytest.raises(ValueError, match="average_schedules"):
        supervised.trajectories(pictures(), other, **SMALL, checkpoint=tmp_path / "run.pt")


def test_a_whole_call_keeps_to_the_second_device(monkeypatch) -> None:
    with second_device() as device:
        monkeypatch.setattr(Trajectories, "step", device.steps_in(Trajectories.step))
        run = train(device=DEVICE, seeds=1, optimizer=["sgd", "lookahead", "schedule-free"], augment=True)
        train(device=DEVICE, seeds=1, epochs=1, residual=True, weight_decay=0.1, anneal=True, fall_to=0.2)
    assert device.steps["step"] == 3 * 12 + 4
    assert run.sizes["average"] == 3


def test_rows_hold_all_that_a_network_is() -> None:
    network, other = ConvNet([3, 4], 3, channels=2, widths=(3, 4)), ConvNet([5, 6], 3, channels=2, widths=(3, 4))
    images = inputs(pictures().images[:4]).repeat(1, 2, 1, 1)
    network.train()(images)
    other.put(network.rows())
    torch.testing.assert_close(network.eval()(images), other.eval()(images), rtol=0, atol=0)
    assert network.rows().shape == (2, network.weights + 2 * (3 + 4))
    before = network.rows()
    network.put(torch.zeros(2, network.weights))
    assert (network.rows()[:, : network.weights] == 0).all()
    torch.testing.assert_close(network.rows()[:, network.weights :], before[:, network.weights :])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"momentums": 0.5}, "unknown setting 'momentums'"),
        ({"optimizer": "adam"}, "optimizer='adam' is unknown"),
        ({"batch_size": 35}, "batch_size=35 of 34 pictures"),
        ({"batch_size": [8, 4]}, "as many for all"),
        ({"epochs": 0}, "epochs=0 must be at least 1"),
    ],
)
def test_what_cannot_be_trained_is_refused_first(wrong, words) -> None:
    with pytest.raises(ValueError, match=words):
        train(**wrong)


def test_averages_and_pictures_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match='one called "last"'):
        supervised.trajectories(pictures(), {"last": 0.5}, **SMALL)
    with pytest.raises(ValueError, match=r"EMA = 3.0 is not in \[0, 1\]"):
        supervised.trajectories(pictures(), {"EMA": 3}, **SMALL)
    p = pictures()
    with pytest.raises(ValueError, match="labels lie from 0 to 2"):
        Pictures(p.images, p.labels, p.held_out_images, p.held_out_labels, 2)
