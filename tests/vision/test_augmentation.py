"""Views: every change against kornia's or its own definition, decided by a picture's own numbers alone."""

import math
import re
from dataclasses import replace

import kornia
import pytest
import torch
from scipy import stats
from torch import Tensor

from companion.vision import Augmentation, augment
from companion.vision.augmentation import NUMBERS

NAMES = ["area", "aspect", "x", "y", "flip", "jitter", "brightness", "contrast", "saturation", "hue"]
NAMES += ["gray", "blur", "sigma", "solar"]
OFF = Augmentation(least_area=1.0, flip=0.0, jitter=0.0, grayscale=0.0)
COLOURS = replace(OFF, jitter=1.0, brightness=0.4, contrast=0.4, saturation=0.4, hue=0.0)
EVERYTHING = Augmentation(
    least_area=0.2, flip=0.5, jitter=0.8, brightness=0.8, contrast=0.8, saturation=0.8, hue=0.5, blur=0.5, solarize=0.5
)


def pictures(batch: int, height: int = 16, width: int = 16, *, low: int = 0, high: int = 256) -> Tensor:
    generator = torch.Generator().manual_seed(batch)
    return torch.randint(low, high, (batch, 3, height, width), generator=generator, dtype=torch.uint8)


def draws(batch: int, **given: float | Tensor) -> Tensor:
    """Uniform numbers; those that are given by name are as given."""
    numbers = torch.rand(batch, NUMBERS, generator=torch.Generator().manual_seed(1))
    for name, value in given.items():
        numbers[:, NAMES.index(name)] = value
    return numbers


def column(numbers: Tensor, name: str) -> Tensor:
    return numbers[:, NAMES.index(name)].double()


def test_each_change_has_a_number_of_its_own():
    assert len(NAMES) == NUMBERS


@pytest.mark.parametrize(
    ("how", "remedy"),
    [
        ({"least_area": 0.0}, "least_area=0.0 of an Augmentation must be above 0, and at most 1"),
        ({"least_area": 1.5}, "least_area=1.5"),
        ({"flip": -0.5}, "flip=-0.5 of an Augmentation must be at least 0, and at most 1"),
        ({"hue": float("nan")}, "hue=nan"),
        ({"brightness": 2.0}, "brightness=2.0"),
    ],
)
def test_a_chance_or_a_range_that_is_none_is_refused(how, remedy):
    with pytest.raises(ValueError, match=re.escape(remedy)):
        Augmentation(**how)


# --- nothing


@pytest.mark.parametrize("side", [16, 32, 96])
def test_switched_off_it_gives_the_picture_back_whatever_the_numbers(side):
    images = pictures(50, side, side)
    # The places of the samples are right to float32's rounding of a side's length, and a value to 255 times that.
    torch.testing.assert_close(augment(images, draws(50), OFF), images / 255, rtol=0, atol=side * 2.0**-23)


# --- crop and flip


def test_crop_and_flip_are_kornias_warp_and_mirror():
    height, width = 24, 32
    images, numbers = pictures(60, height, width), draws(60)
    view = augment(images, numbers, replace(OFF, least_area=0.2, flip=0.5))

    area, ratio = 0.2 + 0.8 * column(numbers, "area"), (4 / 3) ** (2 * column(numbers, "aspect") - 1)
    ratio = ratio.clamp(area, 1 / area)
    scale = torch.stack([(area * ratio).sqrt(), (area / ratio).sqrt()], 1)  # across, down
    size = torch.tensor([width, height], dtype=torch.float64)
    place = torch.stack([column(numbers, "x"), column(numbers, "y")], 1)
    corner = place * (1 - scale) * size  # of the window, in pixels; the first pixel's centre is at 1/2
    to_picture = torch.zeros(60, 3, 3, dtype=torch.float64)
    to_picture[:, [0, 1], [0, 1]] = scale
    to_picture[:, :2, 2] = corner + 0.5 * scale - 0.5
    to_picture[:, 2, 2] = 1
    wanted = kornia.geometry.transform.warp_affine(
        images.double() / 255,
        torch.linalg.inv(to_picture)[:, :2],
        (height, width),
        padding_mode="border",
        align_corners=False,
    )
    mirrored = column(numbers, "flip") < 0.5
    assert 15 < mirrored.sum() < 45
    wanted[mirrored] = kornia.geometry.transform.hflip(wanted[mirrored])
    torch.testing.assert_close(view.double(), wanted, rtol=0, atol=1e-5)


