"""A policy that writes token by token, against float64 references: each answer's chance, its slope, a whole step."""

from itertools import product

import numpy as np
import pytest
import torch

from companion.members import Streams
from companion.preference import Learners, PreferenceSettings, World
from companion.preference.losses import reinforce
from companion.preference.policies import Network, listed

CPU = torch.device("cpu")
PROMPTS, POSITIONS, VOCABULARY, TRAITS = 2, 3, 3, 5
ANSWERS = np.array(list(product(range(VOCABULARY), repeat=POSITIONS)))


@pytest.fixture
def policy() -> Network:
    return Network([3, 5], (PROMPTS, POSITIONS, VOCABULARY), TRAITS, (4,)).double()


@pytest.fixture
def traits() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).normal(size=(2, PROMPTS, TRAITS)))


def weights_of(policy: Network) -> list[np.ndarray]:
    """Weight and bias of each layer, (member, in, out) and (member, 1, out)."""
    layers = policy.layers
    pairs = zip(layers.weights, layers.biases, strict=True)
    return [each.detach().double().numpy().copy() for pair in pairs for each in pair]


def next_chances(weights, member, prompt, written, vocabulary=VOCABULARY, positions=POSITIONS) -> np.ndarray:
    """The chances of the token that comes after those that are written, by the network's definition."""
    seen = np.zeros((positions - 1, vocabulary))
    for place, token in enumerate(written):
        seen[place, token] = 1
    first, first_bias, last, last_bias = (each[member] for each in weights)
    hidden = np.tanh(np.concatenate([prompt, seen.ravel()]) @ first + first_bias[0])
    logits = hidden @ last + last_bias[0]
    chances = np.exp(logits - logits.max())
    return chances / chances.sum()


def log_chance(weights, member, prompt, answer, **sizes) -> float:
    """The sum over an answer's tokens, each given those before it."""
    return sum(
        np.log(next_chances(weights, member, prompt, answer[:place], **sizes)[token])
        for place, token in enumerate(answer)
    )


def test_answers_are_listed_in_a_counters_order():
    np.testing.assert_array_equal(listed(POSITIONS, VOCABULARY), ANSWERS)
    assert listed(0, 4).shape == (1, 0)


def test_the_log_chance_of_an_answer_is_the_sum_over_its_tokens(policy, traits):
    every = policy(traits)
    said = torch.from_numpy(ANSWERS).expand(2, PROMPTS, -1, -1)
    torch.testing.assert_close(policy.log_chance(traits, said), every)
    weights = weights_of(policy)
    for member, prompt in product(range(2), range(PROMPTS)):
        want = [log_chance(weights, member, traits[member, prompt].numpy(), answer) for answer in ANSWERS]
        np.testing.assert_allclose(every[member, prompt].detach(), want, atol=1e-12)


def test_the_chances_of_all_answers_add_up_to_one(policy, traits):
    torch.testing.assert_close(policy(traits).exp().sum(-1), torch.ones(2, PROMPTS).double())


def test_what_is_written_changes_what_comes_next(policy, traits):
    after = [policy.next_token(traits, torch.full((2, PROMPTS, 1, 1), token)) for token in range(VOCABULARY)]
    assert (after[0] - after[1]).abs().max() > 0.01


def test_answers_are_written_token_by_token(policy, traits):
    uniform = np.random.default_rng(1).random((2, PROMPTS, 6, POSITIONS))
    got, weights = policy.draw(traits, torch.from_numpy(uniform)), weights_of(policy)
    for member, prompt, answer in product(range(2), range(PROMPTS), range(6)):
        written: list[int] = []
        for number in uniform[member, prompt, answer]:
            ends = next_chances(weights, member, traits[member, prompt].numpy(), written).cumsum()
            written.append(int(np.searchsorted(ends, number, side="right")))
        assert got[member, prompt, answer].tolist() == written


