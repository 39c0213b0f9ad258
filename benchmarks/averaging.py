"""What one soft update costs: this package beside five libraries and a flat ``lerp_``, in one run.

Run in an environment of its own (README.md beside this file), alone on the machine:

    python benchmarks/averaging.py

Every contestant has networks of its own. They take turns, so that whatever else the machine does falls on all alike.
Printed are medians over the turns: of the time, and of the ratio to the flat ``lerp_`` in the same turn, which is one
tensor that holds all parameters, the least that the arithmetic can cost. Before the clock starts, one update of each is
checked against the formula.
"""

from __future__ import annotations

import argparse
import copy
import gc
import importlib.metadata
import importlib.util
import itertools
import platform
import statistics
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from companion import TargetNetwork, soft_update
from companion.members.optimizers import fused_step, plain_step

TAU = 0.005
GPU_HELP = "only the part for a GPU; on another device, cpu, to try it out"
Update = Callable[[], None]


def td3() -> nn.Module:
    """An actor and two critics of TD3 on HalfCheetah: 216,328 parameters in 18 tensors."""

    def mlp(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, outputs))

    return nn.ModuleDict({"actor": mlp(17, 6), "first": mlp(23, 1), "second": mlp(23, 1)})


def resnet50() -> nn.Module:
    """Layers of ResNet-50's shapes: 25,557,032 parameters in 161 tensors, and no buffers, which not all would move."""

    def convolution(inputs: int, outputs: int, size: int) -> nn.Module:
        return nn.Sequential(nn.Conv2d(inputs, outputs, size, bias=False), nn.GroupNorm(1, outputs))

    layers = [convolution(3, 64, 7)]
    inputs = 64
    for width, blocks in zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True):
        for block in range(blocks):
            layers += [convolution(inputs, width, 1), convolution(width, width, 3), convolution(width, 4 * width, 1)]
            layers += [convolution(inputs, 4 * width, 1)] * (block == 0)
            inputs = 4 * width
    return nn.Sequential(*layers, nn.Linear(2048, 1000))


# ---------------------------------------------------------------------------------------------------------------------
# Contestants: each makes what it needs of an online network, and returns its update and the tensors that it moves.

Contestant = Callable[[nn.Module], tuple[Update, list[Tensor]]]


def flat_lerp(online: nn.Module) -> tuple[Update, list[Tensor]]:
    ours = torch.cat([parameter.detach().flatten() for parameter in online.parameters()])
    sizes = [parameter.numel() for parameter in online.parameters()]
    for parameter, part in zip(online.parameters(), ours.split(sizes), strict=True):
        parameter.data = part.view(parameter.shape)
    theirs = ours.clone()
    parts = zip(theirs.split(sizes), online.parameters(), strict=True)
    return lambda: theirs.lerp_(ours, TAU), [part.view(parameter.shape) for part, parameter in parts]


def foreach_lerp(online: nn.Module) -> tuple[Update, list[Tensor]]:
    ours = [parameter.detach() for parameter in online.parameters()]
    theirs = [tensor.clone() for tensor in ours]
    return lambda: torch._foreach_lerp_(theirs, ours, TAU), theirs


def companion_modules(online: nn.Module) -> tuple[Update, list[Tensor]]:
    target = copy.deepcopy(online)
    return lambda: soft_update(online, target, TAU), list(target.parameters())


def companion_lists(online: nn.Module) -> tuple[Update, list[Tensor]]:
    ours, theirs = list(online.parameters()), list(copy.deepcopy(online).parameters())
    return lambda: soft_update(ours, theirs, TAU), theirs


def companion_target(online: nn.Module) -> tuple[Update, list[Tensor]]:
    target = TargetNetwork(online, tau=TAU)
    return lambda: target.update(online), list(target.module.parameters())


def stable_baselines3(online: nn.Module) -> tuple[Update, list[Tensor]]:
    from stable_baselines3.common.utils import polyak_update

    ours, theirs = list(online.parameters()), list(copy.deepcopy(online).parameters())
    return lambda: polyak_update(ours, theirs, TAU), theirs


