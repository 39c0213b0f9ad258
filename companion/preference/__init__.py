"""Policies that learn what people prefer from a proxy, and the anchor that keeps them from believing it too long.

One call trains a figure: ``preference.train(beta=[0.0, 0.1, 0.3, 1.0], tau=[0.0, 0.005], seeds=16)``. Answers are a few
tokens long, so that the true reward, the proxy and the divergence from the start are all computed exactly.
"""

from companion.preference.exact import natural_step, tilt
from companion.preference.training import Learners, PreferenceSettings, train
from companion.preference.worlds import World

__all__ = ["Learners", "PreferenceSettings", "World", "natural_step", "tilt", "train"]
