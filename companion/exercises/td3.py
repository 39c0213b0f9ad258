"""TD3 and overestimation.

The exercises of the chapter that takes TD3 apart. Tensors lead with a member axis, as everywhere in the book:
``(member, batch)`` for what is one number a transition, ``(member, copies, batch)`` for the values of twin critics.
"""

import inspect
import math
from collections.abc import Iterable
from copy import deepcopy
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor

from companion.averaging import soft_update
from companion.exercises.core import Exercise, Hint, checks_of_a_line, expect, expect_settings, matches
from companion.members import MLP

# --- td3-minimum ------------------------------------------------------------------------------------------------------


def minimum_bias(sigma: float, correlation: float) -> float:
    return -sigma * math.sqrt((1 - correlation) / math.pi)


def _independent(answer: Any) -> None:
    """Independent errors cost 0.56 of their standard deviation."""
    matches(
        answer(1.0, 0.0),
        -1 / math.sqrt(math.pi),
        "min(X, Y) = (X + Y − |X − Y|)/2, and X and Y are right on average. X − Y is normal with variance 2, and the "
        "mean magnitude of a normal number with standard deviation s is s·√(2/π). The sign of the answer is −.",
    )


def _scales(answer: Any) -> None:
    """It grows in proportion to the error."""
    for sigma in (0.1, 2.0, 30.0):
        matches(
            answer(sigma, 0.0),
            -sigma / math.sqrt(math.pi),
            f"For σ = {sigma} it is not σ times that for σ = 1. Both are in units of value: take care not to hand on "
            "a variance.",
        )


def _correlated(answer: Any) -> None:
    """Errors that are shared are not seen by the minimum."""
    for correlation in (1.0, 0.5, 0.9, -0.5):
        matches(
            answer(2.0, correlation),
            minimum_bias(2.0, correlation),
            f"With correlation {correlation} the variance of X − Y is 2σ²(1 − ρ); with ρ = 1 the twins are one, and "
            "the minimum takes nothing away.",
        )


MINIMUM = Exercise(
    name="td3-minimum",
    title="What the smaller of two costs",
    difficulty="easy",
    minutes=10,
    task="Two critics estimate the same value. Each is right on average, its error is normal with standard deviation "
    "`sigma`, and the two errors have the given `correlation`. Write `minimum_bias(sigma, correlation)`: by how much "
    "their minimum is off, on average, with its sign.",
    expects="a function of (sigma, correlation) that returns a number",
    solution=minimum_bias,
    why="Since $\\min(X, Y) = \\frac12(X + Y - |X - Y|)$, the bias is minus half the mean distance of the two: "
    "$-\\frac12\\,\\sqrt{2\\sigma^2(1-\\rho)}\\,\\sqrt{2/\\pi} = -\\sigma\\sqrt{(1-\\rho)/\\pi}$. The minimum sees "
    "where the critics *disagree*; what they believe in common, right or wrong, it lets pass.",
    checks=[_independent, _scales, _correlated],
)

# --- td3-label --------------------------------------------------------------------------------------------------------


@torch.no_grad()
def label(
    batch: Any, target_actor: Any, target_critic: Any, noise: Tensor, gamma: float, sigma: float, clip: float
) -> Tensor:
    """y = r + γ · min over the twins of Q(s′, ã), with ã = clip(μ(s′) + clip(σ·noise, −c, c), −1, 1)."""
    smoothing = (sigma * noise).clamp(-clip, clip)
    action = (target_actor(batch.next_observation) + smoothing).clamp(-1, 1)
    value = target_critic(batch.next_observation, action).amin(1)
    return batch.reward + gamma * (1 - batch.terminated) * value


