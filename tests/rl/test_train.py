"""`rl.train`: what comes back, what is refused, and that every agent is its own."""

import re

import numpy as np
import pytest
import torch
import xarray as xr

from companion import rl
from tests.helpers import assert_can_be_kept
from tests.rl.populations import SMALL


def train(**settings) -> xr.Dataset:
    return rl.train("dqn", "CartPole-v1", **settings, **{k: v for k, v in SMALL.items() if k not in settings})


def test_the_result_is_labelled():
    run = train(tau=[1.0, 0.1], period=[1, 4, 16], seeds=[5, 2], evaluate_every=25)
    assert run["return"].dims == ("tau", "period", "seed", "step")
    assert run["step"].values.tolist() == [25, 50, 60]
    assert run["seed"].values.tolist() == [5, 2]
    assert set(run.data_vars) == {"return", "discounted_return", "predicted", "loss", "q_mean", "q_max"}
    assert not any(run[name].isnull().any() for name in run.data_vars)
    assert (run["return"] >= 1).all()
    assert (run["discounted_return"] <= run["return"]).all()
    assert run["return"].sel(tau=0.1, period=16, seed=2).dims == ("step",)


def test_the_attributes_hold_every_argument_and_survive_a_file(tmp_path):
    run = train(tau=[1.0, 0.1], double_q=[False, True], hidden=[(16,), (8, 8)], seeds=2, film=True)
    for name in vars(rl.dqn.DQNSettings()):
        assert name in run.attrs
    assert run.attrs["algorithm"] == "dqn"
    assert run.attrs["environment"] == "CartPole-v1"
    assert run.attrs["seeds"] == [0, 1]
    assert run.attrs["tau"] == [1.0, 0.1]
    assert run.attrs["learning_rate"] == 1e-3
    for name in ("device", "threads", "versions", "date", "wall_seconds", "steps", "evaluate_every"):
        assert name in run.attrs
    assert_can_be_kept(run, tmp_path)


def test_before_learning_starts_nothing_is_watched():
    run = train(evaluate_every=10, seeds=1)
    assert run["loss"].isnull().values.tolist() == [[True, True, False, False, False, False]]
    assert run["predicted"].notnull().all()
    assert (run["return"].isel(step=0) == run["return"].isel(step=1)).all()


def test_a_film_is_one_greedy_episode_of_each_agent():
    film = train(seeds=3, film=True)["episode"]
    assert film.dims == ("seed", "frame", "observation")
    for episode in film.values:
        seen = ~np.isnan(episode[:, 0])
        assert seen[0]
        assert (np.diff(seen.astype(int)) <= 0).all()  # once over, it stays over
        last = episode[seen][-1]
        assert len(episode[seen]) == 501 or abs(last[0]) > 2.4 or abs(last[2]) > np.radians(12)
        assert (np.abs(episode[seen][:-1, 0]) <= 2.4).all()


def assert_same(a: xr.Dataset, b: xr.Dataset) -> None:
    for name in a.data_vars:
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


@pytest.mark.parametrize("threads", [1, 2])
def test_an_agent_is_the_same_whichever_others_train_beside_it(threads):
    """Bit for bit, on one CPU thread or two: member 3 of 8, alone and in other company."""
    default = {"hidden": (64, 64), "batch_size": 64, "steps": 250, "learning_starts": 50, "evaluation_episodes": 8}
    crowd = train(tau=[1.0, 0.01], double_q=[False, True], seeds=2, **default)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        alone = train(tau=0.01, double_q=True, seeds=[1], **default)
        company = train(tau=0.01, double_q=True, learning_rate=[1e-3, 1e-2], seeds=[7, 1, 4], **default)
    finally:
        torch.set_num_threads(before)
    member = crowd.sel(tau=0.01, double_q=True, seed=1)
    assert_same(member, alone.sel(seed=1))
    assert_same(member, company.sel(learning_rate=1e-3, seed=1))


