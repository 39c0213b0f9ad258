"""DDPG's update against the paper's equations in plain float64 NumPy, and what its slow copies do."""

import pytest

from tests.rl import reference
from tests.rl.populations import EXACTLY, assert_follows


@pytest.mark.parametrize(("normalization", "dtype"), EXACTLY)
def test_updates_are_those_of_the_papers_equations(normalization, dtype):
    own = {
        "tau": [0.001, 1.0, 0.2, 1.0, 0.05, 0.0],
        "period": [1, 1, 2, 5, 3, 1],
        "actor_learning_rate": [1e-4, 1e-3, 3e-3, 1e-2, 1e-3, 1e-3],
        "critic_learning_rate": [1e-3, 1e-3, 1e-2, 1e-3, 1e-4, 1e-3],
        "gamma": [0.99, 0.9, 1.0, 0.0, 0.95, 0.99],
        "target_actor": [True, True, False, True, False, True],
    }
    own["normalization"] = normalization
    assert_follows(reference.DDPG, "ddpg", own, (), dtype=dtype)