def _label_parts(
    edge: bool = False, terminated: float = 0.0
) -> tuple[SimpleNamespace, Any, Any, Tensor, Tensor, Tensor]:
    """A batch, a target actor, twin target critics (functions, in float64), noise, and the weights of both."""
    random = torch.Generator().manual_seed(6)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    batch = SimpleNamespace(
        reward=normal(3, 40),
        next_observation=normal(3, 40, 2),
        terminated=(torch.rand(3, 40, generator=random, dtype=torch.float64) < terminated).double(),
    )
    actor_weight = normal(3, 2, 1).requires_grad_()
    critic_weight = normal(3, 2, 3, 1).requires_grad_()  # (member, copies, in, 1)

    def target_actor(observation: Tensor) -> Tensor:
        return torch.tanh((4.0 if edge else 0.2) * observation @ actor_weight)

    def target_critic(observation: Tensor, action: Tensor) -> Tensor:
        return (torch.cat((observation, action), -1)[:, None] @ critic_weight).squeeze(-1)

    return batch, target_actor, target_critic, normal(3, 40, 1), actor_weight, critic_weight


def _label_minimum(answer: Any) -> None:
    """The smaller of the twins' values makes the label."""
    batch, actor, critic, noise, *_ = _label_parts()
    want = label(batch, actor, critic, noise, 0.9, 0.0, 0.5)
    got = answer(batch, actor, critic, noise, 0.9, 0.0, 0.5)
    values = critic(batch.next_observation, actor(batch.next_observation)).detach()
    if isinstance(got, Tensor) and got.shape == want.shape:
        for wrong, hint in (
            (values.mean(1), "This is the mean of the twins, which is right on average and clips nothing."),
            (values[:, 0], "This is the first critic's value: there is a second one to ask."),
            (values.amax(1), "This is the larger of the two."),
        ):
            expect(not torch.allclose(got.detach(), batch.reward + 0.9 * wrong), hint)
    matches(
        got,
        want,
        "Without noise it is r + γ·min(Q₁, Q₂) at the target actor's action, the minimum over the axis `copies` of "
        "(member, copies, batch).",
    )


def _label_noise(answer: Any) -> None:
    """The action is smoothed by noise that is scaled, then clipped."""
    batch, actor, critic, noise, *_ = _label_parts()
    for sigma, clip, hint in (
        (0.01, 50.0, "With little noise, far from any clip, the label is off. The noise is `sigma * noise`."),
        (0.2, 0.1, "With a tight clip the label is off. Clip the noise *after* scaling it, to ±clip."),
    ):
        want = label(batch, actor, critic, noise, 0.9, sigma, clip)
        matches(answer(batch, actor, critic, noise, 0.9, sigma, clip), want, hint)


def _label_range(answer: Any) -> None:
    """The smoothed action is still an action."""
    batch, actor, critic, noise, *_ = _label_parts(edge=True)
    matches(
        answer(batch, actor, critic, noise, 0.9, 0.2, 0.5),
        label(batch, actor, critic, noise, 0.9, 0.2, 0.5),
        "Where the policy plays near ±1 the noise carries it past what any motor can do, to where no critic has seen "
        "data. Clip the sum to [−1, 1] as well.",
    )


def _label_ends(answer: Any) -> None:
    """What terminated has no future."""
    batch, actor, critic, noise, *_ = _label_parts(terminated=0.4)
    matches(
        answer(batch, actor, critic, noise, 0.9, 0.2, 0.5),
        label(batch, actor, critic, noise, 0.9, 0.2, 0.5),
        "Where the episode terminated the label is the reward alone.",
    )


def _label_constant(answer: Any) -> None:
    """No gradient runs through the label."""
    batch, actor, critic, noise, *_ = _label_parts()
    got = answer(batch, actor, critic, noise, 0.9, 0.2, 0.5)
    expect(
        not got.requires_grad,
        "A gradient runs through your label into the slow copies. A label is a constant: compute it under "
        "`torch.no_grad()`.",
    )


