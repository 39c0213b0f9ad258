"""A population of policies that learn from a proxy of what is wanted, each tied to an anchor."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any, cast

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int64
from torch import Tensor

from companion.averaging import TargetNetwork, hard_update
from companion.members import Grid
from companion.members.streams import Noise
from companion.preference.exact import tilt
from companion.preference.losses import dpo, reinforce
from companion.preference.policies import POLICIES, Network, Table
from companion.preference.rewards import Labels
from companion.preference.worlds import TRAITS, World
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, check, setting, shape_settings

__all__ = ["Learners", "PreferenceSettings", "train"]


class PreferenceSettings(Settings):
    """Settings of :func:`train`, each of which may be swept."""

    beta: PerMember = setting(0.3, least=0)
    """Price of one nat of KL from the anchor; 0 is no anchor at all. DPO needs one above 0."""
    tau: PerMember = setting(0.0, least=0, most=1)
    """Weight of the policy in the anchor at each of its moves; 0 is an anchor that stays."""
    every: int = setting(1, least=1, shapes=True)
    """Steps from one move of the anchor to the next: with tau = 1 a hard reset of the reference, with 0.6 and 512 the
    default of TRL (Gorbatovski et al. 2024, arXiv:2404.09656, "TR-DPO")."""
    average_tau: PerMember = setting(0.005, least=0, most=1)
    """Weight of the policy in the moving average that rides along."""
    elastic: int = setting(0, least=0, shapes=True)
    """Steps from one Elastic Reset to the next (Noukhovitch et al. 2023, arXiv:2312.07551): the policy becomes its
    average, and the average the policy of the start. 0 is never; then the average is an observer."""
    learning_rate: PerMember = setting(0.15, least=0)
    """Step size of stochastic gradient descent."""
    method: str = setting("reinforce", among=("reinforce", "dpo"), shapes=True)
    """``"reinforce"`` climbs a proxy with the policy's own answers, ``"dpo"`` learns from the comparisons directly."""
    policy: str = setting("table", among=tuple(POLICIES), shapes=True)
    """``"table"`` has logits of its own for every prompt and position, ``"network"`` is one network that writes all
    answers to all prompts, token by token."""
    prompts: int = setting(1, least=1, shapes=True)
    """Prompts there are, each of which is answered in every step."""
    answers: int = setting(16, least=2, shapes=True)
    """Answers to each prompt in a step; of DPO, pairs of the labelled ones."""
    positions: int = setting(8, least=1, shapes=True)
    """Tokens in an answer."""
    vocabulary: int = setting(8, least=2, shapes=True)
    """Tokens there are."""
    curvature: float = setting(0.18, least=0, shapes=True)
    """Of the true reward in the number c of tokens 0, which are worth c − 0.18 c²: at most where c is 3."""
    hidden: tuple[int, ...] = setting((32,), least=1, shapes=True)
    """Units of the network's hidden layers, tanh."""
    label: str = setting("score", among=("score", "comparison"), shapes=True)
    """What a label is: a noisy score of one answer, or which of two is preferred. DPO needs comparisons."""
    labels: int = setting(200, least=1, shapes=True)
    """Labels of each prompt that are bought at once."""
    refresh: int = setting(0, least=0, shapes=True)
    """Steps from one purchase of labels, of the policy of that moment, to the next; 0 is once, before training."""
    noise: float = setting(1.0, least=0, shapes=True)
    """Standard deviation of a score's error."""


