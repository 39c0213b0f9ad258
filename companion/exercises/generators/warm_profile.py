"""While the warm-up of (12.5) lasts, the k-th update has the weight 9/(9 + k). Derive what that average remembers:
write `warm_profile(updates)`, the weights of iterates 0, 1, …, `updates` in it, oldest first, without a loop over them.
`scipy.special.gammaln` is the logarithm of (n − 1)!.
"""

import numpy as np
from scipy.special import gammaln

from companion.averaging import profile_weights, warmup
from companion.exercises import Answer, Exercise, differs, expect, matches, returned


def warm_profile(updates: int) -> np.ndarray:
    """Weights of the iterates, proportional to (j + 1)(j + 2)···(j + 8)."""
    j = np.arange(updates + 1)
    ways = gammaln(j + 9) - gammaln(j + 1)  # the logarithm of that product
    weights = np.exp(ways - ways[-1])
    return weights / weights.sum()


def adds_up(answer: Answer) -> None:
    """One weight for the start and one for each update, and they add up to 1."""
    got = np.asarray(returned(answer(6)))
    expect(
        got.shape == (7,), f"After 6 updates 7 iterates have a weight, the start included; the shape is {got.shape}."
    )
    hint = f"They add up to {got.sum():.4f}. Every update keeps the sum: what the new one gets, the old ones lose."
    matches(got.sum(), 1.0, hint)


def is_the_average(answer: Answer) -> None:
    """They are those of the average, update by update."""
    for updates in (1, 2, 20, 400):
        want = profile_weights(warmup(0.0, gamma=9), updates)
        power = np.arange(updates + 1.0) ** 8
        got = np.asarray(answer(updates))
        hint = (
            "That is the eighth power of j, which is nearly right in a long run, and not before. Write 1 − τ_i = "
            "i/(9 + i) as a ratio of factorials, and let the product collapse."
        )
        differs(got, power / power.sum(), hint, rtol=1e-3, atol=0.0)
        hint = (
            f"With updates={updates} iterate j has not the weight τ_j·(1 − τ_(j+1))···(1 − τ_n). With τ_k = 9/(9 + k) "
            "the new one gets 9/(9 + k) and the old ones keep k/(9 + k): write down the case of one update first, "
            "1/10 and 9/10."
        )
        matches(got, want, hint, rtol=1e-6, atol=1e-12)


def long_runs(answer: Answer) -> None:
    """Also in a run of a hundred thousand updates."""
    got = np.asarray(answer(100_000))
    expect(
        np.isfinite(got).all(),
        "After 100,000 updates some weights are not finite: factorials overflow; use logarithms.",
    )
    hint = "After 100,000 updates the newest should have the weight 9/100,009."
    matches(got[-1], 9 / 100_009, hint, rtol=1e-5)


EXERCISE = Exercise(
    place=2,
    title="What a warm-up remembers",
    difficulty="medium",
    minutes=25,
    expects="a function of a number of updates that returns an array",
    solution=warm_profile,
    why="Iterate j enters with 9/(9 + j) and is kept with i/(9 + i) at each later update. The product of these is "
    "$\\frac{n!}{j!}\\cdot\\frac{(j+9)!}{(n+9)!}$, so that the weight is "
    "$9\\,\\frac{(j+8)!}{j!}\\cdot\\frac{n!}{(n+9)!}$: "
    "proportional to $(j+1)\\cdots(j+8)$, which is $j^8$ but for small j. A power function of time, as EDM2's with "
    "γ = 8, whose relative width is 0.09.",
    checks=[adds_up, is_the_average, long_runs],
)
