"""A slow copy was updated with weights τ₁, τ₂, …, τ_K. Write `shares(taus)`: how much of the first copy and of the
online network after each update is in it at the end, K + 1 numbers. Then plot them for the cosine schedule.
"""

from collections.abc import Sequence

import numpy as np

from companion.exercises import Answer, Exercise, agrees, expect, matches, returned


def shares(taus: Sequence[float]) -> np.ndarray:
    """How much of the first copy, then of the online network after each update, is in the slow copy at the end."""
    tau = np.asarray(taus, dtype=float)
    kept = np.cumprod((1 - tau)[::-1])[::-1]  # of what was there before update k, at the end
    return np.append(kept[0], tau * np.append(kept[1:], 1.0))


def one_update(answer: Answer) -> None:
    """After one update: 1 − τ of the start, τ of the new network."""
    hint = "One update with τ = 0.3 leaves 0.7 of the first copy and 0.3 of the new network: two numbers, start first."
    matches(answer([0.3]), [0.7, 0.3], hint)


def sum_to_one(answer: Answer) -> None:
    """They add up to 1."""
    for taus in ([0.2, 0.9, 0.1], [0.0, 0.5, 0.0], [1.0, 0.25, 1.0, 0.25]):
        got = np.asarray(returned(answer(taus)), dtype=float)
        expect(got.shape == (len(taus) + 1,), f"{len(taus)} updates, {len(taus) + 1} shares, the start's among them.")
        expect(
            abs(got.sum() - 1) < 1e-9,
            f"For τ = {taus} your shares add up to {got.sum():.3f}. Each update shrinks *all* that was there before it "
            "by its own 1 − τ, and adds τ of the new.",
        )


def constant(answer: Answer) -> None:
    """With a constant τ they are chapter 2's weights."""
    tau, updates = 0.1, 30
    want = np.append((1 - tau) ** updates, tau * (1 - tau) ** np.arange(updates - 1, -1, -1))
    hint = (
        "With a constant τ, the network of update k has the weight τ(1 − τ)^(K − k): the last the most, the first the "
        "least."
    )
    matches(answer([tau] * updates), want, hint)


def annealed(answer: Answer) -> None:
    """With a schedule each network was shrunk by the updates *after* it."""
    from companion.averaging import cosine

    for tau, total in ((0.2, 50), (0.02, 400)):
        schedule = cosine(tau, total)
        taus = [schedule(k) for k in range(1, total + 1)]
        hint = (
            "Right for a constant τ, wrong for one that changes. The share of network k is τ_k times the product of "
            "1 − τ_i over the updates i *after* k, each with its own τ."
        )
        agrees(answer, shares, (taus,), hint)


EXERCISE = Exercise(
    place=4,
    title="Who is in the slow copy?",
    difficulty="medium",
    minutes=20,
    expects="a function of (taus), a sequence of K numbers, that returns K + 1 numbers",
    solution=shares,
    why="With a constant τ the newest network has the largest share. With a τ that falls to 0 it has none: the copy "
    "comes to rest on networks from some time before the end, and takes ever longer exposures on the way there.",
    checks=[one_update, sum_to_one, constant, annealed],
)
