"""The book's averages held against other libraries' own, on the same weights.

    OMP_NUM_THREADS=1 python benchmarks/averages.py

A small network with a batch norm walks about at random, and at every step a library's average and the book's both take
it in; optimizers get the same gradients. A row of the table has the largest difference that was seen at any step, and
what rounding may explain. That is derived from float32: an update rounds a sum, a difference, a product and two
weights, and the next ones forget a part of it. Optimizers, whose steps go on from what they rounded, are run in
float64, so that nothing else can hide in it. Where a library counts, starts or treats buffers otherwise than the book,
the last column says how far one is off who takes over the numbers without knowing that, and the text below what there
is to know. The script ends with an error where a difference is beyond rounding, or where a convention that is named
makes none. torch's ``update_bn`` and plain mean are compared in the package's tests, as is pandas' ``ewm``.
"""

from __future__ import annotations

import copy
import importlib.metadata
import inspect
import math
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from averaging import timm_file
from torch import Tensor, nn

from companion import TargetNetwork, posthoc_weights, power, power_gamma, profile_weights, warmup
from companion.averaging import Bank
from companion.averaging.pairing import Buffers
from companion.averaging.schedules import Schedule
from companion.supervised.optimizers import Lookahead, Momentum, ScheduleFree

UPDATES = 300
TAU = 0.05
ROUNDING = torch.finfo(torch.float32).eps / 2
Named = dict[str, Tensor]


@dataclass
class Found:
    """What was measured of one average: each time the largest difference of any number at any step."""

    apart: float
    rounding: float
    unaware: float = math.nan
    """Without the convention; NaN where there is none to know."""
    more: str = ""


def walk(network: nn.Module, drawn: torch.Generator) -> Iterator[int]:
    """Move all that the network has, as training would, and give the number of the step."""
    for step in range(1, UPDATES + 1):
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                if not tensor.is_floating_point():
                    tensor += 1
                elif name.endswith("running_var"):
                    tensor *= torch.exp(0.02 * torch.randn(tensor.shape, generator=drawn))
                else:
                    tensor += 0.1 * torch.randn(tensor.shape, generator=drawn)
        yield step


def small_network() -> tuple[nn.Module, torch.Generator]:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3)), torch.Generator().manual_seed(1)


def floating(network: nn.Module) -> Named:
    return {name: tensor for name, tensor in network.state_dict().items() if tensor.is_floating_point()}


def apart(some: Named, others: Named) -> float:
    """The largest difference of what the first has."""
    return max(float((tensor - others[name]).abs().max()) for name, tensor in some.items())


def rounding(schedule: Schedule, largest: float) -> float:
    """What lies between two averages of numbers up to ``largest``, both computed in float32.

    With the unit roundoff u, an update with the weight tau rounds the sum by u, the difference of two numbers, its
    product with tau and tau itself by 2·tau·u each, and a decay that was kept in float32 by up to 2u, which counts for
    4u; all times ``largest``. Of what was there before it leaves ``1 − tau``.
    """
    error = worst = 0.0
    for count in range(1, UPDATES + 1):
        tau = schedule(count)
        error = (1 - tau) * error + (5 + 6 * tau) * (tau > 0)
        worst = max(worst, error)
    return 2 * ROUNDING * worst * largest


def follow(
    make: Callable[[nn.Module], tuple[Callable[[int], object], Callable[[], Named]]],
    schedule: Schedule,
    unaware: Schedule | None = None,
    buffers: Buffers = "copy",
) -> Found:
    """A library's average beside the book's.

    Args:
        make: Of a network: what takes it into the average, given the number of the step, and what shows the average.
        schedule: The book's weights for the same average.
        unaware: Those that one would take for them.
        buffers: What the book is to do with running statistics.
    """
    network, drawn = small_network()
    update, shown = make(network)
    ours, naive = (TargetNetwork(network, tau=tau, buffers=buffers) for tau in (schedule, unaware or schedule))
    gaps, largest = [(0.0, 0.0)], 0.0
    for step in walk(network, drawn):
        update(step)
        ours.update(network)
        naive.update(network)
        theirs = shown()
        gaps.append((apart(theirs, ours.module.state_dict()), apart(theirs, naive.module.state_dict())))
        largest = max(largest, *(float(each.abs().max()) for each in floating(network).values()))
    off, without = (max(each) for each in zip(*gaps, strict=True))
    return Found(off, rounding(schedule, largest), without if unaware else math.nan)


