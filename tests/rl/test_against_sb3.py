"""The same weights, batches and noise through Stable-Baselines3's own `train`, one of its models beside each member."""

from collections.abc import Callable, Iterator
from typing import Any

import gymnasium
import numpy as np
import pytest
import stable_baselines3
import torch
from stable_baselines3.common.buffers import ReplayBufferSamples
from stable_baselines3.common.logger import Logger
from torch import Tensor, nn

from tests.rl.populations import ACTION, BATCH, OBSERVATION, population, random_batch

MEMBERS, UPDATES = 3, 20
TAU, GAMMA, RATE = [0.005, 0.3, 1.0], [0.99, 0.9, 0.5], [1e-3, 3e-3, 3e-4]


class Spaces(gymnasium.Env):
    """What a model asks of its environment when it is made: the two spaces."""

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (OBSERVATION,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (ACTION,), np.float32)


def models(algorithm: str, **settings: Any) -> list[Any]:
    made = [
        getattr(stable_baselines3, algorithm.upper())(
            "MlpPolicy",
            Spaces(),
            tau=TAU[m],
            gamma=GAMMA[m],
            learning_rate=RATE[m],
            buffer_size=1,
            policy_kwargs={"net_arch": [32, 16]},
            device="cpu",
            seed=m,
            **settings,
        )
        for m in range(MEMBERS)
    ]
    for model in made:
        model.set_logger(Logger(None, []))
        for target in (getattr(model, "actor_target", None), model.critic_target):
            for p in target.parameters() if target else ():
                p.data.mul_(1.5)  # so that online and target differ from the first update
    return made


def networks(model: Any) -> dict[str, list[list[nn.Linear]]]:
    """The linear layers by this book's names; each network as a list of its copies. SAC's actor has two heads."""

    def linears(*modules: nn.Module) -> list[nn.Linear]:
        return [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Linear)]

    found: dict[str, list[list[nn.Linear]]] = {
        "critic": [linears(q) for q in model.critic.q_networks],
        "target_critic": [linears(q) for q in model.critic_target.q_networks],
    }
    if hasattr(model.actor, "latent_pi"):
        *hidden, mean, log_sd = linears(model.actor.latent_pi, model.actor.mu, model.actor.log_std)
        heads = nn.Linear(mean.in_features, 2 * ACTION)
        heads.weight.data, heads.bias.data = (
            torch.cat([mean.weight, log_sd.weight]),
            torch.cat([mean.bias, log_sd.bias]),
        )
        return {**found, "actor": [[*hidden, heads]]}
    return {**found, "actor": [linears(model.actor.mu)], "target_actor": [linears(model.actor_target.mu)]}


def pairs(agents: Any, member: int, model: Any):
    """Every weight and bias of a member beside the model's, ``(in, out)`` and ``(out,)``, and a learnt temperature."""
    for name, copies in networks(model).items():
        network = getattr(agents, name)
        for copy, linears in enumerate(copies):
            row = member * len(copies) + copy
            for weight, bias, layer in zip(network.weights, network.biases, linears, strict=True):
                yield name, weight[row], layer.weight.detach().T
                yield name, bias[row, 0], layer.bias.detach()
    if getattr(model, "log_ent_coef", None) is not None:
        yield "log_temperature", agents.log_temperature[0][member], model.log_ent_coef.detach()


def update_both(
    algorithm: str, theirs: list[Any], ours: dict[str, Any], draw: Callable[[], dict[str, Tensor]]
) -> Iterator[Any]:
    """The agents before any update and after each of twenty, each of the models having done the same.

    `draw` repeats the draws that a model's `train` makes for a batch.
    """
    settings = {"tau": TAU, "gamma": GAMMA, "actor_learning_rate": RATE, "critic_learning_rate": RATE, **ours}
    agents = population(algorithm, MEMBERS, **settings)
    with torch.no_grad():
        for m, model in enumerate(theirs):
            for _, mine, its in pairs(agents, m, model):
                mine.copy_(its)
    yield agents
    for update in range(UPDATES):
        batch = random_batch(update, MEMBERS)
        noises = []
        for m, model in enumerate(theirs):
            s, a, r, s_next, terminated = (field[m] for field in batch)
            sample = ReplayBufferSamples(s, a, s_next, terminated[:, None], r[:, None])
            model.replay_buffer.sample = lambda *_, sample=sample, **__: sample
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(10 * update + m)
                noises.append(draw())
                torch.manual_seed(10 * update + m)
                model.train(gradient_steps=1, batch_size=BATCH)
        drawn = {name: torch.stack([each[name].flatten() for each in noises]) for name in noises[0]}
        agents.learn(batch, drawn, update)
        yield agents


