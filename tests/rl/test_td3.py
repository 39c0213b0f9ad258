"""TD3's update against the paper's equations in plain float64 NumPy, and what its three changes are."""

import pytest
import torch

from tests.rl import reference
from tests.rl.populations import EXACTLY, assert_follows, population, update_once

MEMBERS = 8


@pytest.mark.parametrize(("normalization", "dtype"), EXACTLY)
@pytest.mark.parametrize("policy_delay", [1, 2, 3])
def test_updates_are_those_of_the_papers_equations(policy_delay, normalization, dtype):
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
    assert_follows(
        reference.TD3,
        "td3",
        {**own, "policy_delay": policy_delay, "normalization": normalization},
        ("smoothing",),
        dtype=dtype,
    )


@pytest.mark.parametrize("policy_delay", [1, 2, 3])
def test_the_policy_changes_at_every_so_manieth_update_only(policy_delay):
    """And the critics at every one."""
    agents = population("td3", 3, policy_delay=policy_delay)
    assert agents.cycle == policy_delay
    for update in range(7):
        actor, critic = agents.actor_weights.clone(), agents.critic_weights.clone()
        update_once(agents, update, 3)
        for m in range(3):
            assert torch.equal(actor[m], agents.actor_weights[m]) == ((update + 1) % policy_delay != 0)
            assert not torch.equal(critic[m], agents.critic_weights[m])


def test_the_policy_follows_the_first_critic_alone():
    agents, other = population("td3", 2, policy_delay=1), population("td3", 2, policy_delay=1)
    for at_first in other.critic.parameters():
        at_first.data[1::2] += 1.0  # every member's second critic
    for population_ in (agents, other):
        population_.critic_optimizer.learning_rate.zero_()
        update_once(population_, 0, 2)
    assert torch.equal(agents.actor_weights, other.actor_weights)
    assert not torch.equal(agents.critic_weights, other.critic_weights)
