"""Write `same_share(decay, steps, my_steps)`: the decay that remembers the same share of a run of `my_steps` as `decay`
does of a run of `steps`.
"""

from companion.exercises import Answer, Exercise, agrees, differs, expect


def same_share(decay: float, steps: int, my_steps: int) -> float:
    return decay ** (steps / my_steps)


def same_run(answer: Answer) -> None:
    """A run of the same length keeps its decay."""
    for decay in (0.9, 0.9999):
        agrees(answer, same_share, (decay, 1_000, 1_000), f"The runs are equally long: {decay} should stay.")


def shorter(answer: Answer) -> None:
    """A shorter run gets a smaller decay, with the same share left of the start."""
    got = answer(0.9999, 800_000, 8_000)
    hint = "Yours is larger than the paper's in a shorter run: the ratio of the lengths stands on its head."
    differs(got, same_share(0.9999, 8_000, 800_000), hint)
    differs(
        got, 1 - 0.0001 * 100, "A hundredth of the steps with a hundred times the τ: near, and exact for small τ only."
    )
    hint = "(decay)ⁿ is what is left of the start after n updates. Let it be the same for both runs: 0.99005 here."
    agrees(answer, same_share, (0.9999, 800_000, 8_000), hint)


def large_tau(answer: Answer) -> None:
    """It holds for quick averages too, and for longer runs."""
    agrees(answer, same_share, (0.5, 100, 10), "For decay 0.5, and a tenth of the steps, it is 0.5¹⁰ = 0.00098.")
    agrees(answer, same_share, (0.9, 100, 450), "For a longer run the decay grows: 0.9^(100/450).")
    expect(0 < answer(0.8, 1_000, 10) < 1, "A decay lies between 0 and 1.")


EXERCISE = Exercise(
    place=1,
    title="The same share",
    difficulty="easy",
    minutes=10,
    expects="a function of (decay, steps, my_steps) that returns a decay",
    solution=same_share,
    why="After all steps the start still weighs decayⁿ. With decay^(n/m) at each of m steps that is the same, so is "
    "every half-life as a share of the run, (14.3): its n·ln(1 − τ) is the logarithm of decayⁿ. The scaling rule "
    "for larger batches is this very line, since κ times the batch makes 1/κ of the steps.",
    checks=[same_run, shorter, large_tau],
)
