"""Soft and hard updates: the formula, what is matched with what, and what a call may cost."""

import warnings
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import parametrizations
from torch.utils._python_dispatch import TorchDispatchMode

from companion import TargetNetwork, hard_update, soft_update


class Tied(nn.Module):
    """A network with every kind of tensor: tied weights, BatchNorm's float and integer buffers, a single number."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.embed, self.norm, self.head = nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(4, 5)
        self.head.weight = self.embed.weight
        self.temperature = nn.Parameter(torch.randn(1))
        self.register_buffer("mask", torch.rand(5) > 0.5)
        self.norm.running_mean.normal_()
        self.norm.num_batches_tracked.fill_(seed)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.embed(x)) * self.temperature + self.head(x)


def spectral(normalise) -> nn.Sequential:
    return nn.Sequential(*(normalise(nn.Linear(32, 32, bias=False)) for _ in range(12)))


def small(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


def values(module: nn.Module) -> dict[str, np.ndarray]:
    return {name: tensor.numpy().copy() for name, tensor in module.state_dict().items()}


def formula(online: np.ndarray, target: np.ndarray, tau: float | np.ndarray) -> np.ndarray:
    """target ← tau·online + (1 − tau)·target, as it is written, in float64."""
    return tau * online.astype(np.float64) + (1 - tau) * target.astype(np.float64)


TAUS = st.floats(0.0, 1.0)


class TestFormula:
    @given(tau=TAUS, seed=st.integers(0, 2**16))
    def test_parameters_follow_it(self, tau: float, seed: int) -> None:
        online, target = small(seed), small(seed + 1)
        before, source = values(target), values(online)
        soft_update(online, target, tau)
        for name, value in values(target).items():
            np.testing.assert_allclose(value, formula(source[name], before[name], tau), rtol=0, atol=1e-6)

    @given(tau=TAUS)
    def test_in_double_precision_to_rounding(self, tau: float) -> None:
        generator = torch.Generator().manual_seed(1)
        online = [torch.randn(50, dtype=torch.float64, generator=generator)]
        target = [torch.randn(50, dtype=torch.float64, generator=generator)]
        expected = formula(online[0].numpy(), target[0].numpy(), tau)
        soft_update(online, target, tau)
        np.testing.assert_allclose(target[0].numpy(), expected, rtol=0, atol=4e-15)

    @given(tau=TAUS, seed=st.integers(0, 2**16))
    def test_stays_between_target_and_online(self, tau: float, seed: int) -> None:
        online, target = (torch.randn(100, generator=torch.Generator().manual_seed(seed + i)) for i in (0, 1))
        before = target.clone()
        soft_update([online], [target], tau)
        assert (target >= torch.minimum(online, before) - 1e-6).all()
        assert (target <= torch.maximum(online, before) + 1e-6).all()

    def test_online_is_a_fixed_point_bit_for_bit(self) -> None:
        online = [torch.randn(1000)]
        target = [online[0].clone()]
        for _ in range(1000):
            soft_update(online, target, 0.005)
        assert torch.equal(target[0], online[0])

    def test_many_updates_shrink_the_gap_as_a_power_of_the_decay(self) -> None:
        online, target = [torch.zeros(10, dtype=torch.float64)], [torch.ones(10, dtype=torch.float64)]
        for _ in range(400):
            soft_update(online, target, 0.005)
        np.testing.assert_allclose(target[0].numpy(), 0.995**400, rtol=1e-12)

    def test_default_is_0_005(self) -> None:
        target = [torch.zeros(1, dtype=torch.float64)]
        soft_update([torch.ones(1, dtype=torch.float64)], target)
        assert target[0].item() == 0.005

    @pytest.mark.parametrize("tau", [1, 1.0, torch.tensor(1.0)])
    def test_one_copies_even_over_values_that_are_not_finite(self, tau: float) -> None:
        online, target = [torch.randn(5)], [torch.tensor([torch.inf, -torch.inf, torch.nan, 1.0, 2.0])]
        soft_update(online, target, tau)
        assert torch.equal(target[0], online[0])

    @pytest.mark.parametrize("tau", [0, 0.0, torch.tensor(0.0)])
    def test_zero_moves_nothing_even_beside_values_that_are_not_finite(self, tau: float) -> None:
        online, target = [torch.tensor([torch.inf, torch.nan, 1.0])], [torch.tensor([1.0, 2.0, 3.0])]
        soft_update(online, target, tau)
        assert target[0].tolist() == [1.0, 2.0, 3.0]

    def test_complex_tensors_are_averaged(self) -> None:
        online, target = [torch.tensor([1 + 2j, 3 - 1j])], [torch.tensor([0j, 1 + 1j])]
        soft_update(online, target, 0.25)
        np.testing.assert_allclose(target[0].numpy(), [0.25 + 0.5j, 1.5 + 0.5j], rtol=1e-6)

    def test_a_narrower_online_network_is_read_in_the_precision_of_the_target(self) -> None:
        online, target = [torch.randn(100).bfloat16()], [torch.randn(100)]
        expected = formula(online[0].float().numpy(), target[0].numpy(), 0.005)
        soft_update(online, target, 0.005)
        assert target[0].dtype == torch.float32
        np.testing.assert_allclose(target[0].numpy(), expected, rtol=0, atol=1e-6)


class TestMemberAxis:
    def test_each_member_has_its_own_tau(self) -> None:
        torch.manual_seed(0)
        shapes = [(3, 4, 5), (3, 1, 5), (3,)]
        online, target = [torch.randn(s) for s in shapes], [torch.randn(s) for s in shapes]
        before = [tensor.clone() for tensor in target]
        tau = torch.tensor([0.0, 0.1, 1.0])
        soft_update(online, target, tau)
        for ours, old, new in zip(online, before, target, strict=True):
            for member, weight in enumerate(tau.tolist()):
                expected = formula(ours[member].numpy(), old[member].numpy(), weight)
                np.testing.assert_allclose(new[member].numpy(), expected, rtol=0, atol=1e-6)

    def test_members_are_as_they_would_be_alone(self) -> None:
        torch.manual_seed(0)
        online, target, tau = torch.randn(4, 6, 2), torch.randn(4, 6, 2), torch.tensor([0.3, 0.7, 0.005, 0.5])
        alone = [target[member].clone() for member in range(4)]
        for member in range(4):
            soft_update([online[member]], [alone[member]], tau[member])
        soft_update([online], [target], tau)
        torch.testing.assert_close(target, torch.stack(alone), rtol=0, atol=1e-7)

    def test_a_double_precision_tau_fits_single_precision_networks(self) -> None:
        online, target = [torch.ones(2, 3)], [torch.zeros(2, 3)]
        soft_update(online, target, torch.tensor([0.25, 0.5], dtype=torch.float64))
        assert target[0].tolist() == [[0.25] * 3, [0.5] * 3]


class TestWhatMoves:
    def test_in_place_and_without_gradients(self) -> None:
        online, target = small(0), small(1)
        pointers = [parameter.data_ptr() for parameter in target.parameters()]
        identities = [id(parameter) for parameter in target.parameters()]
        soft_update(online, target, 0.5)
        hard_update(online, target)
        assert [parameter.data_ptr() for parameter in target.parameters()] == pointers
        assert [id(parameter) for parameter in target.parameters()] == identities
        for parameter in target.parameters():
            assert parameter.is_leaf
            assert parameter.requires_grad
            assert parameter.grad is None

    def test_the_online_network_is_left_alone(self) -> None:
        online, target = Tied(0), Tied(1)
        before = values(online)
        soft_update(online, target, 0.5, buffers="average")
        for name, value in values(online).items():
            np.testing.assert_array_equal(value, before[name])

    def test_autograd_learns_that_a_tensor_it_saved_has_moved(self) -> None:
        online, target = small(0), small(1)
        loss = target(torch.ones(1, 3, requires_grad=True)).sum()
        soft_update(online, target, 0.5)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()

    def test_training_goes_on_after_an_update(self) -> None:
        online, target = small(0), small(1)
        soft_update(online, target, 0.5)
        (online(torch.ones(2, 3)) - target(torch.ones(2, 3))).square().mean().backward()
        assert all(parameter.grad is not None for parameter in (*online.parameters(), *target.parameters()))

    def test_integers_and_booleans_are_copied_exactly(self) -> None:
        online, target = Tied(7), Tied(1)
        soft_update(online, target, 0.005)
        assert target.norm.num_batches_tracked.item() == 7
        assert torch.equal(target.mask, online.mask)
        online_list, target_list = [torch.tensor([2**40 + 1])], [torch.tensor([0])]
        soft_update(online_list, target_list, 0.005)
        assert target_list[0].item() == 2**40 + 1

    @pytest.mark.parametrize(("rule", "weight"), [("copy", 1.0), ("average", 0.1), ("keep", 0.0)])
    def test_float_buffers_follow_the_rule(self, rule: str, weight: float) -> None:
        online, target = Tied(0), Tied(1)
        expected = formula(online.norm.running_mean.numpy(), target.norm.running_mean.numpy(), weight)
        soft_update(online, target, 0.1, buffers=rule)
        np.testing.assert_allclose(target.norm.running_mean.numpy(), expected, rtol=0, atol=1e-7)

    def test_keep_leaves_integer_statistics_too(self) -> None:
        online, target = Tied(7), Tied(1)
        soft_update(online, target, 0.1, buffers="keep")
        assert target.norm.num_batches_tracked.item() == 1

    @pytest.mark.parametrize("rule", ["copy", "average", "keep"])
    def test_buffers_that_are_no_statistics_are_copied_under_every_rule(self, rule: str) -> None:
        class Buffered(nn.Module):
            def __init__(self, seed: int) -> None:
                super().__init__()
                generator = torch.Generator().manual_seed(seed)
                self.norm = nn.BatchNorm1d(3)
                self.register_buffer("codebook", torch.randn(4, 3, generator=generator))
                self.register_buffer("positions", torch.randn(4, generator=generator), persistent=False)
                self.register_buffer("mask", torch.randn(4, generator=generator) > 0)
                self.register_buffer("order", torch.randperm(4, generator=generator))

        online, target = Buffered(0), Buffered(1)
        soft_update(online, target, 0.1, buffers=rule)
        for name in ("codebook", "positions", "mask", "order"):
            assert torch.equal(target.get_buffer(name), online.get_buffer(name)), name

    @pytest.mark.parametrize("rule", ["copy", "average", "keep"])
    @pytest.mark.parametrize("normalise", [parametrizations.spectral_norm, nn.utils.spectral_norm])
    def test_spectral_normalisation_keeps_the_scale_of_the_network(self, normalise, rule: str) -> None:
        torch.manual_seed(0)
        online = spectral(normalise)
        x = torch.randn(64, 32)
        slow = TargetNetwork(online, tau=0.01, buffers=rule, factory=lambda: spectral(normalise))
        for _ in range(400):
            with torch.no_grad():
                for parameter in online.parameters():
                    parameter += 0.05 * torch.randn_like(parameter)
            online(x)  # a step of the power iteration
            slow.update(online)
        for buffer, other in zip(slow.module.buffers(), online.buffers(), strict=True):
            assert torch.equal(buffer, other)
        assert slow(x).norm() < 2 * online(x).norm()

    def test_hard_update_copies_everything(self) -> None:
        online, target = Tied(0), Tied(1)
        hard_update(online, target)
        for name, value in values(target).items():
            np.testing.assert_array_equal(value, values(online)[name])

    def test_hard_update_rounds_into_another_precision(self) -> None:
        online, target = small(0), small(1).bfloat16()
        hard_update(online, target)
        for ours, theirs in zip(online.parameters(), target.parameters(), strict=True):
            assert theirs.dtype == torch.bfloat16
            assert torch.equal(theirs, ours.bfloat16())

    def test_a_tied_weight_moves_once(self) -> None:
        online, target = Tied(0), Tied(1)
        expected = formula(online.embed.weight.detach().numpy(), target.embed.weight.detach().numpy(), 0.1)
        soft_update(online, target, 0.1)
        assert target.head.weight is target.embed.weight
        np.testing.assert_allclose(target.embed.weight.detach().numpy(), expected, rtol=0, atol=1e-7)

    def test_a_tensor_named_twice_in_sequences_moves_once(self) -> None:
        online, target = torch.ones(3), torch.zeros(3)
        soft_update([online, online], [target, target], 0.25)
        soft_update([online, online], [target, target.view(3)], 0.0)
        assert target.tolist() == [0.25] * 3

    def test_one_online_tensor_may_feed_several_targets(self) -> None:
        online, first, second = torch.ones(3), torch.zeros(3), torch.zeros(3)
        soft_update([online, online], [first, second], 0.25)
        assert first.tolist() == second.tolist() == [0.25] * 3

    def test_target_and_online_may_be_parts_of_one_storage_that_do_not_overlap(self) -> None:
        whole = torch.arange(8.0)
        soft_update([whole[4:]], [whole[:4]], 0.5)
        assert whole.tolist() == [2.0, 3.0, 4.0, 5.0, 4.0, 5.0, 6.0, 7.0]

    def test_memory_layout_may_differ(self) -> None:
        online = torch.arange(24.0).reshape(1, 2, 3, 4)
        target = torch.zeros(1, 2, 3, 4).to(memory_format=torch.channels_last)
        soft_update([online], [target], 0.5)
        assert torch.equal(target, online / 2)

    @pytest.mark.parametrize("kind", [list, tuple, iter])
    def test_sequences_of_any_kind(self, kind: type) -> None:
        online, target = [torch.ones(2), torch.ones(3)], [torch.zeros(2), torch.zeros(3)]
        soft_update(kind(online), kind(target), 0.5)
        assert [tensor.tolist() for tensor in target] == [[0.5] * 2, [0.5] * 3]

    def test_a_module_without_tensors_is_no_error(self) -> None:
        soft_update(nn.Identity(), nn.Identity())

    def test_inference_tensors_are_updated_in_their_mode(self) -> None:
        with torch.inference_mode():
            online, target = small(0), small(1)
            expected = formula(online[0].weight.numpy(), target[0].weight.numpy(), 0.5)
            soft_update(online, target, 0.5)
        np.testing.assert_allclose(target[0].weight.detach().numpy(), expected, rtol=0, atol=1e-7)


class Wrapper(nn.Module):
    """A wrapper of some other library, whose inner network is called ``module`` as DistributedDataParallel's is."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module


