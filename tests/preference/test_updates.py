"""Every update of the policies, and what is measured of them, against float64 references."""

from itertools import product

import numpy as np
import pytest
import torch
from scipy.optimize import minimize

from companion.members import Streams
from companion.preference import Learners, PreferenceSettings, World, natural_step, tilt
from companion.preference.losses import dpo, reinforce
from companion.preference.policies import Table
from companion.preference.rewards import comparisons, scores

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def softmax(logits: np.ndarray) -> np.ndarray:
    chances = np.exp(logits - logits.max(-1, keepdims=True))
    return chances / chances.sum(-1, keepdims=True)


def worth(answer, values, curvature=0.18) -> float:
    """The reward of one answer, by its definition."""
    zeros = sum(token == 0 for token in answer)
    return zeros - curvature * zeros**2 + sum(values[token] for token in answer)


def small_world(prompts: int = 2) -> World:
    return World([3, 5], prompts=prompts, positions=3, vocabulary=4, device=CPU)


@pytest.fixture
def logits() -> np.ndarray:
    return RNG.normal(size=(2, 2, 3, 4))


def table(logits: np.ndarray) -> Table:
    """A policy with these logits, (member, prompt, position, token)."""
    policy = Table(range(len(logits)), logits.shape[1:], 5, ())
    policy.logits = torch.nn.Parameter(torch.from_numpy(logits))
    return policy


def asked(members: int, prompts: int) -> torch.Tensor:
    """Traits of prompts, which a table does not look at."""
    return torch.zeros(members, prompts, 5)


ANSWERS = np.array(list(product(range(4), repeat=3)))


def chance_of(answer, chances) -> float:
    return float(np.prod([chances[place, token] for place, token in enumerate(answer)]))


def test_an_answer_is_worth_what_the_definition_says():
    world = small_world()
    answers = torch.from_numpy(ANSWERS).expand(2, 2, -1, -1)
    got = world.gold(world.counts(answers))
    for member, prompt in product(range(2), range(2)):
        want = [worth(answer, world.values[member, prompt].double().numpy()) for answer in ANSWERS]
        np.testing.assert_allclose(got[member, prompt], want, atol=1e-5)


def test_means_and_divergence_are_those_of_all_answers(logits):
    world = small_world()
    others = RNG.normal(size=logits.shape)
    weights = RNG.normal(size=(2, 4 * 5))
    chances, anchored = softmax(logits), softmax(others)
    logs, other_logs = (torch.from_numpy(np.log(each)).float() for each in (chances, anchored))
    means, variance = Table.moments(logs)
    gold = world.mean_gold(means, variance)
    proxy = world.mean_proxy(means, torch.from_numpy(weights).float())
    kl = Table.divergence(logs, other_logs)
    for member, prompt in product(range(2), range(2)):
        p = np.array([chance_of(answer, chances[member, prompt]) for answer in ANSWERS])
        q = np.array([chance_of(answer, anchored[member, prompt]) for answer in ANSWERS])
        values, traits = (each[member, prompt].double().numpy() for each in (world.values, world.traits))
        true = np.array([worth(answer, values) for answer in ANSWERS])
        counts = np.array([[np.sum(answer == token) for token in range(4)] for answer in ANSWERS])
        judged = np.einsum("at,f,tf->a", counts, traits, weights[member].reshape(4, 5))
        assert gold[member, prompt].item() == pytest.approx(p @ true, abs=1e-5)
        assert proxy[member, prompt].item() == pytest.approx(p @ judged, abs=1e-4)
        assert kl[member, prompt].item() == pytest.approx(p @ np.log(p / q), abs=1e-5)


def test_answers_are_drawn_with_the_policys_chances():
    policy = table(np.log([[[[0.5, 0.2, 0.3]]]]))
    uniform = (torch.arange(1_000) + 0.5).view(1, 1, -1, 1) / 1_000
    drawn = policy.draw(asked(1, 1), uniform).flatten()
    assert drawn.bincount().tolist() == [500, 200, 300]
    edges = policy.draw(asked(1, 1), torch.tensor([0.0, 1 - 2**-24]).view(1, 1, 2, 1))
    assert edges.flatten().tolist() == [0, 2]


def test_a_ridge_regression_is_numpys():
    features, outcomes = RNG.normal(size=(2, 30, 6)), RNG.normal(size=(2, 30))
    got = scores(torch.from_numpy(features), torch.from_numpy(outcomes), ridge=0.7)
    for member, (x, y) in enumerate(zip(features, outcomes, strict=True)):
        want = np.linalg.solve(x.T @ x + 0.7 * np.eye(6), x.T @ y)
        np.testing.assert_allclose(got[member], want, rtol=1e-10)


