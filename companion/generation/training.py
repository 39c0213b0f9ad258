"""Generators in training, and moving averages of their weights that they never look at."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from companion.averaging import Bank, warmup
from companion.generation.consistency import Consistency, ConsistencySettings
from companion.generation.diffusion import Diffusion, DiffusionSettings
from companion.generation.distances import mean_discrepancy, sliced_wasserstein
from companion.generation.gan import GAN, GANSettings
from companion.generation.settings import AverageSettings, GeneratorSettings
from companion.generation.worlds import WORLDS
from companion.members import Adam, Grid, Noise, Streams, flatten
from companion.runs.experiment import experiment
from companion.runs.options import Options, takes_options
from companion.runs.settings import at_least_one, check, one_of, shape_settings

__all__ = ["METHODS", "Training", "train"]

REAL = 4
"""Real points for each generated one, where their distance is measured."""
KEPT = 256
"""Generated points of each network in the answer, at most."""


class GANRunSettings(GANSettings, AverageSettings):
    """Settings of ``train("gan")``, each of which may be swept."""


class DiffusionRunSettings(DiffusionSettings, AverageSettings):
    """Settings of ``train("diffusion")``, each of which may be swept."""


class ConsistencyRunSettings(ConsistencySettings, AverageSettings):
    """Settings of ``train("consistency")``, each of which may be swept."""


@dataclass(frozen=True)
class Method:
    """A way to learn a generator."""

    learner: Any
    """What learns: made of seeds, settings and a device."""
    settings: type[GeneratorSettings]
    """The learner's own settings."""
    all_settings: type
    """These, and those of the averages."""


METHODS = {
    "gan": Method(GAN, GANSettings, GANRunSettings),
    "diffusion": Method(Diffusion, DiffusionSettings, DiffusionRunSettings),
    "consistency": Method(Consistency, ConsistencySettings, ConsistencyRunSettings),
}
"""Name to method."""