def first_copies(schedule: Schedule, until: int = 1) -> Schedule:
    """The schedule, begun anew after so many updates that copy."""
    return lambda count: 1.0 if count <= until else schedule(count - until)


# ---------------------------------------------------------------------------------------------------------------------
# What is compared. A docstring says what there is to know; it is printed below the table.


def torch_ema(buffers: Buffers = "copy") -> Found:
    """The first update copies, so that the network which the average was made from is not in it: τ₁ = 1."""
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    def make(network: nn.Module) -> Any:
        average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(1 - TAU), use_buffers=buffers == "average")
        return lambda _: average.update_parameters(network), lambda: floating(average.module)

    return follow(make, first_copies(lambda _: TAU), lambda _: TAU, buffers)


def torch_ema_buffers() -> Found:
    """`use_buffers=False` is the book's `buffers="copy"`, and `True` its `"average"`, but for whole numbers: torch
    averages batch norm's count of batches, too, and cuts it to a whole number each time. The book copies it.
    """
    return torch_ema("average")


def timm_plain() -> Found:
    """Without `step=` nothing is special about the first update. Parameters and floating-point buffers are averaged,
    whole numbers copied: the book's `buffers="average"`, and with `exclude_buffers` its `"copy"`.
    """

    def make(network: nn.Module) -> Any:
        average = timm_file("utils/model_ema.py").ModelEmaV3(network, decay=1 - TAU)
        return lambda _: average.update(network), average.module.state_dict

    return follow(make, lambda _: TAU, buffers="average")


def timm_warm() -> Found:
    """With `step=k`, k = 1, 2, …, which is what its warm-up needs, the first update copies, and so do the next
    `update_after_step`; the book's `warmup` begins after them, at 1. So the decay is 1 − (1 + (k−1)/γ)^−p.
    """

    def make(network: nn.Module) -> Any:
        warm = {"use_warmup": True, "update_after_step": 5}
        average = timm_file("utils/model_ema.py").ModelEmaV3(network, decay=1 - TAU, **warm)
        return lambda step: average.update(network, step=step), average.module.state_dict

    schedule = warmup(TAU, power=2 / 3)
    return follow(make, first_copies(schedule, until=6), schedule, buffers="average")


def diffusers(schedule: Schedule, unaware: Schedule, **settings: Any) -> Found:
    from diffusers.training_utils import EMAModel

    def make(network: nn.Module) -> Any:
        average = EMAModel(network.parameters(), decay=1 - TAU, **settings)
        names = [name for name, _ in network.named_parameters()]
        return (
            lambda _: average.step(network.parameters()),
            lambda: dict(zip(names, average.shadow_params, strict=True)),
        )

    return follow(make, schedule, unaware)


def diffusers_plain() -> Found:
    """The first update copies; the k-th has the decay k/(9 + k) as long as that is below `decay`. Written as
    (1 + n)/(10 + n), n is k − 1. It averages parameters; buffers it does not have.
    """
    return diffusers(first_copies(lambda k: max(TAU, 9 / (10 + k))), lambda k: max(TAU, 9 / (10 + k)))


def diffusers_warm() -> Found:
    """As timm's: the first update copies, and so do the next `update_after_step`, whatever `min_decay` says."""
    schedule = warmup(TAU, gamma=2.0, power=3 / 4)
    warm = {"use_ema_warmup": True, "inv_gamma": 2.0, "power": 3 / 4, "update_after_step": 5, "min_decay": 0.5}
    capped: Schedule = lambda k: min(0.5, schedule(k))  # noqa: E731
    return diffusers(first_copies(capped, until=6), capped, **warm)


