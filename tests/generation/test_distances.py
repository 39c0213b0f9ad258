"""Distances between samples against SciPy's, against plain loops, and where they are known."""

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm
from scipy.special import gamma
from scipy.stats import wasserstein_distance

from companion.generation import frechet, mean_discrepancy, sliced_wasserstein
from companion.generation.ring import samples

RNG = np.random.default_rng(0)


def some(*shape: int) -> torch.Tensor:
    return torch.from_numpy(RNG.normal(size=shape))


@pytest.mark.parametrize("times", [1, 4])
def test_sliced_wasserstein_is_scipys_along_every_line(times: int) -> None:
    a, b = some(3, 50, 2), some(3, 50 * times, 2) + 0.3
    angles = np.arange(6) * np.pi / 6
    lines = np.stack([np.cos(angles), np.sin(angles)])
    for member, got in enumerate(sliced_wasserstein(a, b, directions=6)):
        one, other = a[member].numpy() @ lines, b[member].numpy() @ lines
        assert got == pytest.approx(np.mean([wasserstein_distance(u, v) for u, v in zip(one.T, other.T, strict=True)]))


def test_a_shift_is_as_long_as_its_shadows() -> None:
    """A shift by one has on a random line a shadow of 2/π in the mean."""
    a = some(100, 2)
    shifted = a + torch.tensor([1.0, 0.0])
    assert sliced_wasserstein(a, shifted, directions=512) == pytest.approx(2 / np.pi, rel=1e-4)


def test_in_more_dimensions_too() -> None:
    """There the mean shadow of a unit vector is Γ(d/2)/(√π Γ((d + 1)/2))."""
    a = some(100, 5)
    shifted = a + torch.eye(5)[2]
    shadow = gamma(2.5) / (np.sqrt(np.pi) * gamma(3.0))
    assert sliced_wasserstein(a, shifted, directions=20_000) == pytest.approx(shadow, rel=0.02)
    assert sliced_wasserstein(a, shifted) == sliced_wasserstein(a, shifted)


def test_sliced_wasserstein_refuses_what_cannot_be_shared_out() -> None:
    with pytest.raises(ValueError, match="real has 30 points, which is no whole multiple of the 20 of generated"):
        sliced_wasserstein(some(20, 2), some(30, 2))


@pytest.mark.parametrize("features", [2, 3])
def test_mean_discrepancy_is_the_double_loop(features: int) -> None:
    a, b = some(2, 7, features), some(2, 9, features) + 0.5
    for member, got in enumerate(mean_discrepancy(a, b, width=0.8)):

        def mean(x, y, *, same):
            kernel = [
                np.exp(-np.sum((p - q) ** 2) / (2 * 0.8**2))
                for i, p in enumerate(x)
                for j, q in enumerate(y)
                if not (same and i == j)
            ]
            return np.mean(kernel)

        x, y = a[member].numpy(), b[member].numpy()
        assert got == pytest.approx(mean(x, x, same=True) + mean(y, y, same=True) - 2 * mean(x, y, same=False))


def test_mean_discrepancy_is_without_bias() -> None:
    a, b = samples(range(400), 30, "one"), samples(range(400), 30, "other")
    values = mean_discrepancy(a, b).numpy()
    assert abs(values.mean()) < 4 * values.std() / np.sqrt(400)
    assert (values < 0).any()


@pytest.mark.parametrize("features", [2, 5])
def test_the_frechet_distance_is_scipys(features: int) -> None:
    a, b = some(3, 60, features), some(3, 40, features) * 1.7 + 0.4
    for member, got in enumerate(frechet(a, b)):
        x, y = a[member].numpy(), b[member].numpy()
        cov, other = np.cov(x.T), np.cov(y.T)
        trace = np.trace(cov + other - 2 * sqrtm(cov @ other).real)
        assert got == pytest.approx(np.sum((x.mean(0) - y.mean(0)) ** 2) + trace, rel=1e-6)


def test_the_frechet_distance_sees_two_moments_and_nothing_else() -> None:
    """The ring and one broad Gaussian of the same covariance are the same to it."""
    ring = samples([0], 20_000)
    blob = some(1, 20_000, 2) * np.sqrt(2 + 0.15**2)
    assert frechet(ring, blob).item() < 0.01
    assert mean_discrepancy(ring[:, :2000].double(), blob[:, :2000]).item() > 0.02


def test_the_frechet_distance_is_too_large_by_a_share_that_falls_with_the_sample() -> None:
    far = [frechet(some(200, n, 8), some(200, n, 8)).mean().item() for n in (50, 100, 200)]
    assert far[0] == pytest.approx(2 * far[1], rel=0.15)
    assert far[1] == pytest.approx(2 * far[2], rel=0.15)