class Agent(nn.Module):
    """A user's own module that happens to call a part ``module``."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.module, self.head = small(seed), nn.Linear(2, 2)


@pytest.fixture
def one_process(tmp_path) -> Iterator[None]:
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


class TestNames:
    @staticmethod
    def assert_moves(online: nn.Module, target: nn.Module, ours: nn.Module, theirs: nn.Module) -> None:
        expected = formula(ours[0].weight.detach().numpy(), theirs[0].weight.detach().numpy(), 0.25)
        soft_update(online, target, 0.25)
        np.testing.assert_allclose(theirs[0].weight.detach().numpy(), expected, rtol=0, atol=1e-7)

    def test_order_of_definition_does_not_matter(self) -> None:
        class Pair(nn.Module):
            def __init__(self, names: str) -> None:
                super().__init__()
                for name in names:
                    self.add_module(name, nn.Linear(2, 2))

        online, target = Pair("ab"), Pair("ba")
        hard_update(online, target)
        assert torch.equal(target.a.weight, online.a.weight)
        assert torch.equal(target.b.weight, online.b.weight)

    def test_torch_compile_is_seen_through(self) -> None:
        online, target = small(0), small(1)
        self.assert_moves(torch.compile(online, backend="eager"), target, online, target)
        self.assert_moves(online, torch.compile(target, backend="eager"), online, target)

    def test_a_compiled_part_is_seen_through(self) -> None:
        online, target = small(0), small(1)
        self.assert_moves(
            nn.ModuleDict({"net": torch.compile(online, backend="eager")}),
            nn.ModuleDict({"net": target}),
            online,
            target,
        )

    def test_data_parallel_is_seen_through(self) -> None:
        online, target = small(0), small(1)
        self.assert_moves(nn.DataParallel(online), target, online, target)
        self.assert_moves(
            nn.ModuleDict({"net": nn.DataParallel(online)}), nn.ModuleDict({"net": target}), online, target
        )

    @pytest.mark.usefixtures("one_process")
    def test_distributed_data_parallel_is_seen_through(self) -> None:
        online, target = small(0), small(1)
        wrapped = nn.parallel.DistributedDataParallel(online)
        self.assert_moves(wrapped, target, online, target)
        self.assert_moves(torch.compile(wrapped, backend="eager"), target, online, target)

    def test_wrappers_in_wrappers(self) -> None:
        online, target = small(0), small(1)
        self.assert_moves(torch.compile(nn.DataParallel(online), backend="eager"), target, online, target)
        self.assert_moves(
            nn.DataParallel(torch.compile(online, backend="eager")), nn.DataParallel(target), online, target
        )

    def test_an_unknown_wrapper_is_seen_through_where_it_makes_the_names_match(self) -> None:
        online, target = small(0), small(1)
        self.assert_moves(Wrapper(online), target, online, target)
        self.assert_moves(online, Wrapper(Wrapper(target)), online, target)

    def test_the_target_network_can_be_copied_back(self) -> None:
        online, other = small(0), small(1)
        hard_update(TargetNetwork(other), online)
        assert torch.equal(online[0].weight, other[0].weight)

    def test_a_part_that_is_really_called_module_stays_one(self) -> None:
        online, target = Agent(0), Agent(1)
        self.assert_moves(online, target, online.module, target.module)
        with pytest.raises(ValueError, match=r"target has no head\.bias"):
            soft_update(online, target.module)


def sharded(seed: int) -> nn.Module:
    from torch.distributed.fsdp import fully_shard

    return fully_shard(small(seed), mesh=torch.distributed.device_mesh.init_device_mesh("cpu", (1,)))


def sharded_by_the_first_version(seed: int, **settings: object) -> nn.Module:
    from torch.distributed.fsdp import FullyShardedDataParallel

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it runs on a CPU, and that it grows old
        return FullyShardedDataParallel(small(seed), device_id=torch.device("cpu"), **settings)


@pytest.mark.usefixtures("one_process")
class TestSharded:
    """A process holds a part of each tensor, and whole ones for a moment: refused, unless that is in order."""

    def test_distributed_tensors_are_refused(self) -> None:
        online, target = sharded(0), small(1)
        before = values(target)
        with pytest.raises(TypeError, match=r"online '0\.weight' is a DTensor.*p\.to_local\(\) for p in online"):
            soft_update(online, target)
        with pytest.raises(TypeError, match=r"online '0\.weight' is a DTensor"):
            TargetNetwork(online, factory=lambda: small(1))
        with pytest.raises(TypeError, match=r"online '\[0\]' is a DTensor"):
            soft_update(list(online.parameters()), list(target.parameters()))
        for name, value in values(target).items():
            np.testing.assert_array_equal(value, before[name])

    def test_a_sharded_target_is_refused_even_while_its_tensors_are_whole(self) -> None:
        target = sharded(1)
        with pytest.raises(TypeError, match=r"target is sharded by fully_shard.*target\.reshard\(\)"):
            soft_update(sharded(0), target)
        target(torch.ones(1, 3))  # after which they are, until the next use, before which they are thrown away
        with pytest.raises(TypeError, match="target is sharded by fully_shard"):
            soft_update(small(0), target)

    def test_a_deep_copy_of_shards_is_refused(self) -> None:
        for online in (sharded(0), nn.ModuleDict({"net": sharded_by_the_first_version(0)})):
            with pytest.raises(TypeError, match=r"online is sharded by FSDP; pass factory="):
                TargetNetwork(online)

    def test_the_remedy_parts_as_lists(self) -> None:
        online, target = sharded(0), sharded(1)
        target(torch.ones(1, 3))
        target.reshard()
        expected = formula(small(0)[0].weight.detach().numpy(), small(1)[0].weight.detach().numpy(), 0.25)
        soft_update([p.to_local() for p in online.parameters()], [p.to_local() for p in target.parameters()], 0.25)
        with torch.no_grad():
            target(torch.ones(1, 3))
        np.testing.assert_allclose(target[0].weight.detach().numpy(), expected, rtol=0, atol=1e-7)

    @pytest.mark.parametrize("settings", [{}, {"use_orig_params": True}], ids=["flat", "original"])
    def test_the_first_version_is_refused_outside_of_its_context(self, settings: dict) -> None:
        online = sharded_by_the_first_version(0, **settings)
        for target in (small(1), sharded_by_the_first_version(1, **settings)):
            with pytest.raises(TypeError, match=r"online is sharded.*FullyShardedDataParallel\.summon_full_params"):
                soft_update(online, target)
            with pytest.raises(TypeError, match="target is sharded by FullyShardedDataParallel"):
                hard_update(small(0), sharded_by_the_first_version(1, **settings))
        with pytest.raises(TypeError, match="online is sharded by FullyShardedDataParallel"):
            TargetNetwork(online, factory=lambda: small(1))

    @pytest.mark.parametrize("settings", [{}, {"use_orig_params": True}], ids=["flat", "original"])
    def test_the_remedy_in_its_context(self, settings: dict) -> None:
        from torch.distributed.fsdp import FullyShardedDataParallel

        online, other = sharded_by_the_first_version(0, **settings), sharded_by_the_first_version(1, **settings)
        x = torch.ones(1, 3)
        with FullyShardedDataParallel.summon_full_params(online):
            slow = TargetNetwork(online, tau=1.0, factory=lambda: small(1))
            slow.update(online)
        assert torch.equal(slow(x), online(x))
        with FullyShardedDataParallel.summon_full_params(other):
            hard_update(slow, other)
        assert torch.equal(other(x), online(x))


class Calls(TorchDispatchMode):
    """What a block asks of torch."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


