"""Two views of a picture: all its changes at random, as one program over a batch.

The changes are those of SimCLR, MoCo v2 and BYOL (random resized crop, flip, colour jitter, grayscale, blur,
solarisation). Crop and flip are one affine map of the plane for each picture; brightness, contrast, saturation, hue and
grayscale are one affine map of the colour space. So a view is one resampling, one product of matrices and a few
elementwise operations, with no choice that depends on the data: kornia's chain of the same changes takes four times as
long (``benchmarks/vision.py``). Tests hold every change against kornia's.

Departures from torchvision's jitter, which those papers used: the order of the four changes is fixed and colours are
clipped once, at their end; hue turns the plane of chroma (YIQ) about the grey axis, and so leaves the luma as it is,
where torchvision turns the hue of HSV.
"""

import functools
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample, pad

__all__ = ["NUMBERS", "Augmentation", "augment"]

NUMBERS = 14
"""Random numbers that a view of a picture takes."""

_LUMA = (0.299, 0.587, 0.114)
YIQ = torch.tensor([_LUMA, (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112)])


@functools.cache
def colour_space(device: torch.device) -> tuple[Tensor, Tensor]:
    """From RGB to YIQ and back, on a device: sent there once, since to send them is to wait for it."""
    return YIQ.to(device), torch.linalg.inv(YIQ).to(device)


@dataclass(frozen=True)
class Augmentation:
    """How far a view may be from its picture. Chances are of a picture, the rest are ranges, drawn uniformly.

    The defaults are MoCo v2's and BYOL's for photographs (Chen et al. 2020, arXiv:2003.04297; Grill et al. 2020,
    arXiv:2006.07733, appendix B), both views alike, without blur and solarisation.
    """

    least_area: float = 0.2
    """Smallest share of the picture that a crop shows; the largest is 1. Its sides are, relative to the picture's, to
    each other as 3:4 to 4:3, as far as such a crop fits into the picture."""
    flip: float = 0.5
    """Chance of a mirror image, left for right."""
    jitter: float = 0.8
    """Chance that the colours are changed by the next four."""
    brightness: float = 0.4
    """Largest relative change."""
    contrast: float = 0.4
    """Largest relative change of the distance from the picture's mean grey."""
    saturation: float = 0.2
    """Largest relative change of the distance from grey."""
    hue: float = 0.1
    """Largest turn of the colours, in turns: 0.5 is any."""
    grayscale: float = 0.2
    """Chance of no colour."""
    blur: float = 0.0
    """Chance of a Gaussian blur of 0.1 to 2 pixels, cut off at a twentieth of the picture's side (at least 1 pixel)."""
    solarize: float = 0.0
    """Chance that values from 1/2 up are turned to 1 minus themselves."""

    def __post_init__(self) -> None:
        """Raise a ValueError for a chance, an area or a turn that is none."""
        for name, value in vars(self).items():
            if not 0 <= value <= 1 or (name == "least_area" and value == 0):
                least = "above 0" if name == "least_area" else "at least 0"
                raise ValueError(f"{name}={value!r} of an Augmentation must be {least}, and at most 1")


def augment(
    images: UInt8[Tensor, "batch 3 height width"],
    numbers: Float32[Tensor, "batch numbers"],
    how: Augmentation,
) -> Float32[Tensor, "batch 3 height width"]:
    """One view of each picture, from 0 to 1, of the picture's size; in float32, under autocast too.

    Args:
        images: red, green and blue, 0 to 255.
        numbers: :data:`NUMBERS` uniform numbers in [0, 1) for each, which decide everything.
        how: how far a view may go.
    """
    with torch.autocast(images.device.type, enabled=False):
        area, aspect, x, y, flip, jitter, brightness, contrast, saturation, hue, gray, blur, sigma, solar = numbers.T
        view = _crop(images / 255, how.least_area + (1 - how.least_area) * area, aspect, x, y, flip < how.flip)
        on = (jitter < how.jitter).float()
        view = _recolour(
            view,
            1 + on * how.brightness * (2 * brightness - 1),
            1 + on * how.contrast * (2 * contrast - 1),
            (gray >= how.grayscale) * (1 + on * how.saturation * (2 * saturation - 1)),
            on * how.hue * (2 * hue - 1),
        )
        if how.blur:
            view = torch.where(_each(blur < how.blur), _blur(view, 0.1 + 1.9 * sigma), view)
        if how.solarize:
            view = torch.where(_each(solar < how.solarize) & (view >= 0.5), 1 - view, view)
        return view


