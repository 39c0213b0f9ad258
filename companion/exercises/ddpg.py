"""DDPG and the soft update.

The exercises of the chapter that grows DDPG in the open. Batches lead with a member axis, as everywhere in the book:
``(member, batch)`` for what is one number a transition, ``(member, batch, action)`` for actions.
"""

import inspect
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import brentq
from scipy.stats import binom
from torch import Tensor, nn

from companion.exercises.core import Exercise, Hint, checks_of_a_line, expect, expect_settings, matches
from companion.members import MLP

# --- ddpg-label -------------------------------------------------------------------------------------------------------


def ddpg_label(target_actor: nn.Module, target_critic: nn.Module, batch: Any, gamma: float) -> Tensor:
    """y = r + γ Q(s′, μ(s′; φ⁻); θ⁻), or r alone where s′ ended the episode."""
    with torch.no_grad():
        next_action = target_actor(batch.next_observation).tanh()
        pair = torch.cat((batch.next_observation, next_action), -1)
        return batch.reward + gamma * (1 - batch.terminated) * target_critic(pair).squeeze(-1)


def _networks(seed: int) -> tuple[MLP, MLP]:
    """An actor and a critic, of two members."""
    seeds = [seed, seed + 1]
    return MLP((3, 16, 2), seeds, purpose="actor").double(), MLP((5, 16, 1), seeds, purpose="critic").double()


def _transitions(terminated: float = 0.0, truncated: float = 0.0, seed: int = 0) -> SimpleNamespace:
    random = torch.Generator().manual_seed(seed)

    def uniform(*width: int) -> Float[Tensor, "..."]:
        return torch.rand(2, 8, *width, generator=random, dtype=torch.float64)

    return SimpleNamespace(
        observation=4 * uniform(3) - 2,
        action=2 * uniform(2) - 1,
        reward=-uniform(),
        next_observation=4 * uniform(3) - 2,
        terminated=(uniform() < terminated).double(),
        truncated=(uniform() < truncated).double(),
    )


def _label_of_the_next_state(answer: Any) -> None:
    """It values the next state, by the action that the actor would take there."""
    networks, batch = _networks(0), _transitions()
    matches(
        answer(*networks, batch, 0.9),
        ddpg_label(*networks, batch, 0.9),
        "Nothing ends in this batch, and the label is off. Both networks are asked about the *next* observation, the "
        "critic about the action that the actor takes there: squashed by tanh and not the one in the batch. Then the "
        "value is discounted, and the reward added whole.",
    )


def _label_terminated(answer: Any) -> None:
    """An end has no future, and keeps its reward."""
    networks, batch = _networks(0), _transitions(terminated=1.0)
    matches(
        answer(*networks, batch, 0.9),
        batch.reward,
        "Where the episode terminated, the label is the reward alone. (1 − d) multiplies the value of s′, and nothing "
        "else.",
    )


def _label_truncated(answer: Any) -> None:
    """Running out of time has a future."""
    networks, batch = _networks(0), _transitions(truncated=1.0)
    matches(
        answer(*networks, batch, 0.9),
        ddpg_label(*networks, batch, 0.9),
        "A truncated episode was cut by the clock. On Pendulum that is how every episode ends: bootstrap from s′.",
    )


def _label_is_constant(answer: Any) -> None:
    """It is a constant: no gradient runs through it."""
    got = answer(*_networks(0), _transitions(), 0.9)
    expect(
        not got.requires_grad,
        "Its numbers are right, and a gradient would run through it, into both slow copies. Compute it under "
        "`torch.no_grad()`.",
    )


LABEL = Exercise(
    name="ddpg-label",
    title="Whose action, whose value",
    difficulty="easy",
    minutes=10,
    task="Write (5.2) for a whole population: `ddpg_label(target_actor, target_critic, batch, gamma)`. The actor puts "
    "out numbers that tanh turns into actions; the critic takes observation and action side by side.",
    expects="a function of (target_actor, target_critic, batch, gamma) that returns a tensor (member, batch)",
    solution=ddpg_label,
    why="Each part has been got wrong in public: the actor asked about $s$ and not $s'$, the reward left out, the mask "
    "added and not multiplied, truncation taken for an end. All of these run, and some of them learn.",
    checks=[_label_of_the_next_state, _label_terminated, _label_truncated, _label_is_constant],
)

# --- ddpg-chain-rule --------------------------------------------------------------------------------------------------


