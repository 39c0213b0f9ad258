"""Write (9.1), `byol_loss(prediction, target)`, for a batch: rows are pictures."""

import torch
from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises import Answer, Exercise, expect, matches, normal, returned


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the pictures of 2 − 2 cos."""
    cosine = (normalize(prediction, dim=1) * normalize(target, dim=1)).sum(1)
    return (2 - 2 * cosine).mean()


def equal_and_opposite(answer: Answer) -> None:
    """It is 0 where the two agree, 2 where they are at right angles, and 4 where they are opposite."""
    unit = torch.eye(3, dtype=torch.float64)
    for target, want, what in (
        (unit, 0.0, "equal"),
        (unit.roll(1, 0), 2.0, "at right angles"),
        (-unit, 4.0, "opposite"),
    ):
        hint = (
            f"Three pictures, whose vectors of length 1 are {what}: the loss is {want:g}. It is the squared distance "
            "of the two, summed over a vector's numbers and averaged over the pictures."
        )
        matches(answer(unit, target), want, hint)


def only_directions(answer: Answer) -> None:
    """Lengths do not matter, only directions."""
    prediction, target = normal(0)(12, 5), normalize(normal(1)(12, 5), dim=1)
    stretch = torch.linspace(0.1, 9, len(target), dtype=torch.float64)[:, None]
    hint = (
        "Stretch each prediction by a factor of its own, and the loss must stay. Scale every *row* to length 1 first, "
        "predictions and targets."
    )
    matches(answer(stretch * prediction, target), byol_loss(prediction, target), hint)
    hint = "Right for predictions of any length, wrong for targets: they are scaled to length 1 too."
    matches(answer(prediction, stretch * target), byol_loss(prediction, target), hint)


def slope(answer: Answer) -> None:
    """Its slope is at right angles to each prediction: there is nothing to be had from length."""
    prediction = normal(2)(12, 5).requires_grad_(True)
    got = returned(answer(prediction, normal(3)(12, 5)))
    hint = "A gradient must pass through it to the prediction: keep to torch, without `.item()`, `.detach()` or NumPy."
    expect(isinstance(got, Tensor) and got.requires_grad, hint)
    (slope,) = torch.autograd.grad(got, prediction)
    along = (slope * prediction).sum(1)
    matches(along, torch.zeros_like(along), "Its slope has a part along the prediction, which ought to be free.")


EXERCISE = Exercise(
    place=1,
    title="How far apart are two directions?",
    difficulty="easy",
    minutes=5,
    expects="a function of (prediction, target), each (picture, embedding), that returns a tensor with one number",
    solution=byol_loss,
    why="On the unit sphere $\\lVert p - z\\rVert^2 = 2 - 2\\,p\\cdot z$: distance and angle are the same thing. "
    "`mse_loss` of the two would divide by the number of dimensions, too. Since length is free, no network can lower "
    "this loss by shrinking its outputs. That closes one way to cheat. The other, one "
    "direction for all pictures, stays open.",
    checks=[equal_and_opposite, only_directions, slope],
)