LABEL = Exercise(
    name="td3-label",
    title="TD3's label",
    difficulty="easy",
    minutes=15,
    task="Write `label(batch, target_actor, target_critic, noise, gamma, sigma, clip)`, equation (6.5) for a whole "
    "population. `target_actor(observation)` returns actions `(member, batch, 1)` in [−1, 1]; "
    "`target_critic(observation, action)` returns the twins' values `(member, copies, batch)`; `noise` is standard "
    "normal, shaped like the actions; `batch` has `reward`, `next_observation` and `terminated`.",
    expects="a function of (batch, target_actor, target_critic, noise, gamma, sigma, clip) that returns a "
    "(member, batch) tensor",
    solution=label,
    why="Two clips, of different things: the noise to ±c, so that the action stays a neighbour of the policy's, and "
    "the sum to the range of actions, so that it stays an action. Where a policy sits at its limit, half of all "
    "noise is cut off there: smoothing then pulls the label's action *inwards*.",
    checks=[_label_minimum, _label_noise, _label_range, _label_ends, _label_constant],
)

# --- td3-lag ----------------------------------------------------------------------------------------------------------


def equal_tau(tau: float, period: int, new_period: int) -> float:
    def lag(tau: float, period: int) -> float:
        return period * (1 - tau) / tau + (period - 1) / 2

    spare = lag(tau, period) - (new_period - 1) / 2
    return new_period / (spare + new_period)


def _lag_itself(answer: Any) -> None:
    """The same period needs the same tau."""
    for tau, period in ((0.005, 1), (0.1, 2), (1.0, 8)):
        matches(answer(tau, period, period), tau, f"From period {period} to period {period} nothing changes.")


def _lag_paper(answer: Any) -> None:
    """TD3's 0.005 at every second update is nearly 0.0025 at every one."""
    matches(
        answer(0.005, 2, 1),
        1 / 399.5,
        "At every second update the copy makes a step of τ. Between its steps it ages by one update, so the mean lag "
        "is period·(1 − τ)/τ + (period − 1)/2 = 398.5 updates. A copy that moves at every update has that lag at "
        "(1 − τ)/τ = 398.5.",
        rtol=1e-9,
    )


def _lag_hard(answer: Any) -> None:
    """A copy every C updates is chapter 2's soft update with tau = 2/(C + 1)."""
    matches(
        answer(1.0, 9, 1),
        0.2,
        "With τ = 1 a copy is 0, 1, …, C − 1 updates old, (C − 1)/2 on average, and (1 − τ)/τ equals that at "
        "τ = 2/(C + 1).",
    )


def _lag_measured(answer: Any) -> None:
    """Copies that follow a steady walk lag alike, in simulation."""
    for tau, period, new_period in ((0.3, 2, 5), (0.05, 4, 3), (0.5, 8, 2)):
        found = float(answer(tau, period, new_period))
        expect(0 < found <= 1, f"For {(tau, period, new_period)} it gave {found}, which is no tau.")
        lags = [_measured_lag(tau, period), _measured_lag(found, new_period)]
        expect(
            abs(lags[0] - lags[1]) < 0.01 * (1 + lags[0]),
            f"With tau={tau} every {period} updates a copy lags {lags[0]:.2f} updates behind, and with your "
            f"{found:.4f} every {new_period} it lags {lags[1]:.2f}.",
        )


