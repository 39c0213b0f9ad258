"""DQN and hard updates.

The exercises of the chapter that grows DQN in the open. Batches lead with a member axis, as everywhere in the book:
``(member, batch)`` for what is one number a transition, ``(member, batch, action)`` for values.
"""

import math
from types import SimpleNamespace
from typing import Any

import torch
from jaxtyping import Float, Int
from scipy.optimize import brentq
from torch import Tensor, nn

from companion.exercises.core import Exercise, Hint, expect, expect_settings, matches
from companion.members import MLP

# --- dqn-horizon ------------------------------------------------------------------------------------------------------


def updates_needed(share: float, period: int, gamma: float) -> int:
    regressions = math.ceil(math.log(1 - share) / math.log(gamma))
    return (regressions - 1) * period + 1


def _sees_the_reward(answer: Any) -> None:
    """The reward itself is there from the first update on."""
    matches(
        answer(0.005, 100, 0.99),
        1,
        "The first regression learns the reward, 1, which is a share of 0.01 of the whole with γ = 0.99. A share of "
        "0.005 needs no copy at all: the first update is part of the first regression.",
    )


def _copies_at_every_update(answer: Any) -> None:
    """With a copy at every update it is the number of regressions."""
    for share, gamma, regressions in ((0.5, 0.99, 69), (0.9, 0.99, 230), (0.95, 0.9, 29)):
        matches(
            answer(share, 1, gamma),
            regressions,
            f"With C = 1 and γ = {gamma}, {regressions} regressions are needed for a share of {share}, for 1 − γⁿ must "
            "reach it; n is whole.",
        )


def _waits_for_copies(answer: Any) -> None:
    """Regression n begins right after copy n − 1."""
    matches(
        answer(0.9, 10_000, 0.99),
        2_290_001,
        "230 regressions are needed. Before the last of them can begin, how many copies must have been made, and at "
        "which update was the last of those?",
    )


def _agrees_with_the_formula(answer: Any) -> None:
    """One update less is too few."""
    for share, period, gamma in ((0.3, 7, 0.9), (0.77, 250, 0.97), (0.62, 1_000, 0.995)):
        k = int(answer(share, period, gamma))
        before, at = (1 - gamma ** math.ceil((k - 1) / period), 1 - gamma ** math.ceil(k / period))
        expect(
            before < share <= at,
            f"For a share of {share} with C = {period} and γ = {gamma} you say {k}. By (4.5) the share after {k - 1} "
            f"updates is {before:.3f}, and after {k} it is {at:.3f}.",
        )


HORIZON = Exercise(
    name="dqn-horizon",
    title="Long sight takes time",
    difficulty="easy",
    minutes=10,
    task="Write `updates_needed(share, period, gamma)`: the first update at which the horizon (4.5) reaches that share "
    "of 1/(1 − γ).",
    expects="a function of (share, period, gamma) that returns a whole number",
    solution=updates_needed,
    why="The share that $n$ regressions justify is $1 - \\gamma^n$, so $n = \\lceil \\ln(1 - \\text{share}) / "
    "\\ln\\gamma \\rceil$, and regression $n$ begins right after copy $n - 1$. With $\\gamma = 0.99$ and $C = "
    "10{,}000$, nine tenths of the future take 2.3 million updates to come into sight, however good the network is.",
    checks=[_sees_the_reward, _copies_at_every_update, _waits_for_copies, _agrees_with_the_formula],
)

# --- dqn-target -------------------------------------------------------------------------------------------------------


def td_target(reward: Tensor, terminated: Tensor, truncated: Tensor, next_values: Tensor, gamma: float) -> Tensor:
    """y = r + γ max_a Q(s′, a; θ⁻), or r alone where s′ ended the episode."""
    return reward + gamma * (1 - terminated) * next_values.amax(-1)


def _batch() -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(0)
    reward = torch.rand(2, 5, generator=random, dtype=torch.float64)
    next_values = 10 * torch.randn(2, 5, 3, generator=random, dtype=torch.float64)
    nothing = torch.zeros(2, 5, dtype=torch.float64)
    return {"reward": reward, "next_values": next_values, "nothing": nothing, "all": torch.ones_like(nothing)}