def test_a_bradley_terry_fit_is_the_likeliest():
    features = RNG.normal(size=(2, 60, 4))
    outcomes = (RNG.random((2, 60)) < 0.6).astype(float)
    got = comparisons(torch.from_numpy(features), torch.from_numpy(outcomes), ridge=0.5)
    for member, (x, y) in enumerate(zip(features, outcomes, strict=True)):

        def loss(w, x=x, y=y):
            margin = (2 * y - 1) * (x @ w)
            return np.logaddexp(0, -margin).sum() + 0.25 * w @ w

        want = minimize(loss, np.zeros(4), tol=1e-12).x
        np.testing.assert_allclose(got[member], want, atol=1e-5)


def test_empty_rows_count_for_nothing():
    features, outcomes = torch.randn(1, 20, 4).double(), (torch.rand(1, 20) < 0.5).double()
    longer = torch.cat((features, torch.zeros(1, 7, 4)), 1), torch.cat((outcomes, torch.zeros(1, 7)), 1)
    for fit in (scores, comparisons):
        torch.testing.assert_close(fit(*longer), fit(features, outcomes))


def reference_slope(logits, anchor, answers, rewards, beta) -> np.ndarray:
    """REINFORCE's slope of one table for one prompt, position by token, by its definition."""
    chances, others = softmax(logits), softmax(anchor)
    returns = np.array(
        [
            reward - beta * (np.log(chance_of(answer, chances)) - np.log(chance_of(answer, others)))
            for answer, reward in zip(answers, rewards, strict=True)
        ]
    )
    slope = np.zeros_like(logits)
    for j, answer in enumerate(answers):
        advantage = returns[j] - np.mean(np.delete(returns, j))
        slope += advantage * (np.eye(logits.shape[1])[answer] - chances)
    return slope / len(answers)


def test_reinforce_has_the_references_slope(logits):
    anchor, beta = RNG.normal(size=logits.shape), [0.3, 0.0]
    answers = RNG.integers(0, 4, (2, 2, 5, 3))
    rewards = RNG.normal(size=(2, 2, 5))
    own, said = table(logits), torch.from_numpy(answers)
    chances, anchored = (policy.log_chance(asked(2, 2), said) for policy in (own, table(anchor)))
    loss = reinforce(chances, anchored, torch.from_numpy(rewards), torch.tensor(beta, dtype=torch.float64))
    (slope,) = torch.autograd.grad(loss, own.logits)
    for m, p in product(range(2), range(2)):
        want = reference_slope(logits[m, p], anchor[m, p], answers[m, p], rewards[m, p], beta[m])
        np.testing.assert_allclose(-2 * slope[m, p], want, atol=1e-12)  # the mean over two prompts


def test_reinforce_is_unbiased():
    """Over all pairs of answers that may be drawn, the mean slope is that of the penalised mean reward."""
    logits, anchor = RNG.normal(size=(2, 2, 3))
    answers = np.array(list(product(range(3), repeat=2)))
    rewards = RNG.normal(size=len(answers))
    p = np.array([chance_of(answer, softmax(logits)) for answer in answers])
    mean = np.zeros_like(logits)
    for i, j in product(range(len(answers)), repeat=2):
        mean += p[i] * p[j] * reference_slope(logits, anchor, answers[[i, j]], rewards[[i, j]], 0.4)
    own, said = table(logits[None, None]), torch.from_numpy(answers)[None, None]
    logs, other = (policy.log_chance(asked(1, 1), said).flatten() for policy in (own, table(anchor[None, None])))
    objective = (logs.exp() * (torch.from_numpy(rewards) - 0.4 * (logs - other))).sum()
    (want,) = torch.autograd.grad(objective, own.logits)
    np.testing.assert_allclose(mean, want[0, 0], atol=1e-12)


def test_dpo_is_the_references():
    chances, anchored = RNG.normal(size=(2, 2, 3, 5, 2))
    outcomes = RNG.integers(0, 2, (2, 3, 5)).astype(float)
    beta = [0.2, 1.5]
    got = dpo(
        torch.from_numpy(chances), torch.from_numpy(anchored), torch.from_numpy(outcomes), torch.tensor(beta).double()
    )
    want = 0.0
    for m in range(2):
        losses = []
        for p, k in product(range(3), range(5)):
            won = 0 if outcomes[m, p, k] == 1 else 1
            ratio = chances[m, p, k] - anchored[m, p, k]
            losses.append(np.log1p(np.exp(-beta[m] * (ratio[won] - ratio[1 - won]))))
        want += np.mean(losses)
    assert got.item() == pytest.approx(want, rel=1e-6)


