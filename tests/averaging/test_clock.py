"""The clock of a slow copy: at which updates it moves, by which weight, and what a recorded step may not ask of it."""

import copy

import pytest
import torch
from torch import Tensor

from companion import cosine, soft_update
from companion.averaging import Clock
from companion.runs.capture import RECORDERS, Captured
from tests.fake_device import CPU, DEVICE, DeviceError, Tracing, second_device
from tests.helpers import needs_cuda


def ticks(clock: Clock, updates: int) -> list[object]:
    weights = [clock.tick() for _ in range(updates)]
    return [weight.tolist() if isinstance(weight, Tensor) else weight for weight in weights]


class TestWeights:
    @pytest.mark.parametrize("every", [1, 2, 5])
    @pytest.mark.parametrize("kind", [int, torch.tensor])
    def test_tau_at_every_nth_update_and_else_0(self, every: int, kind: type) -> None:
        expected = [0.5 if update % every == 0 else 0.0 for update in range(1, 13)]
        assert ticks(Clock(0.5, kind(every)), 12) == expected

    def test_each_member_has_its_own_tau_and_period(self) -> None:
        clock = Clock(torch.tensor([0.25, 0.5, 1.0]), torch.tensor([1, 2, 3]))
        assert ticks(clock, 4) == [[0.25, 0.0, 0.0], [0.25, 0.5, 0.0], [0.25, 0.0, 1.0], [0.25, 0.5, 0.0]]

    def test_one_of_both_may_be_shared(self) -> None:
        assert ticks(Clock(0.5, torch.tensor([1, 2])), 2) == [[0.5, 0.0], [0.5, 0.5]]
        assert ticks(Clock(torch.tensor([0.5, 0.25]), 2), 2) == [0.0, [0.5, 0.25]]
        assert ticks(Clock(torch.tensor(0.5), torch.tensor([1, 2])), 2) == [[0.5, 0.0], [0.5, 0.5]]
        assert ticks(Clock(torch.tensor([0.5, 0.25]), torch.tensor(2)), 2) == [[0.0, 0.0], [0.5, 0.25]]

    def test_a_schedule_is_asked_with_the_number_of_the_update_where_it_is_due(self) -> None:
        asked: list[int] = []
        clock = Clock(lambda k: asked.append(k) or 1 / k, every=2)
        assert ticks(clock, 6) == [0.0, 1 / 2, 0.0, 1 / 4, 0.0, 1 / 6]
        assert asked == [2, 4, 6]

    def test_a_schedule_may_return_a_weight_for_each_average(self) -> None:
        rows = torch.rand(4, 3)
        assert ticks(Clock(lambda k: rows[k - 1]), 4) == rows.tolist()

    def test_beside_a_period_in_a_tensor_a_schedule_takes_the_number_in_one(self) -> None:
        clock = Clock(lambda k: 1 / (1 + k), torch.tensor([1, 2]))
        assert ticks(clock, 3) == torch.tensor([[1 / 2, 0.0], [1 / 3, 1 / 3], [1 / 4, 0.0]]).tolist()

    def test_a_number_beside_a_period_in_a_tensor_is_of_the_default_dtype_and_a_tensor_of_its_own(self) -> None:
        period = torch.tensor([1, 2])
        assert ticks(Clock(0.1, period), 1) == [torch.tensor([0.1, 0.0], dtype=torch.float32).tolist()]
        assert ticks(Clock(torch.tensor(0.1, dtype=torch.float64), period), 1) == [[0.1, 0.0]]

    def test_it_follows_what_is_written_to_its_tensors(self) -> None:
        tau, every = torch.tensor([0.5]), torch.tensor([2])
        clock = Clock(tau, every)
        tau.fill_(0.25)
        every.fill_(1)
        assert ticks(clock, 1) == [[0.25]]

    def test_a_weight_of_0_moves_nothing(self) -> None:
        online, target, clock = torch.ones(2, 3), torch.zeros(2, 3), Clock(1.0, torch.tensor([1, 2]))
        soft_update([online], [target], clock.tick())
        assert target.tolist() == [[1.0] * 3, [0.0] * 3]


EACH = {
    "a number": lambda: Clock(0.5),
    "a period": lambda: Clock(0.5, 3),
    "a schedule": lambda: Clock(cosine(0.5, 9), 2),
    "a period in a tensor": lambda: Clock(0.5, torch.tensor(3)),
    "members": lambda: Clock(torch.tensor([0.5, 0.25]), torch.tensor([1, 3])),
}


