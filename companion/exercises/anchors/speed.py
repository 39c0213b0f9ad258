"""A moving average as anchor never stops the policy. Derive how fast it lets it go: write `speed(learning_rate, beta,
tau)`, by how much λ grows in a step of (13.8) once the gap to the anchor has settled. In each step the policy moves
first, and then the anchor, towards where the policy is now. Predict first: with η = 0.15, β = 1 and τ = 0.005, what
share of the speed without an anchor is left?
"""

from companion.exercises import Answer, Exercise, matches


def speed(learning_rate: float, beta: float, tau: float) -> float:
    """By how much λ grows in a step, in the end."""
    return learning_rate * tau / (tau + (1 - tau) * learning_rate * beta)


def measured(learning_rate: float, beta: float, tau: float, steps: int = 40_000) -> float:
    """The same by walking."""
    policy = anchor = before = 0.0
    for _ in range(steps):
        before = policy
        policy = (1 - learning_rate * beta) * policy + learning_rate * beta * anchor + learning_rate
        anchor += tau * (policy - anchor)
    return policy - before


def without_an_anchor(answer: Answer) -> None:
    """Without a price λ grows by η a step."""
    matches(answer(0.15, 0.0, 0.005), 0.15, "With β = 0 nothing holds the policy: λ grows by η in every step.")


def tied_to_itself(answer: Answer) -> None:
    """An anchor that is the policy itself holds nothing."""
    hint = "With τ = 1 the anchor is where the policy is: the leash has no length, and λ grows by η."
    matches(answer(0.15, 1.0, 1.0), 0.15, hint)


def as_walked(answer: Answer) -> None:
    """The speed is that of 40,000 steps."""
    for rate, beta, tau in ((0.15, 1.0, 0.005), (0.1, 0.5, 0.2), (0.3, 2.0, 0.05)):
        hint = (
            f"With η = {rate}, β = {beta} and τ = {tau}, {measured(rate, beta, tau):.5f} is walked in a step. "
            "Once the gap "
            "has settled, policy and anchor move equally fast: write both speeds as functions of the gap before the "
            "step, and set them equal. The anchor moves by τ of the gap that the policy's step has left."
        )
        matches(answer(rate, beta, tau), measured(rate, beta, tau), hint, rtol=1e-4)


EXERCISE = Exercise(
    place=2,
    title="How fast does it let go?",
    difficulty="medium",
    minutes=20,
    expects="a function of (learning_rate, beta, tau) that returns a number",
    solution=speed,
    why="Let d be the gap λ − λₐ before a step. The policy moves by v = η − ηβd. The anchor then moves by "
    "τ(d + v), and in the long run this is v too: so d = v(1 − τ)/τ, and v = η − ηβ v(1 − τ)/τ. For a small τ that is "
    "(13.10). With η = 0.15, β = 1 and τ = 0.005 a thirtieth of the free speed is left, and it is left for ever.",
    checks=[without_an_anchor, tied_to_itself, as_walked],
)
