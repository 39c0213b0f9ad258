"""Tabular Q-learning against a slow reference, and against value iteration's values."""

import itertools

import numpy as np
import pytest

from companion.members import Streams
from companion.rl.tabular import TabularMDP, gridworld, q_learning, value_iteration


def random_mdp(seed=0, states=4, actions=3, gamma=0.8):
    rng = np.random.default_rng(seed)
    return TabularMDP(rng.dirichlet(np.ones(states), (states, actions)), rng.standard_normal((states, actions)), gamma)


def test_value_iteration_finds_the_best_of_all_policies():
    mdp = random_mdp()
    states, actions = mdp.rewards.shape
    rows = np.arange(states)
    best = np.full(states, -np.inf)
    for policy in itertools.product(range(actions), repeat=states):
        transitions, rewards = mdp.transitions[rows, list(policy)], mdp.rewards[rows, list(policy)]
        best = np.maximum(best, np.linalg.solve(np.eye(states) - mdp.gamma * transitions, rewards))
    values = value_iteration(mdp)
    np.testing.assert_allclose(values.max(-1), best, atol=1e-9)
    np.testing.assert_allclose(values, mdp.rewards + mdp.gamma * mdp.transitions @ best, atol=1e-9)


def reference(mdp, seed, steps, exponent, tau):
    """One member, one number at a time."""
    states, actions = mdp.rewards.shape
    online, target = np.zeros((states, actions)), np.zeros((states, actions))
    visits = np.zeros((states, actions), dtype=int)
    noise = Streams([seed], "q-learning").uniform(steps, 2)[0].astype(np.float64)
    state = 0
    for pick, chance in noise:
        action = int(pick * actions)
        arrived = int(np.searchsorted(np.cumsum(mdp.transitions[state, action])[:-1], chance, side="right"))
        visits[state, action] += 1
        goal = mdp.rewards[state, action] + mdp.gamma * max(target[arrived])
        online[state, action] += (goal - online[state, action]) / visits[state, action] ** exponent
        target = tau * online + (1 - tau) * target
        state = arrived
    return online


def test_the_population_is_its_members_one_by_one():
    mdp = random_mdp()
    settings = [(5, 0.7, 1.0), (5, 1.0, 1.0), (2, 0.6, 0.1), (9, 0.7, 0.01)]
    seeds, exponent, tau = zip(*settings, strict=True)
    history = q_learning(mdp, seeds, 600, exponent=exponent, tau=tau, record=200)
    assert history.shape == (4, 4, 4, 3)
    np.testing.assert_array_equal(history[0], 0)
    for member, (seed, power, mixing) in enumerate(settings):
        for row, steps in enumerate((0, 200, 400, 600)):
            expected = reference(mdp, seed, steps, power, mixing)
            np.testing.assert_allclose(history[row, member], expected, atol=1e-10)


def test_a_member_does_not_notice_the_others():
    mdp = random_mdp()
    together = q_learning(mdp, [0, 1, 2, 3], 300, tau=[1.0, 0.5, 0.1, 0.0])
    alone = q_learning(mdp, [2], 300, tau=0.1)
    np.testing.assert_array_equal(together[:, 2], alone[:, 0])


def test_it_converges_without_a_target():
    mdp = random_mdp(gamma=0.5)
    truth = value_iteration(mdp)
    history = q_learning(mdp, range(8), 20_000, exponent=0.8, record=10_000)
    errors = np.abs(history - truth).max((-1, -2))
    assert np.median(errors[-1]) < 0.1 * np.abs(truth).max()
    assert np.all(errors[-1] < 0.5 * errors[0])


def test_the_grid_is_a_grid():
    mdp = gridworld(3, slip=0.2)
    assert mdp.transitions.shape == (9, 4, 9)
    np.testing.assert_allclose(mdp.transitions[4, 0, [1, 5, 7, 3]], [0.85, 0.05, 0.05, 0.05])
    np.testing.assert_allclose(mdp.transitions[0, 3, [0, 1, 3]], [0.9, 0.05, 0.05])
    assert np.all(mdp.transitions[8, :, 0] == 1)
    assert mdp.rewards.sum() == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"exponent": 0.5}, "Robbins and Monro"),
        ({"exponent": [0.7, 1.1]}, "Robbins and Monro"),
        ({"tau": -0.1}, "tau="),
        ({"record": 7}, "record=7 does not divide steps=20"),
    ],
)
def test_bad_settings_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        q_learning(random_mdp(), [0, 1], 20, **({"record": 10} | arguments))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gamma": 1.0}, "gamma=1.0"),
        ({"transitions": np.ones((4, 3, 4))}, "sum to 1"),
        ({"rewards": np.zeros((3, 4))}, "rewards"),
    ],
)
def test_what_is_no_process_is_refused(changes, message):
    mdp = random_mdp()
    arguments = {"transitions": mdp.transitions, "rewards": mdp.rewards, "gamma": mdp.gamma} | changes
    with pytest.raises(Exception, match=message):  # ValueError, or jaxtyping's own where shapes clash
        TabularMDP(**arguments)
