"""What a representation is worth: against scikit-learn, and against sums written out in float64."""

import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn
from torch.nn.functional import normalize

from companion.vision import probes
from companion.vision.encoders import make_encoder
from companion.vision.normalization import BatchNorm

CLASSES = 5


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def clusters(count: int, features: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features around five overlapping centres, on scales that differ, and which centre each is from."""
    labels = torch.randint(0, CLASSES, (count,), generator=torch.Generator().manual_seed(seed))
    centres = 0.7 * normal(CLASSES, features, seed=100)
    return (3 + centres[labels] + normal(count, features, seed=seed)) * torch.logspace(-1, 1, features), labels


# --- classifiers


@pytest.mark.parametrize(("neighbours", "temperature"), [(1, 0.1), (20, 0.1), (50, 0.02), (10_000, 0.3)])
def test_knn_is_scikit_learns_with_the_same_weights(neighbours, temperature):
    # More queries than are handled at a time.
    bank, labels = clusters(400, 16, 1)
    queries, _ = clusters(1_300, 16, 2)
    told = probes.knn(bank, labels, queries, classes=CLASSES, neighbours=neighbours, temperature=temperature)
    reference = KNeighborsClassifier(
        min(neighbours, 400), metric="cosine", weights=lambda distance: np.exp((1 - distance) / temperature)
    )
    reference.fit(bank.numpy(), labels.numpy())
    np.testing.assert_array_equal(told.numpy(), reference.predict(queries.numpy()))
    assert len(told.unique()) > CLASSES // 2


def test_knn_weighs_near_neighbours_more_and_looks_at_directions_alone():
    bank = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 2.0]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[5.0, 1.0]])
    assert probes.knn(bank, labels, query, classes=2, temperature=0.1).item() == 0
    assert probes.knn(bank, labels, query, classes=2, temperature=10.0).item() == 1


@pytest.mark.parametrize("decay", [1e-4, 1e-2])
def test_the_linear_probe_is_scikit_learns_logistic_regression(decay):
    train, labels = clusters(600, 12, 1)
    test, test_labels = clusters(1_000, 12, 2)
    told = probes.linear_probe(train, labels, test, classes=CLASSES, decay=decay)
    scaler = StandardScaler().fit(train.numpy())
    # Its objective is ours, times C times the number of pictures.
    reference = LogisticRegression(C=1 / (decay * len(train)), max_iter=10_000, tol=1e-6)
    reference.fit(scaler.transform(train.numpy()), labels.numpy())
    wanted = torch.from_numpy(reference.predict(scaler.transform(test.numpy())))
    assert (told == wanted).double().mean() > 0.995
    assert (told == test_labels).double().mean() > 0.7


def test_the_linear_probe_bears_features_that_are_constant_and_any_scale():
    train, labels = clusters(500, 12, 1)
    test, _ = clusters(500, 12, 2)
    told = probes.linear_probe(train, labels, test, classes=CLASSES)
    train[:, 3] = test[:, 3] = 0
    without = probes.linear_probe(train, labels, test, classes=CLASSES)
    scaled = probes.linear_probe(1e3 * train, labels, 1e3 * test, classes=CLASSES)
    assert (without == scaled).double().mean() > 0.99
    assert 0.5 < (without == told).double().mean() < 1


def test_probes_take_single_precision_and_need_no_gradients():
    train, labels = clusters(500, 12, 1)
    test, _ = clusters(500, 12, 2)
    for told in (probes.knn, probes.linear_probe):
        double = told(train, labels, test, classes=CLASSES)
        with torch.no_grad():
            single = told(train.float(), labels, test.float(), classes=CLASSES)
        assert (single == double).double().mean() > 0.99
        assert not single.requires_grad


# --- measures of embeddings


@pytest.mark.parametrize("size", [2, 16, 128])
def test_spread_is_1_all_over_the_sphere_and_0_at_a_point(size):
    everywhere = normalize(normal(20_000, size), dim=1)
    assert probes.spread(everywhere).item() == pytest.approx(1, abs=0.01)
    assert probes.spread(everywhere[:1].expand(1_000, -1)).item() == pytest.approx(0, abs=1e-7)
    deviations = everywhere.numpy().std(0, ddof=1)
    assert probes.spread(everywhere).item() == pytest.approx(deviations.mean() * size**0.5, rel=1e-12)


@pytest.mark.parametrize(
    ("values", "rank"),
    [
        ([1.0, 1.0, 1.0, 1.0], 4.0),
        ([3.0, 0.0, 0.0, 0.0], 1.0),
        ([5.0, 5.0, 0.0, 0.0], 2.0),
        ([2.0, 1.0, 1.0, 0.0], 2 * 2**0.5),  # shares 1/2, 1/4, 1/4: an entropy of 3/2 ln 2
    ],
)
def test_effective_rank_of_known_singular_values(values, rank):
    left = normal(50, 4)
    left = torch.linalg.qr(left - left.mean(0)).Q  # orthonormal columns that add up to 0
    right = torch.linalg.qr(normal(4, 4, seed=1)).Q
    matrix = left @ torch.diag(torch.tensor(values, dtype=torch.float64)) @ right
    assert probes.effective_rank(matrix).item() == pytest.approx(rank, rel=1e-10)
    assert probes.effective_rank(7 * matrix + normal(4, seed=2)).item() == pytest.approx(rank, rel=1e-10)


def test_effective_rank_of_a_point_is_1_and_of_noise_nearly_the_number_of_dimensions():
    assert probes.effective_rank(torch.ones(20, 8)).item() == pytest.approx(1)
    assert 15.9 < probes.effective_rank(normal(5_000, 16)).item() <= 16


def test_alignment_and_uniformity_are_their_sums_written_out():
    first, second = (normalize(normal(40, 6, seed=seed), dim=1) for seed in (0, 1))
    distances = [((a - b) ** 2).sum().item() for a, b in zip(first, second, strict=True)]
    assert probes.alignment(first, second).item() == pytest.approx(sum(distances) / 40, rel=1e-12)
    pairs = [math.exp(-2 * ((first[i] - first[j]) ** 2).sum().item()) for i in range(40) for j in range(i)]
    assert probes.uniformity(first).item() == pytest.approx(math.log(sum(pairs) / len(pairs)), rel=1e-12)


def test_alignment_and_uniformity_at_their_ends():
    everywhere = normalize(normal(1_500, 256), dim=1)
    assert probes.uniformity(everywhere).item() == pytest.approx(-4, abs=0.05)
    assert probes.uniformity(everywhere[:1].expand(50, -1)).item() == pytest.approx(0, abs=1e-12)
    assert probes.alignment(everywhere, everywhere).item() == 0
    assert probes.alignment(everywhere, -everywhere).item() == pytest.approx(4)


# --- features


def network() -> nn.Sequential:
    torch.manual_seed(0)
    net = nn.Sequential(make_encoder("small", 2), nn.Linear(128, 7), BatchNorm(7))
    net(torch.rand(32, 3, 16, 16)).sum().backward()
    return net


def images(count: int) -> Tensor:
    return torch.randint(0, 256, (count, 3, 16, 16), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


@pytest.mark.parametrize("training", [True, False])
def test_features_leave_the_network_as_it_was(training):
    net = network().train(training)
    net[2].train(not training)  # one part is in another mode than the rest
    modes = [module.training for module in net.modules()]
    state = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in net.parameters()]
    said = probes.features(net, images(20))
    assert not said.requires_grad
    assert [module.training for module in net.modules()] == modes
    assert all(torch.equal(tensor, state[name]) for name, tensor in net.state_dict().items())
    for parameter, gradient in zip(net.parameters(), gradients, strict=True):
        assert torch.equal(parameter.grad, gradient)
        assert parameter.requires_grad


def test_a_network_that_fails_gets_its_mode_back():
    net = network()
    net.append(nn.Linear(8, 8))  # takes 8 features where there are 7
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        probes.features(net, images(4))
    assert all(module.training for module in net.modules())


def test_features_are_the_same_for_bytes_and_floats_and_in_eval_mode():
    net = network()
    pictures = images(1_200)  # more than are handled at a time
    said = probes.features(net, pictures)
    assert said.shape == (1_200, 7)
    assert torch.equal(probes.features(net, pictures / 255), said)
    torch.testing.assert_close(net.eval()(pictures / 255), said, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(probes.features(net, pictures[1_100:1_101])[0], said[1_100], rtol=1e-4, atol=1e-5)
