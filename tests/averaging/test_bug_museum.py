"""The bug museum: averaging bugs that happened in public, each provoked with the code that had it, then avoided.

A test is named after its bug and says where it was found. The first half of each shows that the bug is real.
"""

import copy
import itertools
import warnings

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from companion import TargetNetwork, hard_update, rl, soft_update, soft_update_numpy, warmup
from companion.averaging import reestimate_batch_norm


def network(seed: int = 0) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(0.5), nn.Linear(16, 2))


def polyak(online: nn.Module, target: nn.Module, tau: float) -> None:
    """The loop found in most repositories: parameters by position, nothing else."""
    with torch.no_grad():
        for ours, theirs in zip(online.parameters(), target.parameters(), strict=False):
            theirs.mul_(1 - tau).add_(tau * ours)


def batches(n: int, seed: int = 0) -> Tensor:
    return 5.0 + 3.0 * torch.randn(n, 64, 3, generator=torch.Generator().manual_seed(seed))


class TestBug01BuffersForgotten:
    """BatchNorm's statistics are buffers, not parameters.

    DLR-RM/stable-baselines3 #996 and #1004; pytorch/pytorch #84053; pytorch/ignite #2590 (F1 40 instead of 60);
    lucidrains/byol-pytorch #73; saltoricristiano/cosmix-uda #21.
    """

    def test_parameters_alone_leave_the_target_with_the_statistics_of_the_first_day(self) -> None:
        online = network()
        target = copy.deepcopy(online).eval()
        for batch in batches(50):
            online(batch)
        polyak(online, target, 1.0)
        online.eval()
        x = batches(1, seed=9)[0]
        assert (target(x) - online(x)).abs().max() > 0.5

    @pytest.mark.parametrize("update", [hard_update, lambda online, target: soft_update(online, target, 1.0)])
    def test_here_they_follow(self, update) -> None:
        online = network()
        target = copy.deepcopy(online).eval()
        for batch in batches(50):
            online(batch)
        update(online, target)
        online.eval()
        x = batches(1, seed=9)[0]
        assert torch.equal(target(x), online(x))

    def test_and_go_on_following(self) -> None:
        """TorchRL copied them once, when the updater was made, and never again."""
        online = network()
        target = TargetNetwork(online)
        for batch in batches(50):
            online(batch)
            target.update(online)
            assert torch.equal(target.module[1].running_mean, online[1].running_mean)
            assert torch.equal(target.module[1].num_batches_tracked, online[1].num_batches_tracked)


