"""The target network: its clock, its precision, what it saves, and what it never does."""

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from companion import TargetNetwork, cosine, hard_update, warmup
from companion.averaging.pairing import Buffers
from companion.runs.capture import RECORDERS, Captured
from tests.fake_device import CPU, DEVICE, Tracing, second_device
from tests.helpers import needs_cuda


def network(seed: int = 0, dtype: torch.dtype = torch.float32) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 2)).to(dtype)


def plain(seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def drift(online: nn.Module, seed: int) -> None:
    """What an optimizer step does to a network, as far as an average is concerned."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in online.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator).to(parameter.dtype)
        for buffer in online.buffers():
            if buffer.is_floating_point():
                buffer += 0.1 * torch.rand(buffer.shape, generator=generator).to(buffer.dtype)
            else:
                buffer += 1


def assert_same_state(one: nn.Module, other: nn.Module) -> None:
    ours, theirs = one.state_dict(), other.state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]) if isinstance(value, Tensor) else value == theirs[key], key


class TestCopy:
    def test_it_starts_equal_frozen_and_in_eval_mode(self) -> None:
        online = network()
        target = TargetNetwork(online)
        for name, tensor in online.state_dict().items():
            assert torch.equal(target.module.state_dict()[name], tensor)
            assert target.module.state_dict()[name].data_ptr() != tensor.data_ptr()
        assert not any(parameter.requires_grad for parameter in target.parameters())
        assert not any(module.training for module in target.modules())
        assert all(parameter.requires_grad for parameter in online.parameters())
        assert online.training

    def test_calling_it_runs_the_copy(self) -> None:
        online, x = network(), torch.randn(5, 3)
        target = TargetNetwork(online)
        drift(online, 1)
        assert torch.equal(target(x), target.module(x))
        assert not target(x).requires_grad
        assert target(x.requires_grad_()).requires_grad  # a gradient with respect to the input still flows

    def test_train_leaves_it_in_eval_mode(self) -> None:
        agent = nn.ModuleDict({"online": network(), "target": TargetNetwork(network())})
        agent.train()
        assert agent["online"].training
        assert not any(module.training for module in agent["target"].modules())
        agent["target"].train()
        assert not any(module.training for module in agent["target"].modules())

    def test_in_train_mode_it_stays_in_train_mode_and_keeps_statistics_of_its_own(self) -> None:
        online = nn.Sequential(nn.Linear(3, 8), nn.BatchNorm1d(8))
        target = TargetNetwork(online, tau=0.25, buffers="keep", mode="train")
        holder = nn.ModuleList([online, target]).eval()
        assert not online.training
        assert all(module.training for module in target.modules())
        holder.train()
        assert all(module.training for module in copy.deepcopy(target).eval().modules())
        x = 3 + torch.randn(16, 3, generator=torch.Generator().manual_seed(0))
        said = target(x)
        torch.testing.assert_close(said.mean(0), torch.zeros(8), rtol=0, atol=1e-5)  # those of the batch
        statistics = [buffer.clone() for buffer in target.module.buffers()]
        assert not torch.equal(statistics[0], online[1].running_mean)
        drift(online, 1)
        before = target.module[0].weight.clone()
        target.update(online)
        assert all(map(torch.equal, statistics, target.module.buffers()))
        torch.testing.assert_close(target.module[0].weight, 0.75 * before + 0.25 * online[0].weight)

    def test_a_mode_set_module_by_module_does_not_reach_a_call(self) -> None:
        online = network()
        for mode in ("eval", "train"):
            target = TargetNetwork(online, mode=mode)
            holder = nn.ModuleList([online, target])
            for module in holder.modules():
                module.training = mode == "eval"
            target(torch.randn(4, 3))
            assert {module.training for module in target.modules() if module is not target} == {mode == "train"}

    def test_gradients_of_the_online_network_are_not_copied(self) -> None:
        online = network()
        online(torch.randn(4, 3)).sum().backward()
        assert all(parameter.grad is None for parameter in TargetNetwork(online).parameters())

    def test_a_compiled_network_is_copied_uncompiled(self) -> None:
        online = network()
        compiled = torch.compile(online, backend="eager")
        target = TargetNetwork(compiled, tau=0.5)
        assert isinstance(target.module, nn.Sequential)
        drift(online, 1)
        target.update(compiled)
        assert not torch.equal(target.module[0].weight, network()[0].weight)

    def test_a_factory_builds_it_where_deepcopy_cannot(self) -> None:
        class Locked(nn.Linear):
            def __deepcopy__(self, memo: dict) -> nn.Module:
                raise RuntimeError("this holds a lock")

        online = Locked(3, 2)
        target = TargetNetwork(online, factory=lambda: Locked(3, 2))
        assert torch.equal(target.module.weight, online.weight)
        assert not target.module.weight.requires_grad

    def test_it_says_what_it_is(self) -> None:
        assert "tau=0.01, every=3, buffers='keep', count=0" in repr(
            TargetNetwork(network(), tau=0.01, every=3, buffers="keep")
        )
        assert "tau=a schedule" in repr(TargetNetwork(network(), tau=cosine(0.1, 5)))
        assert "tau=a tensor" in repr(TargetNetwork(network(), tau=torch.tensor([0.1])))


def unfreeze(module: nn.Module) -> None:
    module.requires_grad_(True)


def unfreeze_one_by_one(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.requires_grad_(True)


def unfreeze_by_attribute(module: nn.Module) -> None:
    for parameter in module.parameters():
        parameter.requires_grad = True


class Recurrent(nn.Module):
    """A network that holds its parameters twice, as cuDNN wants them, with a tied weight."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head, self.tied = nn.LSTM(3, 4), nn.Linear(4, 4), nn.Linear(4, 4)
        self.tied.weight = self.head.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.tied(self.head(self.inner(x)[0]))


def fresh_pair() -> nn.ModuleDict:
    online = nn.Linear(3, 2)
    return nn.ModuleDict({"online": online, "target": TargetNetwork(online)})


class TestFrozen:
    """No entrance leads a gradient to the copy, and no optimizer moves it."""

    @staticmethod
    def assert_rests(holder: nn.ModuleDict) -> None:
        online, target = holder["online"], holder["target"]
        assert not any(parameter.requires_grad for parameter in target.parameters())
        before = copy.deepcopy(target.module.state_dict())
        optimizer = torch.optim.AdamW(holder.parameters(), lr=0.1, weight_decay=0.5)
        x = torch.randn(4, 3)
        for answer in (target(x), target.module(x)):
            assert not answer.requires_grad
            (online(x) - answer).square().mean().backward()
            optimizer.step()
        assert all(parameter.grad is None for parameter in target.parameters())
        for name, value in target.module.state_dict().items():
            assert torch.equal(value, before[name]), name

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("which", ["holder", "target", "module", "part"])
    @pytest.mark.parametrize("by", [unfreeze, unfreeze_one_by_one, unfreeze_by_attribute])
    def test_whoever_unfreezes_it(self, by, which: str, dtype: torch.dtype) -> None:
        holder = nn.ModuleDict({"online": nn.Linear(3, 2), "target": TargetNetwork(nn.Linear(3, 2).to(dtype))}).float()
        target = holder["target"]
        by({"holder": holder, "target": target, "module": target.module, "part": nn.ModuleList([target.module])}[which])
        self.assert_rests(holder)

    @pytest.mark.parametrize(
        "change",
        [
            lambda holder: holder.double().float(),
            lambda holder: holder.load_state_dict(copy.deepcopy(holder.state_dict()), assign=True),
            lambda holder: holder["target"].load_state_dict(holder["target"].state_dict(), assign=True),
            lambda holder: holder.train(),
            lambda holder: holder["target"].reset(holder["online"]),
            lambda holder: holder["target"].update(holder["online"]),
            lambda holder: holder.to("meta").to_empty(device="cpu").load_state_dict(fresh_pair().state_dict()),
        ],
        ids=["cast", "holder loads", "target loads", "train", "reset", "update", "moved"],
    )
    def test_whatever_happened_to_it_before(self, change) -> None:
        holder = fresh_pair()
        change(holder)
        holder.requires_grad_(True)
        self.assert_rests(holder)

    def test_a_copy_of_the_holder_and_a_pickled_one(self) -> None:
        holder, file = fresh_pair(), io.BytesIO()
        torch.save(holder, file)
        file.seek(0)
        for twin in (copy.deepcopy(holder), torch.load(file, weights_only=False)):
            twin.requires_grad_(True)
            self.assert_rests(twin)

    def test_tied_and_flattened_parameters_stay_what_they_are(self) -> None:
        online = Recurrent()
        target = TargetNetwork(online, tau=1.0).requires_grad_(True)
        drift(online, 1)
        target.update(online)
        x = torch.randn(5, 2, 3)
        assert torch.equal(target(x), online(x))
        assert target.module.tied.weight is target.module.head.weight
        assert not target(x).requires_grad

    def test_the_online_network_is_not_frozen(self) -> None:
        online = network()
        target = TargetNetwork(online)
        target.update(online)
        assert all(parameter.requires_grad for parameter in online.parameters())
        assert {type(parameter) for parameter in online.parameters()} == {nn.Parameter}

    def test_a_deep_copy_of_the_slow_network_can_be_trained_further(self) -> None:
        tuned = copy.deepcopy(TargetNetwork(nn.Linear(3, 2)).module).requires_grad_(True)
        tuned(torch.ones(1, 3)).sum().backward()
        assert tuned.weight.grad is not None

    def test_other_parameters_can_be_put_in_for_one_call(self) -> None:
        target, online = TargetNetwork(nn.Linear(3, 2)), nn.Linear(3, 2)
        parameters = {f"module.{name}": parameter for name, parameter in online.named_parameters()}
        torch.func.functional_call(target, parameters, torch.ones(1, 3)).sum().backward()
        assert online.weight.grad is not None
        assert online.weight.requires_grad

    def test_parameters_of_another_network_are_not_taken_over(self) -> None:
        target, other = TargetNetwork(nn.Linear(3, 2)), TargetNetwork(nn.Linear(3, 2))
        state = other.state_dict() | {"module.weight": nn.Linear(3, 2).weight}
        with pytest.raises(ValueError, match=r"'module\.weight'.*keep_vars"):
            target.load_state_dict(state, assign=True)
        target.load_state_dict(state)
        assert state["module.weight"].requires_grad


class Remembering(nn.Module):
    """A network whose ``forward`` makes one buffer and lets another one grow."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("longest", torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        if len(x) > len(self.longest):
            self.longest = torch.arange(float(len(x)))
        self.register_buffer("cached", self.longest[: len(x)].clone())
        return self.norm(self.layer(x)) * (1 + self.cached[:, None])


class TestBuffersMadeInForward:
    @pytest.mark.parametrize("rule", ["copy", "average"])
    def test_the_error_names_the_rule_that_works(self, rule: str) -> None:
        online = Remembering()
        target = TargetNetwork(online, buffers=rule)
        before = copy.deepcopy(target.state_dict())
        online(torch.ones(5, 3))
        with pytest.raises(ValueError, match=r'target has no cached; .*forward.*buffers="keep"'):
            target.update(online)
        target.module.eval()(torch.ones(3, 3))
        with pytest.raises(ValueError, match=r"'(cached|longest)' has shape \(5,\) in online and \(3,\).*\"keep\""):
            target.update(online)
        assert all(
            torch.equal(value, target.state_dict()[name]) for name, value in before.items() if name != "module.longest"
        )

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    @pytest.mark.parametrize("factory", [None, Remembering])
    def test_with_that_rule_each_network_has_its_own(self, factory, dtype: torch.dtype) -> None:
        online = Remembering().to(dtype)
        online(torch.ones(5, 3, dtype=dtype))
        build = None if factory is None else lambda: factory().to(dtype)
        target = TargetNetwork(online, tau=1.0, buffers="keep", factory=build)
        statistics = online.norm.running_var.clone()
        for length in (7, 2, 9):
            online(torch.randn(length, 3).to(dtype))
            target(torch.ones(3, 3, dtype=dtype))
            target.update(online)
            assert torch.equal(target.module.layer.weight, online.layer.weight)
        assert len(target.module.cached) == 3
        assert torch.equal(target.module.norm.running_var, statistics)
        target.reset(online)
        assert torch.equal(target.module.norm.running_var, online.norm.running_var)


class TestClock:
    def moves(self, target: TargetNetwork, online: nn.Module, updates: int) -> list[int]:
        """At which updates the copy changed."""
        found = []
        for k in range(1, updates + 1):
            drift(online, k)
            before = target.module[0].weight.clone()
            target.update(online)
            if not torch.equal(before, target.module[0].weight):
                found.append(k)
        return found

    @pytest.mark.parametrize(("every", "expected"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6]), (7, [7]), (8, [])])
    def test_it_acts_at_every_nth_update(self, every: int, expected: list[int]) -> None:
        online = network()
        assert self.moves(TargetNetwork(online, tau=0.5, every=every), online, 7) == expected

    def test_buffers_keep_the_same_clock(self) -> None:
        online = network()
        target = TargetNetwork(online, every=2)
        drift(online, 1)
        target.update(online)
        assert not torch.equal(target.module[1].running_mean, online[1].running_mean)
        target.update(online)
        assert torch.equal(target.module[1].running_mean, online[1].running_mean)

    def test_a_schedule_is_asked_with_the_number_of_the_update(self) -> None:
        asked = []

        def schedule(count: int) -> float:
            asked.append(count)
            return 0.5

        online = network()
        target = TargetNetwork(online, tau=schedule, every=2)
        for _ in range(6):
            target.update(online)
        assert asked == [2, 4, 6]

    def test_a_warm_up_is_the_mean_of_the_first_networks(self) -> None:
        online = network()
        seen = [online[0].weight.detach().numpy().astype(np.float64)]
        target = TargetNetwork(online, tau=warmup(0.0))
        for k in range(20):
            drift(online, k)
            seen.append(online[0].weight.detach().numpy().astype(np.float64))
            target.update(online)
        np.testing.assert_allclose(target.module[0].weight.numpy(), np.mean(seen, axis=0), atol=1e-6)

    @pytest.mark.parametrize("buffers", ["copy", "average"])
    def test_it_is_torchs_averaged_model_whose_first_update_copies(self, buffers: Buffers) -> None:
        online = network()
        ours = TargetNetwork(online, tau=lambda k: 1.0 if k == 1 else 0.1, buffers=buffers)
        theirs = AveragedModel(online, multi_avg_fn=get_ema_multi_avg_fn(0.9), use_buffers=buffers == "average")
        for k in range(20):
            drift(online, k)
            ours.update(online)
            theirs.update_parameters(online)
        found, expected = ours.module.state_dict(), theirs.module.state_dict()
        if buffers == "average":  # torch averages the count of batches, too, and cuts it to a whole number
            assert found.pop("1.num_batches_tracked") == 20
            assert expected.pop("1.num_batches_tracked") < 20
        torch.testing.assert_close(found, expected)

    def test_reset_copies_and_leaves_the_clock(self) -> None:
        online = network()
        target = TargetNetwork(online, every=3)
        target.update(online)
        drift(online, 1)
        target.reset(online)
        assert target.count == 1
        for name, tensor in online.state_dict().items():
            assert torch.equal(target.module.state_dict()[name], tensor)

    def test_a_reset_keeps_the_place_in_a_period_and_a_count_of_0_begins_it_anew(self) -> None:
        for again, moves_at in ((False, 1), (True, 3)):
            online = network()
            target = TargetNetwork(online, tau=1.0, every=3)
            for _ in range(2):
                target.update(online)
            target.reset(online)
            if again:
                target.count = 0
            drift(online, 1)
            for update in range(1, 4):
                target.update(online)
                assert torch.equal(target.module[0].weight, online[0].weight) == (update >= moves_at)

    def test_a_reset_keeps_the_place_in_a_warm_up(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=warmup(0.0))
        for _ in range(9):
            target.update(online)
        target.reset(online)
        before = online[0].weight.detach().clone()
        drift(online, 1)
        target.update(online)
        want = before + (online[0].weight.detach() - before) / 11
        torch.testing.assert_close(target.module[0].weight, want)

    @pytest.mark.parametrize("buffers", ["copy", "average", "keep"])
    def test_a_reset_takes_the_buffers_whatever_their_rule(self, buffers: str) -> None:
        online = network()
        target = TargetNetwork(online, buffers=buffers)
        online[1].running_mean.add_(1.0)
        online[1].num_batches_tracked.add_(5)
        target.reset(online)
        assert torch.equal(target.module[1].running_mean, online[1].running_mean)
        assert target.module[1].num_batches_tracked == 5

    def test_a_reset_to_the_network_of_the_start_is_elastic_and_following_goes_on(self) -> None:
        """The order of Elastic Reset: the policy becomes its average, then the average the policy of the start."""
        online = network()
        start, average = TargetNetwork(online, tau=0.0), TargetNetwork(online, tau=0.25)
        drift(online, 1)
        average.update(online)
        behind = average.module[0].weight.clone()
        hard_update(average.module, online)
        average.reset(start.module)
        assert torch.equal(online[0].weight, behind)
        assert torch.equal(average.module[0].weight, start.module[0].weight)
        average.update(online)
        want = torch.lerp(start.module[0].weight, behind, 0.25)
        torch.testing.assert_close(average.module[0].weight, want)
        assert all(not parameter.requires_grad for parameter in average.parameters())
        assert online[0].weight.requires_grad

    def test_a_reset_takes_the_average_behind_a_low_precision_copy_along(self) -> None:
        online = plain(0).bfloat16()
        target = TargetNetwork(online, tau=0.001)
        drift(online, 1)
        target.reset(online)
        assert target.average is not None
        for slow, average, new in zip(
            target.module.parameters(), target.average.parameters(), online.parameters(), strict=True
        ):
            assert average.dtype == torch.float32
            assert torch.equal(slow, new)
            assert torch.equal(average, new.float())

    def test_an_update_that_is_refused_does_not_count(self) -> None:
        target = TargetNetwork(network())
        with pytest.raises(ValueError, match="same sizes"):
            target.update(nn.Sequential(nn.Linear(3, 9), nn.BatchNorm1d(9), nn.Identity(), nn.Linear(9, 2)))
        assert target.count == 0

    @pytest.mark.parametrize("tau", ["a number", "members", "elsewhere", "a schedule"])
    @pytest.mark.parametrize("every", [1, 2])
    def test_an_update_that_the_move_refuses_does_not_count(self, tau: str, every: int) -> None:
        given = {"a number": 0.5, "members": torch.rand(5), "elsewhere": torch.tensor(0.5), "a schedule": lambda k: 0.5}
        online = plain(0)
        target = TargetNetwork(online, tau=given[tau], every=every)
        count = target.clock.state_dict()["count"]
        for _ in range(every - 1):
            target.update(online)
        if tau == "elsewhere":
            target.clock.tau = torch.tensor(0.5, device="meta")
        elif tau != "members":
            online.double()
        drift(online, 1)
        before = copy.deepcopy(target.module.state_dict())
        for _ in range(2):
            with pytest.raises(ValueError, match=r"tau has 5 members|cannot hold an average|tau is on meta"):
                target.update(online)
            assert target.count == every - 1
        assert all(torch.equal(value, target.module.state_dict()[name]) for name, value in before.items())
        if tau in ("elsewhere", "members"):
            target.clock.tau = torch.tensor(0.5)
        else:
            online.float()
        target.update(online)
        torch.testing.assert_close(target.module[0].weight, 0.5 * (before["0.weight"] + online[0].weight.detach()))
        assert target.count == every
        if every == 1 and tau != "a schedule":
            assert count.item() == 1  # in its place, where a recorded step finds it

    def test_tau_and_the_period_can_be_set_and_the_count_goes_on(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=0.25)
        target.update(online)
        target.tau = 0.5
        drift(online, 1)
        expected = 0.5 * (target.module[0].weight + online[0].weight.detach())
        target.update(online)
        torch.testing.assert_close(target.module[0].weight, expected)
        target.every = 5
        assert (target.tau, target.every, target.count) == (0.5, 5, 2)
        assert self.moves(target, online, 8) == [3, 8]  # the fifth and the tenth
        asked = []
        target.tau = lambda k: asked.append(k) or 0.5
        assert self.moves(target, online, 5) == [5]
        assert asked == [15]
        target.tau, target.every = torch.tensor([0.5]), 1
        assert target.count == 15

    def test_tau_can_be_set_to_a_parameter_or_a_module(self) -> None:
        class Half(nn.Module):
            def forward(self, count: int) -> float:
                return 0.5

        target = TargetNetwork(network())
        names = target.state_dict().keys()
        for tau in (nn.Parameter(torch.tensor([0.5])), Half()):
            target.tau = tau
            assert target.tau is tau or torch.equal(target.tau, tau)
            assert target.state_dict().keys() == names

    @pytest.mark.parametrize(
        ("name", "value", "error"),
        [
            ("tau", 1.5, "tau = 1.5"),
            ("tau", torch.tensor([0.5, -1.0]), r"tau holds -1\.0"),
            ("every", 0, "every = 0"),
            ("count", -1, "count = -1"),
        ],
    )
    def test_what_is_set_is_checked_as_what_is_given(self, name: str, value: object, error: str) -> None:
        target = TargetNetwork(network(), tau=0.25, every=2)
        target.count = 3
        with pytest.raises(ValueError, match=error):
            setattr(target, name, value)
        assert (target.tau, target.every, target.count) == (0.25, 2, 3)

    def test_a_tau_in_a_tensor_of_one_number(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=torch.tensor(1.0))
        drift(online, 1)
        target.update(online)
        assert torch.equal(target.module[0].weight, online[0].weight)

    def test_a_tau_for_each_member(self) -> None:
        class Population(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.weight = nn.Parameter(torch.zeros(3, 4, 2))

        online = Population()
        target = TargetNetwork(online, tau=torch.tensor([0.0, 0.25, 1.0]))
        with torch.no_grad():
            online.weight.fill_(1.0)
        target.update(online)
        assert target.module.weight[:, 0, 0].tolist() == [0.0, 0.25, 1.0]
        assert "tau" not in target.state_dict()


class TestPairing:
    """The copy's tensors are matched with the online network's once, and again where anything has changed since."""

    @pytest.fixture
    def networks(self) -> tuple[nn.Sequential, TargetNetwork]:
        online = plain(0)
        target = TargetNetwork(online, tau=0.25)
        target.update(online)
        drift(online, 1)
        return online, target

    @staticmethod
    def assert_moves(online: nn.Module, target: TargetNetwork) -> None:
        expected = {name: 0.25 * p + 0.75 * target.module.get_parameter(name) for name, p in online.named_parameters()}
        target.update(online)
        for name, parameter in target.module.named_parameters():
            torch.testing.assert_close(parameter, expected[name].detach(), check_dtype=False)

    @staticmethod
    def part(networks: tuple[nn.Sequential, TargetNetwork], which: int) -> nn.Sequential:
        return networks[0] if which == 0 else networks[1].module

    def test_after_a_cast_of_both(self, networks) -> None:
        networks[1].double()
        networks[0].double()
        self.assert_moves(*networks)

    def test_after_a_cast_of_the_copy_alone(self, networks) -> None:
        networks[1].module.double()
        self.assert_moves(*networks)

    def test_a_cast_that_leaves_no_room_for_an_average_is_refused(self, networks) -> None:
        networks[0].double()
        with pytest.raises(ValueError, match=r"cannot hold an average of online's torch\.float64"):
            networks[1].update(networks[0])

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_a_parameter_was_replaced(self, networks, which: int) -> None:
        self.part(networks, which)[2].bias = nn.Parameter(torch.randn(2))
        self.assert_moves(*networks)

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_a_single_number_was_replaced_by_an_equal_one(self, which: int) -> None:
        online = nn.PReLU()
        target = TargetNetwork(online, tau=0.25)
        target.update(online)
        module = (online, target.module)[which]
        module.weight = nn.Parameter(module.weight.detach().clone())
        with torch.no_grad():
            online.weight += 1
        self.assert_moves(online, target)

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_a_parameter_was_put_in_behind_the_module_s_back(self, networks, which: int) -> None:
        self.part(networks, which)[0]._parameters["weight"] = nn.Parameter(torch.randn(4, 3))
        self.assert_moves(*networks)

    def test_after_a_parameter_was_taken_away(self, networks) -> None:
        networks[1].module[2].bias = None
        with pytest.raises(ValueError, match=r"target has no 2\.bias"):
            networks[1].update(networks[0])

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_a_module_was_replaced(self, networks, which: int) -> None:
        self.part(networks, which)[2] = nn.Linear(4, 2)
        self.assert_moves(*networks)

    def test_after_both_grew(self, networks) -> None:
        for which in (0, 1):
            self.part(networks, which).append(nn.Linear(2, 2))
        self.assert_moves(*networks)

    def test_after_one_grew(self, networks) -> None:
        networks[0].append(nn.Linear(2, 2))
        with pytest.raises(ValueError, match=r"target has no 3\.bias, 3\.weight"):
            networks[1].update(networks[0])

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_loading_with_assign(self, networks, which: int) -> None:
        self.part(networks, which).load_state_dict(plain(5).state_dict(), assign=True)
        self.assert_moves(*networks)

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_data_was_replaced(self, networks, which: int) -> None:
        self.part(networks, which)[0].weight.data = torch.randn(4, 3)
        self.assert_moves(*networks)

    @pytest.mark.parametrize("name", ["weight", "bias"])
    def test_after_a_tensor_was_cut_in_its_place(self, networks, name: str) -> None:
        online, target = networks
        before = copy.deepcopy(target.state_dict())
        tensor = online[0].get_parameter(name)
        address = tensor.data_ptr()
        tensor.data = tensor.data[:1]
        assert tensor.data_ptr() == address
        with pytest.raises(ValueError, match=rf"'0\.{name}' has shape \(1,.*\) in online and \(4,.*\) in target"):
            target.update(online)
        assert all(torch.equal(value, target.state_dict()[key]) for key, value in before.items())

    def test_after_a_buffer_was_seen_as_another_dtype(self) -> None:
        online = network()
        target = TargetNetwork(online)
        target.update(online)
        online[1].running_mean.data = online[1].running_mean.data.view(torch.int16)
        with pytest.raises(ValueError, match=r"'1\.running_mean' has shape \(16,\)"):
            target.update(online)

    def test_what_is_cut_from_the_copy_is_refused_and_not_counted(self, networks) -> None:
        online, target = networks
        target.module[0].weight.data = target.module[0].weight.data[:1]
        with pytest.raises(RuntimeError, match="shape"):
            target.update(online)
        assert target.count == 1

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_with_another_rule_for_buffers(self, dtype: torch.dtype) -> None:
        online = network(dtype=dtype)
        target = TargetNetwork(online, tau=0.25)
        for rule, weight in (("copy", 1.0), ("keep", 0.0), ("average", 0.25)):
            target.buffer_rule = rule
            slow = target.average or target.module
            before = slow[1].running_mean.clone()
            drift(online, 1)
            target.update(online)
            expected = weight * online[1].running_mean.float() + (1 - weight) * before
            torch.testing.assert_close(slow[1].running_mean, expected)

    def test_with_a_rule_that_is_not_known(self, in_plain_python) -> None:
        program = """
import torch
from companion import TargetNetwork
online = torch.nn.BatchNorm1d(2)
target = TargetNetwork(online)
target.update(online)
target.buffer_rule = given
try:
    target.update(online)
except ValueError as error:
    print(json.dumps([str(error), target.count]))
"""
        error, count = in_plain_python(program, "none")
        assert "buffers = 'none' is not known" in error
        assert count == 1

    @pytest.mark.parametrize("which", [0, 1])
    def test_after_they_came_to_share_storage(self, networks, which: int) -> None:
        self.part(networks, which)[0].weight.data = self.part(networks, 1 - which)[0].weight.data
        with pytest.raises(ValueError, match="shares storage"):
            networks[1].update(networks[0])

    def test_with_another_online_network_and_back(self, networks) -> None:
        online, target = networks
        self.assert_moves(plain(5), target)
        self.assert_moves(online, target)

    def test_a_copy_is_another_target(self, networks) -> None:
        online, target = networks
        twin, before = copy.deepcopy(target), copy.deepcopy(target.state_dict())
        self.assert_moves(online, twin)
        assert all(torch.equal(value, target.state_dict()[name]) for name, value in before.items())

    def test_what_is_pickled_holds_no_online_network(self, networks) -> None:
        online, target = networks
        sizes = []
        for each in (TargetNetwork(online, tau=0.25), target):
            torch.save(each, file := io.BytesIO())
            sizes.append(len(file.getvalue()))
        assert sizes[0] == sizes[1]


class TestPrecision:
    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_the_average_of_a_low_precision_network_is_kept_in_fp32(self, dtype: torch.dtype) -> None:
        online = network(dtype=dtype)
        target = TargetNetwork(online, tau=0.001)
        assert all(tensor.dtype != dtype for tensor in target.average.state_dict().values())
        assert all(parameter.dtype == dtype for parameter in target.module.parameters())
        expected = {n: p.detach().double().numpy() for n, p in online.named_parameters()}
        for k in range(50):
            drift(online, k)
            target.update(online)
            for name, parameter in online.named_parameters():
                expected[name] = 0.001 * parameter.detach().double().numpy() + 0.999 * expected[name]
        for name, parameter in target.average.named_parameters():
            np.testing.assert_allclose(parameter.numpy(), expected[name], rtol=0, atol=2e-6)
        for name, parameter in target.module.named_parameters():
            assert torch.equal(parameter, target.average.get_parameter(name).to(dtype))

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_it_takes_what_the_online_network_takes(self, dtype: torch.dtype) -> None:
        online = network(dtype=dtype).eval()
        target = TargetNetwork(online)
        x = torch.randn(5, 3, dtype=dtype)
        assert torch.equal(target(x), online(x))
        assert not any(module.training for module in target.modules())

    @pytest.mark.parametrize("buffers", ["copy", "average", "keep"])
    def test_buffers_follow_the_rule_there_too(self, buffers: str) -> None:
        online = network(dtype=torch.bfloat16)
        target = TargetNetwork(online, tau=0.25, buffers=buffers)
        before = online[1].running_mean.clone()
        drift(online, 1)
        target.update(online)
        weight = {"copy": 1.0, "average": 0.25, "keep": 0.0}[buffers]
        expected = weight * online[1].running_mean.float() + (1 - weight) * before.float()
        torch.testing.assert_close(target.average[1].running_mean, expected)
        assert torch.equal(target.module[1].running_mean, expected.bfloat16())
        assert (target.module[1].num_batches_tracked == online[1].num_batches_tracked) == (buffers != "keep")

    def test_low_precision_buffers_need_it_where_they_are_averaged(self) -> None:
        online = network()
        online[1].running_mean = online[1].running_mean.bfloat16()
        assert TargetNetwork(online).average is None
        target = TargetNetwork(online, tau=0.01, buffers="average")
        online[1].running_mean.fill_(1.0)
        for _ in range(3):
            target.update(online)
        torch.testing.assert_close(target.average[1].running_mean, torch.full((8,), 1 - 0.99**3))

    def test_single_precision_needs_no_second_copy(self) -> None:
        assert TargetNetwork(network()).average is None
        assert TargetNetwork(network(dtype=torch.float64)).average is None

    def test_casting_it_rounds_the_copy_and_not_the_average(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=0.1)
        exact = target.module[0].weight.clone()
        holder = nn.ModuleList([online, target]).to(torch.bfloat16)
        assert target.module[0].weight.dtype == torch.bfloat16
        assert torch.equal(target.average[0].weight, exact)
        holder.to(torch.float16)
        assert torch.equal(target.average[0].weight, exact)
        target.update(online)
        assert target.module[0].weight.dtype == torch.float16
        assert target.average[0].weight.dtype == torch.float32

    def test_moving_it_moves_everything(self) -> None:
        target = TargetNetwork(network(dtype=torch.bfloat16), tau=torch.tensor([0.5])).to("meta")
        assert all(tensor.is_meta for tensor in (*target.parameters(), *target.buffers()))
        assert target.tau.is_meta

    def test_a_member_tau_is_not_rounded(self) -> None:
        target = TargetNetwork(network(), tau=torch.tensor([0.005])).bfloat16()
        assert target.tau.dtype == torch.float32


class TestRecorded:
    """In a step that a GPU records it works where nothing is Python's to decide: a tau in a tensor, and no period."""

    def test_it_looks_at_no_data_and_stays_on_its_device(self) -> None:
        with second_device() as device:
            online = network().to(DEVICE)
            target = TargetNetwork(online, tau=torch.tensor(0.25).to(DEVICE))
            for _ in range(2):
                with device.step("recorded step"):
                    target.update(online)

    def test_recorded_and_replayed_it_moves_and_counts_as_ever(self, monkeypatch) -> None:
        monkeypatch.setitem(RECORDERS, "cpu", Tracing)
        self.assert_same(CPU)

    @needs_cuda
    def test_so_it_does_on_a_gpu(self) -> None:
        self.assert_same(torch.device("cuda"))

    @staticmethod
    def assert_same(device: torch.device) -> None:
        online = network().to(device)
        plain, recorded = (TargetNetwork(online, tau=torch.tensor(0.25, device=device)) for _ in range(2))
        reports: list[str] = []
        step = Captured(lambda: recorded.update(online), device, reports.append)
        for _ in range(8):
            with torch.no_grad():
                for tensor in (*online.parameters(), *online.buffers()):
                    tensor.add_(1)
            plain.update(online)
            step()
            assert_same_state(recorded, plain)
        assert recorded.count == 8
        assert not reports


TAUS = [0.01, cosine(0.2, 9), warmup(0.05)]


class TestSaving:
    @given(
        before=st.integers(0, 6),
        after=st.integers(0, 6),
        every=st.integers(1, 3),
        tau=st.sampled_from(TAUS),
        buffers=st.sampled_from(["copy", "average", "keep"]),
        dtype=st.sampled_from([torch.float32, torch.bfloat16, torch.float64]),
    )
    @settings(max_examples=40)
    def test_k_updates_save_load_m_updates_are_k_plus_m_updates(
        self, before: int, after: int, every: int, tau: object, buffers: str, dtype: torch.dtype
    ) -> None:
        online = network(dtype=dtype)
        whole = TargetNetwork(online, tau=tau, every=every, buffers=buffers)
        for k in range(before):
            drift(online, k)
            whole.update(online)
        file = io.BytesIO()
        torch.save(whole.state_dict(), file)
        file.seek(0)
        resumed = TargetNetwork(network(9, dtype), tau=tau, every=every, buffers=buffers)
        resumed.load_state_dict(torch.load(file, weights_only=True))
        assert_same_state(resumed, whole)
        for k in range(after):
            drift(online, 100 + k)
            whole.update(online)
            resumed.update(online)
        assert resumed.count == before + after
        assert_same_state(resumed, whole)

    def test_it_is_saved_within_a_larger_module(self) -> None:
        online = network()
        agent = nn.ModuleDict({"online": online, "target": TargetNetwork(online, every=5)})
        drift(online, 1)
        agent["target"].update(online)
        other = nn.ModuleDict({"online": network(3), "target": TargetNetwork(network(3), every=5)})
        other.load_state_dict(agent.state_dict())
        assert_same_state(other, agent)
        assert other["target"].count == 1

    def test_all_of_a_state_is_tensors_of_their_own_as_safetensors_wants_them(self) -> None:
        target = TargetNetwork(network(dtype=torch.bfloat16), tau=warmup(0.1))
        target.update(network(dtype=torch.bfloat16))
        state = target.state_dict()
        assert all(type(value) is Tensor for value in state.values())
        assert len({value.data_ptr() for value in state.values()}) == len(state)
        assert state["_extra_state"].item() == 1

    def test_the_clock_is_saved_where_it_can_be_read_whatever_the_default_device(self) -> None:
        target = TargetNetwork(network())
        target.count = 5
        with torch.device("meta"):
            assert target.state_dict()["_extra_state"].item() == 5

    def test_a_clock_that_was_saved_as_a_dict_is_read(self) -> None:
        target = TargetNetwork(network())
        target.load_state_dict(target.state_dict() | {"_extra_state": {"count": 7}})
        assert target.count == 7

    def test_loading_keeps_storage_unless_asked(self) -> None:
        target, other = TargetNetwork(network()), TargetNetwork(network(1))
        pointer = target.module[0].weight.data_ptr()
        target.load_state_dict(other.state_dict())
        assert target.module[0].weight.data_ptr() == pointer
        target.load_state_dict(other.state_dict(), assign=True)
        assert target.module[0].weight.data_ptr() == other.module[0].weight.data_ptr()
        assert not target.module[0].weight.requires_grad

    def test_updates_go_on_after_loading_with_assign(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=0.5)
        target.update(online)
        target.load_state_dict(TargetNetwork(network(1)).state_dict(), assign=True)
        expected = 0.5 * (online[0].weight + target.module[0].weight).detach()
        target.update(online)
        torch.testing.assert_close(target.module[0].weight, expected)

    def test_part_of_a_state_loads_when_not_strict(self) -> None:
        target, other = TargetNetwork(network()), TargetNetwork(network(1))
        state = other.state_dict()
        del state["_extra_state"], state["module.0.weight"]
        target.load_state_dict(state, strict=False)
        assert target.count == 0
        assert torch.equal(target.module[0].bias, other.module[0].bias)

    def test_nothing_is_loaded_from_a_state_that_does_not_fit(self) -> None:
        target, other = TargetNetwork(network()), TargetNetwork(network(1))
        before = copy.deepcopy(target.state_dict())
        state = other.state_dict() | {"module.3.bias": torch.zeros(7)}
        with pytest.raises(ValueError, match=r"module\.3\.bias"):
            target.load_state_dict(state)
        for key, value in target.state_dict().items():
            assert torch.equal(value, before[key]) if isinstance(value, Tensor) else value == before[key]

    def test_it_can_be_copied_and_pickled(self) -> None:
        online = network(dtype=torch.bfloat16)
        target = TargetNetwork(online, tau=cosine(0.1, 10))
        target.update(online)
        file = io.BytesIO()
        torch.save(target, file)
        file.seek(0)
        for twin in (copy.deepcopy(target), torch.load(file, weights_only=False)):
            drift(online, 1)
            assert_same_state(twin, target)
            twin.update(online)
            assert twin.count == target.count + 1


COMPILED = """
import torch
from torch._dynamo.testing import CompileCounterWithBackend
from companion import TargetNetwork, cosine

def drift(online):
    with torch.no_grad():
        online[0].weight += 1
        online[1].running_mean += 1

def state(target):
    return (target.average or target.module).state_dict().values()

def compare(update, target, plain, online):
    for _ in range(20):
        drift(online)
        update(), plain.update(online)
    gap = max((ours.float() - theirs.float()).abs().max().item() for ours, theirs in zip(state(target), state(plain)))
    return target.count, gap

def compiled(settings, dtype):
    torch._dynamo.reset()
    online = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4)).to(dtype)
    target, plain = TargetNetwork(online, **settings), TargetNetwork(online, **settings)
    counter = CompileCounterWithBackend(given)
    update = torch.compile(lambda: target.update(online), backend=counter, fullgraph=True)
    count, gap = compare(update, target, plain, online)
    target.update(online)
    return counter.frame_count, count, gap, target.count

found = [
    compiled(settings, dtype)
    for settings in ({}, {"every": 3}, {"tau": cosine(0.5, 40)}, {"tau": torch.tensor(0.25), "buffers": "average"})
    for dtype in (torch.float32, torch.bfloat16)
]

online = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
target, plain = TargetNetwork(online), TargetNetwork(online)  # as in a script: in global variables
counter = CompileCounterWithBackend(given)
update = torch.compile(lambda: target.update(online), backend=counter, fullgraph=True)
count, gap = compare(update, target, plain, online)
target.update(online)
print(json.dumps([*found, (counter.frame_count, count, gap, target.count)]))
"""


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_a_compiler_traces_update_whole_and_not_anew_each_time(backend: str, in_plain_python) -> None:
    for compiled, count, gap, after_one_more in in_plain_python(COMPILED, backend):
        assert compiled <= 3
        assert (count, after_one_more) == (20, 21)
        assert gap < 1e-5
