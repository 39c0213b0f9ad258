"""Write `share_replaced(m, queue_size, batch_size)`: what share of the slow copy's weights has been put in since the
oldest key of a full queue was made? `m` is the papers' momentum, 1 − τ.
"""

from companion.exercises import Answer, Exercise, matches


def share_replaced(m: float, queue_size: int, batch_size: int) -> float:
    """How much of the slow copy is newer than the oldest key."""
    age = queue_size / batch_size  # of the oldest key, in steps
    return 1 - m**age


def without_memory(answer: Answer) -> None:
    """At m = 0 all of the copy is newer; at m = 1 nothing is."""
    matches(answer(0.0, 1_024, 128), 1.0, "At m = 0 the copy is replaced whole at every step: the share is 1.")
    matches(answer(1.0, 1_024, 128), 0.0, "At m = 1 the copy never moves, so that no part of it is newer than any key.")


def one_batch_long(answer: Answer) -> None:
    """A queue of one batch is one step old."""
    matches(
        answer(0.99, 256, 256),
        0.01,
        "A queue of one batch holds keys that are one step old. In one step a share τ = 1 − m of the copy is replaced.",
    )


def compounds(answer: Answer) -> None:
    """Over many steps what is left is multiplied, not subtracted."""
    for m, queue, batch in ((0.9, 4_096, 256), (0.999, 65_536, 256), (0.99, 1_024, 128)):
        hint = (
            f"For m = {m}, K = {queue:,} and B = {batch}: the oldest key is K/B = {queue // batch} steps old, and in "
            "each step the copy keeps a share m of *what is left* of its older self."
        )
        matches(answer(m, queue, batch), 1 - m ** (queue / batch), hint)


EXERCISE = Exercise(
    place=1,
    title="How old is the oldest key?",
    difficulty="easy",
    minutes=5,
    expects="a function of (m, queue_size, batch_size) that returns a number from 0 to 1",
    solution=share_replaced,
    why="The queue's age, K/B steps, and the copy's, 1/τ steps, are two clocks, and only their ratio matters. The "
    "paper's table over m was made with K = 4,096 and B = 256, an age of 16 steps. It gives shares of 1, 0.81, 0.15, "
    "0.016 and 0.0016. The first of them failed.",
    checks=[without_memory, one_batch_long, compounds],
)