def _target_plain(answer: Any) -> None:
    """Where nothing ends, it is the reward and the discounted best value."""
    b = _batch()
    matches(
        answer(b["reward"], b["nothing"], b["nothing"], b["next_values"], 0.9),
        b["reward"] + 0.9 * b["next_values"].amax(-1),
        "Take the largest value over the actions, the last axis, and discount it by γ; the reward is not discounted.",
    )


def _target_terminated(answer: Any) -> None:
    """A fall has no future."""
    b = _batch()
    matches(
        answer(b["reward"], b["all"], b["nothing"], b["next_values"], 0.9),
        b["reward"],
        "Where the episode terminated, the target is the reward alone: whatever the network says of s′ is to be "
        "forgotten, the reward is not.",
    )


def _target_truncated(answer: Any) -> None:
    """Running out of time has a future."""
    b = _batch()
    matches(
        answer(b["reward"], b["nothing"], b["all"], b["next_values"], 0.9),
        b["reward"] + 0.9 * b["next_values"].amax(-1),
        "A truncated episode was cut by the clock, not by the world. The pole still stands, and its state has the "
        "value it always has: bootstrap from it.",
    )


TARGET_VALUE = Exercise(
    name="dqn-target",
    title="The target, and where it stops",
    difficulty="easy",
    minutes=10,
    task="Write `td_target(reward, terminated, truncated, next_values, gamma)`, equation (4.2) for a whole population. "
    "`next_values` are the target network's, `(member, batch, action)`; the others are `(member, batch)`, with 1 for "
    "an episode that terminated, or was truncated, and 0 elsewhere.",
    expects="a function of (reward, terminated, truncated, next_values, gamma) that returns a (member, batch) tensor",
    solution=td_target,
    why="`truncated` is in the arguments and not in the formula: that is the exercise. Time is not part of the state, "
    "so being stopped by the clock says nothing about the state's value "
    "([Pardo et al. 2018](https://arxiv.org/abs/1712.00378)).",
    checks=[_target_plain, _target_terminated, _target_truncated],
)

# --- dqn-double-target ------------------------------------------------------------------------------------------------


def double_target(reward: Tensor, terminated: Tensor, online_next: Tensor, target_next: Tensor, gamma: float) -> Tensor:
    """Double DQN's target: the online network chooses the action, the target network says what it is worth."""
    choice = online_next.argmax(-1, keepdim=True)
    value = target_next.gather(-1, choice).squeeze(-1)
    return reward + gamma * (1 - terminated) * value


def _double_batch() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(1)
    online, target = torch.randn(2, 3, 40, 3, generator=random, dtype=torch.float64).unbind(0)
    reward = torch.ones(3, 40, dtype=torch.float64)
    return reward, torch.zeros_like(reward), online, target


def _double_agrees(answer: Any) -> None:
    """Where both networks are one, it is the plain target."""
    reward, never, online, _ = _double_batch()
    matches(
        answer(reward, never, online, online, 0.9),
        reward + 0.9 * online.amax(-1),
        "With one network for both, choosing the best action and asking its value is taking the maximum.",
    )


def _double_decouples(answer: Any) -> None:
    """The online network chooses, the target network values."""
    reward, never, online, target = _double_batch()
    want = reward + 0.9 * target.gather(-1, online.argmax(-1, keepdim=True)).squeeze(-1)
    swapped = reward + 0.9 * online.gather(-1, target.argmax(-1, keepdim=True)).squeeze(-1)
    lower = reward + 0.9 * torch.minimum(online.amax(-1), target.amax(-1))
    got = answer(reward, never, online, target, 0.9)
    if isinstance(got, Tensor) and got.shape == want.shape:
        expect(not torch.allclose(got, swapped), "The roles are swapped: here the target network chooses.")
        expect(
            not torch.allclose(got, lower),
            "The smaller of the two maxima is clipped double Q, which comes with TD3; Double DQN splits choosing from "
            "valuing.",
        )
        expect(
            not torch.allclose(got, reward + 0.9 * target.amax(-1)),
            "This is the plain target: the target network both chooses and values. Where does the online one come in?",
        )
    matches(got, want, "Choose by `online_next.argmax`, then look that action up in `target_next` with `gather`.")


