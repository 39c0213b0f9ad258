"""Whole training calls: the averages that ride along, members, checkpoints, devices, refusals."""

from functools import partial

import numpy as np
import pytest
import torch

from companion import generation, profile_weights, warmup
from companion.generation import METHODS
from companion.generation.training import Training
from companion.members import Grid
from tests.fake_device import DEVICE, in_slices, second_device

SMALL = {"hidden": (8,), "batch_size": 5, "samples": 16, "progress": False}
SWEPT = {
    "gan": {},
    "diffusion": {"levels": 4},
    "consistency": {"levels": 4, "target_tau": [1.0, 0.1]},
    "digits": {"levels": 4, "world": "digits"},
}
METHOD = {name: "diffusion" if name == "digits" else name for name in SWEPT}


def train(name: str, **arguments):
    return generation.train(METHOD[name], **{"seeds": 2, "steps": 12, **SMALL, **SWEPT[name], **arguments})


def program(name: str, averages: Grid, steps: int = 12) -> Training:
    """A program as ``train`` makes it, to look into."""
    way, cpu = METHODS[METHOD[name]], torch.device("cpu")
    sizes = {name: value for name, value in SMALL.items() if name in ("hidden", "batch_size")}
    world = {"world": "digits"} if name == "digits" else {}
    settings = way.settings(**sizes, **world, learning_rate=[0.01, 0.01])
    return Training(way.learner([3, 4], settings, cpu), [3, 4], settings, averages, steps, 16, cpu)


@pytest.mark.parametrize("method", SWEPT)
def test_an_average_is_the_weighted_sum_of_the_iterates(method: str) -> None:
    averages = Grid({"tau": [0.3, 0.01], "warmup": [False, True]})
    running = program(method, averages)
    history = [running.weights.double().numpy().copy()]
    for step in range(1, 13):
        running.step(step)
        history.append(running.weights.double().numpy().copy())
    taken = [
        profile_weights(warmup(tau, gamma=9) if warm else tau, 12)
        for tau, warm in zip(averages.column("tau"), averages.column("warmup"), strict=True)
    ]
    for got, weights in zip(running.bank.averages, taken, strict=True):
        np.testing.assert_allclose(got, np.tensordot(weights, np.array(history), 1), atol=2e-6)


def test_the_warm_up_is_that_of_latent_diffusion_and_diffusers() -> None:
    """Decay min(d, (1 + n)/(10 + n)): diffusers counts n from 0 (and copies there), latent diffusion from 1."""
    running = program("gan", Grid({"tau": [0.1, 0.0001], "warmup": True}))
    before = running.bank.averages.double().numpy().copy()
    for n in range(300):
        running.step(n + 1)
        decay = np.minimum([0.9, 0.9999], (1 + n) / (10 + n))[:, None, None]
        before = decay * before + (1 - decay) * running.weights.double().numpy()
        np.testing.assert_allclose(running.bank.averages, before, atol=1e-5)
    assert not np.allclose(before[0], before[1], atol=1e-3)


