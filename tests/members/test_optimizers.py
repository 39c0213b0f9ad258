"""Adam with a learning rate for each member is torch's Adam of each member alone."""

import copy

import pytest
import torch

from companion.averaging import soft_update
from companion.members import MLP, Adam, optimizers
from companion.members.subnormal import forget

STEPS = (optimizers.fused_step, optimizers.plain_step)


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


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float64, 1e-14), (torch.float32, 1e-5)])
def test_the_kernel_makes_the_step_that_is_written(dtype, rounding):
    """Two soft updates with tau = 1 − beta, from zero; in float64 to its rounding, so nothing is left out."""
    generator, betas = torch.Generator().manual_seed(0), (0.9, 0.999)
    moments = {step: [torch.zeros(3, 50, dtype=dtype) for _ in betas] for step in STEPS}
    for count in range(1, 300):
        gradient = torch.randn(3, 50, dtype=dtype, generator=generator) * 10.0 ** (count % 7 - 3)
        made = [step(gradient, *moments[step], torch.tensor(float(count)), betas, 1e-8) for step in STEPS]
        torch.testing.assert_close(*made, rtol=rounding, atol=rounding)
    for kernel, plain in zip(*moments.values(), strict=True):
        torch.testing.assert_close(kernel, plain, rtol=rounding, atol=rounding)


def test_its_averages_are_the_books_soft_updates():
    generator = torch.Generator().manual_seed(0)
    first, second = torch.zeros(2, 3, 5)
    slow, slower = torch.zeros(2, 3, 5)
    for count in range(1, 20):
        gradient = torch.randn(3, 5, generator=generator)
        optimizers.plain_step(gradient, first, second, torch.tensor(float(count)), (0.9, 0.999), 1e-8)
        soft_update([gradient], [slow], 1 - 0.9)
        soft_update([gradient.square()], [slower], 1 - 0.999)
    assert torch.equal(first, slow)
    assert torch.equal(second, slower)


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


def dying(steps: int, forgets: bool, monkeypatch: pytest.MonkeyPatch) -> tuple[MLP, Adam]:
    """Two members, half of whose hidden units die after ten steps: their gradients are zero from then on."""
    if not forgets:
        monkeypatch.setattr(optimizers, "forget", lambda average, below: None)
    network = MLP((4, 16, 2), seeds=[0, 1])
    optimizer = Adam(network, torch.tensor([1e-3, 1e-3]))
    generator = torch.Generator().manual_seed(0)
    for step in range(steps):
        x = torch.randn(2, 8, 4, generator=generator)
        gradients = torch.autograd.grad(network(x).square().mean((1, 2)).sum(), list(network.parameters()))
        if step >= 10:
            for g in gradients:
                g[..., ::2] = 0
        optimizer.step(gradients)
    return network, optimizer


def test_an_average_that_only_forgets_ends_at_zero_and_is_never_subnormal(monkeypatch):
    """Averages of a gradient that has become zero fall by a tenth a step, and below 1.2e-38 numbers are slow."""
    tiny = torch.finfo(torch.float32).tiny
    for steps in (400, 900, 1_500):
        _, optimizer = dying(steps, True, monkeypatch)
        for moment in (optimizer.first, optimizer.second):
            assert not ((moment != 0) & (moment.abs() < tiny)).any()
    assert (optimizer.first == 0).float().mean() > 0.4
    assert (optimizer.second > 0).float().mean() > 0.5  # forgets a thousand times more slowly
    _, plain = dying(900, False, monkeypatch)
    assert ((plain.first != 0) & (plain.first.abs() < tiny)).any(), "without it they are subnormal: the test can fail"


def test_to_forget_the_last_of_it_changes_no_weight(monkeypatch):
    network, _ = dying(1_500, True, monkeypatch)
    plain, _ = dying(1_500, False, monkeypatch)
    for a, b in zip(network.parameters(), plain.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(network.parameters()), next(MLP((4, 16, 2), seeds=[0, 1]).parameters()))


def test_forget_keeps_what_is_no_number():
    average = torch.tensor([1e-31, -1e-31, 1e-29, torch.nan, torch.inf])
    forget(average, 1e-30)
    assert average[:3].tolist() == [0.0, 0.0, pytest.approx(1e-29)]
    assert average[3].isnan()
    assert average[4].isinf()


def test_its_rates_are_a_setting_and_no_state():
    rates = torch.tensor([0.1, 0.2])
    optimizer, other = (Adam(MLP((4, 16, 2), seeds=[0, 1]), given) for given in (rates, torch.tensor([0.3, 0.4])))
    optimizer.load_state_dict(other.state_dict())
    assert set(optimizer.state_dict()) == {"first", "second", "count"}
    assert optimizer.learning_rate.tolist() == [[pytest.approx(0.1)], [pytest.approx(0.2)]]
    optimizer.learning_rate.zero_()
    assert torch.equal(rates, torch.tensor([0.1, 0.2]))


def test_it_refuses_to_be_copied_and_says_what_to_do():
    with pytest.raises(TypeError, match=r"an Adam cannot be copied: .* anew, .*load_state_dict"):
        copy.deepcopy(Adam(MLP((4, 16, 2), seeds=[0, 1]), torch.tensor([0.1, 0.1])))


@pytest.mark.parametrize("move", ["double", "half", "to meta", "to_empty"])
def test_it_refuses_to_be_moved_or_cast(move):
    optimizer = Adam(MLP((4, 16, 2), seeds=[0, 1]), torch.tensor([0.1, 0.1]))
    with pytest.raises(TypeError, match=r"stay on cpu and in torch.float32: .* anew, .*load_state_dict"):
        _MOVES[move](optimizer)
    assert {tensor.dtype for tensor in (optimizer.weights, *optimizer.buffers())} == {torch.float32}
    assert {tensor.device.type for tensor in (optimizer.weights, *optimizer.buffers())} == {"cpu"}


_MOVES = {
    "double": lambda module: module.double(),
    "half": lambda module: module.half(),
    "to meta": lambda module: module.to("meta"),
    "to_empty": lambda module: module.to_empty(device="cpu"),
}


def test_it_goes_where_it_is_and_learns_on():
    network = MLP((4, 16, 2), seeds=[0, 1])
    optimizer = Adam(network, torch.tensor([0.1, 0.1])).to("cpu").float()
    before = [p.clone() for p in network.parameters()]
    optimizer.step([torch.ones_like(p) for p in network.parameters()])
    for now, then in zip(network.parameters(), before, strict=True):
        torch.testing.assert_close(now, then - 0.1)


def test_a_network_by_itself_is_copied_and_moved_as_any():
    network = MLP((4, 16, 2), seeds=[0, 1])
    Adam(network, torch.tensor([0.1, 0.1]))
    twin = copy.deepcopy(network).double()
    assert all(torch.equal(a.double(), b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))
    assert {p.dtype for p in twin.parameters()} == {torch.float64}
    assert {p.dtype for p in network.parameters()} == {torch.float32}
