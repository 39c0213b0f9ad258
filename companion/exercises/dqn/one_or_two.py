"""Predict, then run. Train DQN and Double DQN without a target network, `period=1`, with the same seeds. By how much
will their predicted values differ? Write it down, then run it, and hand in the largest difference, as a number.
"""

from companion.exercises import Answer, Exercise, expect, number


def largest_difference() -> float:
    """Of the predicted values: both agents ask one network twice."""
    return 0.0


def is_a_number(answer: Answer) -> None:
    """A number."""
    number(
        answer,
        'Hand in one number: the largest absolute difference of `run["predicted"]` with `double_q` True and False.',
    )


def is_the_difference(answer: Answer) -> None:
    """The largest difference of the two agents' values."""
    got = float(answer)
    expect(
        got == got,
        "A difference of NaN: were values taken at a step where nothing was measured, or of one `double_q` alone?",
    )
    expect(
        abs(got) < 1e-3,
        f"{got:.3g} is not what they differ by. With `period=1` the copy is made after every update, so that θ⁻ = θ "
        "whenever a label is made. What does (4.8) become then? Subtract the two agents of the same seed and the same "
        "step, and train both with `period=1`.",
    )


EXERCISE = Exercise(
    place=1,
    title="One agent or two?",
    difficulty="easy",
    minutes=10,
    expects="a number",
    solution=largest_difference,
    why="With θ⁻ = θ the value of the best action is the largest value, and (4.8) is (4.2): the two agents are one, to "
    "the last bit. Double DQN lives from the age of its copy. Its authors knew it: for their tuned version they "
    "lengthened the period from 10,000 to 30,000 frames because, right after every copy, [both revert to "
    "Q-learning](https://arxiv.org/abs/1509.06461).",
    checks=[is_a_number, is_the_difference],
    value=True,
)