def test_means_and_divergence_are_those_of_all_answers(policy, traits):
    other = Network([7, 8], (PROMPTS, POSITIONS, VOCABULARY), TRAITS, (4,)).double()
    sizes = {"prompts": PROMPTS, "positions": POSITIONS, "vocabulary": VOCABULARY}
    world = World([3, 5], **sizes, curvature=0.4, device=CPU)
    logs, others = policy(traits), other(traits)
    gold = world.mean_gold(*policy.moments(logs))
    kl = policy.divergence(logs, others)
    own, reference = weights_of(policy), weights_of(other)
    for member, prompt in product(range(2), range(PROMPTS)):
        asked, values = traits[member, prompt].numpy(), world.values[member, prompt].numpy()
        p = np.array([log_chance(own, member, asked, answer) for answer in ANSWERS])
        q = np.array([log_chance(reference, member, asked, answer) for answer in ANSWERS])
        zeros = (ANSWERS == 0).sum(1)
        true = zeros - 0.4 * zeros**2 + values[ANSWERS].sum(1)
        assert gold[member, prompt].item() == pytest.approx(np.exp(p) @ true, abs=1e-6)
        assert kl[member, prompt].item() == pytest.approx(np.exp(p) @ (p - q), abs=1e-9)


def test_the_mean_slope_over_all_draws_is_the_exact_objectives(policy, traits):
    """By central differences in NumPy, of the mean penalised reward over all answers, in every weight of a member."""
    beta, anchor = 0.4, Network([7, 8], (PROMPTS, POSITIONS, VOCABULARY), TRAITS, (4,)).double()
    rewards = np.random.default_rng(2).normal(size=len(ANSWERS))
    pairs = torch.from_numpy(np.array(list(product(range(len(ANSWERS)), repeat=2))))
    asked = traits[:, :1]
    said = torch.from_numpy(ANSWERS).expand(2, 1, -1, -1)
    chances, anchored = policy.log_chance(asked, said)[0, 0], anchor.log_chance(asked, said)[0, 0].detach()
    parameters = list(policy.parameters())
    # The mean of two-answer losses, each weighted by the chance that the two are drawn; pairs stand as prompts.
    weight = chances.detach().exp()[pairs].prod(-1)
    returns = torch.from_numpy(rewards) - beta * (chances.detach() - anchored)
    advantage = returns[pairs] - returns[pairs].flip(-1)  # less the mean of the others
    slope = torch.autograd.grad(weight @ (advantage * chances[pairs]).mean(-1), parameters)
    one = reinforce(
        chances[pairs[1:2]][None],
        anchored[pairs[1:2]][None],
        torch.from_numpy(rewards)[pairs[1:2]][None],
        torch.tensor([beta]).double(),
    )
    torch.testing.assert_close(-one, (advantage * chances[pairs])[1].mean())

    reference, start = weights_of(anchor), weights_of(policy)
    prompt = asked[0, 0].numpy()
    q = np.array([log_chance(reference, 0, prompt, answer) for answer in ANSWERS])

    def objective(weights) -> float:
        p = np.array([log_chance(weights, 0, prompt, answer) for answer in ANSWERS])
        return float(np.exp(p) @ (rewards - beta * (p - q)))

    # `parameters` lists all weights, then all biases; the reference a layer at a time.
    for got, which in zip(slope, (0, 2, 1, 3), strict=True):
        for place in np.ndindex(start[which][0].shape):
            ends = []
            for change in (1e-5, -1e-5):
                moved = [each.copy() for each in start]
                moved[which][(0, *place)] += change
                ends.append(objective(moved))
            assert got[(0, *place)].item() == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


