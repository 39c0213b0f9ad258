"""Encoders: their sizes, and ResNet-18 written out in functions."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, conv2d, relu

from companion import vision
from companion.vision.encoders import ENCODERS, Encoder, head, make_encoder
from companion.vision.normalization import BatchNorm

# Of torchvision's resnet18 (11,689,512 with its classifier) without the classifier (512·1,000 + 1,000), and with a stem
# of 3×3 in place of 7×7 (3·64·(49 − 9) fewer).
RESNET18 = 11_689_512 - 513_000 - 7_680
SMALL = 3 * 32 * 16 + 32 * 64 * 9 + 64 * 128 * 9 + 2 * (32 + 64 + 128)


def pictures(batch: int, side: int) -> Tensor:
    return torch.rand(batch, 3, side, side, generator=torch.Generator().manual_seed(0))


def made(name: str, parts: int = 1) -> Encoder:
    """An encoder whose every weight and running statistic is drawn, so that none can be left out unnoticed."""
    encoder = make_encoder(name, parts)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for tensor in encoder.state_dict().values():
            noise = torch.randn(tensor.shape, generator=generator)
            tensor.copy_(noise / tensor[0].numel() ** 0.5 if tensor.ndim == 4 else 1 + 0.2 * noise)
    return encoder


@pytest.mark.parametrize(("name", "parameters", "width"), [("small", SMALL, 128), ("resnet18", RESNET18, 512)])
def test_parameters_and_widths(name, parameters, width):
    encoder = make_encoder(name)
    assert sum(parameter.numel() for parameter in encoder.parameters()) == parameters
    assert encoder.width == width
    for side in (16, 32):
        assert encoder(pictures(2, side)).shape == (2, width)
    assert set(ENCODERS) == {"small", "resnet18"}


def test_resnet18_has_as_many_parameters_as_it_is_said_to_have():
    assert RESNET18 == 11_168_832


def normalised(x: Tensor, weights: dict[str, Tensor], name: str) -> Tensor:
    mean, variance = weights[f"{name}.running_mean"], weights[f"{name}.running_var"]
    return batch_norm(x, mean, variance, weights[f"{name}.weight"], weights[f"{name}.bias"])


def test_resnet18_is_the_papers():
    """He et al. 2016, table 1 and figure 5, for CIFAR-10: widths 64, 128, 256, 512, the last three at half the side."""
    encoder = made("resnet18").eval().double()
    w = {name: tensor.double() for name, tensor in encoder.layers.state_dict().items()}
    images = pictures(3, 32).double()
    x = relu(normalised(conv2d(4 * images - 2, w["0.weight"], padding=1), w, "1"))
    sides = []
    for block, stride in zip(range(3, 11), (1, 1, 2, 1, 2, 1, 2, 1), strict=True):
        inner = conv2d(x, w[f"{block}.layers.0.weight"], stride=stride, padding=1)
        inner = relu(normalised(inner, w, f"{block}.layers.1"))
        inner = normalised(conv2d(inner, w[f"{block}.layers.3.weight"], padding=1), w, f"{block}.layers.4")
        if stride == 2:
            x = normalised(conv2d(x, w[f"{block}.shortcut.0.weight"], stride=2), w, f"{block}.shortcut.1")
        x = relu(inner + x)
        sides.append((x.shape[1], x.shape[2]))
    assert sides[1::2] == [(64, 32), (128, 16), (256, 8), (512, 4)]
    torch.testing.assert_close(encoder(images), x.mean((2, 3)), rtol=1e-10, atol=1e-10)


def test_the_small_one_is_three_convolutions():
    encoder = made("small").eval().double()
    w = {name: tensor.double() for name, tensor in encoder.layers.state_dict().items()}
    x = 4 * pictures(3, 16).double() - 2
    for layer, side in ((0, 8), (3, 4), (6, 2)):
        x = relu(normalised(conv2d(x, w[f"{layer}.weight"], stride=2, padding=1), w, f"{layer + 1}"))
        assert x.shape[2:] == (side, side)
    torch.testing.assert_close(encoder(pictures(3, 16).double()), x.mean((2, 3)), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ENCODERS)
def test_in_eval_mode_a_pictures_features_do_not_depend_on_the_others(name):
    encoder = made(name).eval()
    images = pictures(6, 16)
    together = encoder(images)
    for index in (0, 5):
        torch.testing.assert_close(encoder(images[index : index + 1])[0], together[index], rtol=1e-4, atol=1e-4)
    encoder.train()
    assert (encoder(images)[:3] - encoder(images[:3])).abs().max() > 0.01


@pytest.mark.parametrize("name", ENCODERS)
def test_memory_is_laid_out_channels_last_throughout(name):
    encoder = make_encoder(name)
    seen = []
    for module in encoder.layers.modules():
        if isinstance(module, nn.Conv2d):
            assert module.weight.is_contiguous(memory_format=torch.channels_last)
            module.register_forward_hook(lambda _, inputs, output: seen.extend([*inputs, output]))
    encoder(pictures(4, 16))
    assert seen
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in seen)


@pytest.mark.parametrize("name", ENCODERS)
def test_every_normalisation_is_over_the_parts_that_are_asked_for(name):
    layers = [module for module in make_encoder(name, 4).modules() if isinstance(module, BatchNorm)]
    assert len(layers) == {"small": 3, "resnet18": 20}[name]
    assert {layer.parts for layer in layers} == {4}
    encoder = made(name, 2)
    images = pictures(8, 16)
    whole = encoder(images)
    halves = torch.cat([made(name)(half) for half in images.chunk(2)])
    torch.testing.assert_close(whole, halves, rtol=1e-4, atol=1e-4)


def test_a_head_is_a_perceptron_with_or_without_normalisation():
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    plain = head((6, 5, 3), normalized=False)
    first, _, last = plain
    wanted = torch.relu(x @ first.weight.T + first.bias) @ last.weight.T + last.bias
    torch.testing.assert_close(plain(x), wanted)
    normalized = head((6, 5, 4, 3), parts=2)
    assert [type(layer) for layer in normalized] == [nn.Linear, BatchNorm, nn.ReLU] * 2 + [nn.Linear]
    assert [layer.bias is None for layer in normalized if isinstance(layer, nn.Linear)] == [True, True, False]
    assert {layer.parts for layer in normalized if isinstance(layer, BatchNorm)} == {2}
    assert normalized(x).shape == (8, 3)


def test_an_unknown_name_is_refused():
    with pytest.raises(KeyError, match="resnet19"):
        make_encoder("resnet19")
    with pytest.raises(ValueError, match=r"encoder.*resnet19.*resnet18"):
        vision.make_learner("byol", encoder="resnet19")
