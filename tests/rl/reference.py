"""One agent in plain float64 NumPy, from the papers' equations, with the gradients worked out by hand.

A network is a list of layers, each a pair (weight ``(in, out)``, bias ``(out,)``), rectified linear between them. A
slope is the derivative of a loss, already divided by the batch size, with respect to what it is named after.
"""

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.rl.normalized import BatchNormed, LayerNormed

Network = list[tuple[np.ndarray, ...]]


def parameters(*networks: Network) -> list[np.ndarray]:
    return [p for network in networks for layer in network for p in layer]


def forward(network: Network, x: np.ndarray, beside: np.ndarray | None = None) -> tuple[np.ndarray, list[Any]]:
    """The output, and each layer's input; one with batch normalisation takes statistics with what is beside it."""
    if isinstance(network, (LayerNormed, BatchNormed)):
        return network.forward(x, beside)
    inputs = []
    for i, (weight, bias) in enumerate(network):
        inputs.append(x)
        x = x @ weight + bias
        if i < len(network) - 1:
            x = np.maximum(x, 0)
    return x, inputs


def backward(network: Network, inputs: list[Any], slope: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """From the output's slope, the gradient in the order of `parameters`, and the slope of the network's input."""
    if isinstance(network, (LayerNormed, BatchNormed)):
        return network.backward(inputs, slope)
    gradient: list[np.ndarray] = []
    for i in reversed(range(len(network))):
        weight, _ = network[i]
        gradient[:0] = [inputs[i].T @ slope, slope.sum(0)]
        slope = slope @ weight.T
        if i > 0:
            slope = slope * (inputs[i] > 0)
    return gradient, slope


class Adam:
    """Kingma and Ba (2015), Algorithm 1; changes the given arrays in place."""

    def __init__(self, arrays: Iterable[np.ndarray], learning_rate: float) -> None:
        self.arrays, self.learning_rate = list(arrays), learning_rate
        self.first = [np.zeros_like(p) for p in self.arrays]
        self.second = [np.zeros_like(p) for p in self.arrays]
        self.count = 0

    def step(self, gradient: Iterable[np.ndarray]) -> None:
        self.count += 1
        for k, (p, g) in enumerate(zip(self.arrays, gradient, strict=True)):
            self.first[k] = 0.9 * self.first[k] + 0.1 * g
            self.second[k] = 0.999 * self.second[k] + 0.001 * g**2
            unbiased = self.first[k] / (1 - 0.9**self.count), self.second[k] / (1 - 0.999**self.count)
            p -= self.learning_rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)


def blend(online: Network, target: Network, tau: float) -> None:
    """target ← tau · online + (1 − tau) · target"""
    for p, p_target in zip(parameters(online), parameters(target), strict=True):
        p_target[...] = tau * p + (1 - tau) * p_target


def joined(s: np.ndarray, a: np.ndarray) -> np.ndarray:
    return np.concatenate([s, a], axis=1)


class DQN:
    """Mnih et al. (2015), Algorithm 1; with ``double_q`` van Hasselt et al. (2016)."""

    def __init__(self, networks: dict[str, Any], settings: SimpleNamespace) -> None:
        self.__dict__.update(networks)  # online, target
        self.settings = settings
        self.optimizer = Adam(parameters(self.online), settings.learning_rate)
        self.updates = 0

    def learn(self, s, a, r, s_next, terminated):
        c = self.settings
        a = a[:, 0].astype(int)
        rows = np.arange(len(a))
        q_next, _ = forward(self.target, s_next)
        chooser = forward(self.online, s_next)[0] if c.double_q else q_next
        y = np.where(terminated == 1, r, r + c.gamma * q_next[rows, chooser.argmax(1)])

        q, inputs = forward(self.online, s)
        error = q[rows, a] - y
        size = np.abs(error)
        loss = np.where(size <= c.error_clip, error**2 / 2, c.error_clip * (size - c.error_clip / 2)).mean()
        slope = np.zeros_like(q)
        slope[rows, a] = np.clip(error, -c.error_clip, c.error_clip) / len(a)
        self.optimizer.step(backward(self.online, inputs, slope)[0])

        self.updates += 1
        if self.updates % c.period == 0:
            blend(self.online, self.target, c.tau)
        return {"loss": loss, "q_mean": q[rows, a].mean(), "q_max": np.abs(q[rows, a]).max()}