def test_a_longer_run_begins_like_a_shorter_one():
    short, long = train(seeds=2, evaluate_every=20), train(seeds=2, evaluate_every=20, steps=100)
    assert_same(short, long.sel(step=short["step"]))


def test_settings_that_decide_shapes_are_swept_too():
    swept = train(hidden=[(16,), (8, 8)], batch_size=[4, 8], tau=[1.0, 0.1], seeds=2)
    assert swept["return"].dims == ("hidden", "batch_size", "tau", "seed", "step")
    assert_same(swept.sel(hidden="8-8", batch_size=4, tau=0.1), train(hidden=(8, 8), batch_size=4, tau=0.1, seeds=2))


def test_agents_learn():
    """A slow copy balances the pole for longer than a random agent's 22 steps or so; values without one run away."""
    run = train(tau=[1.0, 0.01], seeds=4, steps=2_500, hidden=(64, 64), batch_size=64, learning_starts=500)
    last = run.isel(step=-1)
    assert last["return"].sel(tau=0.01).median("seed") > 60
    assert (last["q_mean"].sel(tau=1.0) > 100).all()  # no policy earns more than 1/(1 − 0.99) = 100
    assert (last["q_mean"].sel(tau=0.01) < 100).all()


def test_one_members_wild_settings_touch_no_other():
    wild = train(learning_rate=[1e-3, 1e30], seeds=2)
    assert not np.isfinite(wild["q_mean"].sel(learning_rate=1e30)).all()
    assert_same(wild.sel(learning_rate=1e-3), train(learning_rate=1e-3, seeds=2))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"algorithm": "dqm"}, "unknown algorithm 'dqm': did you mean 'dqn'"),
        ({"environment": "CartPole"}, "unknown environment 'CartPole': did you mean 'CartPole-v1'"),
        ({"environment": "Pendulum-v1"}, "continuous actions"),
        ({"tua": 0.1}, "unknown setting 'tua' of DQN: did you mean 'tau'"),
        ({"learning_rat": 0.1}, "did you mean 'learning_rate'"),
        ({"tau": 1.5}, "tau=1.5 is out of range; it must be between 0 and 1"),
        ({"tau": [0.1, -0.1]}, "tau=-0.1 is out of range"),
        ({"tau": float("nan")}, "tau=nan is out of range"),
        ({"learning_rate": float("inf")}, "learning_rate=inf is out of range"),
        ({"period": 0}, "period=0 is out of range; it must be at least 1"),
        ({"hidden": (64, 0)}, "hidden="),
        ({"buffer_size": [1, 0]}, "buffer_size=0"),
        ({"tau": []}, "tau is an empty list"),
        ({"seeds": 0}, "seeds=0"),
        ({"steps": 0}, "steps=0"),
        ({"steps": 20}, "learning_starts=20 leaves nothing"),
        ({"evaluate_every": 0}, "evaluate_every=0"),
    ],
)
def test_what_cannot_be_trained_is_refused_with_its_remedy(arguments, message):
    named = {"algorithm": "dqn", "environment": "CartPole-v1", **SMALL, **arguments}
    with pytest.raises(ValueError, match=re.escape(message)):
        rl.train(**named)


@pytest.mark.parametrize(
    "arguments",
    [
        {"tau": "0.1"},
        {"tau": True},
        {"period": 2.5},
        {"hidden": 64},
        {"hidden": [64, 64]},
        {"hidden": (64.0,)},
        {"double_q": 1},
        {"steps": [60, 80]},
        {"evaluation_episodes": [2]},
    ],
)
def test_values_of_the_wrong_type_are_refused(arguments):
    with pytest.raises(TypeError):
        train(**arguments)


def test_progress_leaves_no_debris(capsys, monkeypatch):
    monkeypatch.setenv("COMPANION_PROGRESS", "0")
    train(seeds=1, progress=True)
    train(seeds=1, progress=False)
    assert capsys.readouterr() == ("", "")
    monkeypatch.delenv("COMPANION_PROGRESS")
    train(seeds=1, progress=True)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "dqn" in shown.err
    assert shown.err.endswith("\r")
