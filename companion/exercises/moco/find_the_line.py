"""One curve above comes from the numbered listing, which runs without an error, and learns. One line stands in the
wrong place. Hand in its number.
"""

import inspect
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises import Exercise, checks_of_a_line


def suspect(moco: Any, views: Any, temperature: float = 0.07) -> Tensor:
    query = normalize(moco.online(views.first), dim=1)
    with torch.no_grad():
        key = normalize(moco.target(views.second), dim=1)
        moco.queue.push(key)

    own = (query * key).sum(1, keepdim=True)
    others = query @ moco.queue.keys.T
    logits = torch.cat((own, others), 1) / temperature
    losses = logits.logsumexp(1) - logits[:, 0]

    moco.optimizer.zero_grad()
    losses.mean().backward()
    moco.optimizer.step()
    moco.target.update(moco.online)
    return losses.detach()


LISTING = inspect.getsource(suspect).rstrip()  # as the reader sees it


INNOCENT = {
    "def suspect": "That line only names what comes in.",
    "query =": "The online network is asked about the first views, and its answers have length 1: as it should be.",
    "with torch.no_grad": "Keys are constants; that line says so, and rightly.",
    "key =": "The slow copy is asked about the second views, and its answers have length 1: as it should be.",
    "own =": "Each query with its own key. But is this the only place in the logits where that key stands?",
    "others =": "You are very near. Each query with every key of the queue is right. Which keys are in the queue by "
    "now?",
    "logits =": "Own key first, then the queue, all of them divided by the temperature: (8.1).",
    "losses =": "Minus the log of the own key's share: (8.1). It is right that the own key is in the sum, *once*.",
    "moco.optimizer.zero_grad": "Gradients are cleared right before the backward pass: as it should be.",
    "losses.mean": "The mean over the batch, and its gradient.",
    "moco.optimizer.step": "One step along that gradient, of the online network alone.",
    "moco.target.update": "Once a step, after it: (8.2).",
    "return": "That line only reports.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "queue.push" in line)


EXERCISE = Exercise(
    place=3,
    title="Never more than half sure",
    difficulty="medium",
    minutes=25,
    expects="the number of a line, a whole number",
    solution=guilty_line,
    why="The batch's keys are pushed *before* the loss, so that each query finds its own key twice: as the answer, and "
    "among the wrong ones. Two equal logits share what there is, so no picture can be more than half sure, and the "
    "loss cannot fall below log 2. Push after the loss. How much harm it does is the next exercise. Keep the method: "
    "give a learner a task that it can solve entirely, and ask why it does not.",
    checks=checks_of_a_line(LISTING, INNOCENT),
    value=True,
)
