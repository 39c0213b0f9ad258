"""The page of recipes: each block runs as it stands and does what the page says. What it warns of goes wrong."""

import re
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim.optimizer import Optimizer, register_optimizer_step_post_hook
from torch.optim.swa_utils import update_bn

from companion import TargetNetwork, convert, soft_update
from companion.averaging import warmup
from recipes import PAGE, RECIPES, cook
from tests.helpers import torchrun

ROOT = PAGE.parent.parent
Weights = list[Tensor]


def doubles(network: nn.Module) -> Weights:
    """A network's parameters as they are now, in float64."""
    return [parameter.detach().double().clone() for parameter in network.parameters()]


def followed(start: Weights, steps: list[Weights], tau: float) -> Weights:
    """The average of a run, from the definition, in float64."""
    average = [each.clone() for each in start]
    for weights in steps:
        average = [tau * new + (1 - tau) * old for new, old in zip(weights, average, strict=True)]
    return average


def assert_follows(network: nn.Module, average: Weights) -> None:
    torch.testing.assert_close(doubles(network), average, rtol=1e-5, atol=1e-6)


def assert_same_bits(one: nn.Module, other: nn.Module) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


def same_bits(one: nn.Module, other: nn.Module) -> bool:
    return all(torch.equal(ours, theirs) for ours, theirs in zip(one.parameters(), other.parameters(), strict=True))


def assert_stands_apart(online: nn.Module, target: TargetNetwork) -> None:
    """The two share no tensor, and the copy takes no gradient."""
    ours, theirs = ({tensor.data_ptr() for tensor in each.state_dict().values()} for each in (online, target.module))
    assert not ours & theirs
    assert not any(parameter.requires_grad for parameter in target.parameters())


class Steps(list[tuple[Optimizer, Weights]]):
    """The weights after each step that an optimizer took, whichever it was, as torch reports them."""

    def __call__(self, optimizer: Optimizer, *_: Any) -> None:
        tensors = [each for group in optimizer.param_groups for each in group["params"]]
        self.append((optimizer, [each.detach().double().clone() for each in tensors]))

    def of(self, optimizer: Optimizer) -> list[Weights]:
        return [weights for one, weights in self if one is optimizer]


@pytest.fixture
def steps() -> Iterator[Steps]:
    steps = Steps()
    hook = register_optimizer_step_post_hook(steps)
    yield steps
    hook.remove()


@pytest.fixture
def given() -> dict[str, Any]:
    """What the page takes for given: a network, its optimizer, 24 batches, a loss."""
    return kitchen()


def kitchen(normalised: bool = False) -> dict[str, Any]:
    torch.manual_seed(0)
    online = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8) if normalised else nn.Tanh(), nn.Linear(8, 3))
    inputs, labels = torch.randn(24, 16, 4), torch.randint(3, (24, 16))
    return {
        "online": online,
        "optimizer": torch.optim.SGD(online.parameters(), lr=0.5, momentum=0.9),
        "loader": list(zip(inputs, labels, strict=True)),
        "loss_function": nn.CrossEntropyLoss(),
        "device": "cpu",
        "torch": torch,
    }


def train(given: dict[str, Any], between: Callable[[], None] = lambda: None) -> None:
    """One pass over the data, with something done after each step."""
    for inputs, labels in given["loader"]:
        given["optimizer"].zero_grad()
        given["loss_function"](given["online"](inputs), labels).backward()
        given["optimizer"].step()
        between()


def test_every_block_is_run() -> None:
    """By this file, or where its library is, by the benchmarks' environment."""
    page = PAGE.read_text(encoding="utf-8")
    assert len(RECIPES) == page.count("```{code-block} python")
    sources = [Path(__file__), ROOT / "benchmarks" / "recipes.py"]
    run = [set(re.findall(r'cook\("([\w-]+)"', source.read_text(encoding="utf-8"))) for source in sources]
    assert run[1] == {"lightning", "trainer"}
    assert run[0] | run[1] == RECIPES.keys()
    assert max(len(line) for code in RECIPES.values() for line in code.splitlines()) <= 80