class Training:
    """A population of generators in training, with the averages that ride along: the program of a run.

    Args:
        learner: what learns: its ``generator`` is averaged and sampled from.
        seeds: one integer a member.
        settings: the members' own.
        averages: ``tau`` and ``warmup`` of each average.
        steps: of the whole run.
        samples: points that each network is judged by.
        device: where it runs.
    """

    def __init__(
        self,
        learner: Any,
        seeds: Sequence[int],
        settings: GeneratorSettings,
        averages: Grid,
        steps: int,
        samples: int,
        device: torch.device,
    ) -> None:
        self.learner = learner
        self.settings = settings
        self.averages = averages
        self.steps = steps
        self.noise = Noise(seeds, learner.widths(settings.batch_size), device, normal=learner.normal)
        self.weights = learner.optimizer.weights
        taus, warm = averages.column("tau").tolist(), averages.column("warmup").tolist()
        # Equation (12.5) of the book: a decay of at most k/(9 + k), as in `EMAModel` of diffusers, but for its first
        # update, which copies; `LitEma` of latent diffusion (Rombach et al. 2022) counts one further.
        weights = [warmup(tau, gamma=9) if each else tau for tau, each in zip(taus, warm, strict=True)]
        self.bank = Bank(self.weights, {averages.name(i): weight for i, weight in enumerate(weights)})
        self._optimizers = [each for each in learner.modules() if isinstance(each, Adam)]
        self._judged = deepcopy(learner.generator).requires_grad_(False)
        self._judged_weights = flatten(self._judged)
        self.world = learner.world
        start = Streams(seeds, "start of samples").normal(samples, self.world.size)
        self._start = torch.from_numpy(start).to(device)
        self._real, self._other = self.world.real(seeds, REAL * samples), self.world.other(seeds, samples)

    def step(self, step: int) -> None:
        """Every member learns from a batch, and every average follows."""
        if (step - 1) % self.noise.length == 0:
            self.noise.refill()
        rate = self.settings.learning_rate * (1 - self.settings.anneal * ((step - 1) / self.steps))
        for optimizer in self._optimizers:
            optimizer.learning_rate.copy_(rate.unsqueeze(1).expand_as(optimizer.learning_rate))
        self.learner.learn(self.noise.draw())
        self.bank.update(self.weights)

    @torch.no_grad()
    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """Distances between real points and those of each network; at the end, some of the points and the floor."""
        distances, discrepancies, points = [], [], []
        for weights in (self.weights, *self.bank.averages):
            look()
            self._judged_weights.copy_(weights)
            made = self.learner.sample(self._judged, self._start)
            distances.append(sliced_wasserstein(made, self._real))
            discrepancies.append(mean_discrepancy(made[:, :KEPT], self._real[:, :KEPT], self.world.width))
            points.append(made[:, :KEPT])
        measured = {"distance": self._by_average(distances), "discrepancy": self._by_average(discrepancies)}
        if step < self.steps:
            return measured
        floor = sliced_wasserstein(self._other, self._real)
        return {**measured, "samples": self._by_average(points), "floor": floor.cpu().numpy()}

    def _by_average(self, values: list[Float[Tensor, "member *rest"]]) -> Float[np.ndarray, "member which *average"]:
        """The online network's values beside those of every average, which unfold into the settings swept."""
        lengths = [len(swept) for swept in self.averages.swept.values()]
        online, *target = values
        both = torch.stack((online.expand(len(target), *online.shape), torch.stack(target))).movedim(2, 0)
        return both.reshape(len(online), 2, *lengths, *online.shape[1:]).cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """All that learns, and the averages with their count."""
        return {"learner": self.learner.state_dict(), "bank": self.bank.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.learner.load_state_dict(state["learner"])
        self.bank.load_state_dict(state["bank"])
        self.noise.seek(self.bank.count)


@takes_options
def train(
    method: str,
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 2_000,
    halvings: int = 0,
    samples: int = 512,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of generators, with moving averages of their weights beside them.

        run = generation.train("diffusion", tau=[0.01, 0.001], warmup=[False, True], seeds=16)
        run["distance"].sel(which="target", tau=0.01, warmup=False).mean("seed")

    They make points of eight Gaussians on a ring, or a diffusion model pictures of digits: ``world="digits"``.

    A setting given as a list is swept and becomes a dimension of the result. The averages take no part in the training:
    every combination of the other settings and seeds trains once, and all averages follow it at the same time.
    (Consistency training has, beside them, a slow copy that does take part: ``target_tau``.)

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; a network that
    diverged is named and leaves a gap; and ``torchrun`` splits the members over processes: all as in
    :func:`companion.rl.train`.

    Args:
        method: ``"gan"``, ``"diffusion"`` or ``"consistency"``.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's first weights,
            batches and noise, and what it is judged by, whichever others train beside it.
        steps: updates of each generator.
        halvings: how often to measure before the end: after a half, a quarter, … of the steps. At a rate that does not
            fall, what is measured there is what a shorter run would have ended with.
        samples: points that each network makes to be judged, against four times as many real ones; of digits at most
            224.
        {options}
        settings: fields of the method's settings, as :class:`DiffusionSettings`, and of :class:`AverageSettings`.

    Returns:
        With dimensions (swept settings, ``seed``, ``which``, swept ``tau`` and ``warmup``, ``step``), where ``which``
        is ``"online"``, or ``"target"`` for the average: ``distance``, the sliced Wasserstein distance between
        generated and real points, and ``discrepancy``, their squared maximum mean discrepancy. The online network's
        values are repeated for every average. ``samples``, over (…, ``sample``, ``axis``), are up to 256 points or
        pictures of each at the end, and ``floor``, over (swept settings, ``seed``), is the distance of real points from
        other real ones, as many as are compared above. The attributes hold every argument that the numbers depend on,
        the device, versions, the date and the wall time in seconds; and ``diverged``, ``interrupted`` and ``trained``
        where there is something to be said, as those of :func:`companion.rl.train`.

    Raises:
        ValueError: an unknown method or setting (the nearest known one is named), a value out of range, or a checkpoint
            that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    way = one_of(METHODS, "method", method)
    at_least_one(steps=steps, samples=samples)
    marks = marks_halved(halvings, steps)
    checked = check(way.all_settings, settings, train)
    worlds = [WORLDS[name] for name in np.atleast_1d(checked.get("world", "ring"))]
    if samples > (most := min(world.most for world in worlds)):
        raise ValueError(f"samples={samples}: there are real digits enough for {most}; pass samples={most}")
    averages = Grid({average.name: checked[average.name] for average in fields(AverageSettings)})
    grid = Grid({name: value for name, value in checked.items() if name not in averages.settings}, seeds)
    both = ("which", *averages.swept)
    counts = {"seeds": grid.seed_values, "steps": steps, "halvings": halvings, "samples": samples}
    return experiment(
        method,
        grid,
        partial(_program, way, grid, averages, steps, samples, options.chosen_device),
        {
            "distance": (*both, "step"),
            "discrepancy": (*both, "step"),
            "samples": (*both, "sample", "axis"),
            "floor": (),
        },
        sizes={
            "which": ["online", "target"],
            **averages.swept,
            "sample": min(samples, KEPT),
            "axis": max(each.size for each in worlds),
        },
        steps=steps,
        marks=marks,
        apart=shape_settings(way.settings),
        arguments={"method": method, **checked, **counts},
        options=options,
    )


def marks_halved(halvings: int, steps: int) -> dict[int, int]:
    """The last step, the one at half of them, at a quarter, and so on.

    Raises:
        TypeError: ``halvings`` is no integer.
        ValueError: it is negative, or there are not so many steps.
    """
    if isinstance(halvings, bool) or not isinstance(halvings, (int, np.integer)):
        raise TypeError(f"halvings={halvings!r} must be an integer; it cannot be swept")
    if halvings < 0 or steps < 2**halvings:
        raise ValueError(f"halvings={halvings} must be at least 0, and steps={steps} at least 2**halvings")
    return {step: step for step in (steps // 2**k for k in range(halvings, -1, -1))}


def _program(
    method: Method,
    grid: Grid,
    averages: Grid,
    steps: int,
    samples: int,
    device: torch.device,
    own: np.ndarray,
    fixed: dict[str, Any],
) -> Training:
    """The program of some members, who agree on the settings that decide shapes."""
    settings, members = method.settings.of(grid, own, fixed, device), grid.seeds[own].tolist()
    return Training(method.learner(members, settings, device), members, settings, averages, steps, samples, device)