def test_a_step_of_whole_learners_is_the_references():
    """Draw, judge, price, and move every weight along the slope, by central differences; then the average follows."""
    sizes = {"prompts": PROMPTS, "positions": POSITIONS, "vocabulary": VOCABULARY}
    settings = PreferenceSettings(
        **sizes, policy="network", hidden=(4,), answers=3, labels=20, beta=[0.5, 0.5], tau=0.2
    )
    learners = Learners([3, 5], settings, 1, CPU)
    learners.anchor.module.layers.biases[1].data.add_(torch.tensor([0.5, 0.0, -0.5]))  # so that there is a price
    before, anchor = weights_of(learners.policy), weights_of(learners.anchor.module)
    uniform = Streams([3, 5], "answers").uniform(256, PROMPTS * 3 * POSITIONS)[:, 0]
    uniform = uniform.reshape(2, PROMPTS, 3, POSITIONS)
    traits, proxy = (each.double().numpy() for each in (learners.world.traits, learners.proxy))
    with torch.no_grad():
        answers = learners.policy.draw(learners.world.traits, torch.from_numpy(uniform)).numpy()
    learners.step(1)
    after, member = weights_of(learners.policy), 1

    def judged(prompt, answer) -> float:
        counts = np.bincount(answer, minlength=VOCABULARY)
        return float(np.einsum("v,f,vf->", counts, traits[member, prompt], proxy[member].reshape(VOCABULARY, 5)))

    advantages = np.zeros((PROMPTS, 3))
    for prompt in range(PROMPTS):
        returns = []
        for answer in answers[member, prompt]:
            own, other = (log_chance(each, member, traits[member, prompt], answer) for each in (before, anchor))
            returns.append(judged(prompt, answer) - 0.5 * (own - other))
        advantages[prompt] = [returns[j] - np.mean(np.delete(returns, j)) for j in range(3)]

    def surrogate(weights) -> float:
        chances = [
            [log_chance(weights, member, traits[member, prompt], answer) for answer in answers[member, prompt]]
            for prompt in range(PROMPTS)
        ]
        return float((advantages * chances).mean())

    for which, each in enumerate(before):
        for place in np.ndindex(each[member].shape):
            ends = []
            for change in (1e-5, -1e-5):
                moved = [weight.copy() for weight in before]
                moved[which][(member, *place)] += change
                ends.append(surrogate(moved))
            want = each[(member, *place)] + 0.15 * (ends[0] - ends[1]) / 2e-5
            assert after[which][(member, *place)] == pytest.approx(want, abs=2e-6)
    averaged = weights_of(learners.average.module)
    for got, old, new in zip(averaged, before, after, strict=True):
        np.testing.assert_allclose(got, 0.995 * old + 0.005 * new, atol=1e-6)


@pytest.mark.parametrize("kind", ["table", "network"])
def test_the_family_is_the_tilted_start_over_all_answers(kind: str):
    sizes = {"prompts": PROMPTS, "positions": POSITIONS, "vocabulary": VOCABULARY, "curvature": 0.4}
    learners = Learners([3, 5], PreferenceSettings(**sizes, policy=kind, hidden=(4,), labels=20), 1, CPU)
    strengths = [0.0, 0.7, 5.0]
    kl, gold = learners.family(strengths)
    world, zeros = learners.world, (ANSWERS == 0).sum(1)
    said = torch.from_numpy(ANSWERS).expand(2, PROMPTS, -1, -1)
    with torch.no_grad():
        start = learners.policy.log_chance(world.traits, said).double().numpy()
    proxy = learners.proxy.double().numpy().reshape(2, VOCABULARY, TRAITS)
    judged = np.einsum("mvt,mpt->mpv", proxy, world.traits.double().numpy())[:, :, ANSWERS].sum(-1)
    true = zeros - 0.4 * zeros**2 + world.values.double().numpy()[:, :, ANSWERS].sum(-1)
    for place, strength in enumerate(strengths):
        logits = start + strength * judged
        logs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
        np.testing.assert_allclose(kl[:, place], (np.exp(logs) * (logs - start)).sum(-1).mean(-1), atol=1e-5)
        np.testing.assert_allclose(gold[:, place], (np.exp(logs) * true).sum(-1).mean(-1), atol=1e-5)
