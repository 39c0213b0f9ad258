"""DINO with 8 outputs. Predict at the end, in nats, the entropy of one answer and that of the mean answer: first
without centring, then without sharpening. Hand in the two pairs, ((one, mean), (one, mean)).
"""

import math

from companion.exercises import Answer, Exercise, expect, matches, number, several


def predicted() -> tuple[tuple[float, float], tuple[float, float]]:
    one_output = (0.0, 0.0)  # sure, and of the same output for every picture
    uniform = (math.log(8), math.log(8))
    return one_output, uniform


def two_pairs(answer: Answer) -> None:
    """Two pairs of numbers in nats, between 0 and ln 8."""
    hint = "Hand in ((one, mean), (one, mean)): without centring, then without sharpening."
    for pair in several(answer, 2, hint):
        for entropy in several(pair, 2, hint):
            remedy = f"An entropy of 8 outputs lies between 0 and ln 8 = {math.log(8):.3f} nats; {entropy} does not."
            expect(-0.05 <= number(entropy, hint) <= math.log(8) + 0.05, remedy)


def collapsed(answer: Answer) -> None:
    """In either collapse the answer says nothing of its picture: the two entropies are equal."""
    for one, mean in answer:
        hint = "Where all pictures get the same answer, the mean answer *is* that answer, with the same entropy."
        expect(abs(one - mean) < 0.2, hint)


def which_is_which(answer: Answer) -> None:
    """Without centring one output takes all; without sharpening none stands out."""
    (sure, _), (even, _) = answer
    expect(
        sure <= even, "The other way round: sharpening makes sure, and centring makes even. Each is left alone here."
    )
    matches(sure, 0.0, "Without centring nobody objects to one output for all pictures: entropy 0.", atol=0.1)
    matches(even, math.log(8), "Without sharpening all 8 outputs are as likely: entropy ln 8.", atol=0.1)


EXERCISE = Exercise(
    place=4,
    title="Predict, then run",
    difficulty="easy",
    minutes=10,
    expects="two pairs of numbers, in nats: ((one, mean) without centring, (one, mean) without sharpening)",
    solution=predicted,
    why="Sharpening alone is a push towards being sure, and being sure of one and the same output pleases it most. "
    "Centring alone is a push towards using all outputs alike, and the uniform answer pleases it most. Each remedy "
    "alone causes the collapse that the other prevents; together they hold. The difference of the two entropies "
    "is 0 in both collapses.",
    checks=[two_pairs, collapsed, which_is_which],
    value=True,
)
