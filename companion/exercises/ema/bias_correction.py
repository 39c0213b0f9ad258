"""Write the bias-corrected average of a signal of any shape, for any tau from 0 to 1."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches, returned


def corrected_ema(signal: np.ndarray, tau: float) -> np.ndarray:
    averages = np.empty(np.shape(signal))
    average, left = 0.0, 1.0  # left: the share of the start in an average without the correction
    for k, value in enumerate(signal, start=1):
        left *= 1 - tau
        tau_k = tau / (1 - left) if tau > 0 else 1 / k
        average = average + tau_k * (value - average)
        averages[k - 1] = average
    return averages


def draw_signal() -> np.ndarray:
    return 3 + np.random.default_rng(7).normal(size=40)


def first_value(answer: Answer) -> None:
    """The first value comes back as it is, and the answer is as long as the signal."""
    signal = draw_signal()
    got = answer(signal.copy(), 0.1)
    matches(np.shape(returned(got)), signal.shape, "For 40 values there should be 40 averages.")
    first = np.asarray(got)[0]
    hint = "The average starts at zero and is not corrected: the first value has a tenth of its height."
    differs(first, 0.1 * signal[0], hint)
    expect(
        np.isfinite(first), "You divide by zero at the first value. The exponent of (2.10) is 1 there: count from 1."
    )
    hint = "The exponent of (2.10) is one too large: at the first value it is 1."
    differs(first, 0.1 * signal[0] / (1 - 0.9**2), hint)
    hint = "All forty averages are one and the same array, changed in place. Keep a copy of each."
    differs(got, np.full(40, first), hint)
    matches(first, signal[0], "After one value, the average is that value.")


def corrected_weights(answer: Answer) -> None:
    """Every average is a weighted mean whose weights add up to one and fall by 1 − tau a step."""
    signal = draw_signal()
    got = np.asarray(answer(signal.copy(), 0.1))
    weights = 0.9 ** np.arange(39, -1, -1.0)
    last = weights @ signal / weights.sum()
    from_first, decay = signal[0], 0.1 ** np.arange(39, -1, -1.0)
    for value in signal[1:]:
        from_first = from_first + 0.1 * (value - from_first)
    hint = (
        "That is the average that starts at the first value, (2.1). The correction starts at zero, and gives the "
        "first value no more than its due."
    )
    differs(got[-1], from_first, hint)
    hint = "`tau` is the weight of the new value, here 0.1. Yours gives the new value 1 − tau."
    differs(got[-1], decay @ signal / decay.sum(), hint)
    matches(got[-1], last, "The last average is not Σ (1 − tau)^j x_{k−j} divided by the sum of these weights.")
    want = np.array([weights[-n:] @ signal[:n] / weights[-n:].sum() for n in range(1, 41)])
    matches(got, want, "Right at the end and wrong on the way. Is every average kept as it was at its own step?")


def zero_is_the_mean(answer: Answer) -> None:
    """With tau = 0 it is the running mean."""
    signal = draw_signal()
    with np.errstate(invalid="ignore", divide="ignore"):
        got = answer(signal.copy(), 0.0)
    hint = "At tau = 0, (2.10) and (2.11) read 0/0. Their limit is the weight 1/k: treat it as a case."
    expect(np.all(np.isfinite(np.asarray(got, dtype=float))), hint)
    matches(got, np.cumsum(signal) / np.arange(1, 41), "With tau = 0 it should be the running mean, with weights 1/k.")


def any_shape(answer: Answer) -> None:
    """Steps run along the first axis, whatever other axes there are, and `signal` is left alone."""
    signal = np.random.default_rng(7).normal(size=(20, 2, 3))
    given = signal.copy()
    hint = "For a signal of shape (20, 2, 3), each of its six columns is to be averaged over the 20 steps."
    matches(answer(given, 0.2), corrected_ema(signal, 0.2), hint)
    expect(np.array_equal(given, signal), "The array `signal` has changed. Work on a copy.")


EXERCISE = Exercise(
    place=4,
    title="An average without a past",
    difficulty="medium",
    minutes=20,
    expects="a function of (signal, tau) that returns an array of the signal's shape",
    solution=corrected_ema,
    why="With the schedule (2.11) there is no division of the average, so no second copy of it: the line itself is "
    "unchanged and only tau moves, from 1 down to its value. At tau = 0 the limit of tau_k is 1/k, and the "
    "average is the mean of everything.",
    checks=[first_value, corrected_weights, zero_is_the_mean, any_shape],
)
