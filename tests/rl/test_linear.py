"""The matrices of linear TD against updates written out by hand, and the facts that the book states of them."""

import numpy as np
import pytest

from companion.rl import linear
from companion.rl.linear import LinearTD, growth, joint_matrix, simulate, spectral_abscissa, spectral_radius

ONE = linear.random_problems(3, 1, states=4, features=3, gamma=0.9)[0]
MANY = linear.random_problems(7, 200, gamma=0.95)


def by_hand(problem, step_size, tau, period, steps, online, target):
    """Sums over states and next states, one number at a time."""
    online, target = np.array(online, dtype=float), np.array(target, dtype=float)
    states, features = problem.features.shape
    for k in range(1, steps + 1):
        change = np.zeros(features)
        for s in range(states):
            now = sum(problem.features[s, i] * online[i] for i in range(features))
            then = sum(
                problem.transitions[s, t] * sum(problem.features[t, i] * target[i] for i in range(features))
                for t in range(states)
            )
            error = problem.rewards[s] + problem.gamma * then - now
            for i in range(features):
                change[i] += problem.weights[s] * error * problem.features[s, i]
        online = online + step_size * change
        if k % period == 0:
            target = tau * online + (1 - tau) * target
    return online, target


def test_the_matrices_are_sums_over_states():
    d = ONE.features.shape[1]
    covariance, lookahead, reward = np.zeros((d, d)), np.zeros((d, d)), np.zeros(d)
    for s, weight in enumerate(ONE.weights):
        covariance += weight * np.outer(ONE.features[s], ONE.features[s])
        reward += weight * ONE.rewards[s] * ONE.features[s]
        for t, chance in enumerate(ONE.transitions[s]):
            lookahead += weight * chance * np.outer(ONE.features[s], ONE.features[t])
    np.testing.assert_allclose(ONE.covariance, covariance)
    np.testing.assert_allclose(ONE.lookahead, lookahead)
    np.testing.assert_allclose(ONE.reward_vector, reward)
    np.testing.assert_allclose(ONE.td_matrix, covariance - 0.9 * lookahead)
    np.testing.assert_allclose(ONE.fitted_matrix, 0.9 * np.linalg.inv(covariance) @ lookahead)
    np.testing.assert_allclose((covariance - 0.9 * lookahead) @ ONE.solution, reward)


@pytest.mark.parametrize(("tau", "period"), [(1.0, 1), (0.3, 1), (1.0, 4), (0.3, 4), (0.0, 1)])
def test_one_period_by_hand(tau, period):
    """The joint matrix acts on errors as the two updates written out act on weights."""
    rng = np.random.default_rng(0)
    online, target = rng.standard_normal((2, 3))
    after = by_hand(ONE, 0.2, tau, period, period, online, target)
    errors = np.concatenate((online - ONE.solution, target - ONE.solution))
    expected = np.concatenate([weights - ONE.solution for weights in after])
    np.testing.assert_allclose(joint_matrix(ONE, 0.2, tau, period) @ errors, expected, atol=1e-12)


