"""Write `resting_value(p, gamma, clip)`: the one value Q at which the mean clipped error is zero, where a share p < 1/2
of the transitions are falls with the label 1, all others have the label 1 + γQ, and errors are clipped to
[−clip, clip].
"""

from companion.exercises import Answer, Exercise, expect, matches


def resting_value(p: float, gamma: float, clip: float) -> float:
    """Where one value for all states comes to rest."""
    squared = 1 / (1 - gamma * (1 - p))
    if squared - 1 <= clip:  # a fall's error, 1 − Q, is not clipped
        return squared
    return (1 - p * clip / (1 - p)) / (1 - gamma)


def descend(p: float, gamma: float, clip: float) -> float:
    """The same by many small steps."""
    value, step = 0.0, 0.5
    for _ in range(200_000):
        others, falls = (max(-clip, min(clip, e)) for e in (1 + gamma * value - value, 1 - value))
        value += step * ((1 - p) * others + p * falls)
    return value


def squared_error(answer: Answer) -> None:
    """Without a clip a fall pulls with its whole error."""
    hint = "With an infinite clip (1 − p)(1 + γQ − Q) + p(1 − Q) = 0. Solve it for Q."
    for p, gamma in ((0.05, 0.99), (0.2, 0.9)):
        matches(answer(p, gamma, float("inf")), resting_value(p, gamma, float("inf")), hint)


def clipped_at_one(answer: Answer) -> None:
    """Clipped at 1, it is the chapter's (4.9)."""
    hint = "This is (4.9): a fall's error counts as −1, however wrong the value, and the others' are not clipped."
    matches(answer(0.05, 0.99, 1.0), resting_value(0.05, 0.99, 1.0), hint)


def clipped_elsewhere(answer: Answer) -> None:
    """Clipped elsewhere, a fall pulls with the clip."""
    hint = "With the clip c a fall's error counts as −c: (1 − p)(1 + γQ − Q) − p·c = 0."
    matches(answer(0.05, 0.99, 5.0), resting_value(0.05, 0.99, 5.0), hint)


def wide_clip(answer: Answer) -> None:
    """A clip that is wider than a fall's error changes nothing."""
    hint = "At Q = 1/(1 − γ(1 − p)) a fall's error is Q − 1. Where the clip is wider than that, nothing is clipped."
    matches(answer(0.05, 0.99, 40.0), resting_value(0.05, 0.99, 40.0), hint)


def by_small_steps(answer: Answer) -> None:
    """Small steps along the clipped errors arrive there."""
    for p, gamma, clip in ((0.1, 0.95, 2.0), (0.3, 0.9, 0.5)):
        got, there = float(answer(p, gamma, clip)), descend(p, gamma, clip)
        expect(
            abs(got - there) < 1e-3 * there,
            f"For p = {p}, γ = {gamma} and a clip of {clip} small steps arrive at {there:.2f}, yours at {got:.2f}. "
            "Are the others' errors ever clipped? At the resting value they are p·c/(1 − p), which is below c.",
        )


EXERCISE = Exercise(
    place=2,
    title="Where the clipped error rests",
    difficulty="medium",
    minutes=20,
    expects="a function of (p, gamma, clip) that returns a number",
    solution=resting_value,
    why="Where a fall's error is clipped, $(1-p)(1+\\gamma Q-Q) = p\\,c$, so $Q = (1 - p\\,c/(1-p))/(1-\\gamma)$: each "
    "unit of the clip lowers the level by $p/((1-p)(1-\\gamma))$, which is 5.3 for $p = 0.05$. Both cases agree at "
    "$c = Q - 1$, where a fall is just not clipped. The others' errors are $p\\,c/(1-p) < c$ there: never clipped for "
    "$p < \\frac12$.",
    checks=[squared_error, clipped_at_one, clipped_elsewhere, wide_clip, by_small_steps],
)
