"""Predict, then run. In the game of (12.1) both players move at once, from (1, 0). After 400 steps with η = 0.1 they
are 7.3 away from the solution. Now they take steps half as long, and twice as many of them. Write down how far away
they will be, then run `play(800, 0.05, False)` and hand in the distance.
"""

from companion.exercises import Answer, Exercise, expect, number


def distance() -> float:
    """The radius after 800 steps of 0.05."""
    return (1 + 0.05**2) ** (800 / 2)


def is_a_number(answer: Answer) -> None:
    """A number."""
    number(
        answer,
        "Hand in one number. `play` returns the whole way: take its last place, and how far that is from (0, 0).",
    )


def is_the_distance(answer: Answer) -> None:
    """The distance after the smaller steps."""
    got = float(answer)
    for wrong, hint in (
        ((1 + 0.1**2) ** 200, "That is what 400 steps of 0.1 give. They walk as long a way, and do not lose as much."),
        ((1 + 0.1**2) ** 400, "That is what 800 steps of 0.1 give. The steps are half as long, too."),
        ((1 + 0.05**2) ** 200, "That is 400 steps of 0.05: take twice as many."),
        (1.0, "They do not stay at distance 1: each step leaves the circle along its tangent, outwards."),
    ):
        expect(abs(got - wrong) > 0.01 * wrong, hint)
    expect(
        abs(got - distance()) < 0.01 * distance(),
        f"{got:.3f} is not where they end. A step is at a right angle to the line to the solution: by Pythagoras the "
        "distance grows by √(1 + η²).",
    )


EXERCISE = Exercise(
    place=1,
    title="Smaller steps around the solution",
    difficulty="easy",
    minutes=10,
    expects="a number",
    solution=distance,
    why="The distance grows by $\\sqrt{1+\\eta^2}$ a step, so after $n$ steps its logarithm is about $n\\eta^2/2$. "
    "Half the rate and twice the steps halve it: about $e^1 = 2.7$ in place of about $e^2 = 7.4$ (exactly 2.71 and "
    "7.32). Smaller steps make the spiral "
    "slower, and never turn it inwards. The mean of play in turn is no nearer either: it is at most about "
    "$2/(\\eta n)$ from the solution, and $\\eta n$ is the same.",
    checks=[is_a_number, is_the_distance],
    value=True,
)