class TestBug02LowPrecisionStalls:
    """In bf16 and fp16 a small step of the average rounds to nothing.

    The remedy is in huggingface/pytorch-image-models, whose ModelEmaV3 documents it.
    """

    @staticmethod
    def gap(target: Tensor, start: Tensor, goal: Tensor) -> float:
        return ((target.float() - goal.float()).norm() / (start.float() - goal.float()).norm()).item()

    @pytest.mark.parametrize(
        ("dtype", "tau", "left"),
        [(torch.bfloat16, 0.005, 0.2), (torch.bfloat16, 0.001, 0.8), (torch.float16, 0.001, 0.1)],
    )
    def test_a_plain_update_stops_far_from_its_goal(self, dtype: torch.dtype, tau: float, left: float) -> None:
        torch.manual_seed(0)
        goal, target = torch.randn(2000).to(dtype), torch.randn(2000).to(dtype)
        start = target.clone()
        for _ in range(round(5 / tau)):
            target.lerp_(goal, tau)
        assert self.gap(target, start, goal) > left  # exactly, e⁻⁵ = 0.7 % would be left
        with pytest.raises(ValueError, match="TargetNetwork"):
            soft_update([goal], [target], tau)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_here_the_average_arrives(self, dtype: torch.dtype) -> None:
        torch.manual_seed(0)
        online, goal = nn.Linear(40, 50).to(dtype), torch.randn(50, 40).to(dtype)
        start = online.weight.detach().clone()
        target = TargetNetwork(online, tau=0.005)
        with torch.no_grad():
            online.weight.copy_(goal)
        for _ in range(1000):
            target.update(online)
        assert self.gap(target.average.weight, start, goal) == pytest.approx(0.995**1000, rel=1e-3)
        assert self.gap(target.module.weight, start, goal) == pytest.approx(0.995**1000, abs=0.003)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
    def test_what_is_refused_stalls_and_what_is_not_arrives(self, dtype: torch.dtype) -> None:
        """The line at tau = 1/2: from there on, rounding leaves a gap of at most one spacing of the format."""
        spacing = torch.finfo(dtype).eps

        def left(tau: float, start: Tensor) -> Tensor:
            target, goal = start.clone(), torch.ones_like(start)
            for _ in range(200):
                target.lerp_(goal, tau)
            return (target.float() - 1).abs() / spacing

        starts = torch.arange(1.0, 2.0, spacing).to(dtype)
        assert left(0.5, starts).max() <= 1
        assert left(0.75, starts).max() <= 1
        assert left(0.2, starts).max() > 1
        assert left(0.05, starts).max() > 5

    def test_lerp_rests_on_its_goal_where_mul_and_add_drift(self) -> None:
        torch.manual_seed(0)
        online = torch.randn(10_000)
        drifting, resting = online.clone(), online.clone()
        for _ in range(2000):
            drifting.mul_(1 - 0.005).add_(0.005 * online)
            soft_update([online], [resting], 0.005)
        assert not torch.equal(drifting, online)
        assert torch.equal(resting, online)


class TestBug03Resume:
    """A run that is resumed is not the run that went on.

    sfujim/TD3 #20 sets target := online on loading; ultralytics/yolov5 #310 makes a new average of the old one;
    lightly-ai/lightly-train #892 forgets how many updates there were and warms up again.
    """

    @staticmethod
    def train(online: nn.Module, target: TargetNetwork, steps: range) -> None:
        for step in steps:
            with torch.no_grad():
                for parameter in online.parameters():
                    parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(step))
            target.update(online)

    def test_a_target_made_anew_from_the_online_network_is_another_target(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=0.01)
        self.train(online, target, range(20))
        made_anew = copy.deepcopy(online)
        assert (made_anew[0].weight - target.module[0].weight).abs().max() > 0.1

    def test_a_forgotten_count_overwrites_the_average(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=warmup(0.001))
        self.train(online, target, range(200))
        before = (target.module[0].weight - online[0].weight).abs().mean()
        target.count = 0
        self.train(online, target, range(200, 201))
        assert (target.module[0].weight - online[0].weight).abs().mean() < 0.6 * before

    def test_here_nothing_is_lost(self) -> None:
        online = network()
        target = TargetNetwork(online, tau=warmup(0.001), every=3)
        self.train(online, target, range(20))
        saved = copy.deepcopy(target.state_dict())
        resumed = TargetNetwork(network(1), tau=warmup(0.001), every=3)
        resumed.load_state_dict(saved)
        twin = copy.deepcopy(online)
        self.train(online, target, range(20, 40))
        self.train(twin, resumed, range(20, 40))
        for name, tensor in target.module.state_dict().items():
            assert torch.equal(resumed.module.state_dict()[name], tensor)
        assert resumed.count == target.count == 40


class TestBug04Clock:
    """TorchRL's HardUpdate(3) fires at calls 4, 8, 12: its counter is compared before it is raised."""

    def test_a_counter_from_zero_is_one_late_every_time(self) -> None:
        period, counter, fired = 3, 0, []
        for call in range(1, 13):
            if counter == period:
                fired.append(call)
                counter = 0
            else:
                counter += 1
        assert fired == [4, 8, 12]

    def test_here_it_acts_at_n_and_2n(self) -> None:
        online, fired = nn.Linear(1, 1), []
        target = TargetNetwork(online, tau=1.0, every=3)
        for call in range(1, 13):
            with torch.no_grad():
                online.weight.fill_(call)
            target.update(online)
            if target.module.weight.item() == call:
                fired.append(call)
        assert fired == [3, 6, 9, 12]


