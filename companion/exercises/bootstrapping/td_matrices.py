"""Write `td_matrices(features, transitions, weights)`: C = ΦᵀDΦ and K = ΦᵀDPΦ, where D has the weights on its
diagonal.
"""

from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, differs, matches, several
from companion.rl import linear


def td_matrices(features: np.ndarray, transitions: np.ndarray, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    weighted = features.T * weights
    return weighted @ features, weighted @ transitions @ features


def pair(answer: Answer, *arguments: np.ndarray) -> tuple[Any, Any]:
    C, K = several(answer(*arguments), 2, "Return the two matrices as a pair: `return C, K`.")
    return C, K


def two_states(answer: Answer) -> None:
    """For w → 2w they are the numbers 2.5 and 3."""
    problem = linear.two_state()
    C, K = pair(answer, problem.features, problem.transitions, problem.weights)
    differs(C, [[5.0]], "C is 5, the plain sum over the states. Each state counts with its weight, here one half.")
    matches(C, [[2.5]], "C should be ½·1·1 + ½·2·2 = 2.5.")
    matches(K, [[3.0]], "K should be ½·1·2 + ½·2·2 = 3: each state's feature times that of the state it leads to.")


def any_problem(answer: Answer) -> None:
    """For a random problem they are the sums over all states."""
    problem = linear.random_problems(7, 1, states=6, features=3)[0]
    C, K = pair(answer, problem.features, problem.transitions, problem.weights)
    matches(C, problem.covariance, "C is wrong where there is more than one feature: C = ΦᵀDΦ, a 3 × 3 matrix here.")
    hint = "Your K is transposed. The state's own features stand on the left, the next state's on the right."
    differs(K, problem.lookahead.T, hint)
    matches(K, problem.lookahead, "K is wrong where next states are random: K = ΦᵀDPΦ, with P between D and Φ.")


EXERCISE = Exercise(
    place=1,
    title="Two matrices that decide",
    difficulty="easy",
    minutes=10,
    expects="a function of (features, transitions, weights) that returns the pair (C, K)",
    solution=td_matrices,
    why="`features.T * weights` multiplies column s of Φᵀ by the weight of state s: ΦᵀD, without building D. "
    "C says how features go together in the data, K how they go together one step apart. Everything else in the "
    "chapter is made of these two and γ.",
    checks=[two_states, any_problem],
)
