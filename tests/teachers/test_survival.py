"""What every training call promises, held against these two."""

import pytest
import torch
import xarray as xr

from companion import teachers
from tests.fake_device import in_slices

SMALL = {"steps": 12, "evaluate_every": 4, "seeds": 2, "batch_size": 300, "progress": False}
CALLS = {
    "temporal-ensembling": lambda **more: teachers.train(algorithm="temporal-ensembling", hidden=(8,), **SMALL, **more),
    "fixmatch-teacher": lambda **more: teachers.train(algorithm="fixmatch-teacher", hidden=(8,), **SMALL, **more),
    "distillation": lambda **more: teachers.distil(hidden=(8, 4), centre_tau=[0.1, 0.0], **SMALL, **more),
}


@pytest.mark.parametrize("call", CALLS)
def test_a_run_goes_on_from_its_checkpoint_with_the_same_bits(call, tmp_path):
    whole = CALLS[call]()
    assert in_slices(CALLS[call], tmp_path / "run.pt") == 12
    resumed = CALLS[call](checkpoint=tmp_path / "run.pt")
    for name in whole.data_vars:
        assert whole[name].values.tobytes() == resumed[name].values.tobytes(), name
    xr.testing.assert_equal(whole, resumed)


@pytest.mark.parametrize("call", CALLS)
def test_it_uses_no_random_numbers_of_torch(call):
    before = torch.get_rng_state()
    CALLS[call]()
    assert torch.equal(before, torch.get_rng_state())


def test_a_checkpoint_of_another_algorithm_is_refused(tmp_path):
    CALLS["temporal-ensembling"](checkpoint=tmp_path / "run.pt", minutes=0)
    with pytest.raises(ValueError, match="algorithm was 'temporal-ensembling' and is 'fixmatch-teacher'"):
        CALLS["fixmatch-teacher"](checkpoint=tmp_path / "run.pt")