class TestPlainLoop:
    def test_the_average_is_that_of_the_steps(self, given, steps) -> None:
        start = doubles(given["online"])
        cook("loop", given)
        taken = steps.of(given["optimizer"])
        assert given["target"].count == len(taken) == 24
        assert_follows(given["target"].module, followed(start, taken, 1 - 0.5 ** (1 / 500)))
        assert_stands_apart(given["online"], given["target"])

    def test_one_line_too_early_lags_a_step(self, given, steps) -> None:
        """The check can tell: an update before the step has seen one network less."""
        start = doubles(given["online"])
        cook("loop", given, {"    loss.backward()": "    loss.backward()\n    target.update(online)"})
        taken = steps.of(given["optimizer"])
        with pytest.raises(AssertionError):
            assert_follows(given["target"].module, followed(start, taken, 1 - 0.5 ** (1 / 500)))

    def test_a_warm_up_is_the_mean_so_far(self, given, steps) -> None:
        start = doubles(given["online"])
        cook("warmup", given)
        train(given, lambda: given["target"].update(given["online"]))
        networks = [start, *steps.of(given["optimizer"])]
        mean = [torch.stack(each).mean(0) for each in zip(*networks, strict=True)]
        assert_follows(given["target"].module, mean)

    def test_the_first_weights_weigh_what_the_page_says(self) -> None:
        assert round(0.9999**10_000, 2) == 0.37


class TestHook:
    def test_it_updates_once_a_step(self, given, steps) -> None:
        start = doubles(given["online"])
        cook("hook", given)
        train(given)
        assert given["target"].count == 24
        assert_follows(given["target"].module, followed(start, steps.of(given["optimizer"]), 0.001))
        assert_stands_apart(given["online"], given["target"])

    def test_it_ends(self, given) -> None:
        cook("hook", given)
        given["hook"].remove()
        train(given)
        assert given["target"].count == 0


class TestGradientAccumulation:
    def test_the_average_is_that_of_the_steps(self, given, steps) -> None:
        start = doubles(given["online"])
        cook("accumulation", given)
        taken = steps.of(given["optimizer"])
        assert given["target"].count == len(taken) == 6
        assert_follows(given["target"].module, followed(start, taken, 0.001))

    def test_four_pieces_are_one_batch(self, given) -> None:
        whole = kitchen()
        inputs, labels = (torch.stack(each) for each in zip(*given["loader"], strict=True))
        whole["loader"] = list(zip(inputs.view(6, 64, 4), labels.view(6, 64), strict=True))
        cook("accumulation", given)
        cook("loop", whole, {"convert(half_life=500).tau": "0.001"})
        torch.testing.assert_close(given["target"].module.state_dict(), whole["target"].module.state_dict())

    def test_an_update_a_micro_batch_is_another_tau(self, given, steps) -> None:
        start = doubles(given["online"])
        update = "        target.update(online)"
        cook("accumulation", given, {update: update[4:]})
        taken = steps.of(given["optimizer"])
        assert given["target"].count == 4 * len(taken)
        seen = 3 * [start] + [weights for weights in taken for _ in range(4)][:-3]
        assert_follows(given["target"].module, followed(start, seen, 0.001))
        tau = 1 - 0.999**4
        assert convert(tau=tau).half_life == pytest.approx(convert(tau=0.001).half_life / 4)
        once = followed(start, taken, 0.001)
        assert abs(given["target"].module[0].weight - once[0]).max() > 1e-4