def ema_pytorch(schedule: Schedule, unaware: Schedule, **settings: Any) -> Found:
    from ema_pytorch import EMA

    def make(network: nn.Module) -> Any:
        average = EMA(network, beta=1 - TAU, **settings)
        return lambda _: average.update(), lambda: floating(average.ema_model)

    return follow(make, schedule, unaware, "average")


def ema_pytorch_warm() -> Found:
    """With `update_every=1` and `update_after_step=0`, as timm's: the first call copies. Floating-point buffers are
    averaged; whole numbers stay what they were at the start. The decay is kept in float32.
    """
    schedule = warmup(TAU, power=2 / 3)
    return ema_pytorch(first_copies(schedule), schedule, update_every=1, update_after_step=0)


def ema_pytorch_defaults() -> Found:
    """As it comes, with `update_every=10` and `update_after_step=100`: it moves at calls 1, 11, 21, …, where the book's
    `every=10` does at 10, 20, 30, …; up to call 101 it copies; and its warm-up then counts calls, nine in ten of which
    move nothing: (call − 101), not the number of moves.
    """
    schedule = warmup(TAU, power=2 / 3)

    def theirs(call: int) -> float:
        if (call - 1) % 10:
            return 0.0
        return 1.0 if call <= 101 else schedule(call - 101)

    def moves(call: int) -> float:
        return 0.0 if call % 10 else first_copies(schedule, until=10)(call // 10)

    return ema_pytorch(theirs, moves)


WIDTHS, WANTED = (0.05, 0.10), 0.075


def karras(call: int, width: float, every: int = 1) -> float:
    """ema-pytorch's power function in the book's: the first call copies, then it is one ahead; and it counts calls."""
    if (call - 1) % every:
        return 0.0
    return 1.0 if call == 1 else power(power_gamma(width))(call + 1)


def karras_ema(every: int) -> Found:
    from ema_pytorch.post_hoc_ema import KarrasEMA

    def make(network: nn.Module) -> Any:
        average = KarrasEMA(network, sigma_rel=WIDTHS[1], update_every=every)
        return lambda _: average.update(), lambda: floating(average.ema_model)

    meant = power(power_gamma(WIDTHS[1]))
    return follow(
        make,
        partial(karras, width=WIDTHS[1], every=every),
        lambda call: 0.0 if (call - 1) % every else meant((call - 1) // every + 1),
        "average",
    )


def karras_each() -> Found:
    """The decay of call k is (1 − 1/(k + 1))^(γ+1), where the paper and `power` have (1 − 1/k)^(γ+1): one ahead. The
    profile of weights is the same power of time but for that one step; γ comes of `sigma_rel` as in `power_gamma`.
    """
    return karras_ema(every=1)


def karras_seldom() -> Found:
    """With `update_every=N`, which is 100 unless it is set, γ is still that of single steps, though it moves at calls
    1, N + 1, 2N + 1, … alone. So the profile is another one: bug museum, 5.
    """
    found = karras_ema(every=10)
    sits = {}
    for every in (1, 10, 100):
        weights = profile_weights(partial(karras, width=WIDTHS[1], every=every), 10_000)
        sits[every] = f"{weights @ np.arange(10_001) / 10_000:.0%}"
    text = ", ".join(f"{where} at {every}" for every, where in sits.items())
    found.more = f"Its mean place in a run of 10,000 calls, at `sigma_rel={WIDTHS[1]}`: {text}."
    return found


def snapshots() -> tuple[list[int], list[float]]:
    steps = range(25, UPDATES + 1, 25)
    return [step for step in steps for _ in WIDTHS], [width for _ in steps for width in WIDTHS]


def solved(times: list[int], widths: list[float]) -> np.ndarray:
    """ema-pytorch's weights of the snapshots."""
    from ema_pytorch.post_hoc_ema import solve_weights

    gammas = [power_gamma(width) for width in widths]
    wanted = torch.tensor([UPDATES]), torch.tensor([power_gamma(WANTED)])
    return solve_weights(torch.tensor(times), torch.tensor(gammas), *wanted).squeeze(1).numpy()


def filled(weights: np.ndarray) -> np.ndarray:
    return np.pad(weights, (0, UPDATES + 1 - len(weights)))


def posthoc_model() -> Found:
    """What `synthesize_ema_model` gives is the iterates weighted by its weights of the snapshots times the profiles of
    those, as `profile_weights` has them. Snapshots are rounded to float16 on disk unless `checkpoint_dtype` says
    otherwise, which is the difference in the last column.
    """
    from ema_pytorch import PostHocEMA

    network, drawn = small_network()
    keep: dict[str, Any] = {"sigma_rels": WIDTHS, "update_every": 1, "checkpoint_every_num_steps": 25}
    with tempfile.TemporaryDirectory() as folder:
        averages = [
            PostHocEMA(network, checkpoint_folder=f"{folder}/32", checkpoint_dtype=torch.float32, **keep),
            PostHocEMA(network, checkpoint_folder=f"{folder}/16", **keep),
        ]
        iterates = [copy.deepcopy(floating(network))]
        for _ in walk(network, drawn):
            for average in averages:
                average.update()
            iterates.append(copy.deepcopy(floating(network)))
        made, halved = (floating(average.synthesize_ema_model(sigma_rel=WANTED).ema_model) for average in averages)
    times, widths = snapshots()
    shares = solved(times, widths)
    schedules = [partial(karras, width=width) for width in widths]
    profile = shares @ [filled(profile_weights(each, time)) for each, time in zip(schedules, times, strict=True)]
    expected = {
        name: torch.tensordot(torch.from_numpy(profile), torch.stack([each[name] for each in iterates]).double(), 1)
        for name in iterates[0]
    }
    largest = max(float(tensor.abs().max()) for each in iterates for tensor in each.values())
    allowed = sum(abs(share) * rounding(each, largest) for share, each in zip(shares, schedules, strict=True))
    allowed += len(shares) * ROUNDING * float(np.abs(shares).sum()) * largest  # the sum of the snapshots
    return Found(apart(made, expected), float(allowed), apart(halved, expected))


def posthoc_shares() -> Found:
    """The weights that it gives the snapshots are the book's, once they are divided by their sum, which `synthesize`
    does not do: what it makes is off an average by that. It has the paper's integrals of continuous profiles, the book
    sums over the iterates, here 64 to a step; at one to a step they differ by less than a thousandth.
    """
    times, widths = snapshots()
    theirs = solved(times, widths)

    def ours(cells: int) -> np.ndarray:
        schedules = [power(power_gamma(width)) for width in widths]
        kept = [profile_weights(each, cells * time) for each, time in zip(schedules, times, strict=True)]
        return posthoc_weights(kept, profile_weights(power(power_gamma(WANTED)), cells * UPDATES))

    total = theirs.sum()
    allowed = 2 * ROUNDING * float(np.abs(theirs).sum())  # gamma is kept in float32
    found = Found(np.abs(theirs / total - ours(64)).max(), allowed, np.abs(theirs - ours(64)).max())
    single = np.abs(theirs / total - ours(1)).max()
    assert single < 1e-3, single
    found.more = f"Here its weights add up to {total:.4f}; at one to a step the two differ by {single:.0e}."
    return found


# Optimizers: the gradient of a quadratic, taken where the optimizer has put the weights.

RATE, MOMENTUM = 0.2, 0.9
DOUBLE: Any = {"dtype": torch.float64}
Make = Callable[[nn.Parameter], tuple[Any, Callable[[], Tensor]]]


def first_weights() -> Tensor:
    return torch.randn(1, 50, generator=torch.Generator().manual_seed(2), **DOUBLE)


def momentum() -> Tensor:
    return torch.tensor([MOMENTUM], **DOUBLE)


def descend(make: Make, ours: Momentum | ScheduleFree, unaware: Make) -> Found:
    """A library's optimizer beside the book's.

    Args:
        make: Of a parameter: the optimizer, and what shows its answer.
        ours: The book's, of the same first weights.
        unaware: The library's again, in the hands of one who does not know.
    """
    drawn = torch.Generator().manual_seed(0)
    curvature, best = torch.rand(50, generator=drawn, **DOUBLE), torch.randn(50, generator=drawn, **DOUBLE)
    both = [nn.Parameter(first_weights()[0]) for _ in range(2)]
    theirs = [each(weights) for each, weights in zip((make, unaware), both, strict=True)]
    gaps, largest = [(0.0, 0.0)], 0.0
    for step in range(1, UPDATES + 1):
        for (optimizer, _), weights in zip(theirs, both, strict=True):
            weights.grad = curvature * (weights.detach() - best)
            optimizer.step()
        ours.step(curvature * (ours.point - best), torch.tensor([RATE], **DOUBLE), step)
        gaps.append(tuple(float(abs(answer() - ours.answer[0]).max()) for _, answer in theirs))
        largest = max(largest, float(abs(ours.point).max()))
    off, without = (max(each) for each in zip(*gaps, strict=True))
    return Found(off, descent_rounding(largest), without)


def descent_rounding(largest: float) -> float:
    """A generous bound: eight roundings a step on either side, none of which a stable descent makes larger by more
    than momentum adds up, ``1/(1 − β)``.
    """
    return 2 * 8 * UPDATES * torch.finfo(torch.float64).eps / 2 * largest / (1 - MOMENTUM)


def shown_at_x(optimizer: Any, weights: Tensor) -> Tensor:
    """The average, which is in the weights between ``eval()`` and ``train()``."""
    optimizer.eval()
    seen = weights.detach().clone()
    optimizer.train()
    return seen


def schedule_free() -> Found:
    """The same iteration, its step counted from 1: the first average is the first iterate, and not the start. The
    weights hold y while training, and x after `optimizer.eval()`; the last column is for who forgets that. With a rate
    that changes, an iterate counts by the square of the largest rate so far; the book's all count the same.
    """
    from schedulefree import SGDScheduleFree

    def make(weights: nn.Parameter, forgetful: bool = False) -> Any:
        optimizer = SGDScheduleFree([weights], lr=RATE, momentum=MOMENTUM)
        optimizer.train()
        return optimizer, lambda: weights.detach() if forgetful else shown_at_x(optimizer, weights)

    return descend(make, ScheduleFree(first_weights(), momentum()), partial(make, forgetful=True))


def schedule_free_adamw() -> Found:
    """With Adam inside, which the book has not; but its answer is a mean of its own iterates z in the book's sense: a
    `Bank` whose k-th weight is the share of the k-th iterate in the sum of (largest rate so far)². With 50 steps of
    warm-up of the rate that is not the equal mean, which the last column has.
    """
    from schedulefree import AdamWScheduleFree

    warm = 50
    shares = np.minimum(np.arange(1, UPDATES + 1) / warm, 1) ** 2
    tau = shares / shares.cumsum()
    weights = nn.Parameter(first_weights()[0])
    bank = Bank(weights, {"theirs": lambda count: float(tau[count - 1]), "equal": power(0)})
    optimizer = AdamWScheduleFree([weights], lr=0.01, betas=(MOMENTUM, 0.999), warmup_steps=warm)
    optimizer.train()
    gaps, largest = [(0.0, 0.0)], 0.0
    for _ in range(UPDATES):
        weights.grad = weights.detach() - 1
        optimizer.step()
        bank.update(optimizer.state[weights]["z"])
        seen = shown_at_x(optimizer, weights)
        gaps.append(tuple(float(abs(seen - bank[name]).max()) for name in bank.names))
        largest = max(largest, float(abs(seen).max()))
    off, without = (max(each) for each in zip(*gaps, strict=True))
    return Found(off, descent_rounding(largest), without)


def lookahead() -> Found:
    """The same, if `sync_lookahead()` is called before the first step, with gradients there. Otherwise the slow copy
    begins at the first synchronisation, as a copy of the fast weights of step k, which then do not move: the first
    weights are not in it, which is the difference in the last column. Its k is 6; Algorithm 1's values, k = 5 and
    α = 0.5, are the book's. What timm evaluates are the fast weights, the book the slow ones.
    """
    optimizers = timm_file("optim/lookahead.py")

    def make(weights: nn.Parameter, synchronised: bool = True) -> Any:
        first, fast = weights.detach().clone(), torch.optim.SGD([weights], lr=RATE, momentum=MOMENTUM)
        optimizer = optimizers.Lookahead(fast, alpha=Lookahead.tau, k=Lookahead.every)
        if synchronised:
            weights.grad = torch.zeros_like(weights)
            optimizer.sync_lookahead()
        return optimizer, lambda: fast.state[weights].get("lookahead_slow_buff", first)

    return descend(make, Lookahead(first_weights(), momentum()), partial(make, synchronised=False))


COMPARED: dict[str, Callable[[], Found]] = {
    "torch `AveragedModel`, `get_ema_multi_avg_fn`": torch_ema,
    "torch `AveragedModel`, `use_buffers=True`": torch_ema_buffers,
    "timm `ModelEmaV3`": timm_plain,
    "timm `ModelEmaV3`, `use_warmup`": timm_warm,
    "timm `Lookahead`": lookahead,
    "diffusers `EMAModel`": diffusers_plain,
    "diffusers `EMAModel`, `use_ema_warmup`": diffusers_warm,
    "ema-pytorch `EMA`, at every call": ema_pytorch_warm,
    "ema-pytorch `EMA`, as it comes": ema_pytorch_defaults,
    "ema-pytorch `KarrasEMA`, at every call": karras_each,
    "ema-pytorch `KarrasEMA`, at every tenth": karras_seldom,
    "ema-pytorch `PostHocEMA`, the model": posthoc_model,
    "ema-pytorch `PostHocEMA`, weights of snapshots": posthoc_shares,
    "schedulefree `SGDScheduleFree`": schedule_free,
    "schedulefree `AdamWScheduleFree`": schedule_free_adamw,
}


def main() -> None:
    torch.set_num_threads(1)
    installed = {each.metadata["Name"].replace("_", "-"): each.version for each in importlib.metadata.distributions()}
    libraries = ("timm", "diffusers", "ema-pytorch", "schedulefree")
    versions = ", ".join(f"{name} {installed.get(name, 'absent')}" for name in libraries)
    print(f"# The book's averages beside other libraries'\n\ntorch {torch.__version__}, {versions}\n")
    print("| average | apart | rounding allows | who does not know is off by |\n|---|--:|--:|--:|")
    notes, wrong = [], []
    for name, compare in COMPARED.items():
        try:
            found = compare()
        except ImportError as error:
            print(f"| {name} | not importable: {str(error).splitlines()[0]} | | |")
            continue
        unaware = "" if math.isnan(found.unaware) else f"{found.unaware:.1e}"
        print(f"| {name} | {found.apart:.1e} | {found.rounding:.1e} | {unaware} |")
        notes.append(f"- {name}: {' '.join([*inspect.cleandoc(compare.__doc__ or '').split(), *found.more.split()])}")
        if not found.apart <= found.rounding:
            wrong.append(f"{name} is {found.apart:.1e} off the book's average")
        if found.unaware <= found.rounding:
            wrong.append(f"{name}: the convention makes no difference")
    print("\n" + "\n".join(notes))
    if wrong:
        sys.exit("\n".join(["", *wrong]))


if __name__ == "__main__":
    main()
