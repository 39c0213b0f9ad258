"""From averages that were stored, make the nearest thing to one that was not."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, agrees, differs, expect, matches


def posthoc(stored: Sequence[float], wanted: float) -> np.ndarray:
    taus = np.asarray(stored, dtype=float)

    def overlap(a: Any, b: Any) -> Any:  # Σ_j a (1 − a)^j · b (1 − b)^j, a geometric series
        return a * b / (1 - (1 - a) * (1 - b))

    gram, goal = overlap(taus[:, None], taus), overlap(taus, wanted)
    free, ones = np.linalg.solve(gram, np.stack([goal, np.ones_like(goal)], axis=1)).T
    return free + ones * (1 - free.sum()) / ones.sum()  # Lagrange: the nearest of those that add up to one


def profiles(taus: Sequence[float]) -> np.ndarray:
    return np.array([tau * (1 - tau) ** np.arange(20_000) for tau in taus])


def nearest(weights: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """Least squares with coefficients that add up to one: the first is what the others leave of it."""
    others = np.linalg.lstsq((weights[1:] - weights[0]).T, goal - weights[0], rcond=None)[0]
    return np.array([1 - others.sum(), *others])


def stored_already(answer: Answer) -> None:
    """An average that was stored is taken as it is."""
    hint = "If the wanted tau was stored, its own coefficient is 1 and the others are 0: nothing is nearer than itself."
    matches(answer([0.3, 0.03, 0.01], 0.03), np.array([0.0, 1.0, 0.0]), hint, atol=1e-6)


def least_squares(answer: Answer) -> None:
    """The coefficients add up to one, and no others that do are nearer to the wanted weights, over all ages."""
    stored, wanted = [0.3, 0.03, 0.01], 0.05
    weights, goal = profiles(stored), profiles([wanted])[0]
    want, free = nearest(weights, goal), np.linalg.lstsq(weights.T, goal, rcond=None)[0]
    got = answer(stored, wanted)
    bare = nearest(weights / np.array(stored)[:, None], goal / wanted)
    hint = "You compare (1 − tau)^j without the tau in front. The weights of an average add up to one."
    differs(got, bare, hint, rtol=1e-3)
    hint = (
        f"No combination is nearer, but its coefficients add up to {free.sum():.2f}: a network made with them has "
        f"{free.sum():.2f} of its size. Ask for a sum of one."
    )
    differs(got, free, hint, rtol=1e-3)
    hint = "The sum is right, but others with that sum are nearer. Do not rescale: put the condition into the problem."
    differs(got, free / free.sum(), hint, rtol=1e-3)
    short = nearest(weights[:, :100], goal[:100])
    hint = "Your ages end too early: the slowest average has weights for thousands of steps. Sum to ∞."
    expect(np.shape(got) != want.shape or np.linalg.norm(got - want) <= np.linalg.norm(got - short), hint)
    hint = (
        "Some other combination is nearer. Take Σ_j (Σ_i c_i a_i(j) − a(j))² and one multiplier for Σ_i c_i = 1, and "
        "set the derivative to zero: a matrix of sums Σ_j a_i(j) a_l(j) times c equals the sums Σ_j a_i(j) a(j) plus "
        "the multiplier."
    )
    matches(got, want, hint, rtol=1e-4)


def long_memories(answer: Answer) -> None:
    """It holds for averages of any length, a window of 100,000 steps too."""
    stored, wanted = [1e-3, 1e-4, 1e-5], 3e-5
    hint = "Right for short averages only. In closed form the sums have no end: Σ_j q^j = 1/(1 − q)."
    agrees(answer, posthoc, (stored, wanted), hint, rtol=1e-3)


EXERCISE = Exercise(
    place=4,
    title="Choose tau afterwards",
    difficulty="hard",
    minutes=90,
    expects="a function of (stored, wanted) that returns an array with one coefficient for each stored tau",
    solution=posthoc,
    why="Averages are linear: the combination of networks has the combination of weights. The normal equations of "
    "least squares need only overlaps Σ_j a(1 − a)^j b(1 − b)^j = ab / (1 − (1 − a)(1 − b)). The condition keeps the "
    "size of the network: what stands still in its weights comes out whole. Karras and colleagues (2024) do this with "
    "averages whose width grows with the training time, and store snapshots along the way, so that the starting "
    "weights and the past are covered as well.",
    checks=[stored_already, least_squares, long_memories],
)