class TestMixedPrecision:
    @pytest.fixture
    def with_one_overflow(self, given) -> dict[str, Any]:
        inputs, labels = given["loader"][9]
        given["loader"][9] = (1e30 * inputs, labels)
        return given

    def test_a_skipped_step_is_no_update(self, with_one_overflow, steps) -> None:
        given = with_one_overflow
        start = doubles(given["online"])
        cook("autocast", given)
        taken = steps.of(given["optimizer"])
        assert given["target"].count == len(taken) == 23
        assert_follows(given["target"].module, followed(start, taken, 0.001))
        assert {each.dtype for each in given["target"].parameters()} == {torch.float32}
        assert given["target"].average is None

    def test_an_update_a_batch_counts_it(self, with_one_overflow, steps) -> None:
        given = with_one_overflow
        cook("autocast", given, {"    scaler.update()": "    scaler.update()\n    target.update(online)"})
        assert given["target"].count == 23 + 24

    def test_bfloat16_weights_have_a_float32_average(self, given, steps) -> None:
        start = doubles(deepcopy(given["online"]).bfloat16())
        cook("bfloat16", given)
        target, taken = given["target"], steps.of(given["optimizer"])
        assert target.count == len(taken) == 24
        assert_follows(target.average, followed(start, taken, 0.001))
        assert {each.dtype for each in given["weights"].values()} == {torch.float32}
        rounded = deepcopy(target.average).bfloat16()
        assert_same_bits(rounded, target.module)
        assert_stands_apart(given["online"], target)

    def test_an_average_in_bfloat16_stands_still(self, given, steps) -> None:
        shadow = deepcopy(given["online"]).bfloat16()
        start, weight = doubles(shadow), shadow[0].weight
        before = weight.detach().clone()
        cook("bfloat16", given)
        for step in steps.of(given["optimizer"]):
            weight.data.lerp_(step[0].bfloat16(), 0.001)
        true = followed(start, steps.of(given["optimizer"]), 0.001)[0]
        assert (weight == before).float().mean() > 0.8
        assert (true != before).all()
        with pytest.raises(ValueError, match="round to nothing"):
            soft_update(given["online"], shadow, tau=0.001)


@pytest.mark.filterwarnings("ignore:.torch.jit.script_method. is deprecated:DeprecationWarning")  # torch's own
def test_a_compiled_network_keeps_its_names(given, steps, tmp_path, monkeypatch) -> None:
    """The compiler stands aside, to save a minute; the wrapper, whose names are the matter, is torch's own."""
    monkeypatch.chdir(tmp_path)
    start = doubles(given["online"])
    with torch.compiler.set_stance("force_eager"):
        cook("compile", given)
        fast = torch.compile(given["target"].module)
    taken = steps.of(given["optimizer"])
    assert given["target"].count == len(taken) == 24
    assert_follows(given["target"].module, followed(start, taken, 0.001))
    assert torch.load("average.pt").keys() == given["online"].state_dict().keys()
    assert all(name.startswith("_orig_mod.") for name in given["compiled"].state_dict())
    assert [each.data_ptr() for each in fast.parameters()] == [each.data_ptr() for each in given["target"].parameters()]


def begun(tau: str) -> dict[str, Any]:
    """What the page takes for given, and a slow copy with an update to call."""
    given = kitchen() | {"warmup": warmup}
    given["target"] = TargetNetwork(given["online"], tau=eval(tau, {"warmup": warmup}))
    given["update"] = lambda: given["target"].update(given["online"])
    return given


class TestResume:
    @pytest.fixture(autouse=True)
    def here(self, tmp_path, monkeypatch) -> None:
        monkeypatch.chdir(tmp_path)

    @pytest.mark.parametrize("tau", ["0.001", "warmup(0.001)"])
    def test_it_is_the_same_to_the_bit(self, tau: str) -> None:
        whole = begun(tau)
        train(whole, whole["update"])
        train(whole, whole["update"])
        first = begun(tau)
        train(first, first["update"])
        cook("save", first)
        second = kitchen() | {"warmup": warmup}
        torch.nn.init.ones_(second["online"][0].weight)  # another start, which must not matter
        cook("resume", second, {"tau=0.001": f"tau={tau}"})
        train(second, lambda: second["target"].update(second["online"]))
        assert second["target"].count == 48
        assert_same_bits(second["online"], whole["online"])
        assert_same_bits(second["target"], whole["target"])
        assert_stands_apart(second["online"], second["target"])

    def test_a_new_copy_is_a_new_average(self) -> None:
        whole = begun("0.001")
        train(whole, whole["update"])
        train(whole, whole["update"])
        first = begun("0.001")
        train(first, first["update"])
        cook("save", first)
        second = kitchen()
        cook("resume", second, {'"target": target, ': ""})
        second["target"].reset(second["online"])
        train(second, lambda: second["target"].update(second["online"]))
        assert_same_bits(second["online"], whole["online"])
        gap = abs(second["target"].module[0].weight - whole["target"].module[0].weight).max()
        assert gap > 0.1


