"""SAC's update against the paper's equations in plain float64 NumPy, and its policy's density."""

import pytest
import torch

from tests.rl import reference
from tests.rl.populations import assert_follows


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_updates_are_those_of_the_papers_equations(dtype):
    own = {
        "tau": [0.005, 1.0, 0.2, 1.0, 0.05, 0.0, 0.3, 0.01],
        "period": [1, 1, 2, 4, 3, 1, 5, 1],
        "actor_learning_rate": [1e-3, 3e-3, 1e-2, 1e-3, 1e-4, 1e-3, 1e-3, 1e-3],
        "critic_learning_rate": [1e-3, 1e-3, 3e-3, 1e-2, 1e-3, 1e-3, 1e-4, 1e-3],
        "temperature_learning_rate": [1e-3, 1e-2, 1e-1, 1e-3, 1e-4, 1e-3, 1e-3, 1e-3],
        "gamma": [0.99, 0.9, 1.0, 0.0, 0.95, 0.99, 0.5, 0.99],
        "temperature": [1.0, 0.2, 5.0, 0.2, 1e-3, 0.5, 0.1, 1.0],
        "learn_temperature": [True, True, True, False, False, True, False, True],
        "target_entropy": [-1.0, -1.0, 0.5, -1.0, -1.0, -3.0, -1.0, 0.0],
        "clipped_double_q": [True, False, True, True, False, True, False, True],
        "target_actor": [False, False, True, False, True, False, True, True],
    }
    assert_follows(reference.SAC, "sac", own, ("next_action", "new_action"), dtype=dtype)
