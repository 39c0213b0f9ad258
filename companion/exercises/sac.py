"""SAC and entropy.

The exercises of the chapter that grows soft actor-critic in the open. Batches lead with a member axis, as everywhere
in the book: ``(member, batch)`` for what is one number a transition, ``(member, critic, batch)`` for what two critics
say, ``(member, batch, action)`` for actions. Entropies are in nats.
"""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import entr, softmax
from torch import Tensor
from torch.nn.functional import softplus

from companion.exercises.core import Exercise, expect, matches, returned

# --- sac-soft-value ---------------------------------------------------------------------------------------------------


def soft_value(q: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
    """The best that reward and entropy together can come to, and the policy that reaches it."""
    value = temperature * torch.logsumexp(q / temperature, -1)
    return value, torch.softmax(q / temperature, -1)


def _two(answer: Any, q: Tensor, temperature: float) -> tuple[Any, Any]:
    """Both answers, or a hint that there must be two."""
    got = returned(answer(q, temperature))
    expect(
        isinstance(got, tuple) and len(got) == 2,
        "Return two tensors: the values, and the policies that reach them.",
    )
    return got


def _is_a_distribution(answer: Any) -> None:
    """The policy is a distribution over the last axis, for every state at once."""
    q = torch.tensor([[1.0, 0.5, 0.0], [2.0, 2.0, 2.0]], dtype=torch.float64)
    _, policy = _two(answer, q, 0.5)
    matches(
        torch.as_tensor(policy).sum(-1),
        torch.ones(2, dtype=torch.float64),
        "A policy's probabilities sum to one over the actions, the last axis, in every state.",
    )


def _is_boltzmann(answer: Any) -> None:
    """Probabilities are proportional to exp(Q/α)."""
    q = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    for temperature in (1.0, 0.25):
        _, policy = _two(answer, q, temperature)
        weights = (q / temperature).exp()
        matches(
            policy,
            weights / weights.sum(),
            f"At temperature {temperature:g} two actions whose values differ by one temperature must differ in "
            "probability by a factor e. Where does the temperature divide?",
        )


def _is_what_it_collects(answer: Any) -> None:
    """The value is what the policy collects: its expected Q plus temperature times its entropy."""
    q = torch.tensor([[1.0, 0.5, 0.0], [-3.0, 2.0, 0.3]], dtype=torch.float64)
    for temperature in (1.0, 0.25, 3.0):
        value, _ = _two(answer, q, temperature)
        policy = torch.softmax(q / temperature, -1)
        collected = (policy * (q - temperature * policy.log())).sum(-1)
        matches(
            value,
            collected,
            f"At temperature {temperature:g} the policy's expected Q plus α times its entropy is "
            f"{float(collected[0]):.4f} in the first test state, and your value is another. It is larger than the "
            "expected Q alone and, with three actions, exceeds the largest Q by at most α log 3.",
        )


def _survives_scale(answer: Any) -> None:
    """Large values at a small temperature stay finite."""
    value, policy = _two(answer, torch.tensor([1_000.0, 999.0, 0.0]), 0.1)
    expect(
        bool(torch.isfinite(torch.as_tensor(value)).all() and torch.isfinite(torch.as_tensor(policy)).all()),
        "Values of 1,000 at temperature 0.1 overflow: exp(10,000) is no number. `torch.logsumexp` and `torch.softmax` "
        "take the largest out first.",
    )
    matches(value, torch.tensor(1_000.0), "With so small a temperature the value is the largest Q.", rtol=1e-4)


SOFT_VALUE = Exercise(
    name="sac-soft-value",
    title="A maximum that is soft",
    difficulty="easy",
    minutes=10,
    task="Write `soft_value(q, temperature)`: from values `(..., action)`, the soft value `(...)` of equation (7.3) "
    "and the policy `(..., action)` that reaches it, (7.4).",
    expects="a function of (q, temperature) that returns two tensors, the values and the policies",
    solution=soft_value,
    why="$\\alpha \\log \\sum_a e^{Q(a)/\\alpha}$ goes to the maximum as $\\alpha \\to 0$, and to the mean plus "
    "$\\alpha \\log n$ as $\\alpha \\to \\infty$. Its slope with respect to each $Q(a)$ is the probability of "
    "$a$: a maximum whose argmax changes gradually.",
    checks=[_is_a_distribution, _is_boltzmann, _is_what_it_collects, _survives_scale],
)

# --- sac-log-prob -----------------------------------------------------------------------------------------------------


def log_prob(u: Tensor, mean: Tensor, log_sd: Tensor) -> Tensor:
    """Log-density of a = tanh(u), u ~ N(mean, sd²), summed over the action's numbers."""
    standard = (u - mean) / log_sd.exp()
    gaussian = -0.5 * standard.square() - log_sd - 0.5 * math.log(2 * math.pi)
    squashing = 2 * (math.log(2) - u - softplus(-2 * u))
    return (gaussian - squashing).sum(-1)


def _integrates_to_one(answer: Any) -> None:
    """The density of a integrates to one over [−1, 1]."""

    def density(a: float, mean: float, sd: float) -> float:
        u = torch.atanh(torch.tensor([[a]], dtype=torch.float64))
        one = torch.ones_like(u)
        got = returned(answer(u, mean * one, math.log(sd) * one))
        return float(torch.as_tensor(got).exp().flatten()[0])

    for mean, sd in ((0.0, 0.5), (0.7, 0.3)):
        area, _ = quad(density, -1 + 1e-12, 1 - 1e-12, args=(mean, sd), limit=200)
        expect(
            abs(area - 1) < 1e-4,
            f"With mean {mean} and standard deviation {sd} your density of a integrates to {area:.3f} over [−1, 1], "
            "and 1 is right. tanh squeezes lengths by 1 − tanh²(u); density is probability *per length*, so does it "
            "grow or shrink there?",
        )


def _one_number_an_action(answer: Any) -> None:
    """Independent numbers of an action multiply, so logarithms add over the last axis."""
    u = torch.tensor([[[0.3, -1.0], [0.1, 2.0], [0.0, 0.5]]], dtype=torch.float64)
    mean, log_sd = 0.5 * u, torch.full_like(u, -0.7)
    matches(
        answer(u, mean, log_sd),
        log_prob(u, mean, log_sd),
        "For an action of several numbers sum their logarithms over the last axis: (member, batch, action) becomes "
        "(member, batch).",
        rtol=1e-3,  # a small number inside the logarithm is for the next check
    )


def _survives_saturation(answer: Any) -> None:
    """It is exact where tanh(u) rounds to ±1, in single precision."""
    for u in (5.0, 9.5, 20.0, -20.0):
        one = torch.tensor([[u]])
        got = torch.as_tensor(answer(one, one, torch.zeros_like(one))).flatten()
        want = log_prob(one.double(), one.double(), torch.zeros(1, 1, dtype=torch.float64))
        expect(
            bool(torch.isfinite(got).all()),
            f"At u = {u:g} it is {float(got[0])}: in float32 tanh(u) is ±1 and 1 − tanh²(u) is 0. Write log(1 − "
            "tanh²u) as 2 (log 2 − u − softplus(−2u)).",
        )
        matches(
            got.double(),
            want,
            f"At u = {u:g} the log-density is {float(want):.3f}, and yours is {float(got[0]):.3f}. A small number "
            "added inside the logarithm keeps it finite and makes it wrong: from there on every u looks alike.",
            rtol=1e-4,
        )


LOG_PROB = Exercise(
    name="sac-log-prob",
    title="The price of squashing",
    difficulty="medium",
    minutes=20,
    task="Write `log_prob(u, mean, log_sd)`, equation (7.7): the log-density of $a = \\tanh u$ where $u$ is Gaussian, "
    "summed over the last axis. Single precision must do.",
    expects="a function of (u, mean, log_sd), each (..., action), that returns a tensor (...)",
    solution=log_prob,
    why="Where tanh is flat, many $u$ land on few $a$, and the density of $a$ is high: the correction *adds* "
    "$-\\log(1 - \\tanh^2 u) \\ge 0$. The stable form follows from $1 - \\tanh^2 u = 4 / (e^u + e^{-u})^2$. It came to "
    "rlkit from TensorFlow Probability, by [way of an issue](https://github.com/rail-berkeley/rlkit/issues/37).",
    checks=[_integrates_to_one, _one_number_an_action, _survives_saturation],
)

# --- sac-label --------------------------------------------------------------------------------------------------------


def soft_label(
    reward: Tensor, terminated: Tensor, next_q: Tensor, next_log_prob: Tensor, gamma: float, temperature: Tensor
) -> Tensor:
    """y = r + γ (1 − d) (min Q − α log π)."""
    soft = next_q.amin(1) - temperature[:, None] * next_log_prob
    return reward + gamma * (1 - terminated) * soft


def _label_batch() -> tuple[Tensor, ...]:
    random = torch.Generator().manual_seed(0)
    reward, log_probability = torch.randn(2, 3, 6, generator=random, dtype=torch.float64).unbind(0)
    next_q = 10 * torch.randn(3, 2, 6, generator=random, dtype=torch.float64)
    temperature = torch.tensor([0.1, 1.0, 10.0], dtype=torch.float64)
    return reward, torch.zeros_like(reward), next_q, log_probability, temperature


def _label_is_hard_when_cold(answer: Any) -> None:
    """Without temperature it is TD3's: the smaller of the two critics."""
    reward, never, next_q, log_probability, temperature = _label_batch()
    matches(
        answer(reward, never, next_q, log_probability, 0.9, 0 * temperature),
        reward + 0.9 * next_q.amin(1),
        "At temperature 0 only the smaller of the two critics' values is left. The critics are on axis 1.",
    )


def _label_pays_for_entropy(answer: Any) -> None:
    """The next action's improbability is paid for, at each member's own temperature."""
    reward, never, next_q, log_probability, temperature = _label_batch()
    got = answer(reward, never, next_q, log_probability, 0.9, temperature)
    plus = reward + 0.9 * (next_q.amin(1) + temperature[:, None] * log_probability)
    if isinstance(got, Tensor) and got.shape == plus.shape:
        expect(
            not torch.allclose(got, plus),
            "The sign: an *improbable* action has a very negative log π, and it is to raise the label.",
        )
        expect(
            not torch.allclose(got, reward + 0.9 * next_q.amin(1)),
            "This label does not know the temperature: the entropy of later steps would not count. See (7.9).",
        )
        expect(
            not torch.allclose(got, reward + 0.9 * next_q.amin(1) - temperature[:, None] * log_probability),
            "The entropy is that of the *next* state's policy: it comes one step later and is discounted like all "
            "that comes then.",
        )
    matches(
        got,
        soft_label(reward, never, next_q, log_probability, 0.9, temperature),
        "Each member has a temperature of its own: `temperature` is (member,), the rest (member, batch).",
    )


def _label_ends(answer: Any) -> None:
    """Where the episode terminated neither value nor entropy follows."""
    reward, never, next_q, log_probability, temperature = _label_batch()
    matches(
        answer(reward, never + 1, next_q, log_probability, 0.9, temperature),
        reward,
        "After the end there is no action to be random about: the reward alone is left.",
    )


LABEL = Exercise(
    name="sac-label",
    title="A label that likes surprise",
    difficulty="medium",
    minutes=15,
    task="Write `soft_label(reward, terminated, next_q, next_log_prob, gamma, temperature)`, equation (7.9), for a "
    "population: `next_q` is `(member, 2, batch)`, from the target critics at the action drawn in s′; `temperature` is "
    "`(member,)`; the rest `(member, batch)`.",
    expects="a function of (reward, terminated, next_q, next_log_prob, gamma, temperature) that returns a "
    "(member, batch) tensor",
    solution=soft_label,
    why="One sample of $-\\log \\pi(a'|s')$ stands for the entropy of the policy in $s'$, as one sample of $Q$ stands "
    "for its expectation. The entropy in $s$ itself is not in $Q(s, a)$: there the action is already chosen.",
    checks=[_label_is_hard_when_cold, _label_pays_for_entropy, _label_ends],
)

# --- sac-temperature --------------------------------------------------------------------------------------------------


def temperature_for(q: Float[np.ndarray, "action"], entropy: float) -> float:
    """The temperature at which the Boltzmann policy over `q` has this entropy; `entr(p)` is −p log p."""

    def excess(log_temperature: float) -> float:
        return float(entr(softmax(q / math.exp(log_temperature))).sum() - entropy)

    return math.exp(brentq(excess, -20, 20))


def _entropy_at(q: Float[np.ndarray, "action"], temperature: float) -> float:
    return float(entr(softmax(q / temperature)).sum())


_VALUES = (np.array([1.0, 0.8, 0.5, 0.0]), np.array([0.0, -1.0]), np.array([5.0, 4.9, -3.0, 1.0, 2.0]))


def _reaches_the_entropy(answer: Any) -> None:
    """The policy at that temperature has the entropy asked for."""
    for q in _VALUES:
        for share in (0.3, 0.6, 0.95):
            wanted = share * math.log(len(q))
            temperature = float(returned(answer(q, wanted)))
            expect(temperature > 0, f"For q = {q.tolist()} it gave {temperature:g}; a temperature is positive.")
            entropy = _entropy_at(q, temperature)
            expect(
                abs(entropy - wanted) < 1e-3,
                f"For q = {q.tolist()} and an entropy of {wanted:.3f} it gave α = {temperature:.4g}, at which the "
                f"Boltzmann policy has entropy {entropy:.3f}. Entropy rises with temperature: search there, best on "
                "log α, or follow (7.8) downhill until it rests.",
            )


def _scales_with_reward(answer: Any) -> None:
    """Ten times the reward needs ten times the temperature."""
    for q in _VALUES:
        matches(
            float(answer(10 * q, 0.5)),
            10 * temperature_for(q, 0.5),
            "Multiply all values by ten and the same policy needs a temperature ten times as high. Is your search "
            "wide enough, and does it search log α?",
            rtol=1e-2,
        )


def _shifts_do_not_matter(answer: Any) -> None:
    """A constant added to all values changes nothing."""
    q = _VALUES[0]
    matches(
        float(answer(q + 500, 0.9)),
        temperature_for(q, 0.9),
        "Adding 500 to every value leaves the policy as it is. Subtract the largest before you exponentiate.",
        rtol=1e-2,
    )


TEMPERATURE = Exercise(
    name="sac-temperature",
    title="The temperature that was asked for",
    difficulty="medium",
    minutes=25,
    task="Write `temperature_for(q, entropy)`: the temperature at which the Boltzmann policy over the values `q` (a "
    "NumPy array) has that entropy, to a thousandth of a nat. It lies between 0 and log n.",
    expects="a function of (q, entropy) that returns a positive number",
    solution=temperature_for,
    why="It is the least point of the dual (7.8), $\\alpha \\log \\sum_a e^{q/\\alpha} - \\alpha \\bar H$, whose "
    "slope is entropy minus $\\bar H$. SAC takes one small step of this search after every update, while "
    "$Q$ moves under it. That the answer scales with the reward is why a fixed temperature has to be tuned anew for "
    "every task.",
    checks=[_reaches_the_entropy, _scales_with_reward, _shifts_do_not_matter],
)

# --- sac-mean-lag -----------------------------------------------------------------------------------------------------


def mean_lag(tau: float, period: int) -> float:
    """Mean age, in updates, of what a target holds that takes `tau` of the online network every `period` updates."""
    return period * (1 - tau) / tau + (period - 1) / 2


def _lag_soft(answer: Any) -> None:
    """At every update it is the soft target's, (1 − τ)/τ."""
    for tau in (0.5, 0.1, 0.005):
        matches(answer(tau, 1), (1 - tau) / tau, "With a period of 1 it is chapter 2's mean lag, (1 − τ)/τ.")


def _lag_hard(answer: Any) -> None:
    """With τ = 1 it is the hard target's, (C − 1)/2."""
    for period in (1, 10, 1_000):
        matches(
            answer(1.0, period),
            (period - 1) / 2,
            "With τ = 1 the copy is 0, 1, …, C − 1 updates old, each equally often.",
        )


def _simulated_lag(tau: float, period: int) -> float:
    """How far a target is behind an online number that counts the updates, averaged over a period, at the end."""
    target, behind = 0.0, 0.0
    updates = period * math.ceil(60 / tau)
    for k in range(1, updates + 1):
        if k % period == 0:
            target += tau * (k - target)
        if k > updates - period:
            behind += k - target
    return behind / period


def _lag_both(answer: Any) -> None:
    """Between the two it is what a simulation measures."""
    for tau, period in ((0.5, 4), (0.1, 10), (0.02, 3)):
        measured = _simulated_lag(tau, period)
        matches(
            float(answer(tau, period)),
            measured,
            f"With tau={tau} and period={period} a target that follows a clock is {measured:.2f} updates late, on "
            f"average, and you say {float(answer(tau, period)):.2f}. The average's memory is counted in periods, and "
            "to it comes the wait within a period.",
            rtol=1e-3,
        )


MEAN_LAG = Exercise(
    name="sac-mean-lag",
    title="Two knobs, one lag",
    difficulty="medium",
    minutes=20,
    task="Write `mean_lag(tau, period)`: the mean lag, in updates, of a target that every `period` updates takes "
    "`tau` of the online network.",
    expects="a function of (tau, period) that returns a number",
    solution=mean_lag,
    why="$L = C(1-\\tau)/\\tau + (C-1)/2 = C/\\tau - (C+1)/2$. So an interval of 10 with $\\tau = 0.05$ lags by 194.5 "
    "updates, as an interval of 1 with $\\tau = 0.005$ lags by 199. The speed of chapter 4, one share $\\tau/C$ an "
    "update, is the same for both, and for a copy every 200 updates too, which lags by 99.5 only.",
    checks=[_lag_soft, _lag_hard, _lag_both],
)

# --- sac-width --------------------------------------------------------------------------------------------------------


def width(tau: Float[np.ndarray, "setting"], score: Float[np.ndarray, "setting"], threshold: float) -> float:
    """Decades of tau over which the score, interpolated between the settings on log tau, is at least the threshold."""
    order = np.argsort(tau)
    x, above = np.log10(tau)[order], (score - threshold)[order]
    total = 0.0
    for length, left, right in zip(np.diff(x), above[:-1], above[1:], strict=True):
        if left >= 0 and right >= 0:
            total += length
        elif left >= 0 or right >= 0:
            total += length * max(left, right) / abs(left - right)  # the line crosses zero on the way
    return float(total)


_TAUS = np.array([1.0, 0.1, 0.01, 0.001, 0.0001])


def _width_all(answer: Any) -> None:
    """Where every setting will do, it is the length of the whole sweep."""
    matches(
        answer(_TAUS, np.full(5, -150.0), -200.0),
        4.0,
        "From 0.0001 to 1 there are four decades. Measure on the logarithm to base 10.",
    )


def _width_none(answer: Any) -> None:
    """Where none will do, it is nothing."""
    matches(answer(_TAUS, np.full(5, -900.0), -200.0), 0.0, "No setting reaches the threshold: the width is 0.")


def _width_between(answer: Any) -> None:
    """It ends where the interpolated score crosses the threshold, not at a setting."""
    score = np.array([-1_400.0, -160.0, -150.0, -200.0 - 3 * 50.0, -1_500.0])
    want = width(_TAUS, score, -200.0)
    got = answer(_TAUS, score, -200.0)
    if isinstance(got, int | float):
        expect(
            abs(got - 1.0) > 1e-9,
            "From the first good setting to the last it is 1 decade, but the valley does not end at the settings that "
            "were tried. Draw straight lines between the points, over log τ, and end where they cross.",
        )
    matches(
        got,
        want,
        f"With scores {score.tolist()} at τ = {_TAUS.tolist()} the straight lines over log τ are above −200 for "
        f"{want:.3f} decades.",
    )


def _width_islands(answer: Any) -> None:
    """Two islands count, and the gap between them does not; the order of the settings does not matter."""
    score = np.array([-100.0, -300.0, -100.0, -300.0, -300.0])
    matches(
        answer(_TAUS, score, -200.0),
        1.5,
        "Two islands, half a decade at the upper end and a whole one around 0.01: 1.5 decades. The gap between the "
        "islands does not count.",
    )
    score = np.array([-300.0, -300.0, -100.0, -100.0, -100.0])
    shuffled = np.array([2, 0, 4, 1, 3])
    matches(
        answer(_TAUS[shuffled], score[shuffled], -200.0),
        2.5,
        "The settings may come in any order. Sort by tau.",
    )


WIDTH = Exercise(
    name="sac-width",
    title="How wide is a valley?",
    difficulty="medium",
    minutes=30,
    task="Write `width(tau, score, threshold)`: the number of decades of tau over which the score is at least the "
    "threshold, on straight lines between the settings over log tau.",
    expects="a function of (tau, score, threshold), two arrays and a number, that returns a number",
    solution=width,
    why="It is the book's measure of how forgiving an algorithm is, and it has faults that you now know: it depends "
    "on the threshold, on the steps that were trained, and it sees no further than the sweep.",
    checks=[_width_all, _width_none, _width_between, _width_islands],
)

# --- sac-find-the-line ------------------------------------------------------------------------------------------------


def losses(agents: Any, batch: Any, noise: Tensor, gamma: float, target_entropy: float) -> tuple[Tensor, ...]:
    """The losses of critics, actor and temperature for a whole population, each a sum over members."""
    from companion.rl.sac import squashed_gaussian

    temperature = agents.log_temperature.detach().exp()[:, None]
    with torch.no_grad():
        action, log_probability = squashed_gaussian(agents.actor(batch.next_observation), noise[0])
        value = agents.target_critic(torch.cat((batch.next_observation, action), -1)).squeeze(-1).amin(1)
        y = batch.reward + gamma * (1 - batch.terminated) * (value - temperature * log_probability)
    q = agents.critic(torch.cat((batch.observation, batch.action), -1)).squeeze(-1)
    of_critics = 0.5 * (q - y[:, None]).square().mean(-1).sum()

    action, log_probability = squashed_gaussian(agents.actor(batch.observation), noise[1])
    value = agents.critic(torch.cat((batch.observation, action), -1)).squeeze(-1).amin(1)
    of_actor = (temperature * log_probability - value).mean(-1).sum()

    excess = -log_probability.detach().mean(-1) - target_entropy
    of_temperature = (agents.log_temperature * excess).sum()
    return of_critics, of_actor, of_temperature


def _population() -> SimpleNamespace:
    from companion.members import MLP

    seeds = [0, 1, 2]
    return SimpleNamespace(
        actor=MLP((3, 16, 2), seeds, purpose="actor").double(),
        critic=MLP((4, 16, 1), seeds, copies=2, purpose="critic").double(),
        target_critic=MLP((4, 16, 1), seeds, copies=2, purpose="target").double().requires_grad_(False),
        log_temperature=torch.tensor([-2.0, 0.0, 1.5], dtype=torch.float64, requires_grad=True),
    )


def _experience() -> tuple[SimpleNamespace, Tensor]:
    random = torch.Generator().manual_seed(3)

    def normal(*shape: int) -> Float[Tensor, "..."]:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    batch = SimpleNamespace(
        observation=3 * normal(3, 32, 3),
        action=normal(3, 32, 1).tanh(),
        reward=normal(3, 32),
        next_observation=3 * normal(3, 32, 3),
        terminated=(normal(3, 32) > 1).double(),
    )
    return batch, normal(2, 3, 32, 1)


def _compare(answer: Any, which: int, parameters: str, hint: str, of_slope: str) -> None:
    """One of the three losses, and its slope with respect to the weights that it is for."""
    ours, theirs = _population(), _population()
    batch, noise = _experience()
    got = returned(answer(theirs, batch, noise, 0.9, -1.0))
    expect(isinstance(got, tuple) and len(got) == 3, "Return three losses: of the critics, the actor, the temperature.")
    want = losses(ours, batch, noise, 0.9, -1.0)
    matches(got[which], want[which].detach(), hint)

    def slopes(agents: SimpleNamespace, loss: Tensor) -> list[Any]:
        part = getattr(agents, parameters)
        weights = [part] if isinstance(part, Tensor) else list(part.parameters())
        return list(torch.autograd.grad(loss, weights, allow_unused=True))

    for mine, right in zip(slopes(theirs, got[which]), slopes(ours, want[which]), strict=True):
        expect(mine is not None, of_slope)
        matches(mine, right, of_slope)


def _critics_are_right(answer: Any) -> None:
    """The critics' loss and its slope are right."""
    _compare(
        answer,
        0,
        "critic",
        "The critics' loss is off. It was right in the listing: compare yours with (7.9), piece by piece.",
        "The critics' loss has the right value and the wrong slope: the label is a constant.",
    )


def _actor_is_right(answer: Any) -> None:
    """The actor's loss and its slope are right."""
    _compare(
        answer,
        1,
        "actor",
        "The actor's loss is off. It was right in the listing: α log π − min Q, the mean over the batch and the sum "
        "over members.",
        "The actor's loss has the right value and the wrong slope: nothing in it may be detached but the temperature.",
    )


def _temperature_is_right(answer: Any) -> None:
    """Each member's temperature follows its own entropy."""
    _compare(
        answer,
        2,
        "log_temperature",
        "Critics and actor are right, and so they were. Look at the picture again: what do the suspects' temperatures "
        "have in common that agents with policies of their own cannot have?",
        "The loss has the right value, and the slope for each member is not its own entropy minus the one asked for.",
    )


FIND_THE_LINE = Exercise(
    name="sac-find-the-line",
    title="Find the line",
    difficulty="hard",
    minutes=40,
    task="`broken_losses` above has one line that is wrong, and its agents learn. Find the line from the picture and "
    "the listing, and write `losses(agents, batch, noise, gamma, target_entropy)` that is right. `agents` has `actor`, "
    "`critic`, `target_critic` and `log_temperature` `(member,)`; `noise[0]` is for the next action, `noise[1]` for "
    "the new one.",
    expects="a function of (agents, batch, noise, gamma, target_entropy) that returns three losses",
    solution=losses,
    why="The line took the mean entropy over *all* agents: `.mean()` for `.mean(-1)`. Every temperature then saw the "
    "same error, began at the same value and took the same steps. Nobody's return gives it away, since on average the "
    "entropy is what was asked for. In a population look for what agents share: it must be nothing.",
    checks=[_critics_are_right, _actor_is_right, _temperature_is_right],
)

# --- sac-discrete -----------------------------------------------------------------------------------------------------


def discrete_losses(
    logits: Tensor,
    q: Tensor,
    next_logits: Tensor,
    next_q: Tensor,
    action: Tensor,
    reward: Tensor,
    terminated: Tensor,
    gamma: float,
    temperature: Tensor,
) -> tuple[Tensor, Tensor]:
    """The losses of critics and actor where actions are few: expectations are sums, and nothing is drawn."""
    price = temperature[:, None, None]
    with torch.no_grad():
        log_next = torch.log_softmax(next_logits, -1)
        soft_value = (log_next.exp() * (next_q.amin(1) - price * log_next)).sum(-1)
        y = reward + gamma * (1 - terminated) * soft_value
    taken = q.gather(-1, action[:, None, :, None].expand(-1, 2, -1, -1)).squeeze(-1)
    of_critics = 0.5 * (taken - y[:, None]).square().mean(-1).sum()

    log_policy = torch.log_softmax(logits, -1)
    of_actor = (log_policy.exp() * (price * log_policy - q.detach().amin(1))).sum(-1).mean(-1).sum()
    return of_critics, of_actor


def _discrete(temperature: float | None = None) -> dict[str, Any]:
    random = torch.Generator().manual_seed(5)

    def normal(*shape: int) -> Float[Tensor, "..."]:
        return torch.randn(*shape, generator=random, dtype=torch.float64)

    prices = [0.1, 1.0, 5.0] if temperature is None else [temperature] * 3
    return {
        "logits": normal(3, 8, 4).requires_grad_(),
        "q": (3 * normal(3, 2, 8, 4)).requires_grad_(),
        "next_logits": normal(3, 8, 4).requires_grad_(),
        "next_q": (3 * normal(3, 2, 8, 4)).requires_grad_(),
        "action": torch.randint(4, (3, 8), generator=random),
        "reward": normal(3, 8),
        "terminated": (normal(3, 8) > 0.8).double(),
        "gamma": 0.9,
        "temperature": torch.tensor(prices, dtype=torch.float64),
    }


def _both(answer: Any, given: dict[str, Any]) -> tuple[Tensor, Tensor]:
    got = returned(answer(**given))
    expect(isinstance(got, tuple) and len(got) == 2, "Return two losses: of the critics and of the actor.")
    return got


def _discrete_critics(answer: Any) -> None:
    """The critics' loss has the whole expectation over next actions in its label."""
    for temperature, hint in (
        (
            0.0,
            "Even at temperature 0 the critics' loss is off: half the squared error of both critics at the action "
            "taken; in the label the policy's expectation of the smaller target value, not the best one.",
        ),
        (
            None,
            "The critics' loss is right at temperature 0 only. The next state's entropy is a sum over actions, "
            "−Σ π log π, at each member's own temperature.",
        ),
    ):
        given = _discrete(temperature)
        matches(_both(answer, given)[0], discrete_losses(**given)[0].detach(), hint)


def _discrete_label_is_constant(answer: Any) -> None:
    """The label is a constant."""
    given = _discrete()
    slopes = torch.autograd.grad(_both(answer, given)[0], [given["next_logits"], given["next_q"]], allow_unused=True)
    expect(
        all(slope is None or not slope.any() for slope in slopes),
        "The critics' loss has a slope along what s′ is worth. The label is a constant: `torch.no_grad()`.",
    )


def _discrete_actor(answer: Any) -> None:
    """The actor's loss has the whole expectation over actions."""
    given = _discrete()
    matches(
        _both(answer, given)[1],
        discrete_losses(**given)[1].detach(),
        "The actor's loss is (7.10) with the expectation over actions written out: Σ π (α log π − min Q), the mean "
        "over the batch and the sum over members.",
    )


def _discrete_rests(answer: Any) -> None:
    """The actor comes to rest at Boltzmann's policy, and leaves the critics alone."""
    given = _discrete()
    best = (given["q"].detach().amin(1) / given["temperature"][:, None, None]).requires_grad_()
    _, of_actor = _both(answer, {**given, "logits": best})
    expect(of_actor.requires_grad, "The actor's loss carries no slope: something is detached that must not be.")
    slope, of_q = torch.autograd.grad(of_actor, [best, given["q"]], allow_unused=True)
    expect(slope is not None, "The actor's loss does not depend on the logits.")
    expect(
        of_q is None or not of_q.any(),
        "The actor's loss has a slope along the critics' values. The actor climbs them and does not move them.",
    )
    matches(
        slope,
        torch.zeros_like(best),
        "At the policy softmax(min Q / α) the slope must vanish, by (7.5), and yours does not.",
        atol=1e-7,
    )
    mine, right = (torch.autograd.grad(f(**given)[1], given["logits"])[0] for f in (answer, discrete_losses))
    matches(
        mine,
        right,
        "The actor's loss has the right value and, away from Boltzmann's policy, the wrong slope. The probabilities "
        "depend on the logits too, not only their logarithms.",
    )


DISCRETE = Exercise(
    name="sac-discrete",
    title="Without drawing",
    difficulty="hard",
    minutes=150,
    task="Write SAC's two losses for a few discrete actions. `logits` and `next_logits` are the actor's, `(member, "
    "batch, action)`; `q` is the critics' and `next_q` the target critics', `(member, 2, batch, action)`; `action`, "
    "`reward` and `terminated` are `(member, batch)`; `temperature` is `(member,)`. Return the critics' and the "
    "actor's loss, each a sum over members.",
    expects="a function of (logits, q, next_logits, next_q, action, reward, terminated, gamma, temperature) that "
    "returns two losses",
    solution=discrete_losses,
    why="With few actions both expectations of (7.2) are sums: no draw, no squashing, no reparameterisation, and no "
    "noise from them in label or gradient (Christodoulou 2019, arXiv 1910.07207). The slope vanishes at Boltzmann's "
    "policy for the smaller of the two values, which is (7.4).",
    checks=[_discrete_critics, _discrete_label_is_constant, _discrete_actor, _discrete_rests],
)

EXERCISES = [SOFT_VALUE, LOG_PROB, LABEL, TEMPERATURE, MEAN_LAG, WIDTH, FIND_THE_LINE, DISCRETE]