def _double_ends(answer: Any) -> None:
    """A fall has no future here either."""
    reward, never, online, target = _double_batch()
    matches(
        answer(reward, never + 1, online, target, 0.9),
        reward,
        "Where the episode terminated the target is the reward alone.",
    )


DOUBLE = Exercise(
    name="dqn-double-target",
    title="Choose with one, value with the other",
    difficulty="medium",
    minutes=10,
    task="Write `double_target(reward, terminated, online_next, target_next, gamma)`, equation (4.8). The two "
    "networks' values of s′ are `(member, batch, action)`.",
    expects="a function of (reward, terminated, online_next, target_next, gamma) that returns a (member, batch) tensor",
    solution=double_target,
    why="An action whose value the online network overrates by chance is likely to be chosen; that the target network "
    "overrates the same action is less likely, and the less so the longer ago it was copied "
    "([van Hasselt, Guez and Silver 2016](https://arxiv.org/abs/1509.06461), equation 4).",
    checks=[_double_agrees, _double_decouples, _double_ends],
)

# --- dqn-clock --------------------------------------------------------------------------------------------------------


class HardTarget:
    """A list of tensors that copies the online one's at updates C, 2C, 3C, …"""

    def __init__(self, online: list[Tensor], period: int) -> None:
        self.weights = [tensor.clone() for tensor in online]
        self.period = period
        self.count = 0

    def update(self, online: list[Tensor]) -> None:
        self.count += 1
        if self.count % self.period == 0:
            for ours, theirs in zip(self.weights, online, strict=True):
                ours.copy_(theirs)


def _walk(answer: Any, period: int, updates: int) -> tuple[Any, list[Tensor], list[int]]:
    """The updates at which the target took the online weights, while these count 1, 2, 3, … in place."""
    online = [torch.zeros(2, 3), torch.zeros(2, 1)]
    target = answer(online, period)
    fired = []
    for k in range(1, updates + 1):
        for tensor in online:
            tensor.fill_(float(k))
        target.update(online)
        now = [float(tensor.flatten()[0]) for tensor in target.weights]
        expect(now[0] == now[1], "Not every tensor was copied at the same update.")
        if now[0] == k:
            fired.append(k)
    return target, online, fired


def _own_storage(answer: Any) -> None:
    """It starts as an equal copy with storage of its own."""
    online = [torch.arange(6.0).view(2, 3), torch.ones(2, 1)]
    target = answer(online, 4)
    want = [tensor.clone() for tensor in online]
    for ours, tensor in zip(target.weights, online, strict=True):
        matches(ours, tensor, "It must start equal to the online weights.")
    for tensor in online:
        tensor.add_(1)
    for ours, tensor in zip(target.weights, want, strict=True):
        matches(
            ours,
            tensor,
            "Adding 1 to the online weights, in place, moved the target too: it holds the same tensors. `clone` them.",
        )


def _clock(answer: Any) -> None:
    """It copies at updates C, 2C, 3C and at no other."""
    for period in (3, 5):
        _, _, fired = _walk(answer, period, 4 * period + 1)
        wanted = list(range(period, 4 * period + 1, period))
        expect(
            fired == wanted,
            f"With period={period} it copied at updates {fired}, and {wanted} is right. Count first, then compare; and "
            "what does the comparison say when the count is exactly the period?",
        )


def _still_own(answer: Any) -> None:
    """It holds its own tensors after a copy as well."""
    target, online, _ = _walk(answer, 3, 5)
    held = [tensor.clone() for tensor in target.weights]
    for tensor in online:
        tensor.fill_(-1.0)
    for ours, before in zip(target.weights, held, strict=True):
        matches(
            ours,
            before,
            "After a copy the target moves with the online weights: `=` gives a second name to the same tensors. Copy "
            "the numbers, `ours.copy_(theirs)`.",
        )


