"""Write `health(embeddings)` that returns (9.6) and (9.7): spread and effective rank, of embeddings of any length.
`torch.linalg.svdvals` and `torch.special.entr` help.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises import Answer, Exercise, matches, normal, several


def health(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Spread and effective rank of embeddings, which are scaled to length 1 first."""
    unit = normalize(embeddings, dim=1)
    spread = unit.std(0).mean() * unit.shape[1] ** 0.5
    values = torch.linalg.svdvals(unit - unit.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    return spread, torch.special.entr(shares).sum().exp()


def both(answer: Answer, embeddings: Tensor) -> tuple[Any, Any]:
    spread, rank = several(answer(embeddings), 2, "Return two numbers: the spread, then the effective rank.")
    return spread, rank


def all_over_the_sphere(answer: Answer) -> None:
    """Points all over the sphere have a spread of 1, in any number of dimensions."""
    for size in (4, 64):
        points = normal(11)(4_000, size)
        spread, _ = both(answer, points)
        hint = (
            f"Random directions in {size} dimensions have the spread 1. Scale rows to length 1, take the standard "
            "deviation of each dimension over the pictures, average, and multiply by √d."
        )
        matches(spread, health(points)[0], hint, rtol=2e-3)


def one_point(answer: Answer) -> None:
    """One point for all pictures has no spread."""
    spread, _ = both(answer, normal(12)(1, 8).expand(50, -1) * torch.linspace(1, 2, 50, dtype=torch.float64)[:, None])
    hint = (
        "Fifty embeddings of one direction and different lengths: that is collapse, and the spread must be 0. Scale "
        "rows to length 1 before anything else."
    )
    matches(spread, 0.0, hint, atol=1e-6)


def directions(answer: Answer) -> None:
    """The rank counts directions: 1 on a circle's diameter, k where k directions share the variance."""
    for directions in (1, 3, 6):
        signed = torch.cat((torch.eye(8, dtype=torch.float64), -torch.eye(8, dtype=torch.float64)))
        points = torch.cat((signed[:directions], signed[8 : 8 + directions])).repeat(10, 1)
        _, rank = both(answer, points)
        hint = (
            f"Embeddings that vary along {directions} direction{'s' * (directions > 1)}, equally, have effective rank "
            f"{directions}. It is exp of the entropy of the singular values, as shares of their *sum*."
        )
        matches(rank, float(directions), hint, rtol=1e-4)


def centred(answer: Answer) -> None:
    """A part that all pictures have in common does not count as a direction."""
    points = normal(13)(400, 8) + 6 * torch.ones(8, dtype=torch.float64)
    _, rank = both(answer, points)
    hint = (
        "Right where the mean is 0; wrong where all embeddings share a part. Subtract the mean before the singular "
        "values (after the scaling to length 1)."
    )
    matches(rank, health(points)[1], hint, rtol=1e-4)


EXERCISE = Exercise(
    place=3,
    title="Two ways to have nothing to say",
    difficulty="medium",
    minutes=15,
    expects="a function of (embeddings), (picture, embedding), that returns two numbers: (spread, effective rank)",
    solution=health,
    why="They see different things, and you want both. A collapse to a *point* has spread 0, and what is left around "
    "the point is dust, whose effective rank may be high. A collapse to a *line* has a healthy spread and effective "
    "rank 1: *dimensional* collapse. The loss only looks better for either.",
    checks=[all_over_the_sphere, one_point, directions, centred],
)