class TestEvaluate:
    @pytest.fixture
    def trained(self, given) -> dict[str, Any]:
        cook("loop", given, {"convert(half_life=500).tau": "0.1"})
        return given

    def test_the_average_is_evaluated(self, trained) -> None:
        cook("evaluate", trained)
        x, y = (torch.cat(each) for each in zip(*trained["loader"], strict=True))
        first, _, last = deepcopy(trained["target"].module).double()
        right = last(torch.tanh(first(x.double()))).argmax(-1) == y
        assert trained["accuracy"] == pytest.approx(right.double().mean().item())

    def test_a_network_that_was_lent_comes_back(self, trained) -> None:
        online, before, seen = trained["online"], deepcopy(trained["online"]), []
        trained["evaluate"] = lambda network: seen.append(deepcopy(network))
        cook("lend", trained)
        assert_same_bits(seen[0], trained["target"].module)
        assert_same_bits(online, before)
        assert not same_bits(seen[0], before)

        def breaks(_: nn.Module) -> None:
            raise RuntimeError("no data")

        trained["evaluate"] = breaks
        with pytest.raises(RuntimeError, match="no data"):
            cook("lend", trained)
        assert_same_bits(online, before)
        assert_stands_apart(online, trained["target"])

    def test_a_state_dict_alone_is_no_copy(self, trained) -> None:
        trained["evaluate"] = lambda network: 0.0
        cook("lend", trained, {"copy.deepcopy(online.state_dict())": "online.state_dict()"})
        assert same_bits(trained["online"], trained["target"].module)


