"""Batch normalisation: torch's over the whole batch, and torch's on every part of it by itself."""

import pytest
import torch
from torch import Tensor, nn

from companion.vision.normalization import BatchNorm

SHAPES = [(12, 5), (12, 5, 4, 3)]


def rows(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    drift = torch.linspace(-2, 2, shape[0], dtype=torch.float64).view(-1, *[1] * (len(shape) - 1))
    return drift + 3 * torch.randn(shape, generator=generator, dtype=torch.float64)


def pair(features: int, parts: int, planes: bool) -> tuple[BatchNorm, nn.Module]:
    """Ours and torch's in float64, with the same weights."""
    ours = BatchNorm(features, parts).double()
    theirs = (nn.BatchNorm2d if planes else nn.BatchNorm1d)(features).double()
    generator = torch.Generator().manual_seed(9)
    with torch.no_grad():
        for name in ("weight", "bias"):
            value = torch.randn(features, generator=generator, dtype=torch.float64)
            getattr(ours, name).copy_(value)
            getattr(theirs, name).copy_(value)
    return ours, theirs


def gradients(output: Tensor, x: Tensor, module: nn.Module) -> tuple[Tensor, ...]:
    coefficient = torch.randn(output.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return torch.autograd.grad((coefficient * output).sum(), (x, module.weight, module.bias))


@pytest.mark.parametrize("shape", SHAPES)
def test_in_one_part_it_is_torchs(shape):
    ours, theirs = pair(5, 1, planes=len(shape) == 4)
    for step in range(4):
        x = rows(shape, step).requires_grad_()
        y, wanted = ours(x), theirs(x)
        torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
        for gradient, reference in zip(gradients(y, x, ours), gradients(wanted, x, theirs), strict=True):
            torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-10)
        torch.testing.assert_close(ours.running_mean, theirs.running_mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours.running_var, theirs.running_var, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("parts", [2, 3, 6])
def test_in_parts_it_is_torchs_on_each_of_them(shape, parts):
    ours, theirs = pair(5, parts, planes=len(shape) == 4)
    x = rows(shape).requires_grad_()
    y, wanted = ours(x), torch.cat([theirs(chunk) for chunk in x.chunk(parts)])
    torch.testing.assert_close(y, wanted, rtol=1e-12, atol=1e-12)
    for gradient, reference in zip(gradients(y, x, ours), gradients(wanted, x, theirs), strict=True):
        torch.testing.assert_close(gradient, reference, rtol=1e-10, atol=1e-10)
    assert (y - pair(5, 1, planes=len(shape) == 4)[0](x)).abs().max() > 0.1


def test_the_running_statistics_of_parts_follow_their_mean():
    ours = BatchNorm(5, parts=3).double()
    mean, variance = torch.zeros(5, dtype=torch.float64), torch.ones(5, dtype=torch.float64)
    for step in range(4):
        x = rows((12, 5, 4, 3), step)
        ours(x)
        chunks = [chunk.transpose(0, 1).flatten(1) for chunk in x.chunk(3)]
        mean = 0.9 * mean + 0.1 * torch.stack([chunk.mean(1) for chunk in chunks]).mean(0)
        variance = 0.9 * variance + 0.1 * torch.stack([chunk.var(1) for chunk in chunks]).mean(0)
        torch.testing.assert_close(ours.running_mean, mean, rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(ours.running_var, variance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("parts", [1, 3])
def test_a_row_is_normalised_with_the_rows_of_its_part_and_no_others(parts):
    ours = BatchNorm(5, parts).double()
    x = rows((12, 5))
    before = ours(x)
    x[0] += 10
    moved = (ours(x) - before).abs().amax(1) > 1e-3
    assert moved[: 12 // parts].all()
    assert not moved[12 // parts :].any()


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("shape", SHAPES)
def test_in_eval_mode_it_uses_the_running_statistics_and_leaves_them(parts, shape):
    ours, _ = pair(5, parts, planes=len(shape) == 4)
    for step in range(3):
        ours(rows(shape, step))
    ours.eval()
    mean, variance = ours.running_mean.clone(), ours.running_var.clone()
    x = rows(shape, 7)
    view = [1, 5, *[1] * (len(shape) - 2)]
    wanted = (x - mean.view(view)) / (variance.view(view) + 1e-5).sqrt() * ours.weight.view(view) + ours.bias.view(view)
    torch.testing.assert_close(ours(x), wanted, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(ours(x[:1]), wanted[:1], rtol=1e-12, atol=1e-12)
    assert torch.equal(ours.running_mean, mean)
    assert torch.equal(ours.running_var, variance)


def test_the_running_statistics_are_buffers_and_weights_are_learnt():
    module = BatchNorm(5, parts=2)
    assert {name for name, _ in module.named_buffers()} == {"running_mean", "running_var"}
    assert {name for name, _ in module.named_parameters()} == {"weight", "bias"}
    assert not any(buffer.requires_grad for buffer in module.buffers())


def test_channels_last_stays_channels_last():
    x = rows((12, 5, 4, 3)).contiguous(memory_format=torch.channels_last)
    for parts in (1, 3):
        y = BatchNorm(5, parts).double()(x)
        assert y.is_contiguous(memory_format=torch.channels_last)
