"""Recordings as files: what is written is read back, whole, and says where it comes from."""

import json

import numpy as np
import pytest
import xarray as xr

from companion.study import provenance, recording, recordings, store
from tests.helpers import assert_can_be_kept, full_disk

FACTS = {
    "algorithm": "dqn",
    "hidden": [64, 64],
    "tau": [1.0, 0.001],
    "double": False,
    "nothing": None,
    "seeds": [0, 1, 2],
    "versions": {"torch": "2.13.0", "numpy": "2.4.6"},
    "device": "cpu",
    "threads": 2,
    "date": "2026-11-20T10:11:12+00:00",
    "wall_seconds": 1234.5,
    "commit": "0123456789ab",
    "grüße": "τ ← 1 − τ",
}


@pytest.fixture
def run():
    values = np.random.default_rng(0).normal(size=(2, 2, 3, 4))
    return xr.Dataset(
        {
            "return": (("double", "tau", "seed", "step"), values.astype(np.float32)),
            "loss": (("tau", "seed", "step"), np.where(values[0] > 1, np.nan, values[0])),
            "updates": ("step", np.array([1, 2, 3, 2**31 - 1])),
        },
        coords={
            "double": [False, True],
            "tau": [1.0, 0.001],
            "seed": [0, 1, 2],
            "step": [10, 20, 30, 40],
            "hidden": ("tau", ["64-64", "8"]),
        },
        attrs=dict(FACTS),
    )


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "FOLDER", tmp_path)
    return tmp_path


def test_what_is_written_is_read_back(run, folder):
    run["return"].attrs["units"] = "seconds"  # must not turn into dates
    store.save(run, folder / "map.nc")
    back = store.load(folder / "map.nc")
    xr.testing.assert_identical(back, run)
    assert back["return"].dtype == np.float32
    assert back["double"].dtype == bool
    assert back.sel(tau=0.001, double=True).sizes["seed"] == 3
    assert [path.name for path in folder.iterdir()] == ["map.nc"]


def test_a_recording_can_be_kept_by_its_reader(run, folder, tmp_path_factory):
    run.attrs["double_q"] = run.attrs.pop("double")  # netCDF 3 knows a double
    store.save(run, folder / "map.nc")
    kept = recording("map")
    assert_can_be_kept(kept, tmp_path_factory.mktemp("reader"))
    assert kept.attrs["double_q"] == 0
    assert kept.attrs["versions"] == "torch 2.13.0, numpy 2.4.6"
    assert "nothing" not in kept.attrs
    assert provenance(kept) == provenance(run)


def test_arrays_and_devices_among_the_facts_become_plain(run, folder):
    run.attrs = {"tau": np.array([1.0, 0.5]), "n": np.int64(3), "device": np.dtype("float32"), "hidden": (8, 8)}
    store.save(run, folder / "map.nc")
    assert recording("map").attrs == {"tau": [1.0, 0.5], "n": 3, "device": "float32", "hidden": [8, 8]}


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(run, folder, monkeypatch):
    store.save(run, folder / "map.nc")
    before = (folder / "map.nc").read_bytes()

    def fails(self, path, **options):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", fails)
    with pytest.raises(OSError, match="No space"):
        store.save(run, folder / "map.nc")
    assert [path.name for path in folder.iterdir()] == ["map.nc"]
    assert (folder / "map.nc").read_bytes() == before


def test_a_full_disk_is_named_and_leaves_the_old_file(run, folder):
    store.save(run, folder / "map.nc")
    larger = run.isel(step=np.zeros(10_000, int))
    with pytest.raises(OSError, match=f"too large: '{folder / 'map.nc'}'"), full_disk():
        store.save(larger, folder / "map.nc")
    assert [path.name for path in folder.iterdir()] == ["map.nc"]
    xr.testing.assert_identical(store.load(folder / "map.nc"), run)


def test_a_recording_that_is_not_there_is_refused_with_the_nearest_and_how_to_make_it(run, folder):
    with pytest.raises(ValueError, match=r"name is 'dqn-tau-map'.*none is.*python -m companion.record dqn-tau-map"):
        recording("dqn-tau-map")
    store.save(run, folder / "dqn-tau-map.nc")
    store.save(run, folder / "linear.nc")
    assert recordings() == ["dqn-tau-map", "linear"]
    with pytest.raises(ValueError, match="the nearest kept is 'dqn-tau-map'"):
        recording("dqn-tau")


def test_provenance_is_one_sentence_with_all_the_facts(run):
    assert provenance(run) == (
        "Made on a CPU (2 threads) on 20 November 2026 with seeds 0 to 2 in 21 minutes, from commit 0123456789ab, "
        "by torch 2.13.0, numpy 2.4.6."
    )


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        ({}, "Made on an unknown device with seeds 0 to 2."),
        ({"device": "NVIDIA H200", "threads": 8}, "Made on NVIDIA H200 with seeds 0 to 2."),
        ({"device": "cpu", "threads": 1}, "Made on a CPU (1 thread) with seeds 0 to 2."),
        ({"device": "cpu", "versions": "torch 2"}, "Made on a CPU with seeds 0 to 2, by torch 2."),
        ({"wall_seconds": 0.25}, "Made on an unknown device with seeds 0 to 2 in 0.2 seconds."),
        ({"wall_seconds": 9000.0}, "Made on an unknown device with seeds 0 to 2 in 2.5 hours."),
        ({"commit": None}, "Made on an unknown device with seeds 0 to 2."),
    ],
)
def test_provenance_leaves_out_what_it_does_not_know(facts, sentence, run):
    run.attrs = facts
    assert provenance(run) == sentence


@pytest.mark.parametrize(("pick", "words"), [([1], "seed 1"), ([0, 2], "seeds 0, 2"), (1, "seed 1")])
def test_provenance_names_the_seeds_that_are_there(pick, words, run):
    assert f"with {words} in" in provenance(run.isel(seed=pick))


def test_what_the_package_keeps_can_be_read(monkeypatch):
    for name in recordings():
        run = recording(name)
        assert "seed" in run.dims
        assert json.loads(json.dumps(run.attrs)) == run.attrs
        assert provenance(run).startswith("Made on ")