class TestBatchNorm:
    @pytest.fixture(params=["copy", "average", "keep"])
    def trained(self, request) -> dict[str, Any]:
        given = kitchen(normalised=True)
        cook("loop", given, {"convert(half_life=500).tau": f'0.01, buffers="{request.param}"'})
        return given

    def fed(self, given: dict[str, Any]) -> Tensor:
        """What reaches the copy's batch norm, batch by batch, in float64."""
        first = deepcopy(given["target"].module[0]).double()
        return torch.stack([first(x.double()) for x, _ in given["loader"]]).detach()

    def test_statistics_are_those_of_the_averaged_weights(self, trained) -> None:
        trained["evaluate"] = lambda network: network(trained["loader"][0][0])
        norm, fed, online = trained["target"].module[1], self.fed(trained), deepcopy(trained["online"])
        variance = fed.var((0, 1))
        assert (norm.running_var / variance - 1).abs().max() > 0.05
        cook("batch-norm", trained)
        torch.testing.assert_close(norm.running_mean.double(), fed.mean((0, 1)), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(norm.running_var.double(), variance, rtol=1e-4, atol=1e-6)
        assert trained["accuracy"].shape == (16, 3)
        assert_same_bits(trained["online"], online)
        trained["target"].update(trained["online"])
        kept = bool((norm.running_var.double() / variance - 1).abs().max() < 1e-4)
        assert kept == (trained["target"].buffer_rule == "keep")

    def test_torch_s_own_works_on_the_copy(self, trained) -> None:
        update_bn(trained["loader"], trained["target"].module)
        norm, fed = trained["target"].module[1], self.fed(trained)
        torch.testing.assert_close(norm.running_mean.double(), fed.mean((0, 1)), rtol=1e-4, atol=1e-6)
        torch.testing.assert_close(norm.running_var.double(), fed.var(1).mean(0), rtol=1e-4, atol=1e-6)
        assert not trained["target"].module.training


SEVERAL = """
import os, sys
import torch
import torch.distributed as dist
from torch import nn
sys.path.insert(0, sys.argv[2])
from recipes import cook
os.chdir(sys.argv[1])

def given(seed):
    rank = int(os.environ["RANK"])
    torch.manual_seed(seed)
    online = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    inputs, labels = torch.randn(2, 12, 16, 4), torch.randint(3, (2, 12, 16))
    return {
        "online": online,
        "optimizer": torch.optim.SGD(online.parameters(), lr=0.5),
        "loader": list(zip(inputs[rank], labels[rank])),
        "loss_function": nn.CrossEntropyLoss(),
    }

def run(name, instead={}):
    made = given(0)
    made["steps"], made["start"] = [], [each.detach().double().clone() for each in made["online"].parameters()]
    made["optimizer"].register_step_post_hook(
        lambda *_: made["steps"].append([each.detach().double().clone() for each in made["online"].parameters()])
    )
    cook("ddp", made, instead)
    kept = {"online": made["online"].state_dict(), "target": made["target"].module.state_dict()}
    kept |= {"count": made["target"].count, "start": made["start"], "steps": made["steps"]}
    torch.save(kept, f"{name}-{dist.get_rank()}.pt")

begun = {'dist.init_process_group("gloo")': ""}
run("first")
run("second", begun)
run("by one", begun | {'os.path.exists("checkpoint.pt")': "dist.get_rank() == 0"})
dist.destroy_process_group()
"""


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> dict[str, list[dict[str, Any]]]:
    """By name, what each of two processes had in the end: a first run, one resumed, and one that only one loaded."""
    folder = tmp_path_factory.mktemp("several")
    script = folder / "script.py"
    script.write_text(SEVERAL)
    done = torchrun(script, str(folder), str(ROOT / "tools"))
    assert done.returncode == 0, done.stderr
    names = ("first", "second", "by one")
    return {name: [torch.load(folder / f"{name}-{rank}.pt") for rank in range(2)] for name in names}


class TestSeveralProcesses:
    def test_all_have_one_average(self, runs) -> None:
        one, other = runs["first"]
        assert one["count"] == other["count"] == len(one["steps"]) == 12
        average = followed(one["start"], one["steps"], 0.001)
        parameters = [tensor for name, tensor in one["target"].items() if "running" not in name and "num" not in name]
        torch.testing.assert_close([each.double() for each in parameters], average, rtol=1e-5, atol=1e-6)
        for name, tensor in one["target"].items():
            same = torch.equal(tensor, other["target"][name])
            assert same == ("running" not in name), name

    def test_they_resume_as_one(self, runs) -> None:
        one, other = runs["second"]
        assert one["count"] == other["count"] == 24
        average = followed(one["start"], runs["first"][0]["steps"] + one["steps"], 0.001)
        for each in (one, other):
            torch.testing.assert_close(each["target"]["0.weight"].double(), average[0], rtol=1e-5, atol=1e-6)

    def test_a_checkpoint_that_one_process_reads_parts_the_averages(self, runs) -> None:
        one, other = runs["by one"]
        assert torch.equal(one["online"]["0.weight"], other["online"]["0.weight"])
        assert not torch.equal(one["target"]["0.weight"], other["target"]["0.weight"])


class TestStableBaselines3:
    def test_its_tau_is_ours_and_the_average_rides_along(self, steps, tmp_path) -> None:
        given: dict[str, Any] = {}
        torch.manual_seed(0)
        cook("sb3-tau", given)
        agent = given["agent"]
        start, valued = doubles(agent.actor), doubles(agent.critic)
        cook("sb3-average", given)
        taken, target = steps.of(agent.actor.optimizer), given["average"].target
        assert target.count == len(taken) == 300
        assert_follows(target.module, followed(start, taken, 0.001))
        assert_follows(agent.critic_target, followed(valued, steps.of(agent.critic.optimizer), 0.005))
        assert_stands_apart(agent.actor, target)
        assert given["mean"] < 0
        agent.train(1)
        assert target.count == 300
        agent.save(tmp_path / "agent")

    @pytest.mark.parametrize("algorithm", ["SAC", "TD3"])
    def test_its_clocks(self, algorithm: str, steps) -> None:
        """SAC's interval has no effect with one gradient step a call; TD3's targets move at every second one."""
        import stable_baselines3

        own = {"SAC": {"target_update_interval": 1_000}, "TD3": {}}[algorithm]
        make = getattr(stable_baselines3, algorithm)
        agent = make(
            "MlpPolicy", "Pendulum-v1", tau=0.1, learning_starts=10, seed=0, policy_kwargs={"net_arch": [8]}, **own
        )
        start = doubles(agent.critic)
        agent.learn(40)
        taken = steps.of(agent.critic.optimizer)
        assert len(taken) == 30
        seen = taken if algorithm == "SAC" else taken[1::2]
        assert_follows(agent.critic_target, followed(start, seen, 0.1))
