"""A bank of averages, against float64 NumPy, against the averages one at a time, and against torch's."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from companion.averaging import Bank, PolyakAverage, TailAverage, profile_weights, swa, warmup

SCHEDULES: dict[str, float | Callable[[int], float]] = {
    "last": 1.0,
    "EMA": 0.1,
    "warm": warmup(0.1, power=2 / 3),
    "SWA": swa(4, every=3),
    "tail": swa(5),
}


def iterates(count: int = 20) -> torch.Tensor:
    return torch.randn(count + 1, 2, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_every_average_is_the_profile_of_its_schedule() -> None:
    path = iterates()
    bank = Bank(path[0], SCHEDULES)
    for new in path[1:]:
        bank.update(new)
    for name, schedule in SCHEDULES.items():
        weights = profile_weights(schedule, 20)
        np.testing.assert_allclose(bank[name], np.tensordot(weights, path.numpy(), 1), atol=1e-12)
    assert bank.count == 20


def test_swa_takes_equal_shares_from_its_start_on_and_follows_until_then() -> None:
    weights = profile_weights(swa(4, every=3), 12)
    np.testing.assert_allclose(weights[[4, 7, 10]], 1 / 3)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(profile_weights(swa(4, every=3), 3), [0, 0, 0, 1])
    tail, polyak = TailAverage(4), PolyakAverage()
    path = iterates()
    bank = Bank(path[0], {"tail": swa(5), "all": swa(1)})
    for new in path[1:]:
        bank.update(new)
        tail.update(new)
        polyak.update(new)
    np.testing.assert_allclose(bank["tail"], tail.value, atol=1e-12)
    np.testing.assert_allclose(bank["all"], polyak.value, atol=1e-12)


def test_swa_is_what_torchs_averaged_model_makes_of_the_same_networks() -> None:
    network = nn.Linear(2, 1, bias=False)
    theirs = AveragedModel(network)
    bank = Bank(network.weight, {"SWA": swa(4, every=3)})
    for update in range(1, 13):
        with torch.no_grad():
            network.weight.normal_(generator=torch.Generator().manual_seed(update))
        bank.update(network.weight)
        if update >= 4 and (update - 4) % 3 == 0:
            theirs.update_parameters(network)
    torch.testing.assert_close(bank["SWA"], theirs.module.weight.detach())


def test_it_goes_on_from_its_state() -> None:
    path = iterates()
    whole, first, second = (Bank(path[0], SCHEDULES) for _ in range(3))
    for index, new in enumerate(path[1:]):
        whole.update(new)
        (first if index < 7 else second).update(new)
        if index == 6:
            second.load_state_dict(first.state_dict())
    torch.testing.assert_close(second.averages, whole.averages, rtol=0, atol=0)


def test_what_is_no_bank_is_refused_before_anything_moves() -> None:
    start = torch.zeros(3)
    with pytest.raises(ValueError, match="schedules is empty"):
        Bank(start, {})
    with pytest.raises(ValueError, match=r"EMA = 2.0 is not in \[0, 1\]"):
        Bank(start, {"EMA": 2})
    bank = Bank(start, {"mad": lambda k: float(k), "EMA": 0.5})
    with pytest.raises(ValueError, match="the averages have"):
        bank.update(torch.ones(2))
    bank.update(torch.ones(3))
    with pytest.raises(ValueError, match="mad"):
        bank.update(torch.zeros(3))
    assert bank.count == 1
    assert bank["EMA"].tolist() == [0.5] * 3
    with pytest.raises(ValueError, match="start = 0 is below 1"):
        swa(0)
    with pytest.raises(TypeError, match="every = True"):
        swa(1, every=True)