def test_a_natural_step_is_the_softmaxs_natural_gradient():
    """Fisher's matrix of a softmax, inverted, times the plain gradient, moves the logits as the step does."""
    logits, anchor, reward = RNG.normal(size=(3, 6))
    p, a = softmax(logits), softmax(anchor)
    returns = reward - 0.3 * np.log(p / a)
    plain = p * (returns - p @ returns)  # of the mean reward less 0.3 KL
    fisher = np.diag(p) - np.outer(p, p)
    want = softmax(logits + 0.1 * np.linalg.pinv(fisher) @ plain)
    logs = [torch.from_numpy(np.log(each)) for each in (p, a)]
    got = natural_step(*logs, torch.from_numpy(reward), 0.1, 0.3)
    np.testing.assert_allclose(got.exp(), want, rtol=1e-10)


def test_the_tilted_policy_is_the_best_there_is():
    start, reward = RNG.normal(size=(2, 6))
    start = np.log(softmax(start))
    best = tilt(torch.from_numpy(start), torch.from_numpy(reward), 1 / 0.7).exp().numpy()

    def objective(p):
        return p @ reward - 0.7 * p @ (np.log(p) - start)

    for _ in range(200):
        assert objective(softmax(np.log(best) + 0.3 * RNG.normal(size=6))) <= objective(best)
    np.testing.assert_allclose(best, softmax(start + reward / 0.7), rtol=1e-10)


@pytest.mark.parametrize("elastic", [0, 4])
def test_steps_of_whole_learners_are_a_references(elastic: int):
    """Policy, anchor and average of two members through ten steps, Elastic Resets among them."""
    settings = {"beta": [0.5, 0.1], "tau": [0.2, 1.0], "every": 3, "average_tau": 0.3, "elastic": elastic}
    learners = Learners([3, 5], PreferenceSettings(**settings, answers=4, labels=20), 10, CPU)
    proxy = learners.proxy.double().numpy().reshape(2, 8, 5)[..., 0]  # a single prompt's traits are (1, 0, …)
    policy, anchor, average = np.zeros((3, 2, 8, 8))
    uniform = Streams([3, 5], "answers").uniform(256, 4 * 8)
    for step in range(1, 11):
        learners.step(step)
        for m in range(2):
            ends = softmax(policy[m]).cumsum(-1)[:, :-1]
            answers = (ends <= uniform[m, step - 1].reshape(4, 8, 1)).sum(-1)
            rewards = [sum(proxy[m, token] for token in answer) for answer in answers]
            policy[m] += 0.15 * reference_slope(policy[m], anchor[m], answers, rewards, settings["beta"][m])
            if step % 3 == 0:
                anchor[m] += settings["tau"][m] * (policy[m] - anchor[m])
            average[m] += 0.3 * (policy[m] - average[m])
            if elastic and step % elastic == 0:
                policy[m], average[m] = average[m].copy(), 0.0
    for network, want in ((learners.policy, policy), (learners.anchor, anchor), (learners.average, average)):
        got = (network if network is learners.policy else network.module).logits.detach()[:, 0]
        np.testing.assert_allclose(got, want, atol=1e-5)


def test_dpos_steps_are_a_references():
    settings = {"method": "dpo", "label": "comparison", "beta": [0.8, 0.8], "tau": 0.1, "answers": 6, "labels": 9}
    learners = Learners([3, 5], PreferenceSettings(**settings), 5, CPU)
    shown, outcomes = learners.labels.answers[:, 0].numpy(), learners.labels.outcomes[:, 0].numpy()
    policy, anchor = np.zeros((2, 2, 8, 8))
    uniform = Streams([3, 5], "answers").uniform(256, 6)
    for step in range(1, 6):
        learners.step(step)
        for m in range(2):
            chances, others = softmax(policy[m]), softmax(anchor[m])
            slope = np.zeros((8, 8))
            for row in (uniform[m, step - 1] * 9).astype(int):
                first, second = shown[m, row] if outcomes[m, row] == 1 else shown[m, row][::-1]
                ratios = [np.log(chance_of(a, chances) / chance_of(a, others)) for a in (first, second)]
                weight = 0.8 / (1 + np.exp(0.8 * (ratios[0] - ratios[1])))
                slope += weight * (np.eye(8)[first] - np.eye(8)[second])
            policy[m] += 0.15 * slope / 6
            anchor[m] += 0.1 * (policy[m] - anchor[m])
    np.testing.assert_allclose(learners.policy.logits.detach()[:, 0], policy, atol=1e-5)
    np.testing.assert_allclose(learners.anchor.module.logits[:, 0], anchor, atol=1e-5)
