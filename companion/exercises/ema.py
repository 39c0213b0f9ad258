"""The exponential moving average."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from companion.exercises.core import Exercise, Hint, expect, matches

_RNG_SEED = 7


def soft_update(online: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray], tau: float) -> None:
    for name, array in target.items():
        array += tau * (online[name] - array)


def _networks() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(_RNG_SEED)
    online = {"weight": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    target = {"bias": rng.normal(size=2), "weight": rng.normal(size=(3, 2))}  # another order: names count
    return online, target


def _online_alone(answer: Any) -> None:
    """`online` is left as it was."""
    online, target = _networks()
    before = {name: array.copy() for name, array in online.items()}
    answer(online, target, 0.25)
    expect(
        all(np.array_equal(online[name], before[name]) for name in before),
        "Your update has changed `online`. The order of the arguments is online, target, tau, and only `target` moves.",
    )


def _moves_target(answer: Any) -> None:
    """Every array of `target` has moved the fraction tau of the way to its namesake, in place."""
    online, target = _networks()
    held = dict(target)
    before = {name: array.copy() for name, array in target.items()}
    returned = answer(online, target, 0.25)
    want = {name: 0.25 * online[name] + 0.75 * before[name] for name in before}
    mirrored = {name: 0.75 * online[name] + 0.25 * before[name] for name in before}
    new = returned if isinstance(returned, Mapping) else target
    if _same(held, before) and (_same(new, want) or _same(new, mirrored)):
        raise Hint(
            "The numbers are in new arrays, and the arrays that `target` had have not moved: whoever holds one of "
            "them, a layer for instance, is left behind. Write into them, with `+=` or `array[...] =`."
        )
    if _same(held, mirrored):
        raise Hint("`tau` weighs the new value, `online`. Yours weighs the old one: it is used as a decay.")
    if _same(held, before):
        raise Hint("`target` has not moved at all.")
    for name, array in held.items():
        matches(array, want[name], f"`target[{name!r}]` is not tau · online + (1 − tau) · target.")


def _same(got: Mapping[str, Any], want: Mapping[str, np.ndarray]) -> bool:
    return got.keys() == want.keys() and all(
        np.shape(got[name]) == array.shape and np.allclose(got[name], array) for name, array in want.items()
    )


def tau_from_half_life(steps: float) -> float:
    return 1 - 0.5 ** (1 / steps)


def _one_step(answer: Any) -> None:
    """A half-life of one step is tau = 1/2."""
    got = answer(1.0)
    if np.shape(got) == () and np.isclose(got, np.log(2)):
        raise Hint("ln 2 / steps is right for small tau only. For one step it says 0.69, and the exact answer is 0.5.")
    matches(got, 0.5, "If the weight halves at every step, the new value must bring the other half: tau = 0.5.")


def _many_steps(answer: Any) -> None:
    """After as many updates as the half-life, half of a value's weight is left; after twice as many, a quarter."""
    for steps in (2.0, 7.5, 1_000.0):
        got = answer(steps)
        if np.shape(got) == () and np.isclose(got, 0.5 ** (1 / steps), atol=0):
            raise Hint("That is the weight of the *old* value, the decay. `tau` is what is left of 1.")
        if np.shape(got) == () and np.isclose(got, np.log(2) / steps, atol=0, rtol=1e-9):
            raise Hint("Close: ln 2 / steps is right in the limit of small tau. Solve (2.3) for tau without rounding.")
        if np.shape(got) == () and np.isclose(got, 1 / (steps + 1), atol=0):
            raise Hint("That is the tau whose *mean lag* is `steps`. The half-life is another clock.")
        matches(
            (1 - np.asarray(got)) ** steps,
            0.5,
            f"With your tau for a half-life of {steps:g}, a value's weight after {steps:g} updates is not 1/2 of what "
            "it was. After n updates it is (1 − tau)^n of that.",
        )


def rescale_tau(tau: float, every: int) -> float:
    return 1 - (1 - tau) ** every


def _unchanged(answer: Any) -> None:
    """With `every` = 1 nothing changes."""
    matches(answer(0.3, 1), 0.3, "With `every` = 1 the cadence is the old one, and so should `tau` be.")


def _forgets_as_fast(answer: Any) -> None:
    """Ten updates with the old tau and one with the new leave the same share of the old value."""
    got = answer(0.3, 10)
    if np.shape(got) == () and (got > 1 or got == 1):
        raise Hint(
            "`tau · every` is right for small numbers only: at tau = 0.3 and every = 10 it is beyond 1. What "
            "multiplies over the steps is the share that is *kept*."
        )
    if np.shape(got) == () and np.isclose(got, 0.7**10):
        raise Hint("That is what ten updates leave of the old value: the new decay. `tau` is the rest.")
    if np.shape(got) == () and np.isclose(got, 0.3**10):
        raise Hint("That is the tau-th power of the wrong share: what is kept, 1 − tau, multiplies from step to step.")
    if np.shape(got) == () and got < 0.3:
        raise Hint("Fewer updates must each move further, so the new tau is larger than the old one.")
    matches(got, 1 - 0.7**10, "Ten updates with tau = 0.3 leave 0.7¹⁰ of the old value. One update must leave as much.")
    matches(answer(0.0, 5), 0.0, "A target that never moves, tau = 0, never moves at any cadence.")


