"""One DQN update against the paper's equations in plain float64 NumPy, and what a target network is."""

import numpy as np
import pytest
import torch

from companion.rl.environments import Environment
from companion.rl.replay import Batch

MEMBERS, BATCH, ACTIONS = 6, 16, 2


def random_batch(seed: int) -> Batch:
    rng = np.random.default_rng(seed)

    def draw(*shape):
        return torch.from_numpy(rng.standard_normal((MEMBERS, BATCH, *shape)).astype(np.float32))

    action = torch.from_numpy(rng.integers(ACTIONS, size=(MEMBERS, BATCH, 1)).astype(np.float32))
    terminated = torch.from_numpy((rng.random((MEMBERS, BATCH)) < 0.3).astype(np.float32))
    return Batch(draw(4), action, 3 * draw(), draw(4), terminated)


def layers(network, member):
    """A member's weights and biases in float64."""
    return [
        (w[member].detach().double().numpy().copy(), b[member, 0].detach().double().numpy().copy())
        for w, b in zip(network.weights, network.biases, strict=True)
    ]


class Reference:
    """One DQN agent in float64 NumPy, from the equations of Mnih et al. (2015) and Kingma and Ba (2015)."""

    def __init__(self, online, target, tau, period, learning_rate, gamma, double_q, error_clip):
        self.online, self.target = online, target
        self.tau, self.period, self.learning_rate, self.gamma = tau, period, learning_rate, gamma
        self.double_q, self.error_clip = double_q, error_clip
        self.first = [np.zeros_like(p) for layer in online for p in layer]
        self.second = [np.zeros_like(p) for layer in online for p in layer]
        self.updates = 0

    @staticmethod
    def forward(network, x):
        inputs = []
        for i, (weight, bias) in enumerate(network):
            inputs.append(x)
            x = x @ weight + bias
            if i < len(network) - 1:
                x = np.maximum(x, 0)
        return x, inputs

    def learn(self, s, a, r, s_next, terminated):
        q_next, _ = self.forward(self.target, s_next)
        chooser = self.forward(self.online, s_next)[0] if self.double_q else q_next
        value = q_next[np.arange(len(a)), chooser.argmax(1)]
        y = np.where(terminated == 1, r, r + self.gamma * value)

        q, inputs = self.forward(self.online, s)
        error = q[np.arange(len(a)), a] - y
        size = np.abs(error)
        c = self.error_clip
        loss = np.where(size <= c, error**2 / 2, c * (size - c / 2)).mean()

        slope = np.zeros_like(q)
        slope[np.arange(len(a)), a] = np.clip(error, -c, c) / len(a)
        gradient = []
        for i in reversed(range(len(self.online))):
            weight, _ = self.online[i]
            gradient[:0] = [inputs[i].T @ slope, slope.sum(0)]
            slope = (slope @ weight.T) * (inputs[i] > 0)

        self.updates += 1
        parameters = [p for layer in self.online for p in layer]
        for k, (p, g) in enumerate(zip(parameters, gradient, strict=True)):
            self.first[k] = 0.9 * self.first[k] + 0.1 * g
            self.second[k] = 0.999 * self.second[k] + 0.001 * g**2
            unbiased = self.first[k] / (1 - 0.9**self.updates), self.second[k] / (1 - 0.999**self.updates)
            p -= self.learning_rate * unbiased[0] / (np.sqrt(unbiased[1]) + 1e-8)
        if self.updates % self.period == 0:
            for mine, its in zip(self.online, self.target, strict=True):
                for p, p_target in zip(mine, its, strict=True):
                    p_target[...] = self.tau * p + (1 - self.tau) * p_target
        return loss, q[np.arange(len(a)), a]


def test_updates_are_those_of_the_papers_equations(make_loop):
    own = {
        "tau": [1.0, 0.01, 1.0, 0.2, 1.0, 0.005],
        "period": [1, 1, 3, 2, 5, 1],
        "learning_rate": [1e-3, 1e-2, 3e-3, 1e-3, 1e-3, 1e-3],
        "gamma": [0.99, 0.9, 0.99, 0.5, 0.99, 1.0],
        "double_q": [False, True, True, False, True, False],
        "error_clip": [1.0, 1.0, 0.3, 5.0, np.inf, 1.0],
    }
    agents = make_loop(seeds=MEMBERS, hidden=(32, 16), double_q=True).agents
    for name, values in own.items():
        setattr(agents.settings, name, torch.tensor(values))
    agents.optimizer.learning_rate = agents.settings.learning_rate[:, None]
    agents.target_weights.mul_(1.5)  # so that online and target differ from the first update
    references = [
        Reference(layers(agents.online, m), layers(agents.target, m), **{name: own[name][m] for name in own})
        for m in range(MEMBERS)
    ]
    for update in range(10):
        batch = random_batch(update)
        seen = agents.learn(batch)
        for m, reference in enumerate(references):
            s, a, r, s_next, terminated = (field[m].double().numpy() for field in batch)
            loss, q = reference.learn(s, a[:, 0].astype(int), r, s_next, terminated)
            np.testing.assert_allclose(seen["loss"][m], loss, rtol=1e-4)
            np.testing.assert_allclose(seen["q_mean"][m], q.mean(), rtol=1e-3, atol=1e-5)
            np.testing.assert_allclose(seen["q_max"][m], np.abs(q).max(), rtol=1e-4)
            for network, expected in ((agents.online, reference.online), (agents.target, reference.target)):
                for mine, its in zip(layers(network, m), expected, strict=True):
                    for p, p_reference in zip(mine, its, strict=True):
                        np.testing.assert_allclose(p, p_reference, rtol=1e-4, atol=2e-5)


