"""Write `joint(now, after, epsilon)`: both batches of units, `(member, batch, unit)`, normalised over the batch as one,
as CrossQ does; return the pair. The given code has a bug.
"""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, differs, expect, matches, normal, several


def joint(now: Tensor, after: Tensor, epsilon: float = 1e-3) -> tuple[Tensor, Tensor]:
    both = torch.cat((now, after), 1)
    variance, mean = torch.var_mean(both, 1, keepdim=True, correction=0)
    normed = (both - mean) / (variance + epsilon).sqrt()
    return normed[:, : now.shape[1]], normed[:, now.shape[1] :]


draw = normal(14)
NOW, AFTER = draw(3, 32, 4), 0.5 * draw(3, 32, 4) + 2


def both_of(answer: Answer, now: Tensor, after: Tensor, epsilon: float = 1e-3) -> Tensor:
    pair = several(answer(now.clone(), after.clone(), epsilon), 2, "Return the two batches as a pair.")
    for one, given in zip(pair, (now, after), strict=True):
        expect(getattr(one, "shape", None) == given.shape, f"Each batch comes back as it came: {tuple(given.shape)}.")
    return torch.cat(tuple(pair), 1)


def together(answer: Answer) -> None:
    """The two batches share one mean and one variance."""
    got = both_of(answer, NOW, AFTER)
    hint = (
        "Each batch has mean 0 by itself. What made the next states different from the current ones is gone: the same "
        "state gets two values, by the batch that it stands in. Take the statistics over both."
    )
    differs(got[:, 32:].mean(1), torch.zeros(3, 4), hint)
    first = (torch.cat((NOW, AFTER), 1) - NOW.mean(1, keepdim=True)) / (
        NOW.var(1, keepdim=True, correction=0) + 1e-3
    ).sqrt()
    differs(got, first, "Both are normalised by the first batch's statistics. Half of CrossQ: take them over both.")
    over_all = torch.cat((NOW, AFTER), 1)
    members = (over_all - over_all.mean((0, 1))) / (over_all.var((0, 1), correction=0) + 1e-3).sqrt()
    differs(got, members, "Members are strangers: the statistics are over the axis `batch` alone.")
    want = torch.cat(joint(NOW, AFTER), 1)
    unbiased = want * ((64 - 1) / 64) ** 0.5
    differs(got, unbiased, "The variance divides by the number of rows, not by one less: `correction=0`.", rtol=3e-3)
    matches(got, want, "The mean is over both batches, and so is the variance, plus epsilon, under the root.")


def uneven(answer: Answer) -> None:
    """Batches of different sizes count by their rows."""
    now, after = NOW[:, :8], AFTER
    got = both_of(answer, now, after)
    hint = "With 8 and 32 rows the mean of the two means is not the mean of all 40."
    matches(got, torch.cat(joint(now, after), 1), hint)


def large_epsilon(answer: Answer) -> None:
    """Epsilon stands under the root."""
    got = both_of(answer, NOW, AFTER, 0.5)
    matches(
        got, torch.cat(joint(NOW, AFTER, 0.5), 1), "With epsilon = 0.5 it differs: variance + epsilon, then the root."
    )


EXERCISE = Exercise(
    place=2,
    title="Normalised together",
    difficulty="medium",
    minutes=15,
    expects="a function of (now, after, epsilon) that returns a pair of tensors",
    solution=joint,
    why="The broken code gives each batch statistics of its own. Current and next states differ in what they are, and "
    "most of all in their actions; normalised apart, what sets the two batches apart on average is taken out. CrossQ's "
    "authors found that one forward pass over both batches is what lets batch norm work here at all.",
    checks=[together, uneven, large_epsilon],
)
