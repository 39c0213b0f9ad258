"""How far two samples are apart: sliced Wasserstein, maximum mean discrepancy, and the Fréchet distance.

Each takes many pairs of samples at once, and leads with the axes that the samples lead with.
"""

import math
from functools import reduce

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["frechet", "mean_discrepancy", "sliced_wasserstein"]


def sliced_wasserstein(
    generated: Float[Tensor, "*many number feature"], real: Float[Tensor, "*many times feature"], directions: int = 32
) -> Float[Tensor, "*many"]:
    """The sliced Wasserstein distance: how far the points of one sample must be carried, along a line.

    Both samples are projected on a line, and sorted there; the mean distance between points of the same rank is the
    Wasserstein-1 distance of the two projections. The mean over ``directions`` lines is returned, in the units of the
    points. In the plane these are equally far apart in angle, elsewhere at random, the same at every call.

    Args:
        generated: points.
        real: as many points, or a whole multiple of it, each of which then weighs less.
        directions: how many lines.

    Raises:
        ValueError: ``real`` is no whole multiple of ``generated``.

    Source: Rabin, Peyré, Delon and Bernot 2011, "Wasserstein barycenter and its application to texture mixing".
    """
    number, times = generated.shape[-2], real.shape[-2]
    if times % number:
        raise ValueError(f"real has {times} points, which is no whole multiple of the {number} of generated")
    lines = _lines(generated, directions)
    ranked = (generated @ lines).sort(-2).values
    wanted = (real @ lines).sort(-2).values.unflatten(-2, (number, -1))
    return (ranked.unsqueeze(-2) - wanted).abs().mean((-3, -2, -1))


def _lines(points: Float[Tensor, "*many number feature"], directions: int) -> Float[Tensor, "feature directions"]:
    """Unit vectors."""
    features = points.shape[-1]
    if features == 2:
        angle = torch.arange(directions, device=points.device, dtype=points.dtype) * (math.pi / directions)
        return torch.stack((angle.cos(), angle.sin()))
    drawn = np.random.default_rng(0).normal(size=(features, directions))
    return torch.from_numpy(drawn / np.linalg.norm(drawn, axis=0)).to(points)


def mean_discrepancy(
    generated: Float[Tensor, "*many number feature"], real: Float[Tensor, "*many times feature"], width: float = 0.5
) -> Float[Tensor, "*many"]:
    """The squared maximum mean discrepancy of two samples under a Gaussian kernel, without bias.

    Zero in the mean if and only if both samples come from one distribution; by chance it may be negative.

    Args:
        generated: points, two or more.
        real: points, two or more.
        width: standard deviation of the kernel, in the units of the points: at which scale to compare.

    Source: Gretton, Borgwardt, Rasch, Schölkopf and Smola 2012, "A kernel two-sample test" (JMLR 13:723–773),
    Lemma 6.
    """

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        squares = ((a[..., :, None, i] - b[..., None, :, i]).square() for i in range(a.shape[-1]))
        return (reduce(torch.add, squares) / (-2 * width * width)).exp()

    def within(a: Tensor) -> Tensor:
        n = a.shape[-2]
        return (kernel(a, a).sum((-2, -1)) - n) / (n * (n - 1))  # a point says nothing of itself

    return within(generated) + within(real) - 2 * kernel(generated, real).mean((-2, -1))


def frechet(
    generated: Float[Tensor, "*many number feature"], real: Float[Tensor, "*many times feature"]
) -> Float[Tensor, "*many"]:
    """The Fréchet distance between the Gaussians of the samples' means and covariances, squared, in float64.

    ``|μ₁ − μ₂|² + tr(C₁ + C₂ − 2(C₁C₂)^½)``. It sees two moments of a distribution and nothing else, and is too large
    in the mean: by how much depends on the number of points.

    Args:
        generated: points of any number of features: two or more.
        real: the same.

    Source: Heusel, Ramsauer, Unterthiner, Nessler and Hochreiter 2017, "GANs trained by a two time-scale update rule
    converge to a local Nash equilibrium" (arXiv:1706.08500), equation (6); Dowson and Landau 1982 for the formula.
    """
    (mean, cov), (other_mean, other_cov) = (_moments(points.double()) for points in (generated, real))
    # The eigenvalues of C₁C₂ are those of the symmetric √C₁ C₂ √C₁.
    values, vectors = torch.linalg.eigh(cov)
    root = vectors * values.clamp_min(0).sqrt().unsqueeze(-2) @ vectors.mT
    shared = torch.linalg.eigvalsh(root @ other_cov @ root).clamp_min(0).sqrt().sum(-1)
    traces = (each.diagonal(dim1=-2, dim2=-1).sum(-1) for each in (cov, other_cov))
    return (mean - other_mean).square().sum(-1) + sum(traces) - 2 * shared


def _moments(points: Float[Tensor, "*many number feature"]) -> tuple[Tensor, Tensor]:
    """Mean and covariance, the latter with n − 1."""
    mean = points.mean(-2)
    centred = points - mean.unsqueeze(-2)
    return mean, centred.mT @ centred / (points.shape[-2] - 1)
