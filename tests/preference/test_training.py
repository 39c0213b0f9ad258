"""Whole runs: members keep to themselves, anchors are what they are called, and a run survives what befalls it."""

from functools import partial

import numpy as np
import pytest
import torch
import xarray as xr

from companion import preference
from companion.preference import Learners, PreferenceSettings
from tests.fake_device import DEVICE, DeviceError, in_slices, second_device
from tests.helpers import assert_can_be_kept

SMALL = {"steps": 30, "evaluate_every": 10, "seeds": 2, "labels": 20, "progress": False}
SHARED = {"policy": "network", "prompts": 3, "answers": 2, "positions": 3, "vocabulary": 4, "hidden": (8,)}
EVERY_KIND = {
    "table": {},
    "network": SHARED,
    "network, fresh comparisons": {**SHARED, "label": "comparison", "refresh": 12},
    "dpo": {"method": "dpo", "label": "comparison", "answers": 3, "refresh": 7},
    "dpo, network": {**SHARED, "method": "dpo", "label": "comparison"},
    "elastic": {"elastic": 8, "every": 4, "tau": 0.6},
}


def train(**settings) -> xr.Dataset:
    return preference.train(**{**SMALL, **settings})


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_member_is_the_same_whichever_others_train_beside_it(kind: str):
    settings = EVERY_KIND[kind]
    alone = train(**settings, beta=0.4, seeds=[5])
    among = train(**settings, beta=[1.0, 0.4], learning_rate=[0.05, 0.15], seeds=[2, 5])
    for name in alone.data_vars:
        same = among[name].sel(beta=0.4, learning_rate=0.15, seed=[5])
        # to float32's rounding, of which a divergence of a few nats has 1e-6 a step (3e-6 with plain kernels)
        np.testing.assert_allclose(alone[name], same, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_run_goes_on_from_its_checkpoint_with_the_same_bits(kind: str, tmp_path):
    settings = EVERY_KIND[kind]
    whole = train(**settings)
    path = tmp_path / "run.pt"
    calls = 0
    while "interrupted" in (resumed := train(**settings, checkpoint=path, minutes=0)).attrs:
        calls += 1
    assert calls >= 29
    for name in whole.data_vars:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name


def test_a_run_can_be_kept_and_says_what_was_measured(tmp_path):
    run = train(beta=[0.0, 0.3], tau=[0.0, 0.1])
    assert run["gold"].dims == ("beta", "tau", "seed", "which", "step")
    assert run["leash"].dims == ("beta", "tau", "seed", "step")
    assert run["step"].values.tolist() == [0, 10, 20, 30]
    assert_can_be_kept(run, tmp_path)


def test_it_begins_at_the_start_and_learns_what_the_proxy_asks():
    run = train(beta=0.1, steps=200, evaluate_every=100).sel(which="online")
    assert (run["kl"].sel(step=0) == 0).all()
    assert (run["proxy"].isel(step=-1) > run["proxy"].sel(step=0) + 0.5).all()
    assert (run["kl"].isel(step=-1) > 0.5).all()


def test_dpo_learns_to_prefer_what_is_preferred():
    settings = {"method": "dpo", "label": "comparison", "labels": 200, "learning_rate": 1.0}
    run = train(**settings, steps=300, evaluate_every=300).sel(which="online")
    assert (run["gold"].isel(step=-1) > run["gold"].sel(step=0) + 0.3).all()


def test_without_a_price_the_anchor_is_of_no_account():
    run = train(beta=0.0, tau=[0.0, 0.3, 1.0])
    for name in ("gold", "proxy", "kl"):
        for tau in (0.3, 1.0):
            np.testing.assert_array_equal(run[name].sel(tau=tau), run[name].sel(tau=0.0))


def test_a_fixed_anchor_is_the_start_and_a_copied_one_the_policy():
    run = train(beta=0.3, tau=[0.0, 1.0], every=10)
    np.testing.assert_allclose(run["leash"].sel(tau=0.0), run["kl"].sel(tau=0.0, which="online"), atol=1e-6)
    assert (abs(run["leash"].sel(tau=1.0)) < 1e-6).all()  # measured right after it was copied
    assert (run["kl"].sel(tau=1.0, which="online").isel(step=-1) > 0.01).all()


def test_the_average_is_an_observer_until_it_is_elastic():
    run = train(average_tau=[0.01, 0.5])
    np.testing.assert_array_equal(*(run["gold"].sel(average_tau=tau, which="online") for tau in (0.01, 0.5)))
    run = train(average_tau=[0.01, 0.5], elastic=10)
    assert (run["gold"].sel(average_tau=0.01) != run["gold"].sel(average_tau=0.5)).any()
    assert (run["kl"].sel(which="average") == 0).all()  # measured right after the average was set back


def test_an_elastic_reset_makes_the_policy_its_average():
    learners = Learners([1], PreferenceSettings(elastic=5, average_tau=0.5), 5, torch.device("cpu"))
    for step in range(1, 5):
        learners.step(step)
    before = learners.average.module.logits.clone()
    learners.step(5)
    after = learners.policy.logits.detach()
    start = learners.start(learners.world.traits)
    assert learners.policy.divergence(after.log_softmax(-1), start) > 0
    assert not torch.equal(after, before)  # the average took a last step
    assert (learners.average.module.logits == 0).all()
    learners.step(6)
    torch.testing.assert_close(learners.average.module.logits, learners.policy.logits.detach() / 2)


def test_fresh_labels_are_of_the_policy_of_the_moment():
    settings = PreferenceSettings(refresh=50, labels=300, beta=0.0, learning_rate=0.5)
    learners = Learners([1], settings, 100, torch.device("cpu"))
    first = learners.proxy.clone()
    for step in range(1, 101):
        learners.step(step)
    assert learners.labels.bought == 600
    assert not torch.equal(first, learners.proxy)
    old, new = learners.labels.answers[0, 0, :, 0].split(300)
    likely = int(first.view(8, 5)[:, 0].argmax())
    assert (new == likely).float().mean() > (old == likely).float().mean() + 0.2


def test_noise_of_scores_is_as_asked():
    exact, noisy = (
        Learners([1], PreferenceSettings(noise=noise, labels=4_000), 1, torch.device("cpu")).labels
        for noise in (0.0, 2.0)
    )
    assert torch.equal(exact.answers, noisy.answers)
    assert (noisy.outcomes - exact.outcomes).std().item() == pytest.approx(2.0, rel=0.05)


def test_a_policy_that_diverges_is_named_and_touches_no_other():
    run = train(beta=[0.3, 1e38])
    assert "beta=1e+38, seed=0 at step 10" in run.attrs["diverged"]
    assert run["gold"].sel(beta=1e38).isel(step=slice(1, None)).isnull().all()
    np.testing.assert_array_equal(run["gold"].sel(beta=0.3), train(beta=0.3)["gold"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"method": "dpo"}, "label='score' gives DPO nothing to learn from; use label='comparison'"),
        ({"method": ["dpo", "reinforce"], "label": ["comparison", "score"]}, "gives DPO nothing to learn from"),
        ({"method": "dpo", "label": "comparison", "beta": [0.1, 0.0]}, "leaves DPO without a slope"),
        ({"beta": -0.1}, "beta=-0.1 is out of range"),
        ({"tau": 1.5}, "tau=1.5 is out of range"),
        ({"answers": 1}, "answers=1 is out of range"),
        ({"policy": "tabel"}, "policy='tabel' is unknown"),
        ({"anchor": 1}, "unknown setting 'anchor' of Preference"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_training(settings, words):
    with pytest.raises(ValueError, match=words):
        train(**settings)


@pytest.mark.parametrize("kind", EVERY_KIND)
def test_a_run_keeps_to_its_device(kind: str, monkeypatch):
    with second_device() as device:
        learn = "dpo_loss" if kind.startswith("dpo") else "reinforce_loss"
        monkeypatch.setattr(Learners, learn, device.steps_in(getattr(Learners, learn), "recorded step"))
        run = train(**EVERY_KIND[kind], device=DEVICE, steps=6, evaluate_every=3)
    assert device.steps["recorded step"] == 6
    assert run["gold"].notnull().all()


def test_a_checkpoint_is_taken_from_the_device_and_put_back(tmp_path):
    with second_device() as device:
        slices = in_slices(partial(train, refresh=2, device=DEVICE, steps=4, evaluate_every=2), tmp_path / "run.pt")
    assert slices == 4
    assert device.saved[0] == {DEVICE}


def test_a_look_at_data_in_a_step_is_found(monkeypatch):
    climb = Learners.reinforce_loss

    def looking(self, uniform):
        loss = climb(self, uniform)
        assert loss.isfinite()
        return loss

    with second_device() as device:
        monkeypatch.setattr(Learners, "reinforce_loss", device.steps_in(looking))
        with pytest.raises(DeviceError, match="looks at data"):
            train(device=DEVICE)