@pytest.mark.parametrize("make", EACH.values(), ids=EACH)
class TestCount:
    def test_it_is_the_number_of_ticks(self, make) -> None:
        clock = make()
        ticks(clock, 5)
        assert clock.count == 5

    def test_a_clock_that_is_put_back_goes_on_as_if_it_had_not_stopped(self, make) -> None:
        whole, resumed = make(), make()
        ticks(whole, 4)
        resumed.load_state_dict(copy.deepcopy(whole.state_dict()))
        assert resumed.count == 4
        assert ticks(resumed, 8) == ticks(whole, 8)

    def test_it_can_be_set(self, make) -> None:
        clock, other = make(), make()
        ticks(other, 7)
        clock.count = 7
        assert ticks(clock, 3) == ticks(other, 3)

    def test_to_look_ahead_counts_nothing(self, make) -> None:
        clock, other = make(), make()
        for expected in ticks(other, 7):
            weight = clock.ahead()
            assert (weight.tolist() if isinstance(weight, Tensor) else weight) == expected
            clock.advance()
        assert clock.count == 7

    def test_a_count_in_a_tensor_stays_in_its_place(self, make) -> None:
        clock = make()
        before = clock.state_dict()["count"]
        ticks(clock, 3)
        clock.count = 5
        if isinstance(clock.every, Tensor):
            assert before.item() == 5
        assert clock.state_dict()["count"].item() == 5

    def test_a_copy_is_another_clock(self, make) -> None:
        clock = make()
        twin = copy.deepcopy(clock)
        ticks(twin, 2)
        assert (clock.count, twin.count) == (0, 2)

    def test_its_state_is_a_whole_number_in_a_tensor(self, make) -> None:
        clock = make()
        ticks(clock, 2)
        (count,) = clock.state_dict().values()
        assert count.dtype == torch.int64
        assert count.item() == 2


class TestRecorded:
    """Where the period is a tensor, or 1, a clock ticks in a recorded step."""

    @pytest.mark.parametrize("every", [torch.tensor(2), torch.tensor([1, 2, 3])])
    @pytest.mark.parametrize("tau", [torch.tensor(0.5), torch.tensor([0.5, 0.1, 1.0]), 0.5, lambda k: 1 / (1 + k)])
    def test_it_looks_at_no_data_and_stays_on_its_device(self, tau: object, every: object) -> None:
        with second_device() as device:
            clock = Clock(*(each.to(DEVICE) if isinstance(each, Tensor) else each for each in (tau, every)))
            with device.step("recorded step"):
                soft_update([torch.empty(3, 4, device=DEVICE)], [torch.empty(3, 4, device=DEVICE)], clock.tick())

    def test_a_tau_in_a_tensor_is_enough_without_a_period(self) -> None:
        with second_device() as device:
            clock = Clock(torch.tensor([0.5, 0.1, 1.0]).to(DEVICE))
            with device.step("recorded step"):
                clock.tick()

    def test_the_other_device_would_say_so(self) -> None:
        with second_device() as device:
            clock = Clock(lambda k: 1 / int(k), torch.tensor(2).to(DEVICE))
            with pytest.raises(DeviceError, match="looks at data"), device.step("recorded step"):
                clock.tick()

    @pytest.mark.parametrize("make", [EACH["a period in a tensor"], EACH["members"]])
    def test_recorded_and_replayed_it_is_the_same_clock(self, make, monkeypatch) -> None:
        monkeypatch.setitem(RECORDERS, "cpu", Tracing)
        self.assert_same(make, CPU)

    @needs_cuda
    @pytest.mark.parametrize("make", [EACH["a period in a tensor"], EACH["members"]])
    def test_so_it_is_on_a_gpu(self, make) -> None:
        self.assert_same(make, torch.device("cuda"))

    @staticmethod
    def assert_same(make, device: torch.device) -> None:
        plain, recorded = make().to(device), make().to(device)
        online = torch.ones(2, 3, device=device)
        first, second = torch.zeros_like(online), torch.zeros_like(online)
        reports: list[str] = []
        step = Captured(lambda: soft_update([online], [second], recorded.tick()), device, reports.append)
        for _ in range(8):
            soft_update([online], [first], plain.tick())
            step()
            assert torch.equal(first, second)
            assert plain.count == recorded.count
        assert not reports


