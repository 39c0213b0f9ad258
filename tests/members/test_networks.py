"""Networks with a member axis: each member is the network it would be alone."""

import numpy as np
import pytest
import torch
from torch import nn

from companion.members import MLP, flatten


def single(network: MLP, member: int) -> nn.Sequential:
    """One member as ordinary torch layers, in float64."""
    layers = []
    for weight, bias in zip(network.weights, network.biases, strict=True):
        linear = nn.Linear(weight.shape[1], weight.shape[2]).double()
        linear.weight.data = weight[member].T.double()
        linear.bias.data = bias[member, 0].double()
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_each_member_computes_what_ordinary_layers_do():
    network = MLP((4, 32, 16, 2), seeds=[0, 1, 2])
    x = torch.randn(3, 10, 4, generator=torch.Generator().manual_seed(0))
    y = network(x)
    assert y.shape == (3, 10, 2)
    for member in range(3):
        torch.testing.assert_close(
            y[member].double(), single(network, member)(x[member].double()), rtol=1e-5, atol=1e-6
        )


def test_a_members_first_weights_depend_on_its_seed_alone():
    together = MLP((4, 64, 2), seeds=[0, 5, 9])
    alone = MLP((4, 64, 2), seeds=[5])
    for a, b in zip(together.parameters(), alone.parameters(), strict=True):
        assert torch.equal(a[1:2], b)
        assert not torch.equal(a[:1], b)


def test_weights_start_as_torch_linear_does():
    network = MLP((50, 100, 2), seeds=range(20))
    reference = torch.cat([nn.Linear(50, 100).weight.detach().flatten() for _ in range(20)])
    bound = 50**-0.5
    for tensor in (network.weights[0], network.biases[0]):
        assert tensor.abs().max() < bound
        assert tensor.abs().max() > 0.99 * bound
        np.testing.assert_allclose(tensor.detach().std(), bound / 3**0.5, rtol=0.05)
    np.testing.assert_allclose(network.weights[0].detach().std(), reference.std(), rtol=0.02)


def test_a_loss_summed_over_members_keeps_their_gradients_apart():
    network = MLP((3, 8, 1), seeds=[0, 1])
    x = torch.ones(2, 5, 3)
    x[0] = torch.nan
    loss = network(x).square().mean((1, 2)).sum()
    loss.backward()
    for parameter in network.parameters():
        assert parameter.grad[0].isnan().any()
        assert parameter.grad[1].isfinite().all()


@pytest.mark.parametrize("sizes", [(4,), (4, 0, 2), ()])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match="sizes"):
        MLP(sizes, seeds=[0])


def test_flatten_moves_the_weights_and_changes_nothing():
    network = MLP((4, 7, 5, 2), seeds=[0, 1, 2])
    x = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    before = network(x)
    flat = flatten(network)
    assert torch.equal(network(x), before)
    for parameter in network.parameters():
        assert parameter.untyped_storage().data_ptr() == flat.untyped_storage().data_ptr()
        assert parameter.data_ptr() % 64 == flat.data_ptr() % 64
    flat[1] = 0
    assert torch.equal(network(x)[1], torch.zeros(6, 2))
    assert torch.equal(network(x)[[0, 2]], before[[0, 2]])


def test_flatten_refuses_parameters_that_do_not_share_the_member_axis():
    with pytest.raises(ValueError, match="share member count"):
        flatten(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 4)))
    with pytest.raises(ValueError, match="share member count"):
        flatten(nn.ReLU())