@pytest.mark.parametrize(("tau", "period"), [(1.0, 1), (0.05, 1), (1.0, 5), (0.5, 3)])
def test_the_simulation_by_hand_and_by_powers(tau, period):
    online, target = simulate(ONE, 0.1, 15, tau, period, start=2.0)
    assert online.shape == target.shape == (16, 3)
    for k in (1, 7, 15):
        expected = by_hand(ONE, 0.1, tau, period, k, [2.0] * 3, [2.0] * 3)
        np.testing.assert_allclose((online[k], target[k]), expected, atol=1e-12)
    errors = np.concatenate((online[0], target[0])) - np.tile(ONE.solution, 2)
    power = np.linalg.matrix_power(joint_matrix(ONE, 0.1, tau, period), 15 // period)
    np.testing.assert_allclose(
        power @ errors, np.concatenate((online[15], target[15])) - np.tile(ONE.solution, 2), atol=1e-10
    )


def test_settings_and_problems_broadcast():
    taus = np.array([1.0, 0.1, 0.01])
    matrices = joint_matrix(MANY, np.full(200, 0.1), taus[:, None], 2)
    assert matrices.shape == (3, 200, 4, 4)
    np.testing.assert_allclose(matrices[1, 17], joint_matrix(MANY[17], 0.1, 0.1, 2), atol=1e-14)
    online, target = simulate(MANY, np.full(200, 0.1), 6, taus[:, None], 2)
    assert online.shape == (7, 3, 200, 2)
    alone = simulate(MANY[17], 0.1, 6, 0.1, 2)
    np.testing.assert_allclose((online[:, 1, 17], target[:, 1, 17]), alone, atol=1e-14)
    periods = simulate(MANY[17], 0.1, 6, 0.1, np.array([1, 2, 5]))
    np.testing.assert_allclose((periods[0][:, 1], periods[1][:, 1]), alone, atol=1e-14)
    assert growth(ONE, np.array([0.1, 0.2]), 0.5).shape == (2,)


@pytest.mark.parametrize(("tau", "period"), [(1.0, 1), (0.02, 1), (1.0, 50)])
def test_the_solution_is_a_fixed_point_of_every_setting(tau, period):
    online, target = simulate(ONE, 0.1, 100, tau, period, start=ONE.solution)
    np.testing.assert_allclose(online, np.broadcast_to(ONE.solution, online.shape), atol=1e-9)
    np.testing.assert_allclose(target, np.broadcast_to(ONE.solution, target.shape), atol=1e-9)


@pytest.mark.parametrize("tau", [1.0, 0.3, 0.01])
def test_without_a_target_network_and_the_determinant(tau):
    """det(I − M) = (ητ)^d det A: no tau and no step size changes the sign of det A."""
    alone = np.eye(2) - 0.1 * MANY.td_matrix
    np.testing.assert_allclose(spectral_radius(joint_matrix(MANY, 0.1)), spectral_radius(alone), rtol=1e-9)
    left = np.linalg.det(np.eye(4) - joint_matrix(MANY, 0.1, tau))
    np.testing.assert_allclose(left, (0.1 * tau) ** 2 * np.linalg.det(MANY.td_matrix), rtol=1e-6, atol=1e-16)


def test_a_negative_determinant_is_beyond_rescue():
    """Then a real eigenvalue lies above 1 at every step size, tau and period."""
    problems = linear.random_problems(0, 2_000)
    doomed = np.flatnonzero(np.linalg.det(problems.td_matrix) < 0)
    assert len(doomed) > 50
    largest = np.linalg.eigvalsh(problems.covariance)[:, -1]
    for scale in (1.9, 0.1):
        for tau, period in ((1.0, 1), (0.3, 1), (0.01, 1), (1.0, 10), (1.0, 1_000), (0.1, 30)):
            radius = spectral_radius(joint_matrix(problems, scale / largest, tau, period))[doomed]
            assert np.all(radius > 1)


def test_a_slow_soft_target_follows_fitted_iteration_by_its_real_part():
    """(1 − eigenvalue) / tau of the d eigenvalues near 1 tends to 1 − eigenvalue of F."""
    problem, tau = linear.random_problems(11, 1, gamma=0.9)[0], 1e-7
    values = np.linalg.eigvals(joint_matrix(problem, 0.1, tau))
    slow = np.sort_complex((1 - values[np.argsort(np.abs(values - 1))[:2]]) / tau)
    np.testing.assert_allclose(slow, np.sort_complex(1 - np.linalg.eigvals(problem.fitted_matrix)), rtol=1e-3)


def test_the_slow_limits_decide():
    problems = linear.random_problems(5, 2_000)
    step = 1 / np.linalg.eigvalsh(problems.covariance)[:, -1]
    for measured, limit in (
        (growth(problems, step, 1e-5), spectral_abscissa(problems.fitted_matrix)),
        (growth(problems, step, 1.0, 100_000), spectral_radius(problems.fitted_matrix)),
    ):
        clear = np.abs(limit - 1) > 1e-3  # on the edge, slow is not slow enough
        assert clear.mean() > 0.95
        np.testing.assert_array_equal((measured < 1)[clear], (limit < 1)[clear])


def test_a_long_period_is_fitted_iteration():
    matrix = joint_matrix(ONE, 0.3, 1.0, 20_000)
    for block in (matrix[:3, 3:], matrix[3:, 3:]):
        np.testing.assert_allclose(block, ONE.fitted_matrix, atol=1e-9)
    np.testing.assert_allclose(matrix[:, :3], 0, atol=1e-9)


def test_growth_is_what_a_long_run_measures():
    problems = linear.random_problems(1, 50)
    step = 0.3 / np.linalg.eigvalsh(problems.covariance)[:, -1]
    quiet = LinearTD(problems.features, problems.transitions, np.zeros((50, 5)), problems.weights, problems.gamma)
    for tau, period in ((1.0, 1), (0.1, 1), (1.0, 20)):
        size = np.abs(np.concatenate(simulate(quiet, step, 1_000, tau, period), -1)).max(-1)
        measured = (size[1_000] / size[500]) ** (1 / 500)
        # a rotation leaves a bounded factor, whose 500th root is near 1
        np.testing.assert_allclose(measured, growth(quiet, step, tau, period), atol=5e-3)
        assert measured.max() > 1.02


@pytest.mark.parametrize("termination", [0.0, 0.1, 0.4])
def test_two_states_have_the_published_factor(termination):
    """Fitted iteration multiplies w by γ(6 − 4ε)/5 (Tsitsiklis & Van Roy 1996)."""
    problem = linear.two_state(0.99, termination=termination)
    np.testing.assert_allclose(problem.fitted_matrix, [[0.99 * (6 - 4 * termination) / 5]])
    np.testing.assert_allclose(linear.two_state(0.9, second=0.0).fitted_matrix, [[1.8]])


def test_bairds_star_diverges_alone_and_is_saved_by_a_slow_target():
    star = linear.baird()
    weights = np.arange(1.0, 9.0)
    values = star.features @ weights
    np.testing.assert_allclose(values, [*(2 * weights[:6] + weights[7]), weights[6] + 2 * weights[7]])
    compact = linear.without_null_space(star)
    assert compact.features.shape == (7, 7)
    start = np.array([1.0, 1, 1, 1, 1, 1, 10, 1])
    full, _ = simulate(star, 0.01, 200, start=start)
    basis = np.linalg.lstsq(compact.features, star.features @ start, rcond=None)[0]
    few, _ = simulate(compact, 0.01, 200, start=basis)
    np.testing.assert_allclose(full @ star.features.T, few @ compact.features.T, rtol=1e-9, atol=1e-9)
    assert growth(compact, 0.01) > 1.002
    assert growth(compact, 0.01, 0.03) > 1
    assert growth(compact, 0.01, 0.01) < 1
    assert growth(compact, 0.01, 1.0, 100) < 1
    np.testing.assert_allclose(spectral_radius(compact.fitted_matrix), 0.99)


def test_whitening_changes_coordinates_and_nothing_else():
    problems = linear.random_problems(2, 3_000)
    white = linear.whiten(problems)
    np.testing.assert_allclose(white.covariance, np.broadcast_to(np.eye(2), (3_000, 2, 2)), atol=1e-9)
    both = np.concatenate((problems.features, white.features), -1)
    assert np.all(np.linalg.matrix_rank(both, rtol=1e-9) == 2), "the same functions can be represented"
    for matrix in ("fitted_matrix",):
        old, new = (np.sort_complex(np.linalg.eigvals(getattr(p, matrix))) for p in (problems, white))
        np.testing.assert_allclose(old, new, rtol=1e-6, atol=1e-6)
    alone = spectral_abscissa(-white.td_matrix) < 0
    slow = spectral_abscissa(problems.fitted_matrix) < 1
    np.testing.assert_array_equal(alone, slow)


def test_on_policy_nothing_diverges():
    """Tsitsiklis & Van Roy (1997): with the policy's own distribution fitted iteration contracts by γ."""
    problems = linear.random_problems(4, 2_000, on_policy=True)
    np.testing.assert_allclose((problems.weights[:, None] @ problems.transitions)[:, 0], problems.weights, atol=1e-10)
    assert np.all(spectral_radius(problems.fitted_matrix) <= 0.99 + 1e-9)
    step = 1 / np.linalg.eigvalsh(problems.covariance)[:, -1]
    for tau in (1.0, 0.1, 0.01):
        assert np.all(growth(problems, step, tau) < 1 + 1e-9)


def test_random_problems_are_those_of_their_seed():
    again = linear.random_problems(7, 200, gamma=0.95)
    np.testing.assert_array_equal(again.features, MANY.features)
    np.testing.assert_array_equal(again.weights, MANY.weights)
    assert not np.array_equal(linear.random_problems(8, 200).features, MANY.features)
    assert MANY.features.shape == (200, 5, 2)
    assert np.all(MANY.transitions >= 0)
    np.testing.assert_allclose(MANY.transitions.sum(-1), 1)


def problem(**changes):
    arguments = {
        "features": np.eye(2),
        "transitions": np.eye(2),
        "rewards": np.zeros(2),
        "weights": np.full(2, 0.5),
        "gamma": 0.9,
    }
    return LinearTD(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"transitions": np.eye(3)}, "transitions"),
        ({"transitions": 2 * np.eye(2)}, "rows that sum to 1"),
        ({"transitions": -np.eye(2)}, "non-negative"),
        ({"weights": np.ones(2)}, "weights must be"),
        ({"rewards": np.zeros(3)}, "rewards"),
        ({"gamma": 1.5}, "gamma=1.5"),
    ],
)
def test_what_is_no_problem_is_refused(changes, message):
    with pytest.raises(Exception, match=message):  # ValueError, or jaxtyping's own where shapes clash
        problem(**changes)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tau": 1.5}, "tau=1.5"),
        ({"tau": float("nan")}, "tau=nan"),
        ({"period": 0}, "period=0"),
        ({"step_size": -0.1}, "step_size=-0.1"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    for function, more in ((joint_matrix, {}), (simulate, {"steps": 3})):
        with pytest.raises(ValueError, match=message):
            function(ONE, **({"step_size": 0.1} | settings | more))


def test_a_singular_covariance_cannot_be_whitened():
    with pytest.raises(ValueError, match="singular covariance"):
        linear.whiten(linear.baird())
