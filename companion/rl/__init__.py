"""Reinforcement learning as populations of agents: environments, replay, algorithms and the training loop.

``rl.train("dqn", "CartPole-v1", tau=[1.0, 0.01], seeds=8)`` trains every setting times every seed at once.
"""

from companion.rl import environments
from companion.rl.training import train

__all__ = ["environments", "train"]
