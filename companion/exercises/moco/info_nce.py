"""Write (8.1) for a batch: `info_nce(query, key, queue, temperature)`, with torch's `logsumexp` but without
`cross_entropy`. Shapes: (batch, embedding) twice, (key, embedding); all rows have length 1.
"""

import math

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, agrees, expect, matches, returned
from companion.exercises.moco import rows


def info_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """Cross-entropy of telling each query's own key from those of the queue, the mean over the batch."""
    own = (query * key).sum(1, keepdim=True)
    logits = torch.cat((own, query @ queue.T), 1) / temperature
    return (logits.logsumexp(1) - logits[:, 0]).mean()


def all_alike(answer: Answer) -> None:
    """Where all keys are alike, it is the loss of guessing, log(K + 1)."""
    one = rows(1, 0)
    for keys in (1, 7, 100):
        hint = (
            f"The own key and the {keys} of the queue are all the same here, so that there are {keys + 1} equal "
            "chances, and the loss is log(K + 1). The own key stands in the sum below the fraction too."
        )
        matches(answer(rows(1, 1), one, one.expand(keys, -1), 1.0), math.log(keys + 1), hint)


def one_query(answer: Answer) -> None:
    """One query, by the formula."""
    query, key, queue = rows(1, 2), rows(1, 3), rows(20, 4)
    for temperature in (1.0, 0.2):
        hint = (
            f"One query and 20 keys, temperature {temperature}: the loss is off. It is minus the *log* of the own "
            "key's share, and every cosine, that of the own key included, is divided by the temperature."
        )
        agrees(answer, info_nce, (query, key, queue, temperature), hint)


def a_batch(answer: Answer) -> None:
    """A batch: each query with its own key, and the mean."""
    query, key, queue = rows(6, 5), rows(6, 6), rows(20, 7)
    hint = (
        "Right for one query, wrong for six. Query i belongs to key i; the other queries' keys take no part; and the "
        "loss is the mean over the batch."
    )
    agrees(answer, info_nce, (query, key, queue, 0.5), hint)


def does_not_overflow(answer: Answer) -> None:
    """It survives a low temperature."""
    query, queue = rows(4, 8).float(), rows(20, 9).float()
    got = returned(answer(query, -query, queue, 0.002))
    expect(
        torch.isfinite(torch.as_tensor(got)).all(),
        f"At a temperature of 0.002 it returned {got}: exp(1/0.002) is more than a float32 holds. `logsumexp` and "
        "`log_softmax` take the largest logit out first.",
    )


EXERCISE = Exercise(
    place=2,
    title="Which of these is mine?",
    difficulty="easy",
    minutes=15,
    expects="a function of (query, key, queue, temperature) that returns one number, the mean over the batch",
    solution=info_nce,
    why="It is a classification whose classes are made anew at every step: K + 1 of them, and class 0 is always right. "
    "Guessing costs log(K + 1). Perfection does not cost 0, since a cosine is at least −1: the temperature "
    "decides how sure one can be.",
    checks=[all_alike, one_query, a_batch, does_not_overflow],
)
