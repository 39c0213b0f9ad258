"""Ten shapes on coloured ground: pictures that need no download, drawn by a tensor program from a seed.

What a picture shows is its shape. Colours, place, size, turn, ground and noise are drawn freely, so that neither pixels
nor a random network's features lie close together where shapes are alike, and a network that has learnt to see shapes
has them right.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Float32
from torch import Tensor
from torch.nn.functional import affine_grid, interpolate

from companion.members import Streams
from companion.runs.modes import plain_modes
from companion.runs.settings import at_least_one
from companion.vision.augmentation import Augmentation
from companion.vision.datasets import Dataset, Pictures

__all__ = ["shapes"]

SIDE = 16
"""Pixels along a picture's side."""
_GROUND = 4  # the ground's colours vary over a grid of so many squares along a side
_CHUNK = 2_000  # pictures drawn at a time

Plane = Float[Tensor, "picture height width"]


def _polygon(corners: int) -> Callable[[Plane, Plane], Plane]:
    def inside(x: Plane, y: Plane) -> Plane:
        half = math.pi / corners
        from_edge = torch.remainder(torch.atan2(y, x), 2 * half) - half
        return 0.8 * math.cos(half) - torch.hypot(x, y) * from_edge.cos()

    return inside


def _star(points: int, depth: float) -> Callable[[Plane, Plane], Plane]:
    def inside(x: Plane, y: Plane) -> Plane:
        return 0.8 * (1 - depth * (0.5 - 0.5 * torch.cos(points * torch.atan2(y, x)))) - torch.hypot(x, y)

    return inside


def _bar(x: Plane, y: Plane, half_width: float) -> Plane:
    return torch.minimum(0.8 - x.abs(), half_width - y.abs())


def _square(x: Plane, y: Plane) -> Plane:
    return torch.maximum(x.abs(), y.abs())


SHAPES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "disc": lambda x, y: 0.7 - torch.hypot(x, y),
    "triangle": _polygon(3),
    "square": lambda x, y: 0.62 - _square(x, y),
    "star": _star(5, 0.55),
    "cross": lambda x, y: torch.maximum(_bar(x, y, 0.22), _bar(y, x, 0.22)),
    "ring": lambda x, y: 0.16 - (torch.hypot(x, y) - 0.55).abs(),
    "bar": lambda x, y: _bar(x, y, 0.3),
    "frame": lambda x, y: 0.14 - (_square(x, y) - 0.55).abs(),
    "propeller": _star(3, 0.7),
    "half disc": lambda x, y: torch.minimum(0.75 - torch.hypot(x, y), 0.1 - x),
}
"""How deep inside of a shape a point lies, about in its units; below 0 it is outside."""


@plain_modes()
def shapes(train: int = 10_000, test: int = 2_000, *, seed: int = 0, device: str | torch.device = "cpu") -> Dataset:
    """Pictures of 16×16 pixels, each with one of ten shapes.

    Args:
        train: how many to train on.
        test: how many others to be judged on.
        seed: decides all of them; the first pictures of a larger set are those of a smaller one.
        device: where they are drawn and stay.

    Raises:
        ValueError: ``train`` or ``test`` is below 2, or the seed negative.
    """
    at_least_one(train=train, test=test)
    where = torch.device(device)
    # Not as for photographs: any hue may stand for any other, and a crop must not cut a shape apart.
    augmentation = Augmentation(least_area=0.8, flip=0.0, saturation=0.4, hue=0.5, solarize=0.2)
    return Dataset(
        "shapes",
        _drawn(Streams([seed], "shapes to train on"), train, where),
        _drawn(Streams([seed], "shapes to be judged on"), test, where),
        tuple(SHAPES),
        augmentation,
    )


def _drawn(streams: Streams, pictures: int, device: torch.device) -> Pictures:
    each = 1 + 4 + 2 * 3 + 3 * _GROUND**2 + 3 * SIDE**2
    images, labels = [], []
    for start in range(0, pictures, _CHUNK):
        count = min(_CHUNK, pictures - start)
        numbers = torch.from_numpy(streams.uniform(count, each)[0]).to(device)
        label, place, colours, ground, noise = numbers.split([1, 4, 6, 3 * _GROUND**2, 3 * SIDE**2], 1)
        labels.append((label[:, 0] * len(SHAPES)).long())
        covered = _covered(labels[-1], place).unsqueeze(1)
        shape, around = _colours(colours)
        uneven = interpolate(ground.view(-1, 3, _GROUND, _GROUND), size=(SIDE, SIDE), mode="bicubic")
        image = covered * shape + (1 - covered) * (around + 0.15 * (uneven - 0.5))
        image = image + 0.1 * (noise.view_as(image) - 0.5)
        images.append((255 * image.clamp(0, 1)).round().to(torch.uint8))
    return Pictures(torch.cat(images), torch.cat(labels))


def _covered(label: Tensor, numbers: Float32[Tensor, "picture 4"]) -> Plane:
    """The share of each pixel that the shape covers, given its size, turn and place as numbers in [0, 1)."""
    size, turn, across, down = numbers.T
    size = 0.7 + 0.3 * size
    angle = math.radians(30) * (2 * turn - 1)
    cos, sin = angle.cos() / size, angle.sin() / size
    x, y = 0.15 * (2 * across - 1), 0.15 * (2 * down - 1)
    to_x = torch.stack([cos, -sin, -(cos * x - sin * y)], 1)
    to_y = torch.stack([sin, cos, -(sin * x + cos * y)], 1)
    grid = affine_grid(torch.stack([to_x, to_y], 1), [len(label), 1, SIDE, SIDE], align_corners=False)
    depth = torch.empty_like(grid[..., 0])
    for index, inside in enumerate(SHAPES.values()):
        own = label == index
        depth[own] = inside(grid[own, ..., 0], grid[own, ..., 1])
    pixel = (2 / SIDE / size)[:, None, None]
    return (depth / pixel + 0.5).clamp(0, 1)


def _colours(
    numbers: Float32[Tensor, "picture 6"],
) -> tuple[Float32[Tensor, "picture 3 1 1"], Float32[Tensor, "picture 3 1 1"]]:
    """Colours of shape and ground. Where they are close the ground moves to the other side of the colour cube."""
    shape, ground = numbers.split(3, 1)
    near = (shape - ground).abs().mean(1, keepdim=True) < 0.25
    ground = torch.where(near, torch.remainder(ground + 0.5, 1), ground)
    return shape[:, :, None, None], ground[:, :, None, None]
