"""The population of classifiers and their averages, against float64 references and against themselves."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from companion import PolyakAverage, ema_weights, supervised
from companion.averaging import debiased
from companion.supervised import Classifiers, Split

FLOAT64 = np.float64


def small(seeds: list[int], averages: Mapping[str, Any], hidden: tuple[int, ...] = (7,)) -> Classifiers:
    rng = np.random.default_rng(0)
    members = len(seeds)
    data = Split(
        inputs=rng.normal(size=(members, 30, 5)).astype(np.float32),
        labels=rng.integers(0, 3, (members, 30)),
        held_out_inputs=rng.normal(size=(members, 20, 5)).astype(np.float32),
        held_out_labels=rng.integers(0, 3, (members, 20)),
        classes=3,
    )
    return Classifiers(data, seeds, averages=averages, hidden=hidden, device=torch.device("cpu"))


def reference_step(
    parameters: list[np.ndarray], x: np.ndarray, y: np.ndarray, learning_rate: float
) -> tuple[list[np.ndarray], float]:
    """One step of SGD of one network with one hidden layer, in float64, by hand."""
    w1, b1, w2, b2 = parameters
    before = x @ w1 + b1
    hidden = np.maximum(before, 0)
    logits = hidden @ w2 + b2
    chances = np.exp(logits - logits.max(1, keepdims=True))
    chances /= chances.sum(1, keepdims=True)
    loss = -np.log(chances[np.arange(len(y)), y]).mean()
    slope = chances.copy()
    slope[np.arange(len(y)), y] -= 1
    slope /= len(y)
    back = (slope @ w2.T) * (before > 0)
    gradients = [x.T @ back, back.sum(0, keepdims=True), hidden.T @ slope, slope.sum(0, keepdims=True)]
    return [p - learning_rate * g for p, g in zip(parameters, gradients, strict=True)], loss


def parameters_of(learners: Classifiers, member: int) -> list[np.ndarray]:
    online = learners.online
    return [
        p[member].detach().numpy().astype(FLOAT64)
        for pair in zip(online.weights, online.biases, strict=True)
        for p in pair
    ]


def average_of(learners: Classifiers, average: int, member: int) -> list[np.ndarray]:
    """An average's parameters, read through the network that is judged."""
    learners.judged_weights.copy_(learners.bank.averages[average])
    judged = learners.judged
    return [p[member].numpy().astype(FLOAT64) for pair in zip(judged.weights, judged.biases, strict=True) for p in pair]


def test_updates_are_those_of_a_float64_reference() -> None:
    tau = [1.0, 0.3, 0.02]
    learners = small(seeds=[4, 5], averages={str(each): each for each in tau})
    rates = [0.5, 0.1]
    online = [parameters_of(learners, member) for member in range(2)]
    target = [[[p.copy() for p in online[member]] for member in range(2)] for _ in tau]
    rng = np.random.default_rng(1)
    for _ in range(5):
        batch = rng.integers(0, 30, (2, 6))
        learners.update(torch.from_numpy(batch), torch.tensor(rates))
        learners.bank.update(learners.weights)
        for member in range(2):
            x = learners.inputs[member].numpy().astype(FLOAT64)[batch[member]]
            y = learners.labels[member].numpy()[batch[member]]
            online[member], _ = reference_step(online[member], x, y, rates[member])
            for k, weight in enumerate(tau):
                target[k][member] = [
                    weight * new + (1 - weight) * old
                    for new, old in zip(online[member], target[k][member], strict=True)
                ]
    for member in range(2):
        for got, want in zip(parameters_of(learners, member), online[member], strict=True):
            np.testing.assert_allclose(got, want, atol=2e-6)
        for k in range(3):
            for got, want in zip(average_of(learners, k, member), target[k][member], strict=True):
                np.testing.assert_allclose(got, want, atol=2e-6)


def test_loss_and_error_are_those_of_a_float64_reference() -> None:
    learners = small(seeds=[4], averages={"EMA": 0.1})
    loss, error = learners.evaluate()
    x = learners.held_out_inputs[0].numpy().astype(FLOAT64)
    y = learners.held_out_labels[0].numpy()
    w1, b1, w2, b2 = parameters_of(learners, 0)
    logits = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    _, wanted = reference_step([w1, b1, w2, b2], x, y, 0.0)
    np.testing.assert_allclose(loss[0], [wanted, wanted], rtol=1e-5)
    np.testing.assert_allclose(error[0], np.repeat((logits.argmax(1) != y).mean(), 2), rtol=1e-6)


def test_fit_counts_the_labels_that_training_sees() -> None:
    learners = small(seeds=[4, 5], averages={"EMA": 0.1})
    for member in range(2):
        x = learners.inputs[member].numpy().astype(FLOAT64)
        w1, b1, w2, b2 = parameters_of(learners, member)
        given = (np.maximum(x @ w1 + b1, 0) @ w2 + b2).argmax(1)
        assert learners.fit()[member].item() == pytest.approx((given == learners.labels[member].numpy()).mean())
    run = supervised.train("digits", hidden=(), label_noise=1.0, seeds=2, steps=200, progress=False)
    assert run["fit"].dims == ("seed", "step")
    assert (run["fit"].isel(step=-1) > run["fit"].isel(step=0)).all()  # it fits labels that mean nothing
    assert (run["error"].sel(which="online").isel(step=-1) > 0.5).all()


