"""Students and teachers, against float64 references and against themselves."""

from functools import partial

import numpy as np
import pytest
import torch

from companion import teachers
from companion.supervised import DATASETS
from companion.teachers.data import Pair
from companion.teachers.training import ALGORITHMS, TeacherSettings, Training

SMALL = {"steps": 40, "evaluate_every": 20, "hidden": (8,), "batch_size": 16, "seeds": [0, 5], "progress": False}
train = partial(teachers.train, **SMALL)


def training(tau: float = 0.1, threshold: float = 0.3) -> Training:
    two = {"learning_rate": [0.01] * 2, "tau": [tau] * 2, "memory_tau": [0.4] * 2, "threshold": [threshold] * 2}
    return Training("digits", [4, 5], TeacherSettings(**two, hidden=(7,)), 100, torch.device("cpu"))


def pair(seed: int = 0, times: int = 0) -> Pair:
    draw = torch.Generator().manual_seed(seed)
    first, second, weak = (torch.rand(2, 6, 64, generator=draw) for _ in range(3))
    return Pair(torch.arange(6), torch.full((6,), times), first, second, weak)


def says(network, pictures, member: int) -> np.ndarray:
    """A network's logits, in float64, by hand."""
    x = pictures[member].double().numpy()
    layers = [(w[member].detach().double().numpy(), b[member].detach().double().numpy())
              for w, b in zip(network.weights, network.biases, strict=True)]  # fmt: skip
    for w, b in layers[:-1]:
        x = np.maximum(x @ w + b, 0)
    return x @ layers[-1][0] + layers[-1][1]


def chances(logits: np.ndarray) -> np.ndarray:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def away(group: Training) -> Training:
    """With a teacher that is another network than the student."""
    group.followed.mul_(-0.7)
    return group


def sure(student: np.ndarray, told: np.ndarray, threshold: float) -> float:
    likely = chances(told)
    kept = likely.max(1) >= threshold
    return float((-np.log(chances(student))[np.arange(len(told)), told.argmax(1)] * kept).mean())


