"""The exercises on averages that generalise: solutions pass, typical wrong answers get their own hints."""

from typing import Any

import numpy as np
import torch
from torch import nn

from companion.exercises.generalise.worth import worth
from tests.exercises.helpers import Wrong


def wrong_start() -> Wrong:
    return {
        "the rest": (lambda decay, n: 1 - decay(n) ** n, "all *other* networks"),
        "one short": (lambda decay, n: float(np.prod([decay(k) for k in range(1, n)])), "one step short"),
        "the last decay": (lambda decay, n: decay(n) ** n, "*last* decay"),
        "from zero": (lambda decay, n: float(np.prod([decay(k) for k in range(n)])), "counts steps from 0"),
    }


def once(n: int, rho: float) -> float:
    j = np.arange(1, n)
    return n**2 / (n + np.sum((n - j) * rho**j))


def wrong_worth() -> Wrong:
    return {
        "the variance": (lambda n, rho: 1 / worth(n, rho), "is asked for is 1/V"),
        "pairs once": (once, "twice"),
        "the limit": (
            lambda n, rho: worth(n, rho) if n < 3 or rho == 0 else n * (1 - rho) / (1 + rho),
            "the limit for long means",
        ),
    }


def with_momentum(momentum: float | None, *, reset: bool, back: float | None = None) -> Any:
    def answer(network: nn.Module, batches: Any) -> None:
        norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
        before = [norm.momentum for norm in norms]
        for norm in norms:
            if reset:
                norm.reset_running_stats()
            norm.momentum = momentum
        network.train()
        with torch.no_grad():
            for batch in batches:
                network(batch)
        for norm, own in zip(norms, before, strict=True):
            norm.momentum = own if back is None else back
        network.eval()

    return answer


def stays_in_training(network: nn.Module, batches: Any) -> None:
    with_momentum(None, reset=True)(network, batches)
    network.train()


def measures_means_alone(network: nn.Module, batches: Any) -> None:
    with_momentum(None, reset=True)(network, batches)
    network.get_buffer("1.running_var").fill_(1.0)


def wrong_repaired_pass() -> Wrong:
    return {
        "None, no reset": (with_momentum(None, reset=False), "far off on purpose"),
        "no variance": (measures_means_alone, "running variance is not"),
        "as it was": (with_momentum(0.0, reset=False), "what it was before"),
        "no reset": (with_momentum(0.1, reset=False), "far off on purpose"),
        "the last batch": (with_momentum(1.0, reset=True), "last batch's mean alone"),
        "torch's momentum": (with_momentum(0.1, reset=True), "no plain mean"),
        "another momentum": (with_momentum(None, reset=True, back=0.1), "momentum of 0.2"),
        "in training mode": (stays_in_training, "in training mode"),
    }


def soup(*, ordered: bool = True, gate: bool = True, half: bool = False, ties: bool = True) -> Any:
    def answer(networks: Any, score: Any) -> Any:
        candidates = sorted(networks, key=score, reverse=True) if ordered else list(networks)
        mean, taken = candidates[0], 1
        for network in candidates[1:]:
            trial = mean + (network - mean) / (2 if half else taken + 1)
            better = score(trial) >= score(mean) if ties else score(trial) > score(mean)
            if better or not gate:
                mean, taken = trial, taken + 1
        return mean

    return answer


def wrong_soup() -> Wrong:
    return {
        "uniform": (soup(gate=False), "taken in all the same"),
        "half each": (soup(half=True), "has half of the soup"),
        "as they come": (soup(ordered=False), "Sort them"),
        "no ties": (soup(ties=False), "no lower"),
    }
