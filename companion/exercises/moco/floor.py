"""Predict, then run. MoCo v2 has K = 65,536 keys of 128 numbers and T = 0.2. Let training have gone as well as it can:
each query equals its own key, and all other keys lie at random on the sphere. Write down the loss that you expect, then
draw such queries and keys, ask `info_nce`, and hand in the mean.
"""

import math

from companion.exercises import Answer, Exercise, expect, number

KEYS, WIDTH, TEMPERATURE = 65_536, 128, 0.2


def perfect(keys: int = KEYS, width: int = WIDTH, temperature: float = TEMPERATURE) -> float:
    """The loss of queries that equal their own keys, among so many random ones."""
    other = math.exp(1 / (2 * width * temperature**2))  # mean of exp(cosine / temperature)
    return math.log(1 + keys * other * math.exp(-1 / temperature))


def is_a_number(answer: Answer) -> None:
    """A number."""
    number(answer, "Hand in one number: the mean of what `info_nce` says of some random queries.")


def is_the_floor(answer: Answer) -> None:
    """The loss of a perfect encoder."""
    got = float(answer)
    for wrong, hint in (
        (math.log(KEYS + 1), "That is log(K + 1), the loss of guessing. These queries do not guess: `key` is `query`."),
        (perfect(1_024, 64), "That is for 1,024 keys of 64 numbers, as in the chapter. Take MoCo v2's."),
        (perfect(temperature=0.07), "That is the loss at the first paper's temperature, 0.07. Take 0.2."),
        (perfect(temperature=1.0), "That is the loss at a temperature of 1. Take 0.2."),
        (math.log(1 + KEYS * math.exp(-5)), "Close: you let each other key be at a right angle. Draw them, and run."),
        (0.0, "It is not 0: 65,536 wrong answers weigh something, however far away they are."),
    ):
        expect(abs(got - wrong) > 0.03, hint)
    expect(
        abs(got - perfect()) < 0.03,
        f"{got:.3f} is not what comes out. `query` and `queue` are random rows of length 1, (some hundred, 128) and "
        "(65536, 128); `key` is `query` itself; the temperature is 0.2; take the mean.",
    )


EXERCISE = Exercise(
    place=1,
    title="How low can it go?",
    difficulty="easy",
    minutes=10,
    expects="a number",
    solution=perfect,
    why="A random cosine in $d$ dimensions has mean 0 and variance $1/d$, so a wrong key weighs "
    "$e^{1/(2dT^2)} = 1.10$ on average, and the own key $e^{1/T} = 148$. Against 65,536 wrong ones that is a share of "
    "a five-hundredth: the loss is 6.19, where guessing costs 11.09. At the first paper's temperature of 0.07 the same "
    "encoder would have 0.09. So losses are compared at the same $K$ and $T$, or not at all.",
    checks=[is_a_number, is_the_floor],
    value=True,
)