class DDPG:
    """Lillicrap et al. (2016), Algorithm 1, from "Set yᵢ" on; the policy ends in tanh (their section 7)."""

    def __init__(self, networks: dict[str, Any], settings: SimpleNamespace) -> None:
        self.__dict__.update(networks)  # actor, critic, target_actor, target_critic
        self.settings = settings
        self.actor_optimizer = Adam(parameters(self.actor), settings.actor_learning_rate)
        self.critic_optimizer = Adam(parameters(self.critic), settings.critic_learning_rate)
        self.updates = 0

    def learn(self, s, a, r, s_next, terminated):
        c = self.settings
        # yᵢ = rᵢ + γ Q′(sᵢ₊₁, μ′(sᵢ₊₁))
        next_policy = self.target_actor if c.target_actor else self.actor
        a_next = np.tanh(forward(next_policy, s_next)[0])
        q_next = forward(self.target_critic, joined(s_next, a_next), joined(s, a))[0][:, 0]
        y = np.where(terminated == 1, r, r + c.gamma * q_next)
        # L = 1/N Σ (yᵢ − Q(sᵢ, aᵢ))²
        q, inputs = forward(self.critic, joined(s, a), joined(s_next, a_next))
        error = q[:, 0] - y
        self.critic_optimizer.step(backward(self.critic, inputs, 2 * error[:, None] / len(r))[0])
        # ∇J ≈ 1/N Σ ∇ₐQ(s, a)|ₐ₌μ₍ₛ₎ ∇μ(s), uphill
        ascend(self.actor, self.critic, self.actor_optimizer, s)

        self.updates += 1
        if self.updates % c.period == 0:
            blend(self.critic, self.target_critic, c.tau)
            blend(self.actor, self.target_actor, c.tau)
        return watched(np.mean(error**2), q.T)


def ascend(actor: Network, critic: Network, optimizer: Adam, s: np.ndarray) -> None:
    """One step up the deterministic policy gradient (Silver et al. 2014)."""
    before, actor_inputs = forward(actor, s)
    a = np.tanh(before)
    _, critic_inputs = forward(critic, joined(s, a))
    _, slope = backward(critic, critic_inputs, np.full((len(s), 1), -1 / len(s)))
    slope_a = slope[:, s.shape[1] :]
    optimizer.step(backward(actor, actor_inputs, slope_a * (1 - a**2))[0])


def watched(loss: float, values: np.ndarray) -> dict[str, float]:
    """The critics' loss, the mean value by the first, and the largest by any; values are a row a critic."""
    return {"loss": loss, "q_mean": values[0].mean(), "q_max": np.abs(values).max()}


class TD3:
    """Fujimoto et al. (2018), Algorithm 1; critics are lists of two networks."""

    def __init__(self, networks: dict[str, Any], settings: SimpleNamespace) -> None:
        self.__dict__.update(networks)  # actor, critic, target_actor, target_critic
        self.settings = settings
        self.actor_optimizer = Adam(parameters(self.actor), settings.actor_learning_rate)
        self.critic_optimizer = Adam(parameters(*self.critic), settings.critic_learning_rate)
        self.updates = 0

    def learn(self, s, a, r, s_next, terminated, smoothing):
        c = self.settings
        # ã ← π_φ′(s′) + ε, ε ~ clip(N(0, σ̃), −c, c), and back into the range of actions (their code)
        next_policy = self.target_actor if c.target_actor else self.actor
        noise = np.clip(c.target_noise * smoothing.reshape(a.shape), -c.target_noise_clip, c.target_noise_clip)
        a_next = np.clip(np.tanh(forward(next_policy, s_next)[0]) + noise, -1, 1)
        # y ← r + γ minᵢ Q_θ′ᵢ(s′, ã)
        q_next = [forward(critic, joined(s_next, a_next), joined(s, a))[0][:, 0] for critic in self.target_critic]
        y = np.where(terminated == 1, r, r + c.gamma * (np.minimum(*q_next) if c.clipped_double_q else q_next[0]))
        # θᵢ ← argmin N⁻¹ Σ (y − Q_θᵢ(s, a))²
        gradient, errors, values = [], [], []
        for critic in self.critic:
            q, inputs = forward(critic, joined(s, a), joined(s_next, a_next))
            error = q[:, 0] - y
            gradient += backward(critic, inputs, 2 * error[:, None] / len(r))[0]
            errors.append(error)
            values.append(q[:, 0])
        self.critic_optimizer.step(gradient)

        self.updates += 1
        if self.updates % c.policy_delay == 0:
            ascend(self.actor, self.critic[0], self.actor_optimizer, s)
        if self.updates % c.period == 0:
            for critic, target in zip(self.critic, self.target_critic, strict=True):
                blend(critic, target, c.tau)
            blend(self.actor, self.target_actor, c.tau)
        return watched(np.sum(np.mean(np.square(errors), axis=1)), np.array(values))


