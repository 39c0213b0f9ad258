"""The exercises on SAC and entropy."""

import ast
import json
import math
from pathlib import Path

import torch
from torch.nn.functional import softplus

from companion.exercises.sac.factor import factor
from companion.exercises.sac.wide import entropies
from companion.rl.sac import squashed_gaussian
from tests.exercises.helpers import Wrong


def wrong_log_prob() -> Wrong:
    def gaussian(u, mean, log_sd):
        return -0.5 * ((u - mean) / log_sd.exp()) ** 2 - log_sd - 0.5 * math.log(2 * math.pi)

    def squashing(u):
        return 2 * (math.log(2) - u - softplus(-2 * u))

    def naive(u, mean, log_sd):
        return (gaussian(u, mean, log_sd) - (1 - u.tanh() ** 2).log()).sum(-1)

    def padded(u, mean, log_sd):
        return (gaussian(u, mean, log_sd) - (1 - u.tanh() ** 2 + 1e-6).log()).sum(-1)

    return {
        "no correction": (lambda u, m, s: gaussian(u, m, s).sum(-1), "integrates to"),
        "correction added": (lambda u, m, s: (gaussian(u, m, s) + squashing(u)).sum(-1), "grow or shrink"),
        "normalisation forgotten": (
            lambda u, m, s: (gaussian(u, m, s) + 0.5 * math.log(2 * math.pi) - squashing(u)).sum(-1),
            "integrates to",
        ),
        "not summed": (lambda u, m, s: gaussian(u, m, s) - squashing(u), "shape"),
        "mean over the action": (lambda u, m, s: (gaussian(u, m, s) - squashing(u)).mean(-1), "over the last axis"),
        "naive": (naive, "tanh(u) is ±1"),
        "a small number": (padded, "every u looks alike"),
    }


def wrong_label() -> Wrong:
    def label(r, d, q, log_prob, gamma, t, *, critics=lambda q: q.amin(1), sign=-1.0, all_masked=True):
        soft = critics(q) + sign * t[:, None] * log_prob
        return r + gamma * (1 - d) * soft

    def half_masked(r, d, q, log_prob, gamma, t):
        return r + gamma * ((1 - d) * q.amin(1) - t[:, None] * log_prob)

    return {
        "larger critic": (lambda *a: label(*a, critics=lambda q: q.amax(1)), "the smaller"),
        "mean of critics": (lambda *a: label(*a, critics=lambda q: q.mean(1)), "the smaller"),
        "sign": (lambda *a: label(*a, sign=1.0), "the sign"),
        "no entropy": (lambda *a: label(*a, sign=0.0), "does not know the temperature"),
        "entropy not discounted": (
            lambda r, d, q, lp, gamma, t: r + gamma * (1 - d) * q.amin(1) - t[:, None] * lp,
            "one step later",
        ),
        "one temperature for all": (
            lambda r, d, q, lp, gamma, t: label(r, d, q, lp, gamma, t.mean().expand(3)),
            "of its own",
        ),
        "nothing ends": (lambda r, d, *rest: label(r, 0 * d, *rest), "the reward alone"),
        "entropy after the end": (half_masked, "the reward alone"),
    }


def wrong_factor() -> Wrong:
    _, plain, adam, short = factor()
    return {
        "a letter": ("B", "four things"),
        "no letter of the three": (("D", plain, adam, short), "A, B or C"),
        "no numbers": (("B", "several", "some", "one"), "a ratio is a number"),
        "an array": (("B", torch.ones(2), adam, short), "a ratio is a number"),
        "the other way round": (("B", 1 / plain, 1 / adam, 1 / short), "not the other way round"),
        "all alike": (("C", 1.0, 1.0, 1.0), "times the α of that step"),
        "Adam does not mind": (("C", plain, short, short), "a new optimizer"),
        "the first of the betas": (("B", plain, adam, adam), "average of squares"),
        "the wrong letter": (("C", plain, adam, short), "which of the three sentences"),
    }


def wrong_wide() -> Wrong:
    def gaussian(sd):
        return entropies(sd)[0]

    def moment(sd):
        return sd * math.sqrt(2 / math.pi)

    return {
        "one number": (gaussian, "two numbers"),
        "the variance for the deviation": (lambda sd: (gaussian(sd**2), entropies(sd)[1]), "E u²/σ²"),
        "no correction": (lambda sd: (gaussian(sd), gaussian(sd)), "rises with σ"),
        "correction added": (lambda sd: (gaussian(sd), gaussian(sd) - math.log(4) + 2 * moment(sd)), "rises with σ"),
        "|u| is σ": (lambda sd: (gaussian(sd), gaussian(sd) + math.log(4) - 2 * sd), "what is the mean of |u|"),
        "once |u|": (lambda sd: (gaussian(sd), gaussian(sd) + math.log(4) - moment(sd)), "by 2 for each"),
        "log 4 forgotten": (lambda sd: (gaussian(sd), gaussian(sd) - 2 * moment(sd)), "a constant"),
    }