def test_the_target_starts_as_an_exact_copy_and_takes_no_gradients(make_loop):
    agents = make_loop(seeds=3).agents
    assert torch.equal(agents.online_weights, agents.target_weights)
    assert agents.online_weights.data_ptr() != agents.target_weights.data_ptr()
    assert not any(p.requires_grad for p in agents.target.parameters())


def test_the_target_moves_every_period_updates_and_rests_between(make_loop):
    agents = make_loop(seeds=MEMBERS, batch_size=BATCH, period=4).agents
    for update in range(1, 13):
        before = agents.target_weights.clone()
        agents.learn(random_batch(update))
        if update % 4 == 0:
            assert torch.equal(agents.target_weights, agents.online_weights)
        else:
            assert torch.equal(agents.target_weights, before)


def test_tau_zero_never_moves_the_target(make_loop):
    agents = make_loop(seeds=MEMBERS, tau=0.0).agents
    before = agents.target_weights.clone()
    for update in range(5):
        agents.learn(random_batch(update))
    assert torch.equal(agents.target_weights, before)


def test_a_member_that_diverges_touches_no_other(make_loop):
    calm = make_loop(seeds=3, tau=1.0, learning_rate=1e-3).agents
    wild = make_loop(seeds=3, tau=1.0, learning_rate=1e-3).agents
    wild.optimizer.learning_rate[1] = 1e30
    for update in range(5):
        batch = Batch(*(field[:3] for field in random_batch(update)))
        calm.learn(batch)
        wild.learn(batch)
    assert not wild.online_weights[1].isfinite().all()
    assert torch.equal(wild.online_weights[[0, 2]], calm.online_weights[[0, 2]])
    assert torch.equal(wild.target_weights[[0, 2]], calm.target_weights[[0, 2]])


def test_exploration_is_annealed_from_start_to_end(make_loop):
    agents = make_loop(seeds=2, epsilon_start=0.8, epsilon_end=0.2, epsilon_steps=10).agents
    observation = torch.zeros(2, 4)
    best = agents.values(observation[:, None])[:, 0].argmax(-1)
    other = (1 - best + 0.5) / 2  # noise that draws the action which is not the best
    for step in range(20):
        epsilon = 0.8 + (0.2 - 0.8) * min(1, step / 10)
        coin = torch.tensor([epsilon - 1e-3, epsilon + 1e-3])  # the first member explores, the second does not
        action = agents.act(observation, torch.stack([coin, other], dim=1))
        assert action.tolist() == [1 - best[0], best[1]]


def endless(time_limit: int, *, terminates: bool) -> Environment:
    """A reward of 1 at every step, seen through a constant; over after a while by its rules or by the clock alone."""

    def step(state, action):
        after = state + 1
        return after, torch.ones_like(after[..., 0]), after[..., 0] >= (time_limit if terminates else torch.inf)

    return Environment(
        name="Endless",
        observation_size=1,
        state_size=1,
        actions=2,
        action_size=None,
        action_high=None,
        reset_width=1,
        time_limit=time_limit,
        reset=torch.zeros_like,
        observe=torch.ones_like,
        step=step,
    )


@pytest.mark.parametrize("terminates", [False, True])
def test_running_out_of_time_is_not_the_end_of_the_return(make_loop, terminates):
    gamma, limit = 0.8, 5
    loop = make_loop(
        endless(limit, terminates=terminates),
        seeds=2,
        steps=3_000,
        gamma=gamma,
        tau=0.05,
        hidden=(16,),
        batch_size=32,
        learning_rate=3e-3,
        epsilon_end=1.0,
        error_clip=float("inf"),  # the mean of the targets is asked for, and Huber's loss leans to their median
    )
    for step in range(3_000):
        if step % loop.noise.length == 0:
            loop.noise.refill()
        loop.step()
    learnt = loop.agents.values(torch.ones(2, 1, 1))
    # Cut by the clock: every transition is followed by more of the same, and Q = 1/(1 − γ). Terminated, one in `limit`
    # is not: Q = 1 + γ (1 − 1/limit) Q.
    expected = 1 / (1 - gamma * (1 - 1 / limit)) if terminates else 1 / (1 - gamma)
    # Where one transition in five is the last, every batch differs, and the estimate trembles.
    torch.testing.assert_close(learnt, torch.full_like(learnt, expected), rtol=0.15 if terminates else 0.01, atol=0)
