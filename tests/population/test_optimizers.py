"""Adam with a learning rate for each member is torch's Adam of each member alone."""

import torch

from companion.population import MLP, Adam


def test_it_is_torchs_adam_member_by_member():
    seeds, rates = [0, 1, 2], [1e-2, 1e-3, 1e-4]
    together = MLP((4, 16, 2), seeds=seeds)
    optimizer = Adam(together, torch.tensor(rates))
    alone = [MLP((4, 16, 2), seeds=[seed]).double() for seed in seeds]
    references = [torch.optim.Adam(net.parameters(), lr=rate) for net, rate in zip(alone, rates, strict=True)]
    generator = torch.Generator().manual_seed(0)
    for _ in range(200):
        x = torch.randn(3, 8, 4, generator=generator)
        optimizer.descend(together(x).square().mean((1, 2)).sum())
        for member, (network, reference) in enumerate(zip(alone, references, strict=True)):
            reference.zero_grad()
            network(x[member : member + 1].double()).square().mean().backward()
            reference.step()
    for member, network in enumerate(alone):
        for a, b in zip(together.parameters(), network.parameters(), strict=True):
            torch.testing.assert_close(a[member : member + 1].double(), b, rtol=1e-3, atol=1e-5)


def test_a_gradient_of_zero_moves_nothing():
    network = MLP((4, 16, 2), seeds=[0, 1])
    optimizer = Adam(network, torch.tensor([0.1, 0.1]))
    before = optimizer.weights.clone()
    optimizer.step([torch.zeros_like(p) for p in network.parameters()])
    assert torch.equal(optimizer.weights, before)


def test_a_broken_member_breaks_no_other():
    network = MLP((4, 16, 2), seeds=[0, 1])
    optimizer = Adam(network, torch.tensor([0.1, 0.1]))
    optimizer.step(
        [torch.stack([torch.full_like(p[0], torch.nan), torch.ones_like(p[1])]) for p in network.parameters()]
    )
    assert optimizer.weights[0].isnan().any()
    assert optimizer.weights[1].isfinite().all()