REFERENCES = {
    "labels-only": lambda one, told: 0.0,
    "mean-teacher": lambda one, told: np.mean((chances(one("first")) - chances(told("second"))) ** 2),
    "temporal-ensembling": lambda one, told: 0.0,  # the first time; later ones have a test of their own
    "pseudo-labels": lambda one, told: sure(one("first"), one("first"), 0.0),
    "fixmatch": lambda one, told: sure(one("first"), one("weak"), 0.12),
    "fixmatch-teacher": lambda one, told: sure(one("first"), told("weak"), 0.12),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_an_algorithms_loss_is_that_of_a_float64_reference(algorithm):
    group, views = away(training(threshold=0.12)), pair()
    got = ALGORITHMS[algorithm](group, group.student(views.first), views)
    for member in range(2):
        one, told = (
            lambda name, m=member, n=network: says(n, getattr(views, name), m)
            for network in (group.student, group.teacher)
        )
        assert got[member].item() == pytest.approx(REFERENCES[algorithm](one, told), rel=1e-4, abs=1e-9)


def test_temporal_ensembling_agrees_with_what_was_said_before_and_not_with_what_is_said_now():
    group, tau, said = training(), 0.4, []
    for times in range(3):
        views = pair(seed=times, times=times)
        logits = group.student(views.first)
        got = ALGORITHMS["temporal-ensembling"](group, logits, views)
        now = chances(says(group.student, views.first, 0))
        if said:
            weights = tau * (1 - tau) ** np.arange(len(said) - 1, -1, -1.0)
            before = np.tensordot(weights / weights.sum(), said, 1)
            assert got[0].item() == pytest.approx(np.mean((now - before) ** 2), rel=1e-4)
        else:
            assert got[0].item() == 0
        said.append(now)
        group.update(got + logits.square().mean((1, 2)))
    assert not group.memory[:, 6:].any(), "a picture that was not seen has nothing said of it"


def test_the_teacher_follows_by_tau_and_never_learns():
    group = away(training(tau=0.25))
    before = group.followed.clone()
    views = pair()
    group.update(ALGORITHMS["mean-teacher"](group, group.student(views.first), views))
    torch.testing.assert_close(group.followed, 0.25 * group.optimizer.weights + 0.75 * before)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_member_is_the_same_whichever_others_train_beside_it(algorithm):
    alone = train(algorithm=algorithm, seeds=[5], tau=0.1)
    among = train(algorithm=algorithm, seeds=[2, 5], tau=[0.1, 0.5]).sel(tau=0.1, seed=[5])
    np.testing.assert_allclose(alone["error"], among["error"], atol=2e-3)  # two pictures of 899


def test_the_ends_of_tau():
    run = train(tau=[1.0, 0.0], weight=5.0)
    error = run["error"]
    np.testing.assert_array_equal(*(error.sel(tau=1.0, which=which) for which in ("online", "target")))
    np.testing.assert_array_equal(run["shared"].sel(tau=1.0), 1.0)
    asleep = error.sel(tau=0.0, which="target")
    assert (asleep == asleep.sel(step=0)).all()
    assert not np.array_equal(error.sel(tau=0.0, which="online"), asleep)


def test_an_observer_changes_nothing_and_a_teacher_in_the_loop_does():
    for algorithm, observes in {"labels-only": True, "pseudo-labels": True, "fixmatch": True, "mean-teacher": False,
                             "fixmatch-teacher": False}.items():  # fmt: skip
        run = train(algorithm=algorithm, tau=[1.0, 0.003], weight=20.0, threshold=0.3, ramp_up=0.0, steps=120)["error"]
        same = np.array_equal(*(run.sel(which="online", tau=tau) for tau in (1.0, 0.003)))
        assert same is observes, algorithm


def test_without_weight_every_algorithm_learns_from_labels_only():
    alone = train(algorithm="labels-only")["error"]
    for algorithm in ALGORITHMS:
        np.testing.assert_array_equal(train(algorithm=algorithm, weight=0.0)["error"], alone)


def test_the_ramp_holds_the_weight_back_in_the_beginning():
    first = train(ramp_up=[0.0, 1.0], weight=50.0, steps=1, evaluate_every=1)["error"]
    late = train(ramp_up=1.0, weight=[50.0, 50.0 * np.exp(-5)], steps=2, evaluate_every=1)["error"]
    assert first.sizes["ramp_up"] == late.sizes["weight"] == 2
    full = train(ramp_up=0.0, weight=50.0, steps=3, evaluate_every=3)["error"].isel(step=-1)
    held = train(ramp_up=1.0, weight=50.0, steps=3, evaluate_every=3)["error"].isel(step=-1)
    assert not np.array_equal(full, held)


def test_it_learns_and_the_answer_is_labelled():
    run = train(steps=300, evaluate_every=100, hidden=(32,), labels=[20, 80], noise=0.1)
    assert run["error"].dims == ("labels", "seed", "which", "step")
    assert run["shared"].dims == ("labels", "seed", "step")
    assert run["step"].values.tolist() == [0, 100, 200, 300]
    assert run["which"].values.tolist() == ["online", "target"]
    last = run["error"].sel(which="online").isel(step=-1).mean("seed")
    assert last.sel(labels=80) < last.sel(labels=20) < 0.45
    assert run.attrs["algorithm"] == "mean-teacher"


def stripes() -> tuple[np.ndarray, np.ndarray]:
    """Pictures of 5 by 5 pixels, of which one row, or one of the columns, is white."""
    draw = np.random.default_rng(0)
    labels = draw.integers(2, size=200)
    pictures = np.zeros((200, 5, 5), np.float32)
    for picture, label, place in zip(pictures, labels, draw.integers(1, 4, size=200), strict=True):
        picture[place if label else slice(None), slice(None) if label else place] = 1
    return pictures.reshape(200, 25), labels


def test_it_learns_from_a_readers_own_pictures(monkeypatch):
    monkeypatch.setitem(DATASETS, "stripes", stripes)
    run = train("stripes", labels=40, batch_size=50, noise=0.1, steps=100, evaluate_every=100)
    assert (run["error"].isel(step=-1) < 0.1).all()
    assert run.attrs["dataset"] == "stripes"
    monkeypatch.setitem(DATASETS, "oblong", lambda: (stripes()[0][:, :20], stripes()[1]))
    with pytest.raises(ValueError, match="pictures have 20 pixels each, which is no square"):
        train("oblong")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"algorithm": "mean-teachers"},
            ValueError,
            "algorithm='mean-teachers' is unknown; it must be 'labels-only' or",
        ),
        ({"taus": 0.1}, ValueError, "unknown setting 'taus' .*: did you mean 'tau'"),
        ({"tau": 1.5}, ValueError, "tau=1.5 is out of range"),
        ({"threshold": [0.5, 1.1]}, ValueError, "threshold=1.1"),
        ({"labels": [40, 900]}, ValueError, "labels=900 is more than the 898"),
        ({"labels": 0}, ValueError, "labels=0"),
        ({"shift": 1}, TypeError, "shift=1 must be True or False"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
    ],
)
def test_what_is_wrong_is_refused_by_name(arguments, error, message):
    with pytest.raises(error, match=message):
        teachers.train(**arguments)