def _measured_lag(tau: float, period: int, updates: int = 4_000) -> float:
    """Mean lag of a copy behind an online number that counts updates, over whole periods at the end."""
    copy, total, counted = 0.0, 0.0, 0
    first = updates // 2 // period * period
    for k in range(1, updates // period * period + 1):
        if k % period == 0:
            copy += tau * (k - copy)
        if k > first:
            total += k - copy
            counted += 1
    return total / counted


LAG = Exercise(
    name="td3-lag",
    title="One target, two clocks",
    difficulty="medium",
    minutes=20,
    task="A slow copy takes a step of `tau` at every `period`-th update. Write `equal_tau(tau, period, new_period)`: "
    "the tau that gives a copy with `new_period` the same mean lag, in updates, averaged over all updates.",
    expects="a function of (tau, period, new_period) that returns a number",
    solution=equal_tau,
    why="Right after its step a copy lags by $p\\,(1-\\tau)/\\tau$ updates, $p$ times the lag of chapter 2, and until "
    "its next step it ages by $0, 1, \\dots, p-1$ more. TD3's $\\tau = 0.005$ every second update is a copy "
    "with $\\tau = 0.0025$ at every update: who sets `policy_delay=2` in a library that ties the two clocks halves tau "
    "without having said so.",
    checks=[_lag_itself, _lag_paper, _lag_hard, _lag_measured],
)

# --- td3-ruler --------------------------------------------------------------------------------------------------------


def overestimation(predicted: Tensor, reward: Tensor, terminated: Tensor, gamma: float) -> Tensor:
    """Mean over the episodes of what was predicted at the start less the discounted sum that came of it."""
    steps = reward.shape[-1]
    before = terminated.cumsum(-1) - terminated  # how often it had terminated before this step: 0 while it lives
    discount = gamma ** torch.arange(steps, dtype=reward.dtype)
    obtained = (discount * reward * (before == 0)).sum(-1)
    return (predicted - obtained).mean(-1)


def _ruler_sign(answer: Any) -> None:
    """Too high is positive."""
    reward = torch.zeros(2, 3, 5, dtype=torch.float64)
    predicted = torch.tensor([[1.0, 2.0, 3.0], [-1.0, -2.0, -3.0]], dtype=torch.float64)
    matches(
        answer(predicted, reward, torch.zeros_like(reward), 0.9),
        torch.tensor([2.0, -2.0], dtype=torch.float64),
        "Where all rewards are 0, it is the mean of what was predicted, one number a member, with its sign.",
    )


def _ruler_discount(answer: Any) -> None:
    """The first reward is not discounted, the next is once."""
    reward = torch.randn(2, 3, 600, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    zero = torch.zeros(2, 3, dtype=torch.float64)
    matches(
        answer(zero, reward, torch.zeros_like(reward), 0.99),
        overestimation(zero, reward, torch.zeros_like(reward), 0.99),
        "Q(s₀, a₀) is r₀ + γ·r₁ + γ²·r₂ + …, over every step that you are given, and the overestimation is what was "
        "predicted *minus* that.",
    )


def _ruler_ends(answer: Any) -> None:
    """Nothing is counted after the end, and the last reward is."""
    reward = torch.ones(1, 2, 6, dtype=torch.float64)
    terminated = torch.zeros_like(reward)
    terminated[0, 0, 2] = 1  # the first episode ends with its third reward
    terminated[0, 0, 4] = 1  # what a simulator says after the end is nobody's business
    zero = torch.zeros(1, 2, dtype=torch.float64)
    matches(
        answer(zero, reward, terminated, 1.0),
        torch.tensor([-4.5], dtype=torch.float64),
        "Rewards of 1 and γ = 1: the episode that terminates at its third step collects 3, the other 6. The step that "
        "terminates still pays; all after it is not part of the episode, whatever the arrays hold there.",
    )


RULER = Exercise(
    name="td3-ruler",
    title="The ruler",
    difficulty="medium",
    minutes=15,
    task="Write `overestimation(predicted, reward, terminated, gamma)`, equation (6.1). `predicted` is `(member, "
    "episode)`, the critic's value at the start; `reward` and `terminated` are `(member, episode, time)`, with 1 where "
    "the episode terminated. The arrays go on past a time limit: there is none to think of.",
    expects="a function of (predicted, reward, terminated, gamma) that returns a (member,) tensor",
    solution=overestimation,
    why="Three things to get right: the exponent starts at 0, the terminating step still pays, and no time limit ends "
    "the sum, since none ends the bootstrap. A sum that stops after $H$ steps lacks $\\gamma^H$ times the value "
    "that is left there: 13 % of it for Pendulum's 200 steps at $\\gamma = 0.99$.",
    checks=[_ruler_sign, _ruler_discount, _ruler_ends],
)

# --- td3-suspect ------------------------------------------------------------------------------------------------------


def suspect(seeds: list[int], batches: Iterable[Any], tau: float = 0.05, gamma: float = 0.99) -> tuple[MLP, MLP]:
    def q(critic: MLP, observation: Tensor, action: Tensor) -> Tensor:  # (member, copies, batch)
        pair = torch.cat((observation, action), -1).repeat_interleave(2, dim=0)
        return critic(pair).view(len(seeds), 2, -1)

    actor = MLP((3, 64, 64, 1), seeds, purpose="actor")  # one a member
    twins = MLP((3 + 1, 64, 64, 1), [seed for seed in seeds for _ in range(2)], purpose="critic")  # two
    target_actor, target_twins = deepcopy(actor), deepcopy(twins)
    actor_optimizer = torch.optim.Adam(actor.parameters(), lr=1e-3)
    twins_optimizer = torch.optim.Adam(twins.parameters(), lr=1e-3)

    for k, batch in enumerate(batches, 1):
        with torch.no_grad():
            noise = (0.2 * torch.randn_like(batch.action)).clamp(-0.5, 0.5)
            next_action = (target_actor(batch.next_observation).tanh() + noise).clamp(-1, 1)
            value = q(target_twins, batch.next_observation, next_action).amin(dim=1)
            y = batch.reward + gamma * value

        loss = (q(twins, batch.observation, batch.action) - y[:, None]).square().mean(-1).sum()
        twins_optimizer.zero_grad()
        loss.backward()
        twins_optimizer.step()

        if k % 2 == 0:
            gain = q(twins, batch.observation, actor(batch.observation).tanh())[:, 0].mean(-1).sum()
            actor_optimizer.zero_grad()
            (-gain).backward()
            actor_optimizer.step()

        soft_update(twins, target_twins, tau)
        soft_update(actor, target_actor, tau)
    return actor, twins


LISTING = inspect.getsource(suspect).rstrip()
"""The suspect's source, as the reader sees it."""

_INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "def q": "That line only names what comes in, and what shape comes out.",
    "pair = ": "Each member's batch twice, once for each of its two networks, side by side: as the twins lie.",
    "return critic(pair)": "Two networks a member, side by side along the first axis: the view is right.",
    "actor = ": "The actor of every member starts from weights of its own seed.",
    "target_actor, target_twins": "Slow copies start as exact copies.",
    "actor_optimizer = ": "The paper's learning rate.",
    "twins_optimizer = ": "One optimizer for both critics: Adam treats every weight by itself.",
    "for k, batch": "Updates are counted from 1, as everywhere in the book.",
    "with torch.no_grad": "A label is a constant; that line says so, and rightly.",
    "noise = ": "The noise is scaled, then clipped to ±0.5, as in the paper.",
    "next_action = ": "The smoothed action is brought back to [−1, 1].",
    "value = ": "The smaller of the two, over the axis of the copies. Ask what it is the smaller *of*.",
    "y = ": "Pendulum never terminates, so nothing is masked.",
    "loss = ": "Both critics are fitted to one label, and each loss is a mean over the batch.",
    "twins_optimizer.zero_grad": "Cleared right before `backward`, whoever left what there.",
    "loss.backward": "The slope of the loss in the twins' weights; the label has none.",
    "twins_optimizer.step": "One step down the loss.",
    "if k % 2": "The actor waits for every second update.",
    "gain = ": "The paper's actor climbs the first critic only.",
    "actor_optimizer.zero_grad": "Cleared right before `backward`.",
    "(-gain)": "It leaves gradients in the twins as well, but those are cleared before they are used.",
    "actor_optimizer.step": "One step up the gain.",
    "soft_update(twins": "The paper moves the copies where it moves the actor; ours move at every update, by choice.",
    "soft_update(actor": "The paper moves the copies where it moves the actor; ours move at every update, by choice.",
    "return actor, twins": "That line only hands out what was trained.",
}


@torch.no_grad()
def plant(critic: MLP, target_critic: MLP, members: slice) -> None:
    """Make these members' twins alike, as the wrong line does; the chapter calls it without saying what it is."""
    for network in (critic, target_critic):
        for weights in network.parameters():
            twins = weights.unflatten(0, (-1, 2))[members]
            twins[:, 1] = twins[:, 0]


def guilty_line() -> int:
    return 1 + next(number for number, line in enumerate(LISTING.splitlines()) if line.strip().startswith("twins = "))


_CLUE = (
    "The second column of the figure is the clue: these agents overestimate as if nothing were clipped. When does the "
    "smaller of two numbers take nothing away?"
)

SUSPECT = Exercise(
    name="td3-suspect",
    title="Find the line",
    difficulty="medium",
    minutes=15,
    task="The agents in the figure were trained with the mistake of one line of the numbered listing. They swing up, "
    "and their loss falls. Hand in the line's number.",
    expects="the number of a line, such as 1",
    solution=guilty_line,
    why="The line makes two critics for each member, and gives both the member's seed, on which first weights depend: "
    "they start alike. Twins that start alike, see the same batches and are fitted to the same labels stay alike for "
    "ever: the minimum of the two is the first, and the clipped double Q is a plain one. Nothing in the return gives "
    "it away. The mean distance $|Q_1 - Q_2|$ does: it is exactly 0. `copies=2` draws different weights for each.",
    checks=checks_of_a_line(
        LISTING, {start: f"That is in order. {alibi} {_CLUE}" for start, alibi in _INNOCENT.items()}
    ),
    value=True,
)

# --- td3-honest -------------------------------------------------------------------------------------------------------

HELD_OUT = [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
STEPS = 6_000
RETURN = -220.0
HONEST = 50.0


def settings() -> dict[str, Any]:
    return {"clipped_double_q": False, "target_noise": 0.1, "policy_delay": 1, "period": 1, "tau": 0.2}


def _are_settings(answer: Any) -> None:
    """These are settings of TD3, one value each."""
    from companion.rl.td3 import TD3Settings

    expect_settings(answer, TD3Settings, batch=128)
    expect(
        answer.get("gamma", 0.99) == 0.99, "By (6.4) a smaller γ makes every bias small. It is another task: keep 0.99."
    )


def _swings_up_and_knows_it(answer: Any) -> None:
    """Six agents you have never met swing up, and their critics know what that is worth."""
    from companion.rl import train
    from companion.study import iqm

    run = train(
        "td3", "Pendulum-v1", seeds=HELD_OUT, steps=STEPS, evaluate_every=STEPS, horizon=800, device="cpu",
        progress=False, **answer,
    )  # fmt: skip
    end = run.isel(step=-1)
    score, bias = float(iqm(end["return"])), float(iqm(end["predicted"] - end["discounted_return"]))
    found = f"Six held-out agents return {score:.0f} with an overestimation of {bias:+.0f} (interquartile means)."
    if score < RETURN:
        raise Hint(f"{found} {RETURN:.0f} is asked for. First of all find the tau at which they learn at all.")
    if bias < -HONEST:
        raise Hint(
            f"{found} That is too low by more than {HONEST:.0f}. Which accounts of the ledger are negative? Two "
            "of them are switches; the lag is shorter with a faster target."
        )
    if bias > HONEST:
        raise Hint(f"{found} That is too high by more than {HONEST:.0f}. What is there to pay an optimist with?")


HONESTY = Exercise(
    name="td3-honest",
    title="An honest critic",
    difficulty="hard",
    minutes=180,
    task="Find settings with which TD3 swings the pendulum up and knows what its policy is worth: a dict of keyword "
    f"arguments for `rl.train`. The check trains six agents with seeds you should not tune on, {HELD_OUT[0]} to "
    f"{HELD_OUT[-1]}, for {STEPS:,} steps at γ = 0.99, and asks for interquartile means of a return of {RETURN:.0f} at "
    f"least and of an overestimation within ±{HONEST:.0f}.",
    expects="a dict of settings, such as {'tau': 0.01}",
    solution=settings,
    why="Found by a sweep of six settings on seeds 0 to 4. The largest negative account is switched off, the smoothing "
    "halved, and a faster target than the chapter's shortens the lag; what is left of the three roughly cancels the "
    "optimism of the climb. On average, that is: single critics are still wrong by 50 or more in either direction.",
    checks=[_are_settings, _swings_up_and_knows_it],
    value=True,
)

EXERCISES = [MINIMUM, LABEL, LAG, RULER, SUSPECT, HONESTY]