class TestBug05SparseUpdates:
    """A decay meant for every step, applied at every hundredth, averages over another stretch of training.

    Found in the post-hoc EMA of lucidrains/ema-pytorch: mean time of the weights .947 of the run at every step, .152
    at every hundredth. With ``every=N`` the weight of one move has to be that of N: 1 − (1 − tau)^N.
    """

    STEPS, EXPONENT = 20_000, 17.97  # the power function averages of Karras et al. (arXiv:2312.02696), σ_rel = 0.05

    def decay(self, before: int, after: int) -> float:
        """What is left of the old average from one step to another: Π (1 − 1/k)^exponent = (before/after)^exponent."""
        return (before / after) ** self.EXPONENT

    def mean_time(self, tau, every: int) -> float:
        """The online network is the time; so its average is the mean time of what is in the average."""
        online = nn.Linear(1, 1, bias=False).double()
        target = TargetNetwork(online, tau=tau, every=every)
        for step in range(1, self.STEPS + 1):
            if step % every == 0:
                with torch.no_grad():
                    online.weight.fill_(step / self.STEPS)
                target.count = step - 1
                target.update(online)
        return target.module.weight.item()

    def test_the_profile_bends(self) -> None:
        each_step = self.mean_time(lambda k: 1 - self.decay(k - 1, k), every=1)
        sparse = self.mean_time(lambda k: 1 - self.decay(k - 1, k), every=100)
        assert each_step == pytest.approx(0.947, abs=0.002)
        assert sparse < 0.2

    def test_with_the_weight_of_a_hundred_steps_it_does_not(self) -> None:
        sparse = self.mean_time(lambda k: 1 - self.decay(k - 100, k), every=100)
        assert sparse == pytest.approx(0.947, abs=0.005)

    def test_nor_does_a_constant_one(self) -> None:
        tau, every = 0.001, 50
        assert self.mean_time(1 - (1 - tau) ** every, every) == pytest.approx(self.mean_time(tau, 1), abs=0.002)
        assert self.mean_time(tau, every) < 0.5