@pytest.mark.parametrize("method", SWEPT)
def test_a_member_is_the_same_whichever_others_train_beside_it(method: str) -> None:
    among = train(method, seeds=[2, 5, 11], learning_rate=[1e-3, 1e-2], tau=[0.1, 0.5])
    alone = train(method, seeds=[5], learning_rate=1e-2, tau=[0.1, 0.5])
    same = among.sel(learning_rate=1e-2, seed=[5])
    for name in ("distance", "discrepancy", "samples"):
        np.testing.assert_allclose(same[name].transpose(*alone[name].dims), alone[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("method", SWEPT)
def test_the_averages_do_not_touch_the_training(method: str) -> None:
    one, many = train(method), train(method, tau=[1.0, 0.2], warmup=[False, True])
    online = many.sel(which="online")
    for tau in (1.0, 0.2):
        np.testing.assert_array_equal(one["samples"].sel(which="online"), online["samples"].sel(tau=tau, warmup=True))
    np.testing.assert_array_equal(online["distance"].sel(tau=1.0), many["distance"].sel(which="target", tau=1.0))


def test_the_copy_in_the_loop_does() -> None:
    run = train("consistency", target_tau=[1.0, 0.1])["samples"].sel(which="online")
    assert not np.allclose(run.sel(target_tau=1.0), run.sel(target_tau=0.1))


def test_the_rate_falls_in_a_straight_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def learn(self, drawn):
        rates.append(self.optimizer.learning_rate.squeeze(1).tolist())

    monkeypatch.setattr(generation.Diffusion, "learn", learn)
    train("diffusion", anneal=[False, True], learning_rate=0.4, seeds=1, steps=4)
    np.testing.assert_allclose(rates, [[0.4, 0.4], [0.4, 0.3], [0.4, 0.2], [0.4, 0.1]], rtol=1e-6)


def test_the_answer_is_labelled() -> None:
    run = train("diffusion", tau=[0.5, 0.1, 0.01], warmup=[False, True], anneal=[False, True], halvings=2)
    assert run["distance"].dims == ("anneal", "seed", "which", "tau", "warmup", "step")
    assert run["step"].values.tolist() == [3, 6, 12]
    assert run["samples"].dims == ("anneal", "seed", "which", "tau", "warmup", "sample", "axis")
    assert run["floor"].dims == ("anneal", "seed")
    assert (run["floor"].isel(anneal=0) == run["floor"].isel(anneal=1)).all()
    assert run.notnull().all().to_array().all()
    assert run.attrs["method"] == "diffusion"
    assert run.attrs["halvings"] == 2


@pytest.mark.parametrize("method", SWEPT)
def test_a_run_in_pieces_is_the_run_in_one(method: str, tmp_path) -> None:
    whole = train(method, tau=[0.3, 0.01], steps=9)
    path = tmp_path / "run.pt"
    calls = in_slices(partial(train, method, tau=[0.3, 0.01], steps=9, checkpoint=None), path)
    pieces = train(method, tau=[0.3, 0.01], steps=9, checkpoint=path)
    assert calls > 5
    for name in ("distance", "discrepancy", "samples"):
        np.testing.assert_array_equal(whole[name], pieces[name])


@pytest.mark.parametrize("method", SWEPT)
def test_a_whole_call_keeps_to_a_second_device(method: str) -> None:
    with second_device():
        run = train(method, tau=[0.3, 0.01], warmup=[False, True], anneal=[False, True], device=DEVICE, halvings=1)
    assert run.attrs["device"] == DEVICE.type
    assert run["distance"].notnull().all()


@pytest.mark.parametrize(
    ("method", "better"), [("gan", 0.45), ("diffusion", 0.25), ("consistency", 0.45)], ids=["gan", "diffusion", "ct"]
)
def test_it_learns(method: str, better: float) -> None:
    run = generation.train(method, seeds=2, steps=500, samples=256, tau=0.02, progress=False)
    assert (run["distance"].sel(which="target").isel(step=-1) < better).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"taus": 0.1}, ValueError, "unknown setting 'taus' .*: did you mean 'tau'"),
        ({"target_tau": 0.1}, ValueError, "unknown setting 'target_tau'"),
        ({"tau": 1.5}, ValueError, "tau=1.5 is out of range"),
        ({"levels": 1}, ValueError, "levels=1"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"samples": 0}, ValueError, "samples=0"),
        ({"halvings": -1}, ValueError, "halvings=-1 must be at least 0"),
        ({"halvings": 5}, ValueError, r"steps=12 at least 2\*\*halvings"),
        ({"halvings": 1.0}, TypeError, r"halvings"),
        ({"seeds": 0}, ValueError, "seeds=0"),
        ({"world": "digit"}, ValueError, "world='digit'.*digits"),
        ({"world": ["ring", "digits"], "samples": 225}, ValueError, "samples=225: .* enough for 224; pass samples=224"),
    ],
)
def test_what_is_wrong_is_refused_by_name(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        train("diffusion", **arguments)


def test_worlds_may_be_swept() -> None:
    """What a smaller world has no numbers for is missing."""
    run = train("diffusion", world=["ring", "digits"], levels=3)
    assert run["samples"].sizes["axis"] == 64
    assert run["samples"].sel(world="digits").notnull().all()
    assert run["samples"].sel(world="ring").isel(axis=[0, 1]).notnull().all()
    assert run["samples"].sel(world="ring").isel(axis=slice(2, None)).isnull().all()


def test_an_unknown_method_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown method 'difusion': did you mean 'diffusion'"):
        generation.train("difusion")
