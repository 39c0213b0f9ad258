"""Find what each value weighs in an average of an average."""

import numpy as np

from companion.exercises import Answer, Exercise, differs, expect, matches, returned


def twice(tau: float, n: int) -> np.ndarray:
    ages = np.arange(n)
    return (ages + 1) * tau**2 * (1 - tau) ** ages


def newest(answer: Answer) -> None:
    """The newest value weighs tau², and there are n weights."""
    got = returned(answer(0.2, 50))
    expect(
        np.shape(got) != (99,),
        "The convolution of two runs of 50 weights has 99. Those beyond the first 50 lack older values: cut them off.",
    )
    matches(np.shape(got), (50,), "There should be one weight for each age 0, 1, …, n − 1.")
    once = 0.2 * 0.8 ** np.arange(50.0)
    differs(got, once, "That is the average of the signal. Here it is averaged once more.")
    differs(got, once**2, "You squared the weights. A value reaches the second average by many ways, which add up.")
    ages = np.arange(50.0)
    hint = "At age 0 there is one way, not none: the newest value is in the newest first average. Count the ways again."
    differs(got, ages * 0.04 * 0.8**ages, hint)
    hint = "The first average takes in tau of the newest value, and the second takes in tau of that."
    matches(np.asarray(got)[0], 0.04, hint)


def all_ages(answer: Answer) -> None:
    """At every age the weight is that of the first average's weights, averaged once more."""
    hint = (
        "A value of age j is in the first average of i steps ago with the weight tau (1 − tau)^(j − i), for each i "
        "from 0 to j; and that average has the weight tau (1 − tau)^i in the second. Add up the products."
    )
    for tau, n in ((0.2, 50), (0.5, 12)):
        weights = tau * (1 - tau) ** np.arange(n)
        matches(answer(tau, n), np.convolve(weights, weights)[:n], hint)


EXERCISE = Exercise(
    place=2,
    title="Averaged twice",
    difficulty="medium",
    minutes=20,
    expects="a function of (tau, n) that returns the weights of the ages 0 to n − 1",
    solution=twice,
    why="Each of the j + 1 ways to split an age j between the two averages has the weight tau² (1 − tau)^j. So the "
    "weights first rise and then fall; the lags add up, to 2 (1 − tau)/tau; and the noise is tau (1 + (1 − tau)²) / "
    "(2 − tau)³. For a small tau that is tau/4, as much as one average of the same lag leaves: V (2L + 1) is 0.9975 at "
    "tau = 0.01, and 0.94 at 0.3. So little is gained. Among averages without negative weights, the least that can be "
    "left at a long mean lag is 8/9 of (2.6), with weights that fall in a straight line. Negative weights, which "
    "extrapolate, can leave less.",
    checks=[newest, all_ages],
)