def corrected_ema(signal: np.ndarray, tau: float) -> np.ndarray:
    averages = np.empty(np.shape(signal))
    average, left = 0.0, 1.0  # left: the share of the start in an average without the correction
    for k, value in enumerate(signal, start=1):
        left *= 1 - tau
        tau_k = tau / (1 - left) if tau > 0 else 1 / k
        average = average + tau_k * (value - average)
        averages[k - 1] = average
    return averages


def _signal() -> np.ndarray:
    return 3 + np.random.default_rng(_RNG_SEED).normal(size=40)


def _first_value(answer: Any) -> None:
    """The first value comes back as it is, and the answer is as long as the signal."""
    signal = _signal()
    got = answer(signal.copy(), 0.1)
    if got is not None and np.shape(got) == signal.shape:
        first = np.asarray(got)[0]
        if np.isclose(first, 0.1 * signal[0]):
            raise Hint("The average starts at zero and is not corrected: the first value has a tenth of its height.")
        if not np.isfinite(first):
            raise Hint("You divide by zero at the first value. The exponent of (2.10) is 1 there: count from 1.")
        if np.isclose(first, 0.1 * signal[0] / (1 - 0.9**2)):
            raise Hint("The exponent of (2.10) is one too large: at the first value it is 1.")
        if np.allclose(got, first):
            raise Hint("All forty averages are one and the same array, changed in place. Keep a copy of each.")
        matches(first, signal[0], "After one value, the average is that value.")
    matches(np.shape(got) if got is not None else None, signal.shape, "For 40 values there should be 40 averages.")


def _corrected_weights(answer: Any) -> None:
    """Every average is a weighted mean whose weights add up to one and fall by 1 − tau a step."""
    signal = _signal()
    got = np.asarray(answer(signal.copy(), 0.1))
    weights = 0.9 ** np.arange(39, -1, -1.0)
    last = weights @ signal / weights.sum()
    from_first, decay = signal[0], 0.1 ** np.arange(39, -1, -1.0)
    for value in signal[1:]:
        from_first = from_first + 0.1 * (value - from_first)
    if np.isclose(got[-1], from_first):
        raise Hint(
            "That is the average that starts at the first value, (2.1). The correction starts at zero, and gives the "
            "first value no more than its due."
        )
    if np.isclose(got[-1], decay @ signal / decay.sum()):
        raise Hint("`tau` is the weight of the new value, here 0.1. Yours gives the new value 1 − tau.")
    matches(got[-1], last, "The last average is not Σ (1 − tau)^j x_{k−j} divided by the sum of these weights.")
    want = np.array([weights[-n:] @ signal[:n] / weights[-n:].sum() for n in range(1, 41)])
    matches(got, want, "Right at the end and wrong on the way. Is every average kept as it was at its own step?")


def _zero_is_the_mean(answer: Any) -> None:
    """With tau = 0 it is the running mean."""
    signal = _signal()
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(signal.copy(), 0.0)
    if not np.all(np.isfinite(np.asarray(got, dtype=float))):
        raise Hint("At tau = 0, (2.10) and (2.11) read 0/0. Their limit is the weight 1/k: treat it as a case.")
    matches(got, np.cumsum(signal) / np.arange(1, 41), "With tau = 0 it should be the running mean, with weights 1/k.")


def _any_shape(answer: Any) -> None:
    """Steps run along the first axis, whatever other axes there are, and `signal` is left alone."""
    signal = np.random.default_rng(_RNG_SEED).normal(size=(20, 2, 3))
    given = signal.copy()
    matches(
        answer(given, 0.2),
        corrected_ema(signal, 0.2),
        "For a signal of shape (20, 2, 3), each of its six columns is to be averaged over the 20 steps.",
    )
    expect(np.array_equal(given, signal), "The array `signal` has changed. Work on a copy.")


def posthoc(stored: Sequence[float], wanted: float) -> np.ndarray:
    taus = np.asarray(stored, dtype=float)

    def overlap(a: Any, b: Any) -> Any:  # Σ_j a (1 − a)^j · b (1 − b)^j, a geometric series
        return a * b / (1 - (1 - a) * (1 - b))

    return np.linalg.solve(overlap(taus[:, None], taus), overlap(taus, wanted))


def _profiles(taus: Sequence[float]) -> np.ndarray:
    return np.array([tau * (1 - tau) ** np.arange(20_000) for tau in taus])


def _stored_already(answer: Any) -> None:
    """An average that was stored is taken as it is."""
    matches(
        answer([0.3, 0.03, 0.01], 0.03),
        np.array([0.0, 1.0, 0.0]),
        "If the wanted tau was stored, its own coefficient is 1 and the others are 0: nothing is nearer than itself.",
        atol=1e-6,
    )


