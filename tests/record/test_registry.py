"""What can be recorded, and what is kept of it."""

import pytest

import gpu_small
from companion import vision
from companion.record import RECORDINGS, Recorder
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