def policy_gradient(observation: Tensor, weight: Tensor, slope: Tensor) -> Tensor:
    """∇W of the mean of Q(s, tanh(s W)), from the slope ∂Q/∂a at those actions."""
    action = (observation @ weight).tanh()
    return observation.mT @ (slope * (1 - action**2)) / observation.shape[1]


def _climbing(members: int, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Observations, weights and slopes, and what autograd says of them."""
    random = torch.Generator().manual_seed(members)
    observation = torch.randn(members, 6, 3, generator=random, dtype=torch.float64)
    weight = scale * torch.randn(members, 3, 2, generator=random, dtype=torch.float64)
    goal = torch.randn(members, 6, 2, generator=random, dtype=torch.float64)
    weight.requires_grad_(True)
    action = (observation @ weight).tanh()
    value = -(action - goal).square().sum(-1)  # a critic whose slope is 2 (goal − a)
    (gradient,) = torch.autograd.grad(value.mean(-1).sum(), weight)
    return observation, weight.detach(), (2 * (goal - action)).detach(), gradient


def _small_actions(answer: Any) -> None:
    """For actions near 0 it is the mean of observation times slope."""
    observation, weight, slope, gradient = _climbing(1, 1e-5)
    matches(
        answer(observation, weight, slope),
        gradient,
        "One member, actions so small that tanh is a straight line: then it is the mean over the batch of sᵀ · ∂Q/∂a. "
        "The mean and not the sum; and upwards, with the slope's own sign.",
        rtol=1e-4,
        atol=1e-8,
    )


def _through_tanh(answer: Any) -> None:
    """The slope passes through tanh, which is flat where the action is large."""
    observation, weight, slope, gradient = _climbing(1, 1.0)
    matches(
        answer(observation, weight, slope),
        gradient,
        "Right for small actions, wrong for large ones. The derivative of tanh(x) is 1 − tanh²(x), here 1 − a².",
    )


def _every_member_its_own(answer: Any) -> None:
    """Every member climbs its own critic."""
    observation, weight, slope, gradient = _climbing(4, 1.0)
    matches(
        answer(observation, weight, slope),
        gradient,
        "Right for one member, wrong for four: take the mean over each batch, and nothing over members.",
    )


CHAIN_RULE = Exercise(
    name="ddpg-chain-rule",
    title="The slope that reaches the actor",
    difficulty="medium",
    minutes=15,
    task="The smallest actor is one matrix, $\\mu(s) = \\tanh(sW)$. Given observations, W and the critic's slopes "
    "$\\partial Q/\\partial a$ at $a = \\mu(s)$, write (5.3) without autograd: the gradient of the mean of "
    "$Q(s, \\mu(s))$ over each member's batch. Shapes: (member, batch, observation), (member, observation, action), "
    "(member, batch, action).",
    expects="a function of (observation, weight, slope) that returns a tensor (member, observation, action)",
    solution=policy_gradient,
    why="Three factors: the critic's slope says where to, $1 - a^2$ is how much the squashing lets through, and $s$ "
    "says which weights are to blame. Look at the middle one. An action at the end of its range, $a = \\pm 1$, passes "
    "nothing on: an actor that is driven there by a wild critic does not hear when the critic changes its mind.",
    checks=[_small_actions, _through_tanh, _every_member_its_own],
)

# --- ddpg-targets -----------------------------------------------------------------------------------------------------


class Targets:
    def __init__(self, actor: Sequence[Tensor], critic: Sequence[Tensor], tau: float) -> None:
        self.tau = tau
        self.actor = [torch.zeros_like(weight) for weight in actor]
        self.critic = [torch.zeros_like(weight) for weight in critic]
        self.update(actor, critic, tau=1.0)  # begin as copies

    def update(self, actor: Sequence[Tensor], critic: Sequence[Tensor], tau: float | None = None) -> None:
        tau = self.tau if tau is None else tau
        for slow, new in zip([*self.actor, *self.critic], [*actor, *critic], strict=True):
            slow.copy_(tau * new + (1 - tau) * slow)


def _weights(seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 2, generator=random), torch.randn(2, generator=random)]


def _begin_as_copies(answer: Any) -> None:
    """Both targets begin as equal copies with storage of their own."""
    actor, critic = _weights(0), _weights(1)
    targets = answer(actor, critic, 0.1)
    for name, slow, online in (("actor", targets.actor, actor), ("critic", targets.critic, critic)):
        for ours, theirs in zip(slow, online, strict=True):
            matches(
                ours,
                theirs,
                f"Right after the start the target {name} is not the {name}. Which weight does that first update "
                "really use?",
            )
        for theirs in online:
            theirs.add_(1)
        expect(
            all(not torch.equal(ours, theirs) for ours, theirs in zip(slow, online, strict=True)),
            f"When the {name} moves, its target moves with it: it holds the same tensors.",
        )


def _both_follow(answer: Any) -> None:
    """Each update takes both a tenth of the way, when tau is a tenth."""
    targets = answer(_weights(0), _weights(1), 0.1)
    targets.update(_weights(2), _weights(3))
    for name, slow, start, online in (
        ("critic", targets.critic, _weights(1), _weights(3)),
        ("actor", targets.actor, _weights(0), _weights(2)),
    ):
        expect(
            not all(torch.allclose(ours, was) for ours, was in zip(slow, start, strict=True)),
            f"After an update the target {name} is where it was. What is it averaged with?",
        )
        for ours, was, new in zip(slow, start, online, strict=True):
            matches(ours, 0.1 * new + 0.9 * was, f"The target {name} has moved, but not by (5.4).", rtol=1e-4)


def _asked_for_another(answer: Any) -> None:
    """A tau that is given for one update is the one used, for both."""
    targets = answer(_weights(0), _weights(1), 0.1)
    actor, critic = _weights(2), _weights(3)
    targets.update(actor, critic, tau=1.0)
    for name, slow, online in (("actor", targets.actor, actor), ("critic", targets.critic, critic)):
        for ours, theirs in zip(slow, online, strict=True):
            matches(ours, theirs, f"`update(…, tau=1.0)` must copy, and the target {name} is elsewhere.")
    targets.update(_weights(0), _weights(1))
    for slow, new, was in zip(targets.critic, _weights(1), critic, strict=True):
        matches(slow, 0.1 * new + 0.9 * was, "After an update with another tau, the next one has its own tau again.")


def _online_untouched(answer: Any) -> None:
    """The online networks are left alone."""
    actor, critic = _weights(2), _weights(3)
    answer(_weights(0), _weights(1), 0.1).update(actor, critic)
    for moved, was in zip([*actor, *critic], [*_weights(2), *_weights(3)], strict=True):
        expect(torch.equal(moved, was), "An update changed the online weights: only the slow ones may move.")


TARGETS = Exercise(
    name="ddpg-targets",
    title="Two slips in print",
    difficulty="medium",
    minutes=15,
    task="`BrokenTargets` above has two bugs, each from published teaching code, and agents learn with it. Write "
    "`Targets(actor, critic, tau)` that is right: both begin as copies, and `.update(actor, critic, tau=None)` moves "
    "both by (5.4), with another weight where one is given.",
    expects="a class with `__init__(actor, critic, tau)`, `update(actor, critic, tau=None)`, `actor` and `critic`",
    solution=Targets,
    why="In *Grokking Deep Reinforcement Learning* an argument `tau=1.0`, meant for the first copy, was accepted and "
    "ignored, so that the targets began as other random networks. In a notebook of *Hands-On Machine Learning* the "
    "target was averaged with itself, and never moved. Both were reported by readers and are fixed. One loop over all "
    "tensors leaves no room for either.",
    checks=[_begin_as_copies, _both_follow, _asked_for_another, _online_untouched],
)

# --- ddpg-find-the-line -----------------------------------------------------------------------------------------------


def suspect(agents: Any, batch: Any, gamma: float = 0.99) -> None:
    with torch.no_grad():
        next_action = agents.target_actor(batch.next_observation).tanh()
        next_pair = torch.cat((batch.next_observation, next_action), -1)
        y = batch.reward + gamma * (1 - batch.terminated) * agents.target_critic(next_pair).squeeze(-1)

    q = agents.critic(torch.cat((batch.observation, batch.action), -1)).squeeze(-1)
    loss = (q - y).square().mean(-1).sum()
    loss.backward()
    agents.critic_optimizer.step()
    agents.critic_optimizer.zero_grad()

    action = agents.actor(batch.observation).tanh()
    climb = agents.critic(torch.cat((batch.observation, action), -1)).mean((-2, -1)).sum()
    (-climb).backward()
    agents.actor_optimizer.step()
    agents.actor_optimizer.zero_grad()

    agents.target_critic.update(agents.critic)
    agents.target_actor.update(agents.actor)


LISTING = inspect.getsource(suspect).rstrip()
"""The suspect's source, as the reader sees it."""

_INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "with torch.no_grad": "The label is a constant; that line says so, and rightly.",
    "next_action =": "The slow actor is asked about the next observation, as (5.2) wants it.",
    "next_pair =": "Observation and action of the next step, side by side, as the critic takes them.",
    "y = ": "Reward, discount, the slow critic, and a mask that looks at *terminated* alone: just (5.2).",
    "q = ": "Q of the action that was taken, by the online critic: (5.1).",
    "loss = ": "The mean over each batch, the sum over members. That is as it should be.",
    "loss.backward": "It is right to take this gradient here. But is it the only one in the critic's `.grad` when the "
    "next line steps?",
    "agents.critic_optimizer.step": "It is right to step here. Ask what `.grad` holds then, in the *second* update.",
    "action = ": "The online actor, at the observation of the batch, squashed: (5.3).",
    "climb = ": "The online critic, and no `no_grad`: the slope has to pass through it to reach the actor.",
    "(-climb)": "You are very near. The slope must pass through the critic to reach the actor, so this line is right. "
    "But `backward` leaves gradients in *everything* it passes through. Who clears them away, and when?",
    "agents.actor_optimizer.step": "The actor steps along its own gradient, which is the only one it has.",
    "agents.actor_optimizer.zero_grad": "The actor's gradients come from one `backward` alone, so clearing them "
    "here is as good as before it. For which network is that not so?",
    "agents.target_critic.update": "Once an update, after the step: (5.4).",
    "agents.target_actor.update": "Once an update, after the step: (5.4), and it is not forgotten.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "critic_optimizer.zero_grad" in line)


FIND = Exercise(
    name="ddpg-find-the-line",
    title="Find the line",
    difficulty="medium",
    minutes=25,
    task="The curves above come from the numbered listing, which runs without a murmur. One line stands in a place "
    "where it does harm. Hand in its number.",
    expects="the number of a line, such as 5",
    solution=guilty_line,
    why="`(-climb).backward()` runs through the critic and leaves $-\\nabla_\\theta Q(s, \\mu(s))$ in the critic's "
    "`.grad`. It stays there, because the critic's gradients are cleared *before* it and not before the next "
    "`loss.backward()`, which adds to it. So every step of the critic also raises the value of the actor's own "
    "actions. A critic that is flattered by its actor: believed values drift upwards, given time even above zero, "
    "where no reward is ever positive. Clear at the start, `critic_optimizer.zero_grad()` right before "
    "`loss.backward()`, and it does not matter who left what.",
    checks=checks_of_a_line(LISTING, _INNOCENT),
    value=True,
)

# --- ddpg-foresight ---------------------------------------------------------------------------------------------------


def least_tau(steps_ahead: int, updates: int) -> float:
    """The smallest tau at which a reward so many steps ahead has half its weight after so many updates."""
    return brentq(lambda tau: binom.sf(steps_ahead, updates, tau) - 0.5, 0.0, 1.0)


def _weight_ahead(steps_ahead: int, updates: int, tau: float) -> float:
    """Weight of a reward in the target, by the recursion itself."""
    weight = np.zeros(steps_ahead + 2)
    weight[0] = 1.0  # a reward that is already there, one place before the first
    for _ in range(updates):
        weight[1:] += tau * (weight[:-1] - weight[1:])
    return float(weight[-1])


def _first_reward(answer: Any) -> None:
    """The reward of the next step alone: how long an average takes to get half way."""
    for updates in (1, 10, 200):
        matches(
            answer(0, updates),
            1 - 0.5 ** (1 / updates),
            f"The reward that is 0 steps ahead enters the target with weight 1 − (1 − τ)ᵏ. Half of it after k = "
            f"{updates} updates needs τ = 1 − 0.5^(1/k).",
            rtol=1e-4,
        )


def _about_a_step_in_one_over_tau(answer: Any) -> None:
    """Far ahead, sight advances by about τ steps an update."""
    for steps, updates in ((30, 3_000), (50, 7_500)):
        got = float(answer(steps, updates))
        expect(
            abs(got * updates - steps) < 1.0,
            f"For {steps} steps ahead in {updates:,} updates you say τ = {got:.3g}, so that τ · k = {got * updates:.1f}"
            f". The front of (5.6) advances by τ steps an update: τ · k must be near {steps}.",
        )


def _agrees_with_the_recursion(answer: Any) -> None:
    """Exactly half, by the recursion."""
    for steps, updates in ((3, 40), (12, 300)):
        got = float(answer(steps, updates))
        weight = _weight_ahead(steps, updates, got)
        expect(
            abs(weight - 0.5) < 1e-3,
            f"For {steps} steps ahead in {updates} updates you say τ = {got:.4g}. Run through the recursion before "
            f"(5.6), it gives that reward a weight of {weight:.3f}, not 0.5. `scipy.stats.binom.sf(n, k, tau)` is "
            "P(more than n of k).",
        )


FORESIGHT = Exercise(
    name="ddpg-foresight",
    title="Choose tau before you train",
    difficulty="medium",
    minutes=20,
    task="You know how many steps ahead an agent must see, and how many updates you can afford. Write "
    "`least_tau(steps_ahead, updates)`: the smallest τ at which, by (5.6), a reward that many steps ahead has half its "
    "weight in the target. `scipy.optimize.brentq` solves an equation between two bounds.",
    expects="a function of (steps_ahead, updates) that returns a number",
    solution=least_tau,
    why="A reward enters the target one step at a time, and each step takes an update that happens with weight τ: the "
    "reward n steps ahead is in when more than n of k such draws have succeeded. Half of it is in when $\\tau k$ is "
    "about $n$ (a little above it, by 0.7). So the paper's $\\tau = 0.001$ sees 30 steps ahead after 30,000 updates, "
    "which is nothing to a run of a million, and everything to yours.",
    checks=[_first_reward, _about_a_step_in_one_over_tau, _agrees_with_the_recursion],
)

# --- ddpg-settings ----------------------------------------------------------------------------------------------------

HELD_OUT = [1_000, 1_001, 1_002, 1_003, 1_004, 1_005]
STEPS = 2_000
GOAL = -350.0


def settings() -> dict[str, Any]:
    return {
        "tau": 0.03,
        "gamma": 0.97,
        "critic_learning_rate": 3e-3,
        "actor_learning_rate": 2e-3,
        "batch_size": 128,
        "exploration_noise": 0.2,
        "learning_starts": 250,
    }


def _are_settings(answer: Any) -> None:
    """These are settings of DDPG, one value each."""
    from companion.rl.ddpg import DDPGSettings

    expect_settings(answer, DDPGSettings, batch=256)


def _swings_up(answer: Any) -> None:
    """Six agents you have never met swing up within ten episodes."""
    from companion.rl import train
    from companion.study import iqm

    run = train("ddpg", "Pendulum-v1", seeds=HELD_OUT, steps=STEPS, device="cpu", progress=False, **answer)
    score = float(iqm(run["return"].isel(step=-1)))
    if score >= GOAL:
        return
    tau, period = float(run.attrs["tau"]), int(run.attrs["period"])
    sight = tau * (STEPS - int(run.attrs["learning_starts"])) / period
    if sight < 20:
        why = f"Their targets see about {sight:.0f} steps ahead by the end, and a swing needs 15 to 20: a larger τ."
    elif tau / period > 0.15:
        why = "Their targets are so quick that the labels tremble: a smaller τ."
    else:
        why = "Their targets see far enough. How fast do both networks learn, from how large a batch, and for which γ?"
    raise Hint(f"Six held-out agents reach {score:.0f} (interquartile mean), and {GOAL:.0f} is asked. {why}")


SETTINGS = Exercise(
    name="ddpg-settings",
    title="Six pendulums you have never met",
    difficulty="hard",
    minutes=120,
    task="Find settings with which DDPG learns Pendulum fast: a dict of keyword arguments for `rl.train`. The check "
    f"trains six agents with seeds you should not tune on, {HELD_OUT[0]} to {HELD_OUT[-1]}, for {STEPS:,} steps, and "
    f"asks for an interquartile mean return of {GOAL:.0f} at the end. Sweep on other seeds, many settings at once.",
    expects="a dict of settings, such as {'tau': 0.02}",
    solution=settings,
    why="Found on seeds 0 to 5, after a sweep of 24 settings. With τ = 0.03 the targets see some 50 steps ahead by the "
    "end, which is more than enough; a γ of 0.97 asks for no more. The rest is haste: learning rates two and three "
    "times the defaults, larger batches to bear them, more noise in the few steps there are, and an earlier start. "
    "Yours may be better.",
    checks=[_are_settings, _swings_up],
    value=True,
)

EXERCISES = [LABEL, CHAIN_RULE, TARGETS, FORESIGHT, FIND, SETTINGS]