class TestMoved:
    def test_to_another_device_with_all_its_tensors(self) -> None:
        clock = Clock(torch.tensor([0.5]), torch.tensor([2])).to("meta")
        assert clock.tau.is_meta
        assert clock.every.is_meta
        assert clock.tick().is_meta


REFUSED = {
    "tau above 1": ("Clock(1.5)", "ValueError", "tau 1.5 [0, 1]"),
    "tau a word": ("Clock('slow')", "TypeError", "tau 'slow' number"),
    "a member's tau": ("Clock(torch.tensor([0.5, -1.0]))", "ValueError", "tau -1.0 [0, 1]"),
    "every 0": ("Clock(0.5, 0)", "ValueError", "every 0 1 update or more"),
    "every a fraction": ("Clock(0.5, 2.5)", "TypeError", "every 2.5 whole number"),
    "every a bool": ("Clock(0.5, True)", "TypeError", "every True"),
    "a member's period": ("Clock(0.5, torch.tensor([3, 0]))", "ValueError", "every holds 0 1 update or more"),
    "periods of fractions": ("Clock(0.5, torch.tensor([2.0]))", "TypeError", "every float32 .long()"),
    "a matrix of periods": ("Clock(0.5, torch.ones(2, 2).long())", "ValueError", "every (2, 2) (member,)"),
    "of two lengths": ("Clock(torch.rand(3), torch.tensor([1, 2]))", "ValueError", "tau (3,) every (2,) a member"),
    "on two devices": ("Clock(torch.rand(3), torch.ones(3).long().to('meta'))", "ValueError", "tau cpu every meta"),
    "a schedule out of range": ("clock = Clock(lambda k: 1 + k); clock.tick()", "ValueError", "tau 2"),
    "a state without a count": (
        "clock = Clock(0.5); clock.load_state_dict({})",
        "ValueError",
        'state["count"] None number',
    ),
    "a negative count": (
        "clock = Clock(0.5, 3); clock.load_state_dict({'count': -1})",
        "ValueError",
        "count -1 number",
    ),
    "half an update": (
        "clock = Clock(0.5); clock.load_state_dict({'count': torch.tensor(0.5)})",
        "ValueError",
        "count 0.5 number of updates",
    ),
    "a count of half an update": ("clock = Clock(0.5, 3); clock.count = 2.5", "ValueError", "count 2.5 whole number"),
    "a count below 0": ("clock = Clock(0.5, 3); clock.count = -1", "ValueError", "count -1 whole number"),
    "half an update in a tensor": ("clock = Clock(0.5); clock.count = 2.5", "ValueError", "count 2.5 whole number"),
    "below 0 in a tensor": ("clock = Clock(0.5); clock.count = -1", "ValueError", "count -1 whole number"),
    "a bool as a count": ("clock = Clock(0.5); clock.count = True", "ValueError", "count True whole number"),
    "a schedule out of range beside a period in a tensor": (
        "clock = Clock(lambda k: torch.ones(2) + k, torch.tensor([1, 2])); clock.tick()",
        "ValueError",
        "tau 2.0 [0, 1]",
    ),
    "a schedule of words beside a period in a tensor": (
        "clock = Clock(lambda k: 'slow', torch.tensor(2)); clock.tick()",
        "TypeError",
        "tau 'slow'",
    ),
    "a schedule of words": ("clock = Clock(lambda k: 'slow', 1); clock.tick()", "TypeError", "tau 'slow'"),
}


@pytest.fixture(scope="module")
def answers(in_plain_python) -> dict[str, tuple[str, str, int]]:
    program = """
import torch
from companion.averaging import Clock
answers = {}
for name, code in given.items():
    scope = {"torch": torch, "Clock": Clock}
    try:
        exec(code, scope)
    except Exception as error:
        answers[name] = type(error).__name__, str(error), scope["clock"].count if "clock" in scope else 0
print(json.dumps(answers))
"""
    return in_plain_python(program, {name: code for name, (code, _, _) in REFUSED.items()})


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_in_words_and_not_counted(name: str, answers) -> None:
    _, error, words = REFUSED[name]
    kind, message, count = answers[name]
    assert kind == error, message
    assert all(word in message for word in words.split()), message
    assert count == 0