def _every_update(answer: Any) -> None:
    """With a period of 1 it is no target network."""
    _, _, fired = _walk(answer, 1, 4)
    expect(fired == [1, 2, 3, 4], f"With period=1 it must copy at every update; it copied at {fired} of 1 to 4.")


CLOCK = Exercise(
    name="dqn-clock",
    title="Repair the clock",
    difficulty="medium",
    minutes=15,
    task="The class `BrokenTarget` above has three bugs of the kind that train without an error message. Find them, "
    "and write `HardTarget(online, period)` with `.weights` (a list of tensors) and `.update(online)`, called once "
    "after every gradient update.",
    expects="a class with `__init__(online, period)`, `update(online)` and `weights`",
    solution=HardTarget,
    why="The three: the target began as the online network's own list, so it never lagged; its clock fired at C + 1; "
    "and a copy by `=` gave a second name to the same tensors. A clock that is off by one is found in a published "
    "library too: TorchRL's `HardUpdate` with period 3 acts at calls 4, 8 and 12. A target that shares storage is no "
    "target network at all, and neither raises an error.",
    checks=[_own_storage, _still_own, _clock, _every_update],
)

# --- dqn-repair -------------------------------------------------------------------------------------------------------


def population_loss(online: nn.Module, target: nn.Module, batch: Any, gamma: float) -> Tensor:
    """Huber loss of Q(s, a) against the TD target: the mean over each batch, the sum over members."""
    with torch.no_grad():
        y = batch.reward + gamma * (1 - batch.terminated) * target(batch.next_observation).amax(-1)
    q = online(batch.observation).gather(-1, batch.action[..., None]).squeeze(-1)
    return torch.nn.functional.huber_loss(q, y, reduction="none").mean(-1).sum()


def _learners(seed: int) -> MLP:
    return MLP((4, 16, 2), [seed, seed + 1, seed + 2]).double()


def _transitions(terminated: float = 0.0, truncated: float = 0.0) -> SimpleNamespace:
    random = torch.Generator().manual_seed(2)
    shape = (3, 32)

    def normal(*width: int) -> Float[Tensor, "..."]:
        return 4 * torch.randn(*shape, *width, generator=random, dtype=torch.float64)

    action: Int[Tensor, "member batch"] = torch.randint(2, shape, generator=random)
    return SimpleNamespace(
        observation=normal(4),
        action=action,
        reward=torch.ones(shape, dtype=torch.float64),
        next_observation=normal(4),
        terminated=(torch.rand(shape, generator=random, dtype=torch.float64) < terminated).double(),
        truncated=(torch.rand(shape, generator=random, dtype=torch.float64) < truncated).double(),
    )


def _sums_over_members(answer: Any) -> None:
    """The mean over the batch, the sum over members."""
    network, batch = _learners(0), _transitions()
    matches(
        answer(network, network, batch, 0.9),
        population_loss(network, network, batch, 0.9).detach(),
        "Even where both networks are the same and nothing ends, the loss is off. With three members, a mean over all "
        "is a third of it: every agent would learn the more slowly the more train beside it, and Adam would hide it.",
    )


def _asks_the_target(answer: Any) -> None:
    """The target network values the next state."""
    online, target, batch = _learners(0), _learners(10), _transitions()
    matches(
        answer(online, target, batch, 0.9),
        population_loss(online, target, batch, 0.9).detach(),
        "The loss is right when both networks are the same, and wrong when they differ. Which one values s′?",
    )


def _stops_at_falls_only(answer: Any) -> None:
    """A fall stops the bootstrap, the clock does not."""
    online, target = _learners(0), _learners(10)
    for terminated, truncated, hint in (
        (0.3, 0.0, "A transition that terminated has the reward alone as its target."),
        (0.0, 0.3, "A transition that was truncated bootstraps like any other: time ran out, the pole did not fall."),
    ):
        batch = _transitions(terminated, truncated)
        matches(answer(online, target, batch, 0.9), population_loss(online, target, batch, 0.9).detach(), hint)


