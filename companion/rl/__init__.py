"""Reinforcement learning as populations of agents: environments, replay, algorithms and the training loop.

``rl.train("td3", "Pendulum-v1", tau=[1.0, 0.01], seeds=8)`` trains every setting times every seed at once;
:mod:`~companion.rl.tabular` and :mod:`~companion.rl.linear` are the small worlds in which all can be computed.
"""

from companion.rl import environments, linear, tabular
from companion.rl.algorithms import make_agents
from companion.rl.training import train

__all__ = ["environments", "linear", "make_agents", "tabular", "train"]