def _least_squares(answer: Any) -> None:
    """No other combination of the stored weights is nearer to the wanted ones, over all ages."""
    stored, wanted = [0.3, 0.03, 0.01], 0.05
    weights, goal = _profiles(stored), _profiles([wanted])[0]
    want = np.linalg.lstsq(weights.T, goal, rcond=None)[0]
    got = answer(stored, wanted)
    if got is not None and np.shape(got) == want.shape:
        bare = weights / np.array(stored)[:, None]
        if np.allclose(got, np.linalg.lstsq(bare.T, goal / wanted, rcond=None)[0], rtol=1e-3):
            raise Hint("You compare (1 − tau)^j without the tau in front. The weights of an average add up to one.")
        if np.allclose(got, want / want.sum(), rtol=1e-3):
            raise Hint("You rescaled the coefficients to add up to one. That is tidy, and further away: leave them.")
        short = np.linalg.lstsq(weights[:, :100].T, goal[:100], rcond=None)[0]
        if np.linalg.norm(got - short) < np.linalg.norm(got - want):
            raise Hint("Your ages end too early: the slowest average has weights for thousands of steps. Sum to ∞.")
    matches(
        got,
        want,
        "Some other combination is nearer. Set the derivative of Σ_j (Σ_i c_i a_i(j) − a(j))² to zero: a matrix of "
        "sums Σ_j a_i(j) a_l(j) times c equals the sums Σ_j a_i(j) a(j).",
        rtol=1e-4,
    )


def _long_memories(answer: Any) -> None:
    """It holds for averages of any length, a window of 100,000 steps too."""
    stored, wanted = [1e-3, 1e-4, 1e-5], 3e-5
    got, right = answer(stored, wanted), posthoc(stored, wanted)
    matches(
        got,
        right,
        "Right for short averages only. In closed form the sums have no end: Σ_j q^j = 1/(1 − q).",
        rtol=1e-3,
    )


EXERCISES = [
    Exercise(
        name="soft-update",
        title="The soft update, from memory",
        difficulty="easy",
        minutes=5,
        task="Write the soft update of a dict of arrays, in place.",
        expects="a function of (online, target, tau) that changes the arrays of target",
        solution=soft_update,
        why="Written as a correction, the line needs one multiplication, happens in place, and adds exactly nothing "
        "once the target has arrived. Arrays are matched by name, so the order of the dicts does not matter.",
        checks=[_online_alone, _moves_target],
    ),
    Exercise(
        name="tau-from-half-life",
        title="A half-life",
        difficulty="easy",
        minutes=5,
        task="Find the tau of an average in which a value's weight halves every so many updates.",
        expects="a function of steps that returns tau",
        solution=tau_from_half_life,
        why="After n updates a value has (1 − tau)^n of its weight left. Set that to 1/2 at n = steps. For long "
        "half-lives it is close to ln 2 / steps; for one step it is 1/2, and ln 2 would be far off.",
        checks=[_one_step, _many_steps],
    ),
    Exercise(
        name="rescale-tau",
        title="Another cadence",
        difficulty="easy",
        minutes=10,
        task="Find the tau that forgets as fast when the update runs at every n-th step only.",
        expects="a function of (tau, every) that returns the new tau",
        solution=rescale_tau,
        why="What multiplies from step to step is the share that is kept, 1 − tau. For small tau the result is nearly "
        "every · tau. Busbridge and colleagues (2023) find the same rule where the batch grows: a batch `every` times "
        "larger makes as many times fewer steps.",
        checks=[_unchanged, _forgets_as_fast],
    ),
    Exercise(
        name="bias-correction",
        title="An average without a past",
        difficulty="medium",
        minutes=20,
        task="Write the bias-corrected average of a signal of any shape, for any tau from 0 to 1.",
        expects="a function of (signal, tau) that returns an array of the signal's shape",
        solution=corrected_ema,
        why="With the schedule (2.11) there is no division of the average, so no second copy of it: the line itself is "
        "unchanged and only tau moves, from 1 down to its value. At tau = 0 the limit of tau_k is 1/k, and the "
        "average is the mean of everything.",
        checks=[_first_value, _corrected_weights, _zero_is_the_mean, _any_shape],
    ),
    Exercise(
        name="posthoc-ema",
        title="Choose tau afterwards",
        difficulty="hard",
        minutes=90,
        task="From averages that were stored, make the nearest thing to one that was not.",
        expects="a function of (stored, wanted) that returns an array with one coefficient for each stored tau",
        solution=posthoc,
        why="Averages are linear: the combination of networks has the combination of weights. The normal equations of "
        "least squares need only overlaps Σ_j a(1 − a)^j b(1 − b)^j = ab / (1 − (1 − a)(1 − b)). Karras and "
        "colleagues (2024) do this with averages whose width grows with the training time, and store snapshots along "
        "the way, so that the starting weights and the past are covered as well.",
        checks=[_stored_already, _least_squares, _long_memories],
    ),
]
