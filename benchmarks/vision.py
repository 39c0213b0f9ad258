"""Self-supervision on pictures: this package's BYOL and MoCo against lightly's, and its augmentation against kornia's.

    OMP_NUM_THREADS=2 python benchmarks/vision.py

First both libraries' losses are held against each other, MoCo's over a run in which each keeps its own queue. Then
whole BYOL steps are timed, from pictures to the soft update, with one encoder, batch and optimizer for all: this
package's, and one put together from lightly's transforms on PIL pictures, a ``DataLoader``, and lightly's heads, loss
and ``update_momentum``. No blur and no solarisation, and no normalisation of the pictures, which the encoder does. Then
the augmentation by itself, members trained in turn against members as grouped convolutions, and what is reached of the
machine's limit, the rate at which it multiplies batches of large matrices, measured in the same run. A step's
floating-point operations are those of its convolutions and products of matrices, counted by torch; the augmentation
and all else count as nothing.

Contestants take turns, so that whatever else the machine does falls on all alike. Printed are medians over the turns:
of the time, and of the ratio of two in the same turn.
"""

import argparse
import gc
import importlib
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from itertools import count, product, repeat
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, RandomSampler
from torch.utils.data import Dataset as TorchDataset
from torch.utils.flop_counter import FlopCounterMode

from companion import vision
from companion.vision import byol, moco
from companion.vision.encoders import make_encoder
from companion.vision.loop import Training
from companion.vision.momentum import unit
from companion.vision.training import ALGORITHMS

SIDES, BATCHES = (16, 32), (128, 256)
PICTURES = 10_000
HIDDEN, EMBEDDING = 128, 64
TAU = 0.01
HOW = vision.Augmentation()  # for photographs
TURNS, WARM_UP, SECONDS = 5, 3, 1.0  # turns; of each: steps before the clock starts, and the least time it runs
ENDLESS = 10**9
MEMBERS = (2, 4)
ROUNDING = 32 * torch.finfo(torch.float32).eps
GPU_BATCH, GPU_STEPS = 512, 200
GPU_HELP = "only the table of ResNet-18; on another device, cpu, to try it out"
GPU_GOAL = 50_000 * 200 / 600  # images a second: 200 epochs of CIFAR-10 in ten minutes

OURS, KEPT = "companion", "companion, on views that are kept"
LIGHTLY = {workers: f"lightly, {workers} workers" for workers in (0, 2)}
LIGHTLY_KEPT = "lightly, on views that are kept"

Step = Callable[[], object]


def why_not(*modules: str) -> str:
    """Why one of the modules cannot be imported; empty if all can."""
    try:
        for module in modules:
            importlib.import_module(module)
    except (ImportError, RuntimeError) as error:  # torchvision beside another torch raises the second
        return str(error).splitlines()[0]
    return ""


NO_LIGHTLY = why_not("lightly.loss", "lightly.transforms", "lightly.models.modules.heads", "lightly.models.utils")
NO_KORNIA = why_not("kornia.augmentation")


def random_pictures(side: int, many: int = PICTURES) -> Tensor:
    return torch.randint(256, (many, 3, side, side), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))


def race(contestants: dict[str, Callable[[], Step]], shrink: float) -> dict[str, list[float]]:
    """Seconds a step, turn by turn. Each turn builds its contestant anew, and no two are there at once."""
    turns, seconds = max(1, round(TURNS / shrink)), SECONDS / shrink
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(turns):
        for name, build in contestants.items():
            step = build()
            for _ in range(WARM_UP):
                step()
            gc.collect()
            began, steps = time.perf_counter(), 0
            while (passed := time.perf_counter() - began) < seconds:
                step()
                steps += 1
            times[name].append(passed / steps)
            del step  # and with it the processes that load pictures
            gc.collect()
    return times