def _holds_the_target_still(answer: Any) -> None:
    """The gradient treats the target as a constant."""
    online, target, batch = _learners(0), _learners(10), _transitions(0.2, 0.2)
    answer(online, target, batch, 0.9).backward()
    expect(
        all(p.grad is None or not p.grad.any() for p in target.parameters()),
        "`backward` filled the target network's gradients. The target is a constant: compute it under "
        "`torch.no_grad()`.",
    )
    got = [p.grad for p in online.parameters()]
    expect(all(gradient is not None for gradient in got), "No gradient reached the online network: what was detached?")
    twin = _learners(0)
    population_loss(twin, target, batch, 0.9).backward()
    for gradient, parameter in zip(got, twin.parameters(), strict=True):
        assert parameter.grad is not None
        matches(gradient, parameter.grad, "The loss is right and its gradient is not: what is detached?")


REPAIR = Exercise(
    name="dqn-repair",
    title="Four bugs that train",
    difficulty="medium",
    minutes=25,
    task="`broken_loss` above runs, and four of its parts are wrong. Write `population_loss(online, "
    "target, batch, gamma)` that is right: the Huber loss (with its bend at 1) of $Q(s, a)$ against the target, the "
    "mean over each member's batch and the sum over members. `batch` has the fields observation, action (integers), "
    "reward, next_observation, terminated and truncated.",
    expects="a function of (online, target, batch, gamma) that returns a loss, one number",
    solution=population_loss,
    why="The four: the online network valued the next state, so there was no target network; truncation masked the "
    "bootstrap; nothing held the target still while the gradient was taken; and the mean over members scaled every "
    "agent's gradient with the size of the population, which Adam hides almost entirely and gradient descent does not.",
    checks=[_sums_over_members, _asks_the_target, _stops_at_falls_only, _holds_the_target_still],
)

# --- dqn-equal-speed --------------------------------------------------------------------------------------------------


def period_of_equal_speed(tau: float, alpha: float) -> float:
    """The hard period that carries value as fast as a soft update with `tau`, for a network that learns at `alpha`."""
    updates_per_unit = 1 / alpha + (1 - tau) / tau
    if alpha == 1:
        return updates_per_unit
    return brentq(lambda C: C / (1 - (1 - alpha) ** C) - updates_per_unit, 1.0, 2 / tau)