def assert_same_updates(*arguments: Any) -> None:
    """Every weight is theirs, to 1e-5 in size and in part: the rounding of float32 as Adam magnifies it."""
    theirs = arguments[1]
    for update, agents in enumerate(update_both(*arguments)):
        if update == 0:
            before = agents.actor_weights.clone(), agents.critic_weights.clone()
        for m, model in enumerate(theirs):
            for name, mine, its in pairs(agents, m, model):
                what = f"{name}, update {update}, member {m}"
                np.testing.assert_allclose(mine.detach(), its, rtol=1e-5, atol=1e-5, err_msg=what)
    for weights, at_first in zip((agents.actor_weights, agents.critic_weights), before, strict=True):
        assert ((weights - at_first).abs().amax(1) > 5 * torch.tensor(RATE)).all(), "both have moved, and far"


def test_ddpg():
    assert_same_updates("ddpg", models("ddpg"), {}, dict)


@pytest.mark.parametrize("delay", [1, 2, 3])
def test_td3(delay):
    """Both the actor and the targets wait for every `policy_delay`-th update there."""

    def draw() -> dict[str, Tensor]:
        return {"smoothing": torch.empty(BATCH, ACTION).normal_()}

    theirs = models("td3", policy_delay=delay, target_policy_noise=0.3, target_noise_clip=0.4)
    ours = {"policy_delay": delay, "period": delay, "target_noise": 0.3, "target_noise_clip": 0.4}
    assert_same_updates("td3", theirs, ours, draw)


def sac(learnt: bool, epsilon: float) -> tuple[Any, ...]:
    """Arguments for a comparison with models that take log(1 − a² + epsilon) in their log-probability."""

    def draw() -> dict[str, Tensor]:
        new, after = (torch.normal(torch.zeros(BATCH, ACTION), torch.ones(BATCH, ACTION)) for _ in range(2))
        return {"new_action": new, "next_action": after}

    theirs = models("sac", ent_coef="auto_0.3" if learnt else 0.3)
    for model in theirs:
        assert model.actor.action_dist.epsilon == 1e-6, "as it is shipped"
        model.actor.action_dist.epsilon = epsilon
    return (
        "sac",
        theirs,
        {"initial_temperature": 0.3, "learn_temperature": learnt, "temperature_learning_rate": RATE},
        draw,
    )


@pytest.mark.parametrize("learnt", [True, False])
def test_sac(learnt):
    """Its log-probability adds 1e-6 where ours is exact; without that the updates are equal."""
    assert_same_updates(*sac(learnt, epsilon=0.0))


@pytest.mark.parametrize("learnt", [True, False])
def test_sac_as_it_is_shipped(learnt):
    """The 1e-6 moves log π by 1e-6/(1 − a²). After twenty updates the distance between the two is a ten-thousandth of
    the way they went, or less; a tenth at most, where Adam and the rectifiers have magnified it."""
    arguments = sac(learnt, epsilon=1e-6)

    def positions(agents: Any) -> list[tuple[Tensor, Tensor]]:
        """Ours and theirs, of each model's actor and critics."""
        both = []
        for m, model in enumerate(arguments[1]):
            for name in ("actor", "critic"):
                found = [(mine.flatten(), its.flatten()) for n, mine, its in pairs(agents, m, model) if n == name]
                both.append(tuple(torch.cat(column).detach() for column in zip(*found, strict=True)))
        return both

    updates = update_both(*arguments)
    first = positions(next(updates))
    *_, agents = updates
    apart = [
        float((mine - its).norm() / (its - start).norm())
        for (mine, its), (_, start) in zip(positions(agents), first, strict=True)
    ]
    assert np.median(apart) < 1e-4
    assert max(apart) < 0.1