class TestBug08NamesAndAliases:
    """What is matched with what."""

    def test_a_compiled_network_leaves_the_shadow_unmoved(self) -> None:
        """wandb/senpai #2899: names of a compiled network start with ``_orig_mod.``, so none was found."""
        online = network()
        shadow = {name: tensor.detach().clone() for name, tensor in online.named_parameters()}
        compiled = torch.compile(online, backend="eager")
        target = TargetNetwork(online, tau=0.5)
        with torch.no_grad():
            for parameter in online.parameters():
                parameter += 1
        for name, tensor in compiled.named_parameters():
            if name in shadow:
                shadow[name].lerp_(tensor.detach(), 0.5)
        assert all(torch.equal(tensor + 1, online.get_parameter(name)) for name, tensor in shadow.items())
        target.update(compiled)
        for name, tensor in target.module.named_parameters():
            torch.testing.assert_close(tensor, online.get_parameter(name).detach() - 0.5)

    def test_a_tied_weight_moves_twice(self) -> None:
        """A loop over a state dict meets a tied weight under each of its names: .19 for .10."""

        class Tied(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.embed, self.head = nn.Embedding(5, 4), nn.Linear(4, 5, bias=False)
                self.head.weight = self.embed.weight

        online, target = Tied(), Tied()
        nn.init.ones_(online.embed.weight)
        nn.init.zeros_(target.embed.weight)
        naive = copy.deepcopy(target)
        for name, tensor in naive.state_dict().items():
            tensor.lerp_(online.state_dict()[name], 0.1)
        assert naive.embed.weight[0, 0].item() == pytest.approx(0.19)
        soft_update(online, target, 0.1)
        assert target.embed.weight[0, 0].item() == pytest.approx(0.10)

    def test_a_target_that_shares_storage_is_the_online_network(self) -> None:
        online, target = network(0), network(1)
        for ours, theirs in zip(online.parameters(), target.parameters(), strict=True):
            theirs.data = ours.data  # meant as a hard update
        before = target[0].weight.detach().clone()
        with torch.no_grad():
            online[0].weight.add_(1)
        assert not torch.equal(target[0].weight, before)
        with pytest.raises(ValueError, match="shares storage with online"):
            soft_update(online, target)

    def test_zip_stops_at_the_shorter_network(self) -> None:
        online, target = network(0), network(1)[:-1]
        polyak(online, target, 0.5)  # says nothing
        with pytest.raises(ValueError, match="target has no 4"):
            soft_update(online, target, 0.5)


class TestBug09Cadence:
    """The average is to move once for each step of the optimizer, and never while evaluating.

    SWivid/F5-TTS #631 and lightly-ai/lightly-train #968: once for each micro-batch.
    """

    class MovesInForward(nn.Module):
        """A momentum encoder that moves whenever it is called, as in the first MoCo."""

        def __init__(self, online: nn.Module, tau: float) -> None:
            super().__init__()
            self.online, self.tau = online, tau
            self.target = copy.deepcopy(online)

        def forward(self, x: Tensor) -> Tensor:
            polyak(self.online, self.target, self.tau)
            return self.target(x)

    def test_an_average_that_moves_in_forward_counts_micro_batches_and_evaluations(self) -> None:
        online = nn.Linear(3, 1)
        encoder = self.MovesInForward(online, 0.1)
        with torch.no_grad():
            online.weight += 1
        before = (online.weight - encoder.target.weight).abs().mean().item()
        for _ in range(4):  # four micro-batches, one step of the optimizer
            encoder(torch.zeros(2, 3))
        with torch.no_grad():
            encoder.eval()(torch.zeros(2, 3))
        left = (online.weight - encoder.target.weight).abs().mean().item() / before
        assert left == pytest.approx(0.9**5)

    def test_here_it_moves_when_told_and_at_no_other_time(self) -> None:
        online = nn.Linear(3, 1)
        target = TargetNetwork(online, tau=0.1)
        with torch.no_grad():
            online.weight += 1
        before = (online.weight - target.module.weight).abs().mean().item()
        for _ in range(4):
            target(torch.zeros(2, 3))
        target.update(online)
        with torch.no_grad():
            target.eval()(torch.zeros(2, 3))
        assert target.count == 1
        left = (online.weight - target.module.weight).abs().mean().item() / before
        assert left == pytest.approx(0.9)


class TestBug10Mode:
    """DLR-RM/stable-baselines3 #553: putting the agent into train mode puts its target into train mode."""

    def test_a_plain_copy_follows_the_agent_into_train_mode(self) -> None:
        agent = nn.ModuleDict({"online": network()})
        agent["target"] = copy.deepcopy(agent["online"]).eval()
        agent.train()
        x = batches(1)[0]
        statistics = agent["target"][1].running_mean.clone()
        assert not torch.equal(agent["target"](x), agent["target"](x))  # dropout
        assert not torch.equal(agent["target"][1].running_mean, statistics)  # and it learns from its own targets

    def test_here_it_stays_in_eval_mode(self) -> None:
        agent = nn.ModuleDict({"online": network()})
        agent["target"] = TargetNetwork(agent["online"])
        agent.train()
        x = batches(1)[0]
        statistics = agent["target"].module[1].running_mean.clone()
        assert torch.equal(agent["target"](x), agent["target"](x))
        assert torch.equal(agent["target"].module[1].running_mean, statistics)


class TestBug11Copying:
    """pytorch/pytorch #102981: a network with the older ``weight_norm`` cannot be deep-copied after a forward."""

    @staticmethod
    def build() -> nn.Module:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torch advises the newer one
            return nn.utils.weight_norm(nn.Linear(3, 2))

    def test_deepcopy_fails(self) -> None:
        online = self.build()
        online(torch.ones(1, 3))
        with pytest.raises(RuntimeError, match="deepcopy"):
            copy.deepcopy(online)
        with pytest.raises(TypeError, match="factory="):
            TargetNetwork(online)

    def test_here_a_factory_builds_the_copy(self) -> None:
        online, x = self.build(), torch.randn(4, 3)
        online(x)
        target = TargetNetwork(online, tau=1.0, factory=self.build)
        torch.testing.assert_close(target(x), online(x).detach())
        with torch.no_grad():
            online.weight_g += 1
        target.update(online)
        torch.testing.assert_close(target(x), online(x).detach())


class TestBug12WrongArguments:
    """Five ways to mix the wrong two networks, or to mix them by the wrong amount."""

    def test_target_averaged_with_itself(self) -> None:
        """ageron/handson-ml2 #89: ``0.99 * target_weights[i] + 0.01 * target_weights[i]``."""
        online, target = {"w": np.ones(3)}, {"w": np.zeros(3)}
        naive = 0.99 * target["w"] + 0.01 * target["w"]
        assert not naive.any()
        with pytest.raises(ValueError, match="shares memory"):
            soft_update_numpy(target, target, 0.01)
        soft_update_numpy(online, target, 0.01)
        assert target["w"].tolist() == [0.01] * 3
        with pytest.raises(ValueError, match="shares storage"):
            soft_update(network_ := network(), network_)

    @pytest.mark.parametrize("tau", [0.0, 1.0])
    def test_tau_given_and_ignored(self, tau: float) -> None:
        """mimoralea/gdrl #14: the first copy asks for tau = 1.0 and gets the agent's own tau."""

        class Agent:
            tau = 0.005

            def update_networks(self, online: Tensor, target: Tensor, tau: float | None = None) -> Tensor:
                tau = self.tau if tau is None else tau
                return (1 - self.tau) * target + self.tau * online

        online, target = torch.ones(3), torch.zeros(3)
        assert Agent().update_networks(online, target, tau).tolist() == pytest.approx([0.005] * 3)
        soft_update([online], [target], tau)
        assert target.tolist() == [tau] * 3

    def test_target_initialised_softly(self) -> None:
        """rail-berkeley/softlearning #18: a target of its own weights, moved once by 0.005, is still far away."""
        online, target = network(0), network(1)
        gap = (target[0].weight - online[0].weight).norm()
        polyak(online, target, 0.005)
        assert (target[0].weight - online[0].weight).norm() > 0.99 * gap
        ours = TargetNetwork(online, factory=lambda: network(1))
        assert torch.equal(ours.module[0].weight, online[0].weight)

    def test_a_fix_that_writes_the_online_network(self) -> None:
        """saltoricristiano/cosmix-uda #21: the buffers are averaged, into the network that trains."""
        online, target = network(0), network(1)
        for batch in batches(10):
            online(batch)
        before, goal = online[1].running_mean.clone(), target[1].running_mean.clone()
        naive = copy.deepcopy(online)
        for ours, theirs in zip(naive.buffers(), target.buffers(), strict=True):
            if ours.is_floating_point():
                ours.mul_(0.99).add_(theirs * 0.01)
        assert not torch.equal(naive[1].running_mean, before)
        assert torch.equal(target[1].running_mean, goal)
        soft_update(online, target, 0.01, buffers="average")
        assert torch.equal(online[1].running_mean, before)
        torch.testing.assert_close(target[1].running_mean, 0.01 * before + 0.99 * goal)

    def test_a_switch_of_another_method_that_decides_tau(self) -> None:
        """CrossQ's train.py: ``crossq_style`` is on by default, and puts 1 in the place of the ``tau`` given."""

        def parsed(tau: float = 0.005, crossq_style: bool = True) -> float:
            return tau if not crossq_style else 1.0

        assert parsed(tau=0.005) == 1.0  # asked for a slow copy, and got none
        sizes = {"observation_size": 3, "action_size": 1}
        for normalization in ("none", "layer", "batch"):
            agents = rl.make_agents("sac", tau=0.005, normalization=normalization, **sizes)
            assert agents.settings.tau.tolist() == pytest.approx([0.005])

    def test_one_parameter_that_is_a_period_or_a_rate(self) -> None:
        """keras-rl/keras-rl #55: ``target_model_update`` is a period from 1 upwards and a rate below."""

        def what_it_means(target_model_update: float) -> str:
            return "period" if target_model_update >= 1 else "rate"

        assert [what_it_means(value) for value in (0.999, 1.0)] == ["rate", "period"]  # nearly the same, and opposites
        for wrong in ({"tau": 10_000.0}, {"every": 0}):
            with pytest.raises(ValueError, match=next(iter(wrong))):
                TargetNetwork(network(), **wrong)
        online = nn.Linear(1, 1)
        target = TargetNetwork(online, tau=0.5, every=2)  # both are said, each in its own word
        with torch.no_grad():
            online.weight += 1
        gaps = []
        for _ in itertools.repeat(None, 4):
            target.update(online)
            gaps.append((online.weight - target.module.weight).item())
        assert gaps == pytest.approx([1.0, 0.5, 0.5, 0.25], abs=1e-6)


class TestBug14StatisticsOfOtherWeights:
    """Lightning-AI/pytorch-lightning #14866: the pass over the data has a momentum of 0, which moves nothing."""

    def test_a_pass_with_momentum_0_where_none_was_meant(self) -> None:
        averaged = network()
        stale = copy.deepcopy(averaged[1].running_mean)
        theirs = copy.deepcopy(averaged).train()
        theirs[1].momentum = 0.0
        for batch in batches(4):
            theirs(batch)
        assert torch.equal(theirs[1].running_mean, stale)
        reestimate_batch_norm(averaged, batches(4))
        fed = averaged[0](batches(4).flatten(0, 1)).detach()
        torch.testing.assert_close(averaged[1].running_mean, fed.mean(0))

    def test_torchs_pass_runs_dropout_and_so_is_another_each_time(self) -> None:
        deep = nn.Sequential(nn.Dropout(0.5), nn.BatchNorm1d(3))
        found = []
        for _ in range(2):
            torch.optim.swa_utils.update_bn(batches(1), deep)
            found.append(deep[1].running_var.clone())
        assert not torch.equal(*found)
        for _ in range(2):
            reestimate_batch_norm(deep, batches(1))
            torch.testing.assert_close(deep[1].running_var, batches(1)[0].var(0))


class TestTheAnchorThatWasNotThere:
    def test_a_reference_that_was_not_gathered(self) -> None:
        """huggingface/trl #1971: under ZeRO-3 the policy was gathered, and the reference an empty placeholder."""
        policy, reference = nn.Linear(3, 2), nn.Linear(3, 2)
        whole = reference.bias.clone()
        reference.weight.data = torch.empty(0)
        with pytest.raises(ValueError, match="weight"):
            soft_update(policy, reference, 0.6)
        assert torch.equal(reference.bias, whole)  # refused before anything was written

    def test_an_average_that_is_thrown_away_with_its_gathered_copy(self) -> None:
        """OpenRLHF/OpenRLHF #1357: what was computed on gathered parameters was not written back."""
        policy, reference = nn.Linear(3, 2), nn.Linear(3, 2)
        before = reference.weight.detach().clone()
        gathered = [each.detach().clone() for each in reference.parameters()]
        for slow, new in zip(gathered, policy.parameters(), strict=True):
            slow.lerp_(new.detach(), 0.5)
        assert torch.equal(reference.weight, before)  # nobody has noticed
        places = [each.data_ptr() for each in reference.parameters()]
        soft_update(policy, reference, 0.5)
        torch.testing.assert_close(reference.weight, torch.lerp(before, policy.weight.detach(), 0.5))
        assert [each.data_ptr() for each in reference.parameters()] == places