class Learners:
    """A population of policies in training, with their anchors, averages and labels: the program of a run.

    Args:
        seeds: one integer a member: it fixes its world, labels, first weights and answers.
        settings: the members' own.
        steps: of the whole run.
        device: where it runs.
    """

    def __init__(self, seeds: Sequence[int], settings: PreferenceSettings, steps: int, device: torch.device) -> None:
        s = self.settings = settings
        sizes = {"prompts": s.prompts, "positions": s.positions, "vocabulary": s.vocabulary}
        self.world = World(seeds, **sizes, curvature=s.curvature, device=device)
        self.policy: Table | Network = POLICIES[s.policy](seeds, tuple(sizes.values()), TRAITS, s.hidden).to(device)
        self.start = deepcopy(self.policy).requires_grad_(False)
        self.anchor = TargetNetwork(self.policy, tau=s.tau, every=s.every)
        self.average = TargetNetwork(self.policy, tau=s.average_tau)
        self.weights = list(self.policy.parameters())
        self.rates = [s.learning_rate.view(-1, *[1] * (weight.ndim - 1)) for weight in self.weights]

        rounds = 1 + (steps - 1) // s.refresh if s.refresh else 1
        compared = s.label == "comparison"
        self.labels = Labels(self.world, seeds, each=s.labels, rounds=rounds, compared=compared, noise=s.noise)
        self.proxy: Float[Tensor, "member feature"] = torch.zeros(len(seeds), s.vocabulary * TRAITS, device=device)
        self._ask()
        width = s.prompts * s.answers * (1 if s.method == "dpo" else s.positions)
        self.noise = Noise(seeds, {"answers": width}, device)

    @torch.no_grad()
    def _ask(self) -> None:
        """Buy labels of what the policy says now, and learn the proxy anew from all there are."""
        self.labels.buy(self.policy)
        self.proxy.copy_(self.labels.fit())

    def step(self, step: int) -> None:
        """One step of every policy; then its anchor and its average follow."""
        s = self.settings
        if (step - 1) % self.noise.length == 0:
            self.noise.refill()
        if s.refresh and step > 1 and (step - 1) % s.refresh == 0:
            self._ask()
        uniform = self.noise.draw()["answers"].unflatten(-1, (s.prompts, s.answers, -1))
        loss = self.dpo_loss(uniform.squeeze(-1)) if s.method == "dpo" else self.reinforce_loss(uniform)
        gradients = torch.autograd.grad(loss, self.weights)
        with torch.no_grad():
            for weight, gradient, rate in zip(self.weights, gradients, self.rates, strict=True):
                weight.addcmul_(gradient, rate, value=-1)
        self.anchor.update(self.policy)
        self.average.update(self.policy)
        if s.elastic and step % s.elastic == 0:
            hard_update(self.average.module, self.policy)
            self.average.reset(self.start)

    def reinforce_loss(self, uniform: Float[Tensor, "member prompt answer position"]) -> Float[Tensor, ""]:
        """REINFORCE's loss of answers that are drawn now, by the proxy, the sum over members."""
        traits = self.world.traits
        with torch.no_grad():
            answers = self.policy.draw(traits, uniform)
            counts = self.world.counts(answers)
            rewards = (counts @ self.world.rewards(self.proxy).unsqueeze(-1)).squeeze(-1)
            anchored = self._anchored(answers)
        return reinforce(self.policy.log_chance(traits, answers), anchored, rewards, self.settings.beta)

    def dpo_loss(self, uniform: Float[Tensor, "member prompt pair"]) -> Float[Tensor, ""]:
        """DPO's loss of comparisons that were bought, the sum over members."""
        traits = self.world.traits
        rows = (uniform * self.labels.bought).long()
        outcomes = self.labels.outcomes.gather(2, rows)
        places = rows[..., None, None].expand(-1, -1, -1, *self.labels.answers.shape[3:])
        answers = self.labels.answers.gather(2, places).flatten(2, 3)
        with torch.no_grad():
            anchored = self._anchored(answers).unflatten(-1, (-1, 2))
        chances = self.policy.log_chance(traits, answers).unflatten(-1, (-1, 2))
        return dpo(chances, anchored, outcomes, self.settings.beta)

    def _anchored(
        self, answers: Int64[Tensor, "member prompt answer position"]
    ) -> Float[Tensor, "member prompt answer"]:
        """The logarithm of answers' chances under the anchor."""
        anchor = cast("Table | Network", self.anchor.module)
        return anchor.log_chance(self.world.traits, answers)

    @torch.no_grad()
    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """``gold``, ``proxy`` and ``kl`` of the policy and of its average, all exact, and ``leash``."""
        traits = self.world.traits
        start, own = self.start(traits), self.policy(traits)
        divergence = self.policy.divergence
        found: dict[str, list[Tensor]] = {"gold": [], "proxy": [], "kl": []}
        for logs in (own, self.average(traits)):
            counts, variance = self.policy.moments(logs)
            found["gold"].append(self.world.mean_gold(counts, variance))
            found["proxy"].append(self.world.mean_proxy(counts, self.proxy))
            found["kl"].append(divergence(logs, start))
        both = {name: torch.stack(values, 1).mean(-1).cpu().numpy() for name, values in found.items()}
        return {**both, "leash": divergence(own, self.anchor(traits)).mean(-1).cpu().numpy()}

    @torch.no_grad()
    def family(self, strengths: Sequence[float]) -> tuple[np.ndarray, np.ndarray]:
        """KL and gold, exact, of the best policies there are, π₀ e^(λr̂) / Z, (13.7): under the proxy of the moment.

        Args:
            strengths: λ, for all prompts alike.

        Returns:
            KL from the start in nats, and gold, (member, λ) each: means over prompts.
        """
        start = self.start(self.world.traits)
        reward = self.policy.judged(self.world.rewards(self.proxy))
        kl, gold = [], []
        for strength in strengths:
            logs = tilt(start, reward, strength)
            kl.append(self.policy.divergence(logs, start).mean(-1))
            gold.append(self.world.mean_gold(*self.policy.moments(logs)).mean(-1))
        return torch.stack(kl, -1).cpu().numpy(), torch.stack(gold, -1).cpu().numpy()

    def state_dict(self) -> dict[str, Any]:
        """The networks that change, and the proxy with its labels; the average's count is that of the steps."""
        networks = {name: getattr(self, name).state_dict() for name in ("policy", "anchor", "average")}
        return {**networks, "proxy": self.proxy, "labels": self.labels.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        for name in ("policy", "anchor", "average"):
            getattr(self, name).load_state_dict(state[name])
        self.proxy.copy_(state["proxy"])
        self.labels.load_state_dict(state["labels"])
        self.noise.seek(self.average.count)


@takes_options
def train(
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 2_000,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of policies on a proxy of a reward, each tied to an anchor by a KL penalty.

        run = preference.train(beta=[0.0, 0.1, 0.3, 1.0], tau=0.005, seeds=16)
        run["gold"].sel(which="online", beta=0.3).mean("seed")

    The anchor is a slow copy of the policy: with ``tau=0`` it stays the policy of the start, with a small ``tau`` it is
    a moving average, with ``tau=1, every=500`` a copy that is renewed, and with ``beta=0`` there is none. Something
    learns from it: it is part of the loop. The ``average`` beside it is an observer, unless ``elastic`` is set.

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; a policy whose
    numbers are no longer finite is named and leaves a gap; and ``torchrun`` splits the members over processes: all as
    in :func:`companion.rl.train`.

    Args:
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's world, its
            labels, first weights and answers, whichever others train beside it.
        steps: updates of each policy.
        evaluate_every: steps from one measurement to the next; by default a fortieth of ``steps``. The first is before
            training, the last after it.
        {options}
        settings: fields of :class:`PreferenceSettings`.

    Returns:
        ``gold``, what the policy's answers are truly worth, ``proxy``, what the proxy of the moment says of them, and
        ``kl``, their divergence from the policy of the start in nats, over (swept settings, ``seed``, ``which``,
        ``step``), where ``which`` is ``"online"``, or ``"average"`` for the moving average that rides along; and
        ``leash``, the divergence from the anchor, over (swept settings, ``seed``, ``step``). All are means over prompts
        and over *all* answers, computed and not sampled. The attributes hold every argument that the numbers depend on,
        the device, versions, the date and the wall time in seconds; and ``diverged``, ``interrupted`` and ``trained``
        where there is something to be said, as those of :func:`companion.rl.train`.

    Raises:
        ValueError: an unknown setting (the nearest known one is named), a value out of range, DPO without comparisons
            or with a ``beta`` of 0, or a checkpoint that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    every = interval(evaluate_every, 40, steps=steps)
    checked = check(PreferenceSettings, settings, train)
    _check_dpo(checked)
    grid = Grid(checked, seeds)
    both = ("which", "step")
    return experiment(
        "preference",
        grid,
        partial(_program, grid, steps, options.chosen_device),
        {"gold": both, "proxy": both, "kl": both, "leash": ("step",)},
        sizes={"which": ["online", "average"]},
        steps=steps,
        marks=marks_every(every, steps, first=True),
        apart=shape_settings(PreferenceSettings),
        arguments={**checked, "seeds": grid.seed_values, "steps": steps, "evaluate_every": every},
        options=options,
    )


def _check_dpo(checked: Mapping[str, Any]) -> None:
    methods, kinds, prices = (np.atleast_1d(checked[name]).tolist() for name in ("method", "label", "beta"))
    if "dpo" not in methods:
        return
    if "score" in kinds:
        raise ValueError(f"label={checked['label']!r} gives DPO nothing to learn from; use label='comparison'")
    if min(prices) == 0:
        raise ValueError(f"beta={checked['beta']} leaves DPO without a slope; every value must be above 0")


def _program(grid: Grid, steps: int, device: torch.device, own: np.ndarray, fixed: dict[str, Any]) -> Learners:
    """The program of some members, who agree on the settings that decide shapes."""
    settings = PreferenceSettings.of(grid, own, fixed, device)
    return Learners(grid.seeds[own].tolist(), settings, steps, device)
