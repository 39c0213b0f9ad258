"""`broken_reset(policy, average, start)` should do an Elastic Reset: the policy becomes its moving average, and the
average the policy of the start. All three are lists of tensors, and training goes on with the same tensors. Two
things are wrong. Write `elastic_reset` that is right.
"""

import torch
from torch import Tensor

from companion.averaging import hard_update
from companion.exercises import Answer, Exercise, expect, matches_each, normal

Weights = list[Tensor]


def elastic_reset(policy: Weights, average: Weights, start: Weights) -> None:
    """First the policy, while the average is still there; in place, so that nothing is shared."""
    hard_update(average, policy)
    hard_update(start, average)


def networks() -> tuple[Weights, Weights, Weights]:
    draw = normal(1)
    policy, average, start = ([draw(3, 2), draw(2)] for _ in range(3))
    return policy, average, start


def policy_is_the_average(answer: Answer) -> None:
    """The policy is where its average was."""
    policy, average, start = networks()
    was = [weight.clone() for weight in average]
    answer(policy, average, start)
    first = [torch.equal(new, old) for new, old in zip(policy, start, strict=True)]
    expect(not all(first), "The policy is where it was before all training. Which of the two must be set first?")
    matches_each(policy, was, "The policy is not where its average was. Write into its tensors, in place: `copy_`.")


def average_is_the_start(answer: Answer) -> None:
    """The average is the start, which has not moved."""
    policy, average, start = networks()
    was = [weight.clone() for weight in start]
    answer(policy, average, start)
    matches_each(average, was, "The average is not the policy of the start.")
    matches_each(start, was, "The policy of the start has moved. It is only read.")


def nothing_is_shared(answer: Answer) -> None:
    """The next steps of the one are not the other's."""
    policy, average, start = networks()
    kept = [list(map(id, each)) for each in (policy, average)]
    answer(policy, average, start)
    places = [weight.data_ptr() for each in (policy, average, start) for weight in each]
    expect(len(set(places)) == len(places), "Two of the networks share memory now: one moves, and so does the other.")
    now = [list(map(id, each)) for each in (policy, average)]
    expect(
        kept == now, "The lists hold other tensors now, of which the optimizer knows nothing: copy values, in place."
    )


EXERCISE = Exercise(
    place=4,
    title="Two slips in a reset",
    difficulty="medium",
    minutes=15,
    expects="a function of (policy, average, start) that changes the first two in place",
    solution=elastic_reset,
    why="The order: once the average is the start, the policy that is set to it has forgotten everything, and training "
    "begins anew at each reset, which looks like a strong regulariser. And `average[:] = start` hands out the "
    "start's own "
    "tensors: the next move of the average moves the start too, and from then on every reset leads a little further. "
    "With `TargetNetwork`s: `hard_update(average.module, policy)`, then `average.reset(start)`.",
    checks=[policy_is_the_average, average_is_the_start, nothing_is_shared],
)
