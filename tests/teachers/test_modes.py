"""In which mode a teacher with batch norm speaks, and what becomes of its statistics: two faults, provoked."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from companion import TargetNetwork

RULES = ("keep", "copy", "average")


@pytest.fixture(scope="module")
def taught() -> tuple[dict[tuple[str, str], TargetNetwork], Tensor, Tensor]:
    """A network that has learned which of four corners a point is near, its slow copies, and points with labels."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 4))
    ways = [(mode, rule) for mode in ("eval", "train") for rule in RULES]
    copies = {(mode, rule): TargetNetwork(net, tau=0.05, mode=mode, buffers=rule) for mode, rule in ways}
    labels = torch.randint(4, (4_000,))
    points = 5 + 8 * torch.stack([labels % 2, labels // 2], 1) + torch.randn(4_000, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for batch in range(300):
        some = torch.arange(32) + 8 * batch
        optimizer.zero_grad()
        cross_entropy(net(points[some]), labels[some]).backward()
        optimizer.step()
        for copy in copies.values():
            copy.update(net)
    return copies, points[-512:], labels[-512:]


def wrong(copy: TargetNetwork, points: Tensor, labels: Tensor) -> float:
    return float((copy(points).argmax(1) != labels).float().mean())


def test_with_statistics_that_nobody_keeps_a_teacher_in_eval_mode_is_lost(taught):
    """CuriousAI/mean-teacher #9, Haochen-Wang409/U2PL #64."""
    copies, points, labels = taught
    assert wrong(copies["eval", "keep"], points, labels) > 0.3
    for rule in ("copy", "average"):
        assert wrong(copies["eval", rule], points, labels) < 0.05, rule


def test_in_train_mode_all_seems_well_until_a_batch_is_not_like_the_others(taught):
    copies, points, labels = taught
    for rule in RULES:
        assert wrong(copies["train", rule], points, labels) < 0.05, rule
    one = labels == 0
    assert wrong(copies["train", "keep"], points[one], labels[one]) > 0.3
    assert wrong(copies["eval", "average"], points[one], labels[one]) < 0.05