def test_a_member_is_the_same_whichever_others_train_beside_it() -> None:
    settings = {"tau": [0.3, 0.01], "steps": 60, "evaluate_every": 20, "progress": False}
    alone = supervised.train("digits", seeds=[5], **settings)
    among = supervised.train("digits", seeds=[2, 5, 11], **settings).sel(seed=[5])
    for name in ("loss", "error"):
        np.testing.assert_allclose(alone[name], among[name], rtol=1e-5)
    swept = supervised.train("digits", seeds=[1, 5], label_noise=[0.5, 0.0], batch_size=[4, 16], **settings)
    same = swept.sel(seed=[5], label_noise=0.0, batch_size=16)
    np.testing.assert_allclose(alone["loss"].values, same["loss"].transpose(*alone["loss"].dims).values, rtol=1e-5)


def test_the_averages_do_not_touch_the_training() -> None:
    settings = {"seeds": 2, "steps": 40, "evaluate_every": 10, "progress": False}
    one = supervised.train("digits", tau=0.5, **settings)["loss"].sel(which="online")
    many = supervised.train("digits", tau=[0.001, 1.0], debias=[True, False], **settings)["loss"].sel(which="online")
    for tau in (0.001, 1.0):
        for debias in (True, False):
            np.testing.assert_array_equal(one, many.sel(tau=tau, debias=debias))


def test_the_ends_of_tau() -> None:
    run = supervised.train("digits", tau=[1.0, 0.0], seeds=3, steps=50, evaluate_every=10, progress=False)
    target = run.sel(which="target")
    np.testing.assert_array_equal(target["loss"].sel(tau=1.0), run["loss"].sel(which="online", tau=1.0))
    assert (target["loss"].sel(tau=0.0) == target["loss"].sel(tau=0.0, step=0)).all()


@pytest.mark.parametrize(("tau", "debias"), [(0.1, False), (0.1, True), (0.0, True), (1.0, True)])
def test_the_average_is_the_weighted_sum_of_the_iterates(tau: float, debias: bool) -> None:
    learners = small(seeds=[7], averages={"it": debiased(tau) if debias else tau})
    history = [learners.weights[0].numpy().astype(FLOAT64).copy()]
    polyak = PolyakAverage()
    rng = np.random.default_rng(2)
    steps = 12
    for _ in range(steps):
        batch = torch.from_numpy(rng.integers(0, 30, (1, 4)))
        learners.update(batch, torch.tensor([0.3]))
        learners.bank.update(learners.weights)
        history.append(learners.weights[0].numpy().astype(FLOAT64).copy())
        polyak.update(history[-1])
    if debias:  # the starting point is forgotten: Adam's correction, or chapter 1's mean where tau is 0
        weights = tau * (1 - tau) ** np.arange(steps - 1, -1, -1.0)
        wanted = weights @ np.array(history[1:]) / weights.sum() if tau else polyak.value
    else:
        wanted = ema_weights(tau, steps + 1) @ np.array(history)
    np.testing.assert_allclose(learners.bank["it"][0], wanted, atol=2e-6)


def test_the_learning_rate_is_annealed_in_a_straight_line(monkeypatch: pytest.MonkeyPatch) -> None:
    rates = []

    def watch(self: Classifiers, batch: torch.Tensor, learning_rate: torch.Tensor) -> None:
        rates.append(learning_rate.tolist())

    monkeypatch.setattr(Classifiers, "update", watch)
    supervised.train("digits", anneal=[False, True], learning_rate=0.4, seeds=1, steps=4, progress=False)
    np.testing.assert_allclose(rates, [[0.4, 0.4], [0.4, 0.3], [0.4, 0.2], [0.4, 0.1]], rtol=1e-6)


def test_the_answer_is_labelled() -> None:
    run = supervised.train(
        "digits",
        tau=[0.5, 0.1],
        learning_rate=[0.1, 0.2, 0.3],
        seeds=[3, 8],
        steps=25,
        evaluate_every=10,
        progress=False,
    )
    assert run["loss"].dims == ("learning_rate", "seed", "which", "tau", "step")
    assert run["error"].shape == (3, 2, 2, 2, 4)
    assert run["step"].values.tolist() == [0, 10, 20, 25]
    assert run["which"].values.tolist() == ["online", "target"]
    assert run["seed"].values.tolist() == [3, 8]
    assert run.attrs["tau"] == [0.5, 0.1]
    assert run.attrs["hidden"] == [64]
    assert run.attrs["device"] == "cpu"
    assert run.attrs["wall_seconds"] > 0
    assert "torch" in run.attrs["versions"]
    assert supervised.train("digits", seeds=1, steps=1, progress=False)["loss"].dims == ("seed", "which", "step")


def test_it_learns() -> None:
    run = supervised.train("digits", seeds=2, steps=400, learning_rate=0.2, progress=False)
    error = run["error"].sel(which="online")
    assert (error.isel(step=0) > 0.7).all()
    assert (error.isel(step=-1) < 0.12).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"taus": 0.1}, ValueError, "unknown setting 'taus' .*: did you mean 'tau'"),
        ({"rate": 0.1}, ValueError, "unknown setting 'rate'"),
        ({"tau": 1.5}, ValueError, "tau=1.5 is out of range"),
        ({"tau": [0.1, -0.1]}, ValueError, "tau=-0.1"),
        ({"tau": float("nan")}, ValueError, "tau=nan"),
        ({"debias": 1}, TypeError, "debias=1 must be True or False"),
        ({"batch_size": 0}, ValueError, "batch_size=0"),
        ({"hidden": 64}, TypeError, "hidden=64 must be a tuple"),
        ({"held_out": 1.0}, ValueError, "held_out=1.0"),
        ({"steps": 0}, ValueError, "steps=0"),
        ({"evaluate_every": 0}, ValueError, "evaluate_every=0"),
        ({"seeds": 0}, ValueError, "seeds=0"),
    ],
)
def test_what_is_wrong_is_refused_by_name(arguments: dict, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        supervised.train("digits", **arguments)


def test_an_unknown_data_set_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="unknown dataset 'digit': did you mean 'digits'"):
        supervised.train("digit")
