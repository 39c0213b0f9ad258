"""SAC on Pendulum."""

from companion.record.registry.ddpg import tau_map

RECORDINGS = [tau_map("sac")]
