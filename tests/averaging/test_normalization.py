"""Batch norm after averaging: statistics measured anew, against NumPy and against torch's update_bn."""

import copy
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import update_bn

from companion.averaging import reestimate_batch_norm


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 4, 3),
        nn.BatchNorm2d(4),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Flatten(),
        nn.Linear(64, 5),
        nn.BatchNorm1d(5),
    ).eval()


def pictures(*counts: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(count, 3, 6, 6, generator=generator) + index for index, count in enumerate(counts)]


def statistics(norm: nn.Module) -> tuple[np.ndarray, np.ndarray]:
    return norm.running_mean.numpy(), norm.running_var.numpy()  # type: ignore[union-attr, operator]


def test_statistics_are_those_of_all_values_together() -> None:
    net, batches = network(), pictures(8, 8, 3)
    reestimate_batch_norm(net, batches)
    with torch.no_grad():
        fed = [net[0].double()(batch.double()).numpy() for batch in batches]
    together = np.concatenate(fed)
    np.testing.assert_allclose(net[1].running_mean, together.mean((0, 2, 3)), rtol=1e-5)
    np.testing.assert_allclose(net[1].running_var, together.var((0, 2, 3), ddof=1), rtol=1e-5)
    weight, bias = (p.detach().double().numpy() for p in net[5].parameters())
    deeper = []
    for planes in fed:  # what the second batch norm is fed was normalised by each batch's own statistics
        centred = planes - planes.mean((0, 2, 3), keepdims=True)
        normal = centred / np.sqrt(planes.var((0, 2, 3), keepdims=True) + 1e-5)
        deeper.append(np.maximum(normal, 0).reshape(len(planes), -1) @ weight.T + bias)
    np.testing.assert_allclose(net[6].running_mean, np.concatenate(deeper).mean(0), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(net[6].running_var, np.concatenate(deeper).var(0, ddof=1), rtol=1e-4)


def test_with_batches_alike_in_size_and_without_dropout_the_mean_is_that_of_torch() -> None:
    ours = network()
    ours[3] = nn.Identity()
    theirs, batches = copy.deepcopy(ours), pictures(8, 8, 8)
    reestimate_batch_norm(ours, batches)
    update_bn(batches, theirs)
    for mine, other in zip(ours.modules(), theirs.modules(), strict=True):
        if isinstance(mine, nn.BatchNorm1d | nn.BatchNorm2d):
            torch.testing.assert_close(mine.running_mean, other.running_mean)
            assert int(mine.num_batches_tracked) == int(other.num_batches_tracked) == 3
    reestimate_batch_norm(ours, batches[:1])
    update_bn(batches[:1], theirs)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())  # of one batch all is the same


def test_a_short_last_batch_weighs_no_more_than_it_holds_where_torch_lets_it_weigh_as_much() -> None:
    ours = nn.BatchNorm1d(1)
    theirs = copy.deepcopy(ours)
    batches = [torch.zeros(98, 1), torch.full((2, 1), 10.0)]
    reestimate_batch_norm(ours, batches)
    update_bn(batches, theirs)
    assert ours.running_mean.item() == pytest.approx(0.2)
    assert theirs.running_mean.item() == pytest.approx(5.0)


def test_how_far_the_batches_lie_apart_counts_as_variance_where_torch_finds_none() -> None:
    ours = nn.BatchNorm1d(1)
    theirs = copy.deepcopy(ours)
    batches = [torch.zeros(10, 1), torch.ones(10, 1)]
    reestimate_batch_norm(ours, batches)
    update_bn(batches, theirs)
    assert ours.running_var.item() == pytest.approx(5 / 19)
    assert theirs.running_var.item() == 0


def test_dropout_stays_off_and_every_module_gets_its_own_mode_back() -> None:
    net, batches = network(), pictures(8)
    net.train()
    net[1].eval()
    before = [module.training for module in net.modules()]
    reestimate_batch_norm(net, batches)
    once = statistics(net[6])
    assert [module.training for module in net.modules()] == before
    assert not net[1]._forward_pre_hooks
    reestimate_batch_norm(net, batches)
    np.testing.assert_array_equal(statistics(net[6]), once)  # dropout would have drawn anew


def test_a_loaders_labels_are_left_out() -> None:
    ours, pairs = network(), network()
    reestimate_batch_norm(ours, pictures(4, 4))
    reestimate_batch_norm(pairs, [(batch, torch.zeros(4)) for batch in pictures(4, 4)])
    torch.testing.assert_close(ours.state_dict(), pairs.state_dict(), rtol=0, atol=0)


class Failing(nn.Sequential):
    def forward(self, x: Tensor) -> Tensor:
        out = super().forward(x)
        if len(x) == 3:
            raise RuntimeError("no memory left")
        return out


def failing() -> Iterator[Tensor]:
    yield from pictures(8, 3)


@pytest.mark.parametrize(
    ("batches", "error", "words"),
    [
        (failing, RuntimeError, "no memory left"),
        (list, ValueError, "batches is empty"),
        (lambda: iter([{"x": 1}]), TypeError, "begins with no tensor"),
        (lambda: iter([()]), TypeError, "begins with no tensor"),
    ],
)
def test_where_the_pass_fails_the_network_is_what_it_was(batches, error, words) -> None:  # type: ignore[no-untyped-def]
    net = Failing(*network()).eval()
    update_bn(pictures(8), net)
    before = copy.deepcopy(net.state_dict())
    with pytest.raises(error, match=words):
        reestimate_batch_norm(net, batches())
    torch.testing.assert_close(net.state_dict(), before, rtol=0, atol=0)
    assert not any(module.training for module in net.modules())


def test_one_value_a_channel_is_refused() -> None:
    class Lenient(nn.Module):
        """Batch norm of one's own, which bears one value."""

        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("running_mean", torch.zeros(1))
            self.register_buffer("running_var", torch.ones(1))

        def forward(self, x: Tensor) -> Tensor:
            return x

    with pytest.raises(ValueError, match="one value a channel"):
        reestimate_batch_norm(Lenient(), [torch.ones(1, 1)])


def test_what_is_not_used_and_what_is_no_batch_norm_keeps_its_statistics() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
            self.instance = nn.InstanceNorm1d(2, track_running_stats=True)
            self.unused.running_mean.fill_(3.0)
            self.instance.running_mean.fill_(4.0)

        def forward(self, x: Tensor) -> Tensor:
            return self.instance(self.used(x))

    net = Half()
    reestimate_batch_norm(net, [torch.randn(16, 2, 5) + 1])
    assert net.used.running_mean.min() > 0.5
    assert (net.unused.running_mean == 3).all()
    assert (net.instance.running_mean == 4).all()


def test_a_wrapped_network_and_half_precision_are_seen_through() -> None:
    net = nn.BatchNorm1d(1).to(torch.bfloat16)
    batches = [torch.full((8, 1), 3.0, dtype=torch.bfloat16), torch.ones(8, 1, dtype=torch.bfloat16)]
    reestimate_batch_norm(nn.DataParallel(net), batches)
    assert net.running_mean.item() == 2
    assert net.running_var.item() == pytest.approx(16 / 15, rel=1e-2)