def stable_baselines3_as_called(online: nn.Module) -> tuple[Update, list[Tensor]]:
    from stable_baselines3.common.utils import polyak_update

    target = copy.deepcopy(online)
    return lambda: polyak_update(online.parameters(), target.parameters(), TAU), list(target.parameters())


def averaged_model(online: nn.Module) -> tuple[Update, list[Tensor]]:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    target = AveragedModel(online, multi_avg_fn=get_ema_multi_avg_fn(1 - TAU))
    return lambda: target.update_parameters(online), list(target.module.parameters())


def timm(online: nn.Module) -> tuple[Update, list[Tensor]]:
    target = timm_file("utils/model_ema.py").ModelEmaV3(online, decay=1 - TAU)
    return lambda: target.update(online), list(target.module.parameters())


def timm_file(name: str) -> ModuleType:
    """A file of timm by itself: importing ``timm`` asks for torchvision, which its averages do not use."""
    found = importlib.util.find_spec("timm")
    if found is None or found.origin is None:
        raise ModuleNotFoundError("No module named 'timm'")
    path = Path(found.origin).parent / name
    spec = importlib.util.spec_from_file_location(f"timm_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def torchrl(online: nn.Module) -> tuple[Update, list[Tensor]]:
    from tensordict.nn import TensorDictModule, TensorDictParams
    from torchrl.objectives import LossModule, SoftUpdate

    class Loss(LossModule):
        network: TensorDictModule
        network_params: TensorDictParams
        target_network_params: TensorDictParams

        def __init__(self) -> None:
            super().__init__()
            network = TensorDictModule(online, in_keys=["x"], out_keys=["y"])
            self.convert_to_functional(network, "network", create_target_params=True)

    loss = Loss()
    updater = SoftUpdate(loss, tau=TAU)
    targets = [loss.target_network_params.get(("module", *name.split("."))) for name, _ in online.named_parameters()]
    return updater.step, targets


def ema_pytorch(online: nn.Module) -> tuple[Update, list[Tensor]]:
    from ema_pytorch import EMA

    target = EMA(online, beta=1 - TAU, min_value=1 - TAU, update_after_step=0, update_every=1, use_foreach=True)
    return target.update, list(target.ema_model.parameters())


def python_loop(online: nn.Module) -> tuple[Update, list[Tensor]]:
    ours, theirs = list(online.parameters()), list(copy.deepcopy(online).parameters())

    def update() -> None:
        for param, target_param in zip(ours, theirs, strict=True):
            target_param.data.copy_(TAU * param.data + (1 - TAU) * target_param.data)

    return update, theirs


CONTESTANTS: dict[str, Contestant] = {
    "flat `lerp_`": flat_lerp,
    "`torch._foreach_lerp_` on prepared lists": foreach_lerp,
    "companion `soft_update`, modules": companion_modules,
    "companion `soft_update`, lists": companion_lists,
    "companion `TargetNetwork.update`": companion_target,
    "Stable-Baselines3 `polyak_update`, lists": stable_baselines3,
    "Stable-Baselines3 `polyak_update`, as its TD3 calls it": stable_baselines3_as_called,
    "torch `AveragedModel`, `get_ema_multi_avg_fn`": averaged_model,
    "timm `ModelEmaV3`": timm,
    "TorchRL `SoftUpdate`": torchrl,
    "ema-pytorch `EMA`, `use_foreach`": ema_pytorch,
    "a loop with `.data.copy_`, as in CleanRL": python_loop,
}
FLAT, MODULES, LISTS = "flat `lerp_`", "companion `soft_update`, modules", "companion `soft_update`, lists"
TARGET = "companion `TargetNetwork.update`"
SB3 = "Stable-Baselines3 `polyak_update`, lists"
AS_CALLED = "Stable-Baselines3 `polyak_update`, as its TD3 calls it"


def prepare(build: Callable[[], nn.Module], device: torch.device) -> tuple[dict[str, Update], dict[str, str]]:
    """The contestants that can run here, each checked, and for the others the reason why not."""
    updates, absent = {}, {}
    for name, make in CONTESTANTS.items():
        torch.manual_seed(0)
        online = build().to(device)
        try:
            update, targets = make(online)
        except ImportError as error:
            absent[name] = str(error).splitlines()[0]
            continue
        for _ in range(3):  # some begin with a copy
            update()
        with torch.no_grad():
            for parameter in online.parameters():
                parameter.add_(1.0)
        update()
        off = max(
            (theirs - (ours - (1 - TAU))).abs().max().item()
            for ours, theirs in zip(online.parameters(), targets, strict=True)
        )
        if off > 1e-5:
            raise AssertionError(f"{name} is {off:.2g} off target ← tau·online + (1 − tau)·target")
        updates[name] = update
    return updates, absent


def race(updates: dict[str, Update], turns: int, calls: int) -> dict[str, list[float]]:
    """Seconds a call, turn by turn."""
    seconds: dict[str, list[float]] = {name: [] for name in updates}
    gc.collect()
    gc.disable()
    for turn in range(-3, turns):  # three to warm up
        for name, update in updates.items():
            begin = time.perf_counter()
            for _ in itertools.repeat(None, calls):
                update()
            if turn >= 0:
                seconds[name].append((time.perf_counter() - begin) / calls)
    gc.enable()
    return seconds


def beside(seconds: dict[str, list[float]], name: str, other: str) -> float:
    """Median over the turns of the ratio of two contestants: what slows a turn slows both."""
    return statistics.median(mine / its for mine, its in zip(seconds[name], seconds[other], strict=True))


def table(title: str, seconds: dict[str, list[float]], absent: dict[str, str]) -> None:
    unit, scale = ("µs", 1e6) if statistics.median(seconds[FLAT]) < 1e-3 else ("ms", 1e3)
    print(f"\n### {title}\n\n| update | {unit} | of the flat `lerp_` | of SB3's |\n|---|--:|--:|--:|")
    for name in CONTESTANTS:
        if name in absent:
            print(f"| {name} | not importable: {absent[name]} | | |")
            continue
        beside_sb3 = f"{beside(seconds, name, SB3):.2f}" if SB3 in seconds else ""
        time_each = statistics.median(seconds[name]) * scale
        print(f"| {name} | {time_each:.1f} | {beside(seconds, name, FLAT):.2f} | {beside_sb3} |")


def verdict(claim: str, value: float, met: bool) -> None:
    print(f"- {claim}: {value:.2f}, {'met' if met else 'NOT met'}")


def on_cpu(turns: int) -> None:
    print("\n## One CPU thread")
    updates, absent = prepare(td3, torch.device("cpu"))
    # Calls enough in a turn that what the contestant before left in the caches is forgotten.
    small = race(updates, turns, calls=200)
    table("216,328 parameters in 18 tensors (TD3)", small, absent)
    updates, absent = prepare(resnet50, torch.device("cpu"))
    large = race(updates, max(5, turns // 5), calls=1)
    table("25,557,032 parameters in 161 tensors (ResNet-50)", large, absent)
    print()
    if SB3 in small:
        times = beside(small, SB3, TARGET)
        verdict("TargetNetwork.update, times as fast as SB3 at 216k, 3 wanted", times, times >= 3)
        for ours, theirs in ((MODULES, AS_CALLED), (LISTS, SB3)):
            ratio = beside(small, ours, theirs)
            verdict(f"{ours}, of the time of {theirs} at 216k, 1 allowed", ratio, ratio <= 1)
    for name, size, seconds, most in (
        (TARGET, "216k", small, 1.8),
        (TARGET, "25M", large, 1.15),
        (MODULES, "25M", large, 1.15),
        (LISTS, "25M", large, 1.15),
    ):
        ratio = beside(seconds, name, FLAT)
        verdict(f"{name}, times the flat lerp_ at {size}, {most} allowed", ratio, ratio <= most)
    adam(turns)


def adam(turns: int) -> None:
    """Print what the fused kernel buys where Adam moves its two averages."""
    print("\n## Adam's two averages, 216,328 parameters, one CPU thread\n")
    updates: dict[str, Update] = {}
    for step in (plain_step, fused_step):
        gradient, first, second = torch.randn(216_328), torch.zeros(216_328), torch.zeros(216_328)
        updates[step.__name__] = partial(step, gradient, first, second, torch.tensor(1000.0), (0.9, 0.999), 1e-8)
    seconds = race(updates, turns, calls=20)
    print("| step | µs |\n|---|--:|")
    for name, each in seconds.items():
        print(f"| {name} | {statistics.median(each) * 1e6:.0f} |")
    print(f"\n- times as fast as the plain form: {beside(seconds, 'plain_step', 'fused_step'):.2f}")


def on_gpu(turns: int, device: torch.device) -> None:
    """Print the table of a GPU; on the CPU it shows no more than that this runs."""
    gpu = device.type == "cuda"
    print(f"\n## {torch.cuda.get_device_name() if gpu else device}")
    updates, absent = prepare(resnet50, device)
    from torch.profiler import ProfilerActivity, profile

    def gpu_seconds(work: Update) -> float:
        if not gpu:
            return timeit.timeit(work, number=turns) / turns
        times = []
        for _ in range(turns):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            work()
            end.record()
            torch.cuda.synchronize()
            times.append(begin.elapsed_time(end) / 1e3)
        return statistics.median(times)

    with profile(activities=[ProfilerActivity.CUDA if gpu else ProfilerActivity.CPU]) as profiled:
        updates[MODULES]()
        if gpu:
            torch.cuda.synchronize()
    launched_on = torch.autograd.DeviceType.CUDA if gpu else torch.autograd.DeviceType.CPU
    launches = sum(event.count for event in profiled.key_averages() if event.device_type == launched_on)
    source = torch.randn(2**28, device=device)  # 1 GiB
    copied = torch.empty_like(source)
    bandwidth = 2 * source.nbytes / gpu_seconds(lambda: copied.copy_(source))
    limit = 12 * 25_557_032 / bandwidth  # two reads and a write of fp32
    table("25,557,032 parameters in 161 tensors (ResNet-50)", {n: [gpu_seconds(u)] for n, u in updates.items()}, absent)
    print(f"\nA copy of 1 GiB moves {bandwidth / 1e9:.0f} GB/s; at that rate an update takes {limit * 1e6:.0f} µs.\n")
    verdict("launches at 25M, 1 wanted", launches, launches == 1)
    ratio = gpu_seconds(updates[MODULES]) / limit
    verdict("times the memory-bandwidth limit at 25M, 1.2 allowed", ratio, ratio <= 1.2)


def main() -> None:
    parser = argparse.ArgumentParser(description="What one soft update costs, beside other libraries.")
    parser.add_argument("--turns", type=int, default=100, help="turns that each contestant takes")
    parser.add_argument("--gpu", nargs="?", const="cuda", metavar="DEVICE", help=GPU_HELP)
    asked = parser.parse_args()
    turns = asked.turns
    torch.set_num_threads(1)
    packages = ("stable-baselines3", "timm", "torchrl", "ema-pytorch")
    installed = {each.metadata["Name"].replace("_", "-"): each.version for each in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {installed.get(name, 'absent')}" for name in packages)
    print(f"# One soft update\n\ntorch {torch.__version__}, {versions}; Python {platform.python_version()}")
    if not asked.gpu:
        on_cpu(turns)
    if asked.gpu or torch.cuda.is_available():
        on_gpu(turns, torch.device(asked.gpu or "cuda"))


if __name__ == "__main__":
    main()