def of_the_notebook(*names):
    """Functions of the chapter's notebook, each from the cell that defines it; they see one another."""
    (chapter,) = (Path(__file__).parents[2] / "notebooks").glob("*_sac_and_entropy.ipynb")
    cells = ["".join(cell["source"]) for cell in json.loads(chapter.read_text("utf-8"))["cells"]]
    known = {"torch": torch, "math": math, "softplus": softplus}
    for name in names:
        (source,) = (cell for cell in cells if f"def {name}(" in cell)
        (function,) = (part for part in ast.parse(source).body if getattr(part, "name", "") == name)
        exec(ast.unparse(function), known)
    return [known[name] for name in names]


def wrong_find_the_line() -> Wrong:
    def losses(agents, batch, noise, gamma, target_entropy, *, excess=None, label=True, still=True):
        """The right ones, with a fault where it is asked for."""
        temperature = agents.log_temperature.detach().exp()[:, None]
        with torch.set_grad_enabled(not still):
            action, log_prob = squashed_gaussian(agents.actor(batch.next_observation), noise[0])
            value = agents.target_critic(torch.cat((batch.next_observation, action), -1)).squeeze(-1).amin(1)
            soft = value - temperature * log_prob if label else value
            y = batch.reward + gamma * (1 - batch.terminated) * soft
        q = agents.critic(torch.cat((batch.observation, batch.action), -1)).squeeze(-1)
        of_critics = 0.5 * (q - y[:, None]).square().mean(-1).sum()
        action, log_prob = squashed_gaussian(agents.actor(batch.observation), noise[1])
        value = agents.critic(torch.cat((batch.observation, action), -1)).squeeze(-1).amin(1)
        of_actor = (temperature * log_prob - value).mean(-1).sum()
        excess = excess or (lambda log_prob: -log_prob.detach().mean(-1) - target_entropy)
        return of_critics, of_actor, (agents.log_temperature * excess(log_prob)).sum()

    *_, broken = of_the_notebook("draw_action", "smaller", "broken_losses")

    def swapped(*arguments):
        of_critics, of_actor, of_temperature = losses(*arguments)
        return of_actor, of_critics, of_temperature

    return {
        "the notebook's": (broken, "what do the suspects' temperatures"),
        "sign of the temperature": (
            lambda *a: losses(*a, excess=lambda log_prob: log_prob.detach().mean(-1) - 1.0),
            "what do the suspects' temperatures",
        ),
        "entropy taken from the label": (lambda *a: losses(*a, label=False), "right in the listing"),
        "swapped": (swapped, "critics' loss is off"),
        "one loss": (lambda *a: sum(losses(*a)), "three losses"),
        "the actor's detached": (
            lambda *a: (losses(*a)[0], losses(*a)[1].detach().requires_grad_(), losses(*a)[2]),
            "nothing in it may be detached",
        ),
    }


def wrong_discrete() -> Wrong:
    def losses(
        logits, q, next_logits, next_q, action, reward, terminated, gamma, temperature,
        *, next_value=None, still=True, actor=None,
    ):  # fmt: skip
        """The right ones, with a fault where it is asked for."""
        price = temperature[:, None, None]
        with torch.set_grad_enabled(not still):
            log_next = next_logits.log_softmax(-1)
            least = next_q.amin(1)
            soft = (log_next.exp() * (least - price * log_next)).sum(-1) if next_value is None else next_value(least)
            y = reward + gamma * (1 - terminated) * soft
        taken = q.gather(-1, action[:, None, :, None].expand(-1, 2, -1, -1)).squeeze(-1)
        log_policy = logits.log_softmax(-1)
        actor = actor or (lambda log_policy, q, price: log_policy.exp() * (price * log_policy - q.detach().amin(1)))
        of_actor = actor(log_policy, q, price).sum(-1).mean(-1).sum()
        return 0.5 * (taken - y[:, None]).square().mean(-1).sum(), of_actor

    def attached(log_policy, q, price):
        return log_policy.exp() * (price * log_policy - q.amin(1))

    def half_detached(log_policy, q, price):
        return log_policy.detach().exp() * (price * log_policy - q.detach().amin(1))

    def no_entropy(log_policy, q, price):
        return -log_policy.exp() * q.detach().amin(1)

    return {
        "one loss": (lambda **given: sum(losses(**given)), "two losses"),
        "the best next action": (lambda **given: losses(**given, next_value=lambda q: q.amax(-1)), "not the best"),
        "no entropy in the label": (
            lambda **given: losses(
                **given, next_value=lambda q: (given["next_logits"].softmax(-1) * q).sum(-1).detach()
            ),
            "a sum over actions",
        ),
        "label not held still": (lambda **given: losses(**given, still=False), "a constant"),
        "no entropy in the actor": (lambda **given: losses(**given, actor=no_entropy), "written out"),
        "actor moves the critics": (lambda **given: losses(**given, actor=attached), "does not move them"),
        "probabilities held still": (lambda **given: losses(**given, actor=half_detached), "depend on the logits"),
    }