def windows(how: Augmentation, batch: int = 2_000) -> tuple[Tensor, Tensor]:
    """Centre and sides of crops across and down, in shares of the picture, read off a picture of its coordinates."""
    side = 64
    ramp = (4 * torch.arange(side, dtype=torch.uint8)).expand(side, side)
    image = torch.stack([ramp, ramp.T, torch.zeros_like(ramp)])
    view = augment(image.expand(batch, -1, -1, -1), draws(batch), how).double() * 255 / 4
    middle = view[:, :, side // 2 - 1 : side // 2 + 1, side // 2 - 1 : side // 2 + 1]
    centre = (middle[:, :2].mean((2, 3)) + 0.5) / side
    across, down = middle[:, 0].diff(dim=2).mean((1, 2)), middle[:, 1].diff(dim=1).mean((1, 2))
    return centre, torch.stack([across, down], 1)


@pytest.mark.parametrize("least_area", [0.05, 0.2, 0.6, 0.9, 1.0])
def test_a_crop_lies_within_the_picture_and_is_as_large_and_as_long_as_it_says(least_area):
    centre, sides = windows(replace(OFF, least_area=least_area))
    assert (centre - sides / 2).min() > -1e-4
    assert (centre + sides / 2).max() < 1 + 1e-4
    area, ratio = sides.prod(1), sides[:, 0] / sides[:, 1]
    assert area.min() > least_area - 1e-4
    assert area.max() < 1 + 1e-4
    assert ratio.min() > 3 / 4 - 1e-3
    assert ratio.max() < 4 / 3 + 1e-3


def test_crops_take_all_areas_ratios_and_places_alike():
    centre, sides = windows(replace(OFF, least_area=0.2))
    area, ratio = sides.prod(1), sides[:, 0] / sides[:, 1]
    assert stats.kstest((area - 0.2) / 0.8, "uniform").pvalue > 1e-3
    free = area < 0.75  # where any ratio fits
    assert stats.kstest(0.5 + 0.5 * ratio[free].log() / math.log(4 / 3), "uniform").pvalue > 1e-3
    for axis in (0, 1):
        room = 1 - sides[:, axis]
        roomy = room > 0.01
        place = (centre[:, axis] - sides[:, axis] / 2)[roomy] / room[roomy]
        assert stats.kstest(place, "uniform").pvalue > 1e-3


# --- colours


def factors(numbers: Tensor, name: str, how: Augmentation) -> Tensor:
    return 1 + getattr(how, name) * (2 * column(numbers, name) - 1)


KORNIAS = {
    "brightness": kornia.enhance.adjust_brightness_accumulative,
    "contrast": kornia.enhance.adjust_contrast_with_mean_subtraction,
    "saturation": kornia.enhance.adjust_saturation_with_gray_subtraction,
}


@pytest.mark.parametrize("changes", [["brightness"], ["contrast"], ["saturation"], list(KORNIAS)])
def test_colours_change_as_kornias_do_where_nothing_is_clipped(changes):
    how = replace(COLOURS, **dict.fromkeys(set(KORNIAS) - set(changes), 0.0))
    images, numbers = pictures(60, low=70, high=130), draws(60)
    wanted = images.double() / 255
    for name in changes:
        wanted = KORNIAS[name](wanted, factors(numbers, name, how))
    assert 0 < wanted.min() < wanted.max() < 1
    assert (wanted - images / 255).abs().amax() > 0.04
    torch.testing.assert_close(augment(images, numbers, how).double(), wanted, rtol=0, atol=2e-6)


def test_colours_are_clipped_once_at_the_end():
    images = pictures(60)
    numbers = draws(60, brightness=0.999, contrast=0.001, saturation=0.5)
    how = replace(COLOURS, saturation=0.0)
    brightness, contrast = (factors(numbers, name, how)[:, None, None, None] for name in ("brightness", "contrast"))
    bright = images.double() / 255 * brightness
    assert bright.max() > 1
    gray = kornia.color.rgb_to_grayscale(bright).mean((1, 2, 3), keepdim=True)
    wanted = (contrast * bright + (1 - contrast) * gray).clamp(0, 1)
    torch.testing.assert_close(augment(images, numbers, how).double(), wanted, rtol=0, atol=2e-6)


def test_without_colour_a_picture_is_kornias_gray():
    images, numbers = pictures(40), draws(40)
    wanted = kornia.color.rgb_to_grayscale(images.double() / 255).expand(-1, 3, -1, -1)
    view = augment(images, numbers, replace(OFF, grayscale=1.0))
    torch.testing.assert_close(view.double(), wanted, rtol=0, atol=2e-6)


def luma_and_chroma(view: Tensor) -> tuple[Tensor, Tensor]:
    """Y, and I + iQ, of NTSC."""
    red, green, blue = view.double().unbind(1)
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    return luma, torch.complex(
        0.5959 * red - 0.2746 * green - 0.3213 * blue, 0.2115 * red - 0.5227 * green + 0.3112 * blue
    )


def test_hue_keeps_the_luma_and_turns_the_chroma_by_its_angle():
    images, numbers = pictures(60, low=100, high=156), draws(60)
    luma, chroma = luma_and_chroma(images / 255)
    view = augment(images, numbers, hued := hue(0.5))
    assert 0 < view.min() < view.max() < 1
    same, turned = luma_and_chroma(view)
    turn = hued.hue * (2 * column(numbers, "hue") - 1)
    torch.testing.assert_close(same, luma, rtol=0, atol=2e-6)
    torch.testing.assert_close(turned, chroma * torch.exp(2j * torch.pi * turn)[:, None, None], rtol=0, atol=2e-6)
    assert chroma.abs().max() > 0.1


def hue(largest: float) -> Augmentation:
    return replace(COLOURS, brightness=0.0, contrast=0.0, saturation=0.0, hue=largest)


def test_a_whole_turn_of_hue_is_nothing_and_so_are_three_thirds():
    images = pictures(60, low=100, high=156)
    whole = augment(images, draws(60, hue=0.0), hue(1.0))
    torch.testing.assert_close(whole, images / 255, rtol=0, atol=2e-6)
    turned = images
    for third in range(3):
        turned = (255 * augment(turned, draws(60, hue=0.0), hue(1 / 3))).round().to(torch.uint8)
        difference = (turned.int() - images.int()).abs()
        assert (difference.max() > 30) == (third < 2)
    assert difference.max() <= 2  # of rounding to bytes three times


# --- blur and solarisation


@pytest.mark.parametrize(("side", "radius"), [(16, 1), (32, 2), (64, 3)])
def test_each_pictures_blur_is_kornias_of_its_own_width(side, radius):
    images, numbers = pictures(30, side, side), draws(30)
    sigma = 0.1 + 1.9 * column(numbers, "sigma")
    wanted = kornia.filters.gaussian_blur2d(
        images.double() / 255, 2 * radius + 1, torch.stack([sigma, sigma], 1), border_type="reflect"
    )
    view = augment(images, numbers, replace(OFF, blur=1.0))
    torch.testing.assert_close(view.double(), wanted, rtol=0, atol=2e-5)


def test_solarisation_is_kornias():
    images, numbers = pictures(40), draws(40)
    wanted = kornia.enhance.solarize(images.double() / 255, 0.5)
    view = augment(images, numbers, replace(OFF, solarize=1.0))
    torch.testing.assert_close(view.double(), wanted, rtol=0, atol=1e-5)


def test_the_last_changes_come_in_the_order_gray_blur_solarise():
    images, numbers = pictures(40), draws(40, sigma=0.4)
    wanted = kornia.color.rgb_to_grayscale(images.double() / 255).expand(-1, 3, -1, -1)
    wanted = kornia.enhance.solarize(kornia.filters.gaussian_blur2d(wanted, 3, (0.86, 0.86)), 0.5)
    view = augment(images, numbers, replace(OFF, grayscale=1.0, blur=1.0, solarize=1.0)).double()
    near = (wanted - 0.5).abs() < 1e-4  # where rounding decides which side of 1/2 it is; one side gives 1 − the other
    assert near.float().mean() < 0.01
    torch.testing.assert_close(view[~near], wanted[~near], rtol=0, atol=1e-5)


# --- all together


@pytest.mark.parametrize("name", ["flip", "jitter", "grayscale", "blur", "solarize"])
def test_a_chance_is_the_share_of_pictures_that_are_changed(name):
    batch = 8_000
    how = replace(COLOURS, jitter=0.0, hue=0.3)
    images, numbers = pictures(batch, 6, 6), draws(batch)

    def changed(chance: float) -> Tensor:
        difference = augment(images, numbers, replace(how, **{name: chance})) - images / 255
        return difference.abs().amax((1, 2, 3)) > 1e-3

    assert not changed(0.0).any()
    assert changed(1.0).double().mean() > 0.9  # some blurs are too narrow to be seen
    some = changed(0.3)
    assert abs(some.double().mean() / changed(1.0).double().mean() - 0.3) < 5 * (0.3 * 0.7 / batch) ** 0.5
    assert changed(0.6)[some].all()


def test_values_stay_between_0_and_1_whatever_is_drawn():
    extremes = (255 * torch.randint(0, 2, (400, 3, 16, 16), generator=torch.Generator().manual_seed(0))).byte()
    for images in (pictures(400), extremes, torch.full_like(extremes, 255), torch.zeros_like(extremes)):
        view = augment(images, draws(400), EVERYTHING)
        assert view.dtype == torch.float32
        assert view.shape == images.shape
        assert view.min() >= 0
        assert view.max() <= 1


def test_a_picture_is_changed_by_its_own_numbers_alone():
    images, numbers = pictures(64), draws(64)
    together = augment(images, numbers, EVERYTHING)
    order = torch.randperm(64, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(augment(images[order], numbers[order], EVERYTHING), together[order], rtol=0, atol=1e-6)
    for index in (0, 31):
        alone = augment(images[index : index + 1], numbers[index : index + 1], EVERYTHING)
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-6)
    assert (together - augment(images, numbers[order], EVERYTHING)).abs().mean() > 0.1


def test_the_same_numbers_give_the_same_view_and_the_picture_stays_as_it_is():
    images, numbers = pictures(20), draws(20)
    before = images.clone(), numbers.clone()
    assert torch.equal(augment(images, numbers, EVERYTHING), augment(images, numbers, EVERYTHING))
    assert torch.equal(images, before[0])
    assert torch.equal(numbers, before[1])