class SAC:
    """Haarnoja et al. (2018b, arXiv 1812.05905), Algorithm 1; critics are lists of two networks.

    The actor's output is the mean and the logarithm of the standard deviation of u, and the action is tanh(u). Its slow
    copy is no part of the paper.
    """

    def __init__(self, networks: dict[str, Any], settings: SimpleNamespace) -> None:
        self.__dict__.update(networks)  # actor, critic, target_actor, target_critic
        self.settings = settings
        self.log_temperature = np.log(np.array([settings.initial_temperature], dtype=float))
        self.actor_optimizer = Adam(parameters(self.actor), settings.actor_learning_rate)
        self.critic_optimizer = Adam(parameters(*self.critic), settings.critic_learning_rate)
        self.temperature_optimizer = Adam([self.log_temperature], settings.temperature_learning_rate)
        self.updates = 0

    @staticmethod
    def sample(actor: Network, s: np.ndarray, noise: np.ndarray) -> SimpleNamespace:
        """a = tanh(u), u = m + σ ε, and log π(a|s) as in their appendix C, "Enforcing Action Bounds"."""
        output, inputs = forward(actor, s)
        mean, raw = np.split(output, 2, axis=1)
        log_sd = np.clip(raw, -20, 2)
        noise = noise.reshape(mean.shape)
        u = mean + np.exp(log_sd) * noise
        a = np.tanh(u)
        gaussian = -(noise**2) / 2 - log_sd - np.log(2 * np.pi) / 2
        # log(1 − tanh²u) = 2 (log 2 − u − log(1 + e⁻²ᵘ)), which does not cancel where tanh²u is nearly 1
        correction = 2 * (np.log(2) - u - np.logaddexp(0, -2 * u))
        return SimpleNamespace(
            a=a,
            log_pi=(gaussian - correction).sum(1),
            inputs=inputs,
            inside=(raw >= -20) & (raw <= 2),
            log_sd=log_sd,
            noise=noise,
        )

    def learn(self, s, a, r, s_next, terminated, next_action, new_action):
        c = self.settings
        temperature = np.exp(self.log_temperature[0])
        # Equations 5 and 6: y = r + γ (minᵢ Q_θ̄ᵢ(s′, a′) − α log π(a′|s′)), J = ½ E (Q − y)²
        after = self.sample(self.target_actor if c.target_actor else self.actor, s_next, next_action)
        q_next = [forward(critic, joined(s_next, after.a), joined(s, a))[0][:, 0] for critic in self.target_critic]
        value = (np.minimum(*q_next) if c.clipped_double_q else q_next[0]) - temperature * after.log_pi
        y = np.where(terminated == 1, r, r + c.gamma * value)
        gradient, errors, values = [], [], []
        for critic in self.critic:
            q, inputs = forward(critic, joined(s, a), joined(s_next, after.a))
            error = q[:, 0] - y
            gradient += backward(critic, inputs, error[:, None] / len(r))[0]
            errors.append(error)
            values.append(q[:, 0])
        self.critic_optimizer.step(gradient)

        # Equation 9: J = E[α log π(f(ε; s)|s) − minᵢ Q(s, f(ε; s))], through the action
        new = self.sample(self.actor, s, new_action)
        passes = [forward(critic, joined(s, new.a)) for critic in self.critic]
        q_new = np.stack([q[:, 0] for q, _ in passes])
        chosen = q_new.argmin(0) if c.clipped_double_q else np.zeros(len(s), dtype=int)
        slope_a = np.zeros_like(new.a)
        for i, (critic, (_, inputs)) in enumerate(zip(self.critic, passes, strict=True)):
            _, slope = backward(critic, inputs, np.where(chosen == i, -1 / len(s), 0)[:, None])
            slope_a += slope[:, s.shape[1] :]
        # d log π/du = 2 tanh u through the correction; log σ enters u, and the Gaussian's density as −log σ
        slope_u = temperature * 2 * new.a / len(s) + slope_a * (1 - new.a**2)
        slope_log_sd = (slope_u * np.exp(new.log_sd) * new.noise - temperature / len(s)) * new.inside
        slope_output = np.concatenate([slope_u, slope_log_sd], axis=1)
        self.actor_optimizer.step(backward(self.actor, new.inputs, slope_output)[0])

        # Equation 18: J = E[−α (log π + H̄)], by the slope in log α and without the factor α, as their code has it
        if c.learn_temperature:
            target_entropy = c.target_entropy * a.shape[1]
            self.temperature_optimizer.step([-np.mean(new.log_pi + target_entropy, keepdims=True)])

        self.updates += 1
        if self.updates % c.period == 0:
            for critic, target in zip(self.critic, self.target_critic, strict=True):
                blend(critic, target, c.tau)
            blend(self.actor, self.target_actor, c.tau)
        seen = watched(np.sum(np.mean(np.square(errors), axis=1)) / 2, np.array(values))
        return {**seen, "entropy": -new.log_pi.mean(), "temperature": temperature}
