"""Q-learning with a table: a value of its own for every state and action, so that learning one moves no other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from companion.members import Streams


@dataclass(frozen=True)
class TabularMDP:
    """A finite Markov decision process, given in full.

    Attributes:
        transitions: probability of each next state, for each state and action.
        rewards: reward for each state and action.
        gamma: the discount, below 1.

    Raises:
        ValueError: if shapes do not fit, a row of probabilities does not sum to 1, or gamma is not below 1.
    """

    transitions: Float[np.ndarray, "state action state"]
    rewards: Float[np.ndarray, "state action"]
    gamma: float

    def __post_init__(self) -> None:
        states, actions, _ = self.transitions.shape
        if self.rewards.shape != (states, actions):
            raise ValueError(f"rewards has shape {self.rewards.shape}; transitions ask for {(states, actions)}")
        if self.transitions.min() < 0 or not np.allclose(self.transitions.sum(-1), 1):
            raise ValueError("transitions must be non-negative, and sum to 1 over the last axis: normalise them")
        if not 0 <= self.gamma < 1:
            raise ValueError(f"gamma={self.gamma} leaves no finite value to find; choose one in [0, 1)")


def value_iteration(mdp: TabularMDP, tolerance: float = 1e-10) -> Float[np.ndarray, "state action"]:
    """The optimal action values, each within `tolerance`.

    Repeats Q ← r + γ P max Q (Bellman 1957), which brings any two tables closer by γ in the largest difference, until
    the change leaves no more than the tolerance.
    """
    values = np.zeros_like(mdp.rewards)
    while True:
        updated = mdp.rewards + mdp.gamma * mdp.transitions @ values.max(-1)
        if np.abs(updated - values).max() * mdp.gamma <= tolerance * (1 - mdp.gamma):
            return updated
        values = updated


def q_learning(
    mdp: TabularMDP,
    seeds: Sequence[int],
    steps: int,
    *,
    exponent: float | Sequence[float] = 0.7,
    tau: float | Sequence[float] = 1.0,
    record: int = 100,
) -> Float[np.ndarray, "time member state action"]:
    """Q-learning of many members at once, each along its own walk with uniformly random actions.

    Watkins & Dayan (1992): Q(s, a) ← Q(s, a) + η (r + γ max Q̄(s′, ·) − Q(s, a)), where η = n^(−exponent) at the n-th
    visit of (s, a). Exponents in (1/2, 1] satisfy Robbins & Monro's conditions, Ση = ∞ and Ση² < ∞; 1 is a plain mean.
    The table Q̄ that is bootstrapped from follows Q̄ ← τQ + (1 − τ)Q̄ after each update; tau = 1, Watkins' own
    algorithm, is no target at all.

    Args:
        mdp: where to walk; it must be possible to reach every state from every other.
        seeds: one a member; a member's walk depends on its seed alone.
        steps: transitions, and updates, of each member.
        exponent: of the step size, one for all or one a member.
        tau: of the target table, one for all or one a member.
        record: steps between two copies of the tables that are returned.

    Returns:
        The tables at steps 0, record, 2·record, …

    Raises:
        ValueError: if an exponent lies outside (1/2, 1], a tau outside [0, 1], or record does not divide steps.
    """
    members, (states, actions) = len(seeds), mdp.rewards.shape
    powers, mixing = (np.broadcast_to(np.asarray(x, dtype=np.float64), (members,)) for x in (exponent, tau))
    if not np.all((powers > 0.5) & (powers <= 1)):
        raise ValueError(f"exponent={exponent} breaks Robbins and Monro's conditions; choose from (0.5, 1]")
    if not np.all((mixing >= 0) & (mixing <= 1)):
        raise ValueError(f"tau={tau} is no weight; every value lies between 0 and 1")
    if record < 1 or steps % record:
        raise ValueError(f"record={record} does not divide steps={steps}; choose one that does")

    arrivals = mdp.transitions.cumsum(-1)
    streams = Streams(seeds, "q-learning")
    online, target = np.zeros((2, members, states, actions))
    visits = np.zeros((members, states, actions))
    every = np.arange(members)
    state = np.zeros(members, dtype=np.int64)
    history = [online.copy()]
    for _ in range(steps // record):
        noise = streams.uniform(record, 2).astype(np.float64)
        for k in range(record):
            action = (noise[:, k, 0] * actions).astype(np.int64)
            here = (every, state, action)
            # the first next state whose cumulative probability exceeds the draw
            arrived = (arrivals[state, action, :-1] <= noise[:, k, 1:]).sum(-1)
            visits[here] += 1
            goal = mdp.rewards[state, action] + mdp.gamma * target[every, arrived].max(-1)
            online[here] += visits[here] ** -powers * (goal - online[here])
            target += mixing[:, None, None] * (online - target)
            state = arrived
        history.append(online.copy())
    return np.stack(history)


def gridworld(side: int = 4, slip: float = 0.1, gamma: float = 0.9) -> TabularMDP:
    """A slippery square that is walked for ever: a reward of 1 on leaving the far corner, and back to the first.

    Actions move up, right, down and left, states are numbered row by row; a wall keeps one in place. With probability
    `slip` the move is one of the four, drawn at random. Any action in the far corner leads back to state 0.
    """
    moves = np.array([(-1, 0), (0, 1), (1, 0), (0, -1)])
    cells = np.stack(np.divmod(np.arange(side * side), side), -1)
    reached = np.clip(cells[:, None] + moves, 0, side - 1) @ (side, 1)
    certain = np.eye(side * side)[reached]
    transitions = (1 - slip) * certain + slip * certain.mean(1, keepdims=True)
    transitions[-1] = np.eye(side * side)[0]
    rewards = np.zeros((side * side, 4))
    rewards[-1] = 1
    return TabularMDP(transitions, rewards, gamma)
