"""The curves above come from the numbered listing, a step of SimSiam: BYOL with τ = 1. It runs without a murmur, and
its loss is lower than a healthy one. One line does the harm. Hand in its number.
"""

import inspect
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises import Exercise, checks_of_a_line


def suspect(online: Any, predictor: Any, optimizer: Any, first: Tensor, second: Tensor) -> Tensor:
    def distance(p: Tensor, z: Tensor) -> Tensor:
        p = p.detach()
        p = normalize(p, dim=1)
        z = normalize(z, dim=1)
        return (2 - 2 * (p * z).sum(1)).mean()

    z1 = online(first)
    z2 = online(second)
    p1 = predictor(z1)
    p2 = predictor(z2)
    loss = distance(p1, z2) + distance(p2, z1)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


LISTING = inspect.getsource(suspect).rstrip()  # as the reader sees it


INNOCENT = {
    "def suspect": "That line only names what comes in. There is no slow copy among it: this is the corner τ = 1.",
    "def distance": "A prediction and a target: which is which matters in the lines below it.",
    "p = normalize": "The prediction is scaled to length 1, as (9.1) wants it.",
    "z = normalize": "The target is scaled to length 1, as (9.1) wants it.",
    "return (2 - 2": "2 − 2 cos, the mean over the pictures: (9.1).",
    "z1 = ": "The online network on the first view. With τ = 1 the target is the same network, so once will do.",
    "z2 = ": "The online network on the second view. With τ = 1 the target is the same network, so once will do.",
    "p1 = ": "A prediction from the first view. Ask what becomes of it further up.",
    "p2 = ": "A prediction from the second view. Ask what becomes of it further up.",
    "loss = ": "Crossed and symmetric: (9.2).",
    "optimizer.zero_grad": "Cleared right before `backward`, and nobody else leaves gradients here.",
    "loss.backward": "That line is right. But whose weights does this gradient reach, and whose does it not?",
    "optimizer.step": "It steps along the gradient that it finds. Ask which weights have one.",
    "return loss": "What is returned is only looked at.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "p = p.detach()" in line)


EXERCISE = Exercise(
    place=3,
    title="Find the line",
    difficulty="medium",
    minutes=15,
    expects="the number of a line, a whole number",
    solution=guilty_line,
    why="It should read `z = z.detach()`. The stop-gradient stands on the wrong side: the *prediction* is taken as "
    "given, and the target is pulled towards it. The predictor never learns, so it is a fixed random map; and what "
    "moves is exactly the side that must hold still. There is a `detach` in the code, the shapes are right, and the "
    "loss is low. The loss could not have told; the embeddings could, or a look at which weights have a gradient.",
    checks=checks_of_a_line(LISTING, INNOCENT),
    value=True,
)
