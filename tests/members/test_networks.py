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


def normalized(network: MLP, member: int) -> tuple[list[nn.Module], nn.Sequential]:
    """One member with torch's own layers in float64, and those that normalise."""
    norms = []
    for norm, width in zip(network.norms, (4, 32, 16) if network.batch_norm else (32, 16), strict=True):
        theirs = nn.BatchNorm1d(width, eps=1e-3, momentum=0.01) if network.batch_norm else nn.LayerNorm(width)
        norms.append(theirs.double())
        if hasattr(norm, "scale"):
            theirs.weight.data, theirs.bias.data = norm.scale[member, 0].double(), norm.shift[member, 0].double()
    *hidden, last = (layer for layer in single(network, member) if isinstance(layer, nn.Linear))
    if network.layer_norm:
        parts = [(linear, norm, nn.ReLU()) for linear, norm in zip(hidden, norms, strict=True)]
    else:
        parts = [(norms[0],), *((linear, nn.ReLU(), norm) for linear, norm in zip(hidden, norms[1:], strict=True))]
    return norms, nn.Sequential(*(layer for part in parts for layer in part), last)


@pytest.mark.parametrize("normalization", ["layer", "fixed-layer", "batch"])
def test_a_normalised_member_computes_what_torchs_layers_do(normalization):
    network = MLP((4, 32, 16, 2), seeds=[0, 1, 2], copies=2, normalization=normalization)
    generator = torch.Generator().manual_seed(0)
    for parameter in network.norms.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape, generator=generator)
    x, beside = 3 + torch.randn(2, 3, 10, 4, generator=generator)
    together, later = network(x, beside), network(x)
    assert together.shape == (3, 2, 10, 2)
    torch.testing.assert_close(network.first(x), later[:, 0])
    for member in range(3):
        for copy in range(2):
            norms, theirs = normalized(network, 2 * member + copy)
            expected = theirs(torch.cat((x[member], beside[member])).double())[:10]
            torch.testing.assert_close(together[member, copy].double(), expected, rtol=1e-4, atol=1e-5)
            for norm in norms if normalization == "batch" else ():
                norm.running_var = (norm.running_var - 0.99) * 19 / 20 + 0.99  # torch averages the unbiased variance
            expected = theirs.eval()(x[member].double())
            torch.testing.assert_close(later[member, copy].double(), expected, rtol=1e-4, atol=1e-5)


def test_averages_of_a_batch_move_where_two_are_given_and_there_alone():
    network = MLP((4, 8, 2), seeds=[0, 1], normalization="batch")
    x = 5 + torch.ones(2, 6, 4)
    before = [buffer.clone() for buffer in network.buffers()]
    network(x), network.first(x)
    assert all(map(torch.equal, before, network.buffers()))
    network(x, x)
    torch.testing.assert_close(network.norms[0].mean, torch.full((2, 1, 4), 0.06))
    torch.testing.assert_close(network.norms[0].variance, torch.full((2, 1, 4), 0.99))


@pytest.mark.parametrize("normalization", ["layer", "fixed-layer", "batch"])
def test_a_normalised_network_that_diverges_touches_no_other(normalization):
    network = MLP((4, 8, 2), seeds=[0, 1, 2], normalization=normalization)
    x = torch.randn(3, 6, 4, generator=torch.Generator().manual_seed(0))
    wild = x.clone()
    wild[1] = torch.inf
    calm = network(x, x)
    network = MLP((4, 8, 2), seeds=[0, 1, 2], normalization=normalization)
    assert torch.equal(network(wild, wild)[[0, 2]], calm[[0, 2]])
    assert network(wild)[1].isnan().all()


def test_the_average_of_a_unit_that_died_comes_to_rest_at_zero():
    network = MLP((4, 8, 2), seeds=[0], normalization="batch")
    network.biases[0].data -= 100
    x = torch.ones(1, 6, 4)
    network(x, x)
    for _ in range(9_000):  # 0.99 to this power is below what float32 holds
        network.norms[1](torch.zeros(1, 12, 8), slice(None), joint=True)
    assert (network.norms[1].mean == 0).all()
    assert (network.norms[1].variance == 0).all()


def test_an_unknown_normalisation_is_refused():
    with pytest.raises(ValueError, match="'group'; give one of 'none', 'layer', 'fixed-layer', 'batch'"):
        MLP((4, 8, 2), seeds=[0], normalization="group")