def beside(times: dict[str, list[float]], name: str, other: str) -> float:
    """Median over the turns of the ratio of two contestants' times."""
    return statistics.median(mine / its for mine, its in zip(times[name], times[other], strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# The losses


def compare_losses() -> None:
    """Print how far the libraries' losses and gradients lie apart, and stop where that is more than rounding."""
    print("\n### Losses\n")
    if NO_LIGHTLY:
        print(f"Not compared: lightly cannot be imported: {NO_LIGHTLY}.")
        return
    from lightly.loss import NegativeCosineSimilarity, NTXentLoss

    print(
        "lightly's BYOL loss is −cos; this book's is equation 2 of the paper, 2 − 2·cos, which is twice that and 2.\n"
    )
    print("| loss | companion | lightly | apart | gradients apart |\n| --- | ---: | ---: | ---: | ---: |")

    def row(name: str, query: Tensor, ours: Tensor, theirs: Tensor) -> None:
        slope, its = (torch.autograd.grad(loss, query, retain_graph=True)[0] for loss in (ours, theirs))
        apart = ((ours - theirs).abs() / theirs.abs()).item()
        slopes_apart = ((slope - its).abs().max() / its.abs().max()).item()
        print(f"| {name} | {ours:.6f} | {theirs:.6f} | {apart:.1e} | {slopes_apart:.1e} |")
        if max(apart, slopes_apart) > ROUNDING:
            raise AssertionError(f"{name}: the two are more than rounding ({ROUNDING:.1e}) apart")

    torch.manual_seed(0)
    first, second, queue = (torch.randn(many, EMBEDDING) for many in (256, 256, 1024))
    first.requires_grad_()
    row("BYOL", first, byol.loss(first, second), 2 * NegativeCosineSimilarity()(first, second) + 2)
    theirs = NTXentLoss(temperature=0.2, memory_bank_size=(1024, EMBEDDING))
    theirs.memory_bank.bank.copy_(unit(queue))
    row("MoCo", first, moco.loss(unit(first), unit(second), unit(queue), 0.2), theirs(first, second))

    # A run of 14 batches, three and a half times round the queue. Both queues hold what was pushed before the batch.
    # They are the same where the queue is a multiple of the batch: at its end lightly's drops what is left of one.
    batch = 128
    learner: Any = vision.make_learner("moco", queue_size=4 * batch, embedding=EMBEDDING, batch_size=batch)
    views = vision.Views(random_pictures(16), HOW, batch_size=batch, seed=0, shuffle=True)
    optimizer = torch.optim.AdamW(learner.online.parameters(), lr=2e-3)
    theirs = NTXentLoss(temperature=learner.settings.temperature, memory_bank_size=(4 * batch, EMBEDDING))
    theirs.memory_bank.bank.copy_(learner.queue)
    for step in range(1, 15):
        pair = views(step)
        queries = learner.online(pair.first)
        ours = moco.loss(unit(queries), keys := learner.keys(pair), learner.queue, learner.settings.temperature)
        its = theirs(queries, keys)
        if step == 14:
            row("MoCo, the last of 14 steps", queries, ours, its)
        elif (ours - its).abs() > ROUNDING * its:
            raise AssertionError(f"MoCo, step {step}: {ours.item()} and {its.item()} are more than rounding apart")
        optimizer.zero_grad()
        learner(pair).backward()
        optimizer.step()
        learner.follow()
    torch.testing.assert_close(theirs.memory_bank.bank, learner.queue, rtol=0, atol=ROUNDING)


# ---------------------------------------------------------------------------------------------------------------------
# Steps of BYOL


class Kept:
    """Views that are the same at every step."""

    def __init__(self, views: vision.Views) -> None:
        self.images = views.images
        self.processes = views.processes
        self.pair = views(1)

    def __call__(self, step: int) -> vision.Pair:
        return self.pair


def ours(images: Tensor, batch: int, *, kept: bool = False, algorithm: str = "byol", encoder: str = "small") -> Step:
    """A training step of this package."""
    settings = {"encoder": encoder, "batch_size": batch, "hidden": HIDDEN, "embedding": EMBEDDING, "tau": TAU}
    learner = vision.make_learner(algorithm, updates=ENDLESS, **settings).to(images.device)
    views: Any = vision.Views(
        images, HOW, batch_size=batch, seed=0, shuffle=getattr(learner.settings, "shuffle", False)
    )
    training = Training(learner, Kept(views) if kept else views, ENDLESS)
    number = count(1)
    return lambda: training.step(next(number))


class Transformed(TorchDataset):
    """Two views of each picture, made of PIL pictures by lightly's transforms."""

    def __init__(self, images: Tensor) -> None:
        from lightly.transforms import BYOLTransform, BYOLView1Transform, BYOLView2Transform
        from PIL import Image

        self.pictures = [Image.fromarray(image.permute(1, 2, 0).contiguous().numpy()) for image in images]
        own = {
            "input_size": images.shape[-1],
            "min_scale": HOW.least_area,
            "hf_prob": HOW.flip,
            "cj_prob": HOW.jitter,
            "cj_bright": HOW.brightness,
            "cj_contrast": HOW.contrast,
            "cj_sat": HOW.saturation,
            "cj_hue": HOW.hue,
            "random_gray_scale": HOW.grayscale,
            "gaussian_blur": HOW.blur,
            "solarization_prob": HOW.solarize,
            "normalize": None,
        }
        self.transform = BYOLTransform(BYOLView1Transform(**own), BYOLView2Transform(**own))

    def __len__(self) -> int:
        return len(self.pictures)

    def __getitem__(self, index: int) -> list[Tensor]:
        return self.transform(self.pictures[index])


def loaded(pictures: Transformed, batch: int, workers: int) -> Iterator[list[Tensor]]:
    """Batches without end, so that no epoch's first batch is waited for."""
    sampler = RandomSampler(pictures, replacement=True, num_samples=ENDLESS)
    return iter(DataLoader(pictures, batch, sampler=sampler, num_workers=workers, drop_last=True))


def lightly_networks() -> tuple[nn.Module, nn.Module, nn.Module]:
    """Online network, predictor, and slow copy."""
    from lightly.models.modules.heads import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad

    encoder = make_encoder("small")
    online = nn.Sequential(encoder, BYOLProjectionHead(encoder.width, HIDDEN, EMBEDDING))
    target = deepcopy(online)
    deactivate_requires_grad(target)
    return online, BYOLPredictionHead(EMBEDDING, HIDDEN, EMBEDDING), target


def lightlys(batches: Iterable[list[Tensor]]) -> Step:
    """A training step put together from lightly's pieces, as in its BYOL example."""
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.utils import update_momentum

    online, predictor, target = lightly_networks()
    loss_of = NegativeCosineSimilarity()
    optimizer = torch.optim.AdamW(
        [*online.parameters(), *predictor.parameters()], lr=2e-3, weight_decay=0.0, fused=True
    )
    batches = iter(batches)

    def step() -> None:
        first, second = next(batches)
        update_momentum(online, target, 1 - TAU)
        with torch.no_grad():
            of_first, of_second = target(first), target(second)
        loss = 0.5 * (loss_of(predictor(online(first)), of_second) + loss_of(predictor(online(second)), of_first))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def operations(side: int, algorithm: str = "byol", encoder: str = "small") -> float:
    """Floating-point operations of a picture in a training step: both networks forward, the online one backward."""
    learner = vision.make_learner(algorithm, encoder=encoder, hidden=HIDDEN, embedding=EMBEDDING)
    views = vision.Views(random_pictures(side, 8), HOW, batch_size=8, seed=0)(1)
    with FlopCounterMode(display=False) as counter:
        learner(views).backward()
    return counter.get_total_flops() / 8


def compare_steps(limit: float, shrink: float) -> tuple[list[str], dict[int, float]]:
    """Print the table of steps; return what it says, and the time of a step without augmentation by side (256)."""
    print("\n### Steps of BYOL, small encoder\n")
    print(
        "| pictures | batch | what | images/s | time, of companion's | of the limit |\n"
        "| --- | ---: | --- | ---: | ---: | ---: |"
    )
    if not NO_LIGHTLY:
        sizes = [sum(weight.numel() for weight in network.parameters()) for network in lightly_networks()]
        own: Any = vision.make_learner("byol", hidden=HIDDEN, embedding=EMBEDDING)
        assert sizes[0] + sizes[1] == sum(
            weight.numel() for group in own.parameter_groups() for weight in group["params"]
        )
    findings, rest = [], {}
    for side, batch in product(SIDES, BATCHES):
        images, work = random_pictures(side), operations(side)
        contestants: dict[str, Callable[[], Step]] = {
            OURS: lambda images=images, batch=batch: ours(images, batch),
            KEPT: lambda images=images, batch=batch: ours(images, batch, kept=True),
        }
        if not NO_LIGHTLY:
            pictures = Transformed(images)
            one = next(loaded(pictures, batch, 0))
            for workers, name in LIGHTLY.items():
                contestants[name] = lambda batch=batch, workers=workers, pictures=pictures: lightlys(
                    loaded(pictures, batch, workers)
                )
            contestants[LIGHTLY_KEPT] = lambda one=one: lightlys(repeat(one))
        times = race(contestants, shrink)
        rest[side] = statistics.median(times[KEPT])
        for name in (OURS, *LIGHTLY.values(), KEPT, LIGHTLY_KEPT):
            place = f"| {side}×{side} | {batch} | {name} |"
            if name not in times:
                print(f"{place} not importable: {NO_LIGHTLY} | | |")
                continue
            rate = batch / statistics.median(times[name])
            print(f"{place} {rate:,.0f} | {beside(times, name, OURS):.2f} | {rate * work / limit:.1%} |", flush=True)
        if not NO_LIGHTLY:
            ratio = min(beside(times, name, OURS) for name in LIGHTLY.values())
            met = "met" if ratio >= 1 else "NOT met"
            findings.append(
                f"BYOL at {side}×{side}, batch {batch}: {ratio:.2f} times the images a second of lightly with the "
                f"better number of workers (the figure to reach: 1; {met}), and "
                f"{beside(times, LIGHTLY_KEPT, KEPT):.2f} times with the views of both kept."
            )
    return findings, rest


def memory(side: int, batch: int, what: str) -> float:
    """Bytes that training adds to this process's resident memory, at its peak."""
    images = random_pictures(side)
    pictures = Transformed(images) if what == "lightly" else None
    Path("/proc/self/clear_refs").write_text("5")  # forget the peak so far
    before = resident("VmRSS")
    step = ours(images, batch) if pictures is None else lightlys(loaded(pictures, batch, 0))
    for _ in range(2 * WARM_UP):
        step()
    return resident("VmHWM") - before


def resident(what: str) -> int:
    """Bytes, by Linux's account. (getrusage's peak is inherited from the process that started this one.)"""
    return next(1024 * int(line.split()[1]) for line in Path("/proc/self/status").open() if line.startswith(what))


def compare_memory() -> None:
    print("\n### Memory of a step of BYOL, small encoder, a process each\n")
    if sys.platform != "linux":
        print("Not measured: it is read from Linux's account of a process.")
        return
    print("| pictures | batch | what | added by training |\n| --- | ---: | --- | ---: |")
    for side, batch, what in product(SIDES, BATCHES, ("companion", "lightly")):
        place = f"| {side}×{side} | {batch} | {what} |"
        if what == "lightly" and NO_LIGHTLY:
            print(f"{place} not importable: {NO_LIGHTLY} |")
            continue
        arguments = json.dumps({"side": side, "batch": batch, "what": what})
        answer = json.loads(subprocess.check_output([sys.executable, __file__, "--memory", arguments], text=True))
        print(f"{place} {answer / 2**20:,.0f} MiB |", flush=True)


# ---------------------------------------------------------------------------------------------------------------------
# Augmentation


def kornias(images: Tensor, batch: int, cropping: str) -> Step:
    """Two views of each picture of a batch, by kornia's chain of the same changes."""
    import kornia.augmentation as kornia

    side = images.shape[-1]
    chain = kornia.AugmentationSequential(
        kornia.RandomResizedCrop(
            (side, side), scale=(HOW.least_area, 1.0), ratio=(3 / 4, 4 / 3), cropping_mode=cropping
        ),
        kornia.RandomHorizontalFlip(p=HOW.flip),
        kornia.ColorJitter(HOW.brightness, HOW.contrast, HOW.saturation, HOW.hue, p=HOW.jitter),
        kornia.RandomGrayscale(p=HOW.grayscale),
        data_keys=["input"],
    )

    def step() -> None:
        chosen = images[torch.randint(len(images), (batch,))] / 255
        chain(chosen)
        chain(chosen)

    return step


def our_views(images: Tensor, batch: int) -> Step:
    views, number = vision.Views(images, HOW, batch_size=batch, seed=0), count(1)
    return lambda: views(next(number))


def lightlys_views(pictures: Transformed, batch: int) -> Step:
    batches = loaded(pictures, batch, 0)
    return lambda: next(batches)


def compare_augmentation(rest: dict[int, float], shrink: float) -> list[str]:
    """Print what two views of a batch take by themselves, given the rest of a step; return what the table says."""
    batch = BATCHES[-1]
    print(f"\n### Augmentation: two views of a batch of {batch}\n")
    print("| pictures | what | ms | of companion's | of a step of BYOL with it |\n| --- | --- | ---: | ---: | ---: |")
    absent = {
        "kornia, crops resampled": NO_KORNIA,
        "kornia, crops sliced": NO_KORNIA,
        "lightly, one process": NO_LIGHTLY,
    }
    findings = []
    for side in SIDES:
        images = random_pictures(side)
        contestants: dict[str, Callable[[], Step]] = {OURS: lambda images=images: our_views(images, batch)}
        if not NO_KORNIA:
            contestants["kornia, crops resampled"] = lambda images=images: kornias(images, batch, "resample")
            contestants["kornia, crops sliced"] = lambda images=images: kornias(images, batch, "slice")
        if not NO_LIGHTLY:
            pictures = Transformed(images)
            contestants["lightly, one process"] = lambda pictures=pictures: lightlys_views(pictures, batch)
        times = race(contestants, shrink)
        for name in (OURS, *absent):
            if name not in times:
                print(f"| {side}×{side} | {name} | not importable: {absent[name]} | | |")
                continue
            each = statistics.median(times[name])
            share = each / (each + rest[side])
            print(
                f"| {side}×{side} | {name} | {1e3 * each:.1f} | {beside(times, name, OURS):.2f} | {share:.0%} |",
                flush=True,
            )
        if not NO_KORNIA:
            ratio = min(beside(times, name, OURS) for name in times if name.startswith("kornia"))
            findings.append(f"Augmentation at {side}×{side}: kornia's chain takes {ratio:.1f} times as long.")
    return findings


# ---------------------------------------------------------------------------------------------------------------------
# Members in turn, or together


def grouped(members: list[nn.Module]) -> nn.Module:
    """Encoders of one architecture as one network: a group of channels each."""
    layers: list[nn.Module] = []
    for like in zip(*(member.layers for member in members), strict=True):
        joined = deepcopy(like[0])
        for name, _ in like[0].named_parameters():
            setattr(joined, name, nn.Parameter(torch.cat([dict(layer.named_parameters())[name] for layer in like])))
        for name, _ in like[0].named_buffers():
            setattr(joined, name, torch.cat([dict(layer.named_buffers())[name] for layer in like]))
        if isinstance(joined, nn.Conv2d):
            joined.groups = len(members)
        layers.append(joined)
    return nn.Sequential(*layers)


def compare_members(shrink: float) -> list[str]:
    """Print what a member's encoder takes, trained by itself or with others; return what the table says."""
    batch = BATCHES[0]
    print(f"\n### Members in turn, or as one program of grouped convolutions: the small encoder, batch {batch}\n")
    print("Forward and backward, ms a member; grouped in either memory format.\n")
    print("| pictures | members | in turn | grouped | grouped, channels last | the better of in turn |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    findings = []
    for side, many in product(SIDES, MEMBERS):
        torch.manual_seed(0)
        members = [make_encoder("small") for _ in range(many)]
        together = {
            "grouped": grouped(members).to(memory_format=torch.contiguous_format),
            "grouped, channels last": grouped(members).to(memory_format=torch.channels_last),
        }
        images = [torch.rand(batch, 3, side, side) for _ in range(many)]
        joined = torch.cat([4 * image - 2 for image in images], 1)
        inputs = {
            "grouped": joined,
            "grouped, channels last": joined.contiguous(memory_format=torch.channels_last),
        }
        expected = torch.cat([member(image) for member, image in zip(members, images, strict=True)], 1)
        for name, network in together.items():
            torch.testing.assert_close(network(inputs[name]).mean((2, 3)), expected, rtol=1e-4, atol=1e-5)

        def in_turn(members: list[nn.Module] = members, images: list[Tensor] = images) -> None:
            for member, image in zip(members, images, strict=True):
                member(image).square().mean().backward()

        def at_once(network: nn.Module, batch_of_all: Tensor) -> Step:
            return lambda: network(batch_of_all).mean((2, 3)).square().mean().backward()

        contestants: dict[str, Callable[[], Step]] = {"in turn": lambda step=in_turn: step}
        for name, network in together.items():
            contestants[name] = lambda network=network, name=name, inputs=inputs: at_once(network, inputs[name])
        times = race(contestants, shrink)
        better = min(beside(times, name, "in turn") for name in together)
        columns = " | ".join(f"{1e3 * statistics.median(each) / many:.2f}" for each in times.values())
        print(f"| {side}×{side} | {many} | {columns} | {better:.2f} |", flush=True)
        findings.append(
            f"{many} members at {side}×{side}, as grouped convolutions: {better:.2f} times the time in turn."
        )
    return findings


# ---------------------------------------------------------------------------------------------------------------------


def matrix_rate(device: str, dtype: torch.dtype) -> float:
    """Floating-point operations a second in the product of batches of large matrices; the best of several."""
    many, size = (8, 768) if device == "cpu" else (16, 4096)
    a, b = (torch.randn(many, size, size, device=device, dtype=dtype) for _ in range(2))
    rates = []
    for _ in range(8):
        synchronize(device)
        began = time.perf_counter()
        torch.bmm(a, b)
        synchronize(device)
        rates.append(2 * many * size**3 / (time.perf_counter() - began))
    return max(rates)


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize()


def on_gpu(shrink: float, device: str = "cuda") -> None:
    """Print the table of ResNet-18, where there is a GPU."""
    size = max(2, int(GPU_BATCH / shrink)) if device == "cpu" else GPU_BATCH
    print(f"\n### ResNet-18 on a GPU: pictures of 32×32, bf16, batch {size}\n")
    if device == "cuda" and not torch.cuda.is_available():
        print("Not measured: this machine has no GPU.")
        return
    limit = matrix_rate(device, torch.bfloat16)
    print(
        f"{torch.cuda.get_device_name() if device == 'cuda' else device}; the limit, batches of large bf16 matrices, "
        f"is {limit / 1e12:,.1f} TFLOP/s.\n"
    )
    print("| what | images/s | of the limit | peak memory | compiling |\n| --- | ---: | ---: | ---: | ---: |")
    images = random_pictures(32).to(device)
    for algorithm, kept in product(ALGORITHMS, (False, True)):
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        step = ours(images, size, kept=kept, algorithm=algorithm, encoder="resnet18")
        began = time.perf_counter()
        for _ in range(2 * WARM_UP):
            step()
        synchronize(device)
        compiling = time.perf_counter() - began
        steps = max(1, int(GPU_STEPS / shrink))
        began = time.perf_counter()
        for _ in range(steps):
            step()
        synchronize(device)
        rate = size * steps / (time.perf_counter() - began)
        share = rate * operations(32, algorithm, "resnet18") / limit
        used = f"{torch.cuda.max_memory_reserved() / 2**20:,.0f} MiB" if device == "cuda" else ""
        name = algorithm + ", on views that are kept" * kept
        print(f"| {name} | {rate:,.0f} | {share:.1%} | {used} | {compiling:.0f} s |", flush=True)
        del step
        gc.collect()
    print(f"\nThe figure to reach: {GPU_GOAL:,.0f} images a second, 200 epochs of CIFAR-10 in ten minutes.")


def main() -> None:
    parser = argparse.ArgumentParser(description="BYOL and MoCo against lightly, augmentation against kornia.")
    parser.add_argument("--shrink", type=float, default=1, help="divide turns and times, to try this script out")
    parser.add_argument("--gpu", nargs="?", const="cuda", metavar="DEVICE", help=GPU_HELP)
    parser.add_argument("--memory", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.memory:
        print(json.dumps(memory(**json.loads(asked.memory))))
        return
    if asked.gpu:
        on_gpu(asked.shrink, asked.gpu)
        return
    installed = {each.metadata["Name"]: each.version for each in importlib.metadata.distributions()}
    versions = ", ".join(f"{name} {installed.get(name, 'absent')}" for name in ("torchvision", "lightly", "kornia"))
    print(f"torch {torch.__version__}, {versions}; {torch.get_num_threads()} threads, {os.cpu_count()} cores")
    limit = matrix_rate("cpu", torch.float32)
    print(f"The limit, batches of large float32 matrices: {limit / 1e9:,.0f} GFLOP/s.")
    for side in SIDES:
        print(f"A picture of {side}×{side} in a step of BYOL, small encoder: {operations(side) / 1e6:.1f} MFLOP.")
    compare_losses()
    findings, rest = compare_steps(limit, asked.shrink)
    findings += compare_augmentation(rest, asked.shrink)
    findings += compare_members(asked.shrink)
    compare_memory()
    on_gpu(asked.shrink)
    print("\n" + "\n".join(f"- {finding}" for finding in findings))


if __name__ == "__main__":
    main()