def _crop(
    view: Float[Tensor, "batch 3 height width"],
    area: Float[Tensor, " batch"],
    aspect: Float[Tensor, " batch"],
    x: Float[Tensor, " batch"],
    y: Float[Tensor, " batch"],
    flip: Tensor,
) -> Float[Tensor, "batch 3 height width"]:
    """A window of the picture, stretched to its size (bilinear), mirrored or not; all from numbers in [0, 1)."""
    side = area.sqrt()
    root = (math.log(4 / 3) * (aspect - 0.5)).exp()  # of the ratio of the sides
    root = root.clamp(side, 1 / side)  # a longer side would not fit
    width, height = side * root, side / root
    zero = torch.zeros_like(width)
    to_x = torch.stack([torch.where(flip, -width, width), zero, (2 * x - 1) * (1 - width)], 1)
    to_y = torch.stack([zero, height, (2 * y - 1) * (1 - height)], 1)
    grid = affine_grid(torch.stack([to_x, to_y], 1), list(view.shape), align_corners=False)
    return grid_sample(view, grid, padding_mode="border", align_corners=False)


def _recolour(
    view: Float[Tensor, "batch 3 height width"],
    brightness: Float[Tensor, " batch"],
    contrast: Float[Tensor, " batch"],
    saturation: Float[Tensor, " batch"],
    turn: Float[Tensor, " batch"],
) -> Float[Tensor, "batch 3 height width"]:
    """Brightness, contrast, saturation and hue, in this order, as one affine map of the colours; clipped to [0, 1].

    In luma and chroma brightness and contrast scale all three, saturation the chroma alone, and hue turns it.
    """
    yiq, rgb = colour_space(view.device)
    angle = 2 * math.pi * turn
    across, along = saturation * angle.cos(), saturation * angle.sin()
    one, zero = torch.ones_like(across), torch.zeros_like(across)
    chroma = torch.stack([one, zero, zero, zero, across, -along, zero, along, across], 1).view(-1, 3, 3)
    scale = brightness * contrast
    colours = scale[:, None, None] * (rgb @ chroma @ yiq)
    gray = (view.mean((2, 3)) * yiq[0]).sum(1)
    offset = (brightness * (1 - contrast) * gray)[:, None, None].expand(-1, 3, 1)
    return torch.baddbmm(offset, colours, view.flatten(2)).view_as(view).clamp_(0, 1)


def _blur(
    view: Float[Tensor, "batch 3 height width"], sigma: Float[Tensor, " batch"]
) -> Float[Tensor, "batch 3 height width"]:
    """Convolution with a Gaussian of so many pixels, separately along rows and columns, mirrored at the border."""
    radius = max(1, round(view.shape[-1] / 20))
    taps = torch.arange(-radius, radius + 1, device=view.device)
    weights = (-0.5 * (taps / sigma[:, None]) ** 2).softmax(1)
    for axis, border in ((3, (radius, radius, 0, 0)), (2, (0, 0, radius, radius))):
        wide, length = pad(view, border, mode="reflect"), view.shape[axis]
        shifted = [_each(weights[:, i]) * wide.narrow(axis, i, length) for i in range(2 * radius + 1)]
        view = torch.stack(shifted).sum(0)
    return view.clamp(max=1)  # weights add up to 1 but for rounding


def _each(numbers: Tensor) -> Tensor:
    """A number a picture, in the shape that goes with pictures."""
    return numbers[:, None, None, None]