class TestCost:
    def test_one_fused_call_for_each_dtype(self) -> None:
        online = [torch.randn(3), torch.randn(4), torch.randn(2, dtype=torch.float64), torch.tensor([1])]
        target = [torch.zeros_like(tensor) for tensor in online]
        with Calls() as calls:
            soft_update(online, target, 0.5)
        assert calls.names == ["_foreach_lerp_", "_foreach_lerp_", "_foreach_copy_"]

    def test_one_fused_call_for_two_modules(self) -> None:
        online, target, slow = small(0), small(1), TargetNetwork(small(2))
        with Calls() as calls:
            soft_update(online, target, 0.5)
            soft_update(online, target, torch.tensor(0.5))
            slow.update(online)
            hard_update(online, target)
        assert calls.names.count("_foreach_lerp_") == 3
        assert calls.names.count("_foreach_copy_") == 1

    @pytest.mark.parametrize("tau", [0.5, torch.tensor(0.5), torch.tensor([0.5, 0.1])])
    def test_on_another_device_no_value_is_read_reads_no_value(self, tau: float | Tensor) -> None:
        online, target = [torch.randn(2, 3)], [torch.randn(2, 3)]
        tau = tau.to("meta") if isinstance(tau, Tensor) else tau
        tensors = [tensor.to("meta") for tensor in online], [tensor.to("meta") for tensor in target]
        soft_update(*tensors, tau)  # a tensor on the meta device has no values: reading one would raise

    @pytest.mark.parametrize("buffers", ["copy", "average", "keep"])
    def test_no_value_is_read_on_fake_tensors(self, buffers: str) -> None:
        with FakeTensorMode():
            online, target = Tied(0), Tied(1)
            soft_update(online, target, 0.005, buffers=buffers)
            soft_update(online, target, torch.rand(()), buffers=buffers)
            hard_update(online, target)
            soft_update([torch.rand(3, 4)], [torch.rand(3, 4)], torch.rand(3))
            soft_update([torch.rand(3).bfloat16()], [torch.rand(3)], torch.rand(3))

    def test_the_compiler_traces_it_whole(self, in_plain_python) -> None:
        program = """
import torch
from companion import soft_update
online, target = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
torch.nn.init.ones_(online.weight), torch.nn.init.zeros_(target.weight)
@torch.compile(backend="eager", fullgraph=True)
def step(x):
    soft_update(online, target, 0.5)
    return x + 1
step(torch.ones(2)), step(torch.ones(2))
print(json.dumps(target.weight.tolist()))
"""
        assert in_plain_python(program) == [[0.75] * 3] * 2
