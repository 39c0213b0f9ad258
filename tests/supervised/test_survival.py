"""What :class:`companion.runs.run.Run` promises of every training call, held against this one."""

import signal

import numpy as np
import pytest
import xarray as xr

from companion import supervised
from companion.supervised import DATASETS, Classifiers
from tests.helpers import assert_can_be_kept

SMALL = {"steps": 30, "evaluate_every": 10, "batch_size": 4, "seeds": 2, "tau": [0.5, 0.1], "progress": False}


def train(**settings) -> xr.Dataset:
    return supervised.train("digits", **{**SMALL, **settings})


@pytest.fixture
def ctrl_c_at(monkeypatch):
    """``ctrl_c_at(n)``: press it within the n-th update from now on."""

    def arrange(n: int) -> None:
        calls = [0]
        update = Classifiers.update

        def counted(self, *words):
            calls[0] += 1
            if calls[0] == n:
                signal.raise_signal(signal.SIGINT)
            update(self, *words)

        monkeypatch.setattr(Classifiers, "update", counted)

    return arrange


@pytest.mark.parametrize("pressed", [1, 10, 17, 45])
def test_a_run_goes_on_from_its_checkpoint_with_the_same_bits(pressed, tmp_path, ctrl_c_at, monkeypatch):
    """Two groups of 30 steps, ended in the n-th step of all."""
    settings = {"hidden": [(8,), (16,)], "anneal": True}
    whole = train(**settings)
    ctrl_c_at(pressed)
    cut = train(**settings, checkpoint=tmp_path / "run.pt")
    assert cut.attrs["trained"] == pytest.approx(pressed / 60)
    before = cut["loss"].isel(hidden=0, step=slice(0, 1 + pressed // 10))
    xr.testing.assert_equal(before, whole["loss"].isel(hidden=0, step=slice(0, 1 + pressed // 10)))
    assert cut["loss"].isel(hidden=1, step=-1).isnull().all()
    monkeypatch.undo()
    resumed = train(**settings, checkpoint=tmp_path / "run.pt")
    for name in whole.data_vars:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name
    assert "interrupted" not in resumed.attrs
    xr.testing.assert_identical(resumed, train(**settings, checkpoint=tmp_path / "run.pt"))


def test_a_network_that_diverges_is_named_and_touches_no_other():
    run = train(learning_rate=[0.1, 1e30])
    assert run.attrs["diverged"] == "learning_rate=1e+30, seed=0 at step 10; learning_rate=1e+30, seed=1 at step 10"
    assert run.sel(learning_rate=1e30)["loss"].isel(step=slice(1, None)).isnull().all()
    assert run.sel(learning_rate=1e30)["loss"].isel(step=0).notnull().all()
    tame = train(learning_rate=0.1)
    np.testing.assert_array_equal(run["loss"].sel(learning_rate=0.1), tame["loss"])


def test_a_checkpoint_of_other_arguments_is_refused(tmp_path):
    train(checkpoint=tmp_path / "run.pt", minutes=0)
    with pytest.raises(ValueError, match=r"tau was \[0.5, 0.1\] and is 0.5"):
        train(checkpoint=tmp_path / "run.pt", tau=0.5)


def test_a_checkpoint_of_other_samples_under_the_same_name_is_refused(tmp_path, monkeypatch):
    run = train(checkpoint=tmp_path / "run.pt", minutes=0)
    assert_can_be_kept(run, tmp_path)
    inputs, labels = DATASETS["digits"]()
    inputs[0, 0] += 1 / 16
    monkeypatch.setitem(DATASETS, "digits", lambda: (inputs, labels))
    with pytest.raises(ValueError, match=f"samples was '{run.attrs['samples']}' and is '[0-9a-f]{{16}}'"):
        train(checkpoint=tmp_path / "run.pt")
