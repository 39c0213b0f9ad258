"""Write `shuffled_keys(network, images, order)`: the network must see `images[order]`, so that keys are normalised in
other company than their queries; the keys must come back in the pictures' own order.
"""

from collections.abc import Callable

import torch
from jaxtyping import Int64
from torch import Tensor, nn

from companion.exercises import Answer, Exercise, expect, matches, returned
from companion.exercises.moco import ORDER, rows


def shuffled_keys(network: Callable[[Tensor], Tensor], images: Tensor, order: Int64[Tensor, " batch"]) -> Tensor:
    """What a network says of pictures that it sees in another order, in their own order."""
    with torch.no_grad():
        return network(images[order])[order.argsort()]


def comes_back(answer: Answer) -> None:
    """Row i of the answer is the key of picture i."""
    images = rows(5, 10, 3)
    got = returned(answer(lambda x: 2 * x, images, ORDER))
    hint = (
        "The network only doubles each row, and the rows come back in another order than the pictures'. What undoes "
        "`x[order]` is the *inverse* permutation, `order.argsort()`."
    )
    matches(got, 2 * images, hint)


def sees_them_shuffled(answer: Answer) -> None:
    """The network saw them in the other order."""
    images, seen = rows(5, 11, 3), []

    def network(x: Tensor) -> Tensor:
        seen.append(x)
        return x

    answer(network, images, ORDER)
    expect(len(seen) == 1, f"The network was called {len(seen)} times; once is enough, with the whole batch.")
    hint = (
        "The keys are in order, but the network saw the pictures in another order than `images[order]`. Shuffle before "
        "it, and undo it after."
    )
    matches(seen[0], images[ORDER], hint)


def keys_are_constants(answer: Answer) -> None:
    """No gradient runs into the slow copy."""
    got = answer(nn.Linear(3, 2).double(), rows(5, 12, 3), ORDER)
    expect(not got.requires_grad, "A gradient would run into the slow copy. Compute keys under `torch.no_grad()`.")


EXERCISE = Exercise(
    place=2,
    title="Shuffle, and undo it",
    difficulty="easy",
    minutes=15,
    expects="a function of (network, images, order) that returns a tensor (batch, embedding)",
    solution=shuffled_keys,
    why="`x[order]` puts row `order[i]` at place i, so row j is found at the place where `order` says j: that is "
    "`order.argsort()`. Indexing by `order` once more undoes only permutations that are their own inverse. With two "
    "pictures that is every one of them, which is why this slip passes small tests.",
    checks=[comes_back, sees_them_shuffled, keys_are_constants],
)
