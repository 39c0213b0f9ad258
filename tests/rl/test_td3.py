"""TD3's update against the paper's equations in plain float64 NumPy, and what its three changes are."""

import pytest
import torch

from tests.rl import reference
from tests.rl.populations import assert_follows

MEMBERS = 8


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("policy_delay", [1, 2, 3])
def test_updates_are_those_of_the_papers_equations(policy_delay, dtype):
    own = {
        "tau": [0.005, 1.0, 0.2, 1.0, 0.05, 0.0, 0.3, 0.01],
        "period": [2, 1, 2, 4, 1, 1, 3, 2],
        "actor_learning_rate": [1e-3, 3e-3, 1e-2, 1e-3, 1e-4, 1e-3, 1e-3, 1e-3],
        "critic_learning_rate": [1e-3, 1e-3, 3e-3, 1e-2, 1e-3, 1e-3, 1e-4, 1e-3],
        "gamma": [0.99, 0.9, 1.0, 0.0, 0.95, 0.99, 0.5, 0.99],
        "target_noise": [0.2, 0.0, 1.0, 0.2, 0.5, 0.2, 0.0, 0.2],
        "target_noise_clip": [0.5, 0.5, 0.3, 0.0, 2.0, 0.5, 0.5, 0.5],
        "clipped_double_q": [True, False, True, True, False, True, False, True],
        "target_actor": [True, True, False, True, False, True, True, True],
    }
    assert_follows(reference.TD3, "td3", {**own, "policy_delay": policy_delay}, ("smoothing",), dtype=dtype)
