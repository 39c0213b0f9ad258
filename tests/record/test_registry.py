"""What can be recorded, and what is kept of it."""

import pytest
import xarray as xr

import gpu_small
from companion import vision
from companion.averaging import swa
from companion.record import RECORDINGS, Recorder
from companion.record.recording import Made, Recording
from companion.study import store


@pytest.mark.parametrize("name", RECORDINGS)
def test_every_recording_can_be_called_as_it_is_registered(name, tmp_path, monkeypatch):
    """The call takes these arguments, and keeps a checkpoint: what it refuses is a folder that is not there."""
    monkeypatch.setitem(vision.training.DATASETS, "cifar10", gpu_small.noise)  # whose files may not be here
    assert RECORDINGS[name].name == name
    with pytest.raises(ValueError, match="there is no folder"):
        RECORDINGS[name].run(checkpoint=tmp_path / "absent" / "run.pt", minutes=1.0)


def test_what_the_package_keeps_is_registered_and_of_the_arguments_registered():
    recorder = Recorder(store.FOLDER)
    for name in store.recordings():
        assert name in RECORDINGS, f"{name}.nc is kept, and nobody knows how to make it"
        assert recorder.status(RECORDINGS[name])[0] in ("kept", "made on a CPU")


def test_what_is_made_with_a_recording_stands_in_its_recipe_and_is_made_by_its_call():
    averages = {"EMA": 0.1, "SWA": Made("companion.averaging:swa", (4,), {"every": 2})}
    recording = Recording("it", "", f"{__name__}:given", (averages,), {"one": Made("builtins:len", ("four",))}, seeds=2)
    made = "{'EMA': 0.1, 'SWA': companion.averaging.swa(4, every=2)}"
    assert recording.recipe == f"{__name__}.given({made}, one=builtins.len('four'), seeds=2)"
    attrs = recording.run(minutes=3).attrs
    assert (attrs["averages"]["EMA"], attrs["averages"]["SWA"](6)) == (0.1, swa(4, every=2)(6))
    assert attrs["settings"] == {"one": 4, "seeds": [0, 1], "minutes": 3}


def given(averages, **settings):
    return xr.Dataset(attrs={"averages": averages, "settings": settings})


def test_the_budgets_of_cifar10_are_those_of_the_swa_paper():
    """Izmailov et al. 2018, section 4.1: SWA after 3/4 of a budget or later, at a constant rate, up to 1.5 of one."""
    falling, swa_run = (RECORDINGS[f"generalise-cifar10-{name}"].settings for name in ("falling", "swa"))
    budget, every = falling["epochs"], swa_run["evaluate_every"]
    measured = [epoch / budget for epoch in range(every, swa_run["epochs"] + 1, every)]
    assert {1.0, 1.25, 1.5} <= set(measured)
    assert 0.75 <= swa_run["fall_until"] * swa_run["epochs"] / budget < 1
    assert swa_run["fall_to"] > 0
    assert "fall_to" not in falling