def _climb(alpha: float, *, tau: float = 1.0, period: int = 1, updates: int = 60_000) -> float:
    """Value gained an update by the scalar model with γ = 1, long after the start."""
    online = target = halfway = 0.0
    for k in range(1, updates + 1):
        online += alpha * (1 + target - online)
        if k % period == 0:
            target += tau * (online - target)
        if k == updates // 2:
            halfway = online
    return (online - halfway) / (updates - updates // 2)


def _slow_target(answer: Any) -> None:
    """A network that learns at once waits for its target: C = 1/τ."""
    for tau in (0.5, 0.1, 0.01):
        matches(
            answer(tau, 1.0),
            1 / tau,
            "With α = 1 a hard target gains one reward every C updates, speed 1/C. What is the soft one's speed?",
        )


def _fast_target(answer: Any) -> None:
    """A network that learns slowly feels the mean lag alone: C → 2/τ − 1."""
    matches(
        answer(0.1, 1e-6),
        19.0,
        "With α far below τ, 1 − (1 − α)ᶜ is about αC − α²C(C − 1)/2, and both cost 1/α plus their mean lag.",
        rtol=1e-3,
    )


def _between(answer: Any) -> None:
    """Between the two, the hard and the soft target climb equally fast in simulation."""
    for tau, alpha in ((0.05, 0.1), (0.02, 0.01), (0.1, 0.3)):
        period = float(answer(tau, alpha))
        expect(math.isfinite(period) and period >= 1, f"For tau={tau} and alpha={alpha} it gave {period}.")
        whole = math.floor(period)
        speeds = [_climb(alpha, period=whole), _climb(alpha, period=whole + 1)]
        soft = _climb(alpha, tau=tau)
        slack = 0.01 * soft
        expect(
            speeds[1] - slack <= soft <= speeds[0] + slack,
            f"For tau={tau} and alpha={alpha} the soft target gains {soft:.4f} an update in simulation, and hard ones "
            f"with C = {whole} and {whole + 1} gain {speeds[0]:.4f} and {speeds[1]:.4f}: yours is not the period where "
            "they meet. Set C / (1 − (1 − α)ᶜ) equal to 1/α + (1 − τ)/τ and solve for C.",
        )


EQUAL_SPEED = Exercise(
    name="dqn-equal-speed",
    title="Which period is like this tau?",
    difficulty="hard",
    minutes=40,
    task="Write `period_of_equal_speed(tau, alpha)`: the hard period C, not necessarily whole, at which the scalar "
    "model gains value as fast as with a soft target of weight `tau`, by equations (4.6) and (4.7). "
    "`scipy.optimize.brentq` solves an equation between two bounds.",
    expects="a function of (tau, alpha), for alpha in (0, 1], that returns a number",
    solution=period_of_equal_speed,
    why="Time per unit of value is $1/\\alpha + (1 - \\tau)/\\tau$ for the soft target and $C/(1 - (1 - \\alpha)^C)$ "
    "for the hard one. The answer slides from $2/\\tau - 1$ (equal mean lag) where learning is the bottleneck to "
    "$1/\\tau$ where the target is: no single conversion serves both.",
    checks=[_slow_target, _fast_target, _between],
)

# --- dqn-settings -----------------------------------------------------------------------------------------------------

HELD_OUT = [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
STEPS = 6_000
GOAL = 220.0


def settings() -> dict[str, Any]:
    return {"error_clip": math.inf, "learning_rate": 5e-4, "period": 30, "epsilon_end": 0.15}


def _are_settings(answer: Any) -> None:
    """These are settings of DQN, one value each."""
    from companion.rl.dqn import DQNSettings

    expect_settings(answer, DQNSettings, batch=128)


def _learns(answer: Any) -> None:
    """Six agents you have never met keep the pole up for 220 steps."""
    from companion.rl import train
    from companion.study import iqm

    run = train("dqn", "CartPole-v1", seeds=HELD_OUT, steps=STEPS, device="cpu", progress=False, **answer)
    end = run.isel(step=-1)
    score, believed, obtained = (float(iqm(end[name])) for name in ("return", "predicted", "discounted_return"))
    if score >= GOAL:
        return
    if believed > 200:
        why = f"They believe in {believed:.3g}, and no more than 100 can be had: the values ran away. What bounds them?"
    elif believed < 0.5 * obtained:
        why = f"They believe in {believed:.0f} and obtain {obtained:.0f}: their horizon is short. Is the copy too rare?"
    else:
        why = "Their values have the right size. Look at how they explore, how far they step, what the loss hears."
    raise Hint(f"Six held-out agents reach {score:.0f} (interquartile mean), and {GOAL:.0f} is asked. {why}")


SETTINGS = Exercise(
    name="dqn-settings",
    title="Six agents you have never met",
    difficulty="hard",
    minutes=180,
    task="Find settings with which DQN learns CartPole fast: a dict of keyword arguments for `rl.train`. The check "
    f"trains six agents with seeds you should not tune on, {HELD_OUT[0]} to {HELD_OUT[-1]}, for {STEPS:,} steps, and "
    f"asks for an interquartile mean return of {GOAL:.0f} at the end. Sweep on other seeds, many settings at once.",
    expects="a dict of settings, such as {'period': 100}",
    solution=settings,
    why="Found by a sweep of 48 settings on seeds 0 to 7. Most of the gain is the squared error: with the error "
    "clipped at 1, a fall from a state believed to be worth 30 weighs no more than an error of 1. Yours may be better.",
    checks=[_are_settings, _learns],
    value=True,
)

EXERCISES = [HORIZON, TARGET_VALUE, DOUBLE, CLOCK, REPAIR, EQUAL_SPEED, SETTINGS]
