"""Every update of a generator against the same in float64 NumPy."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import conv2d

from companion.generation import GAN, Consistency, ConsistencySettings, Diffusion, DiffusionSettings, GANSettings
from companion.generation.consistency import noise_levels
from companion.generation.diffusion import signal
from companion.generation.ring import samples
from companion.generation.worlds import Digits
from tests.generation.reference import Net, agree, points, told

CPU = torch.device("cpu")
SMALL = {"hidden": (7, 5), "batch_size": 6}
RATES = [3e-3, 1e-3]
SEEDS = [4, 5]
STEPS = 4


def drawn(learner, rng: np.random.Generator) -> dict[str, torch.Tensor]:
    """Some step's random numbers, for two members."""
    return {
        name: torch.tensor(rng.normal(size=(2, width)) if name in learner.normal else rng.random((2, width))).float()
        for name, width in learner.widths(SMALL["batch_size"]).items()
    }


def of(numbers: dict[str, torch.Tensor], member: int) -> dict[str, np.ndarray]:
    return {name: values[member].double().numpy() for name, values in numbers.items()}


def test_a_denoisers_steps_are_the_references() -> None:
    """Equation (12.3): the squared error of the noise that is predicted, at a random level."""
    levels, rng = 9, np.random.default_rng(3)  # Adam makes a step of a gradient that is rounding alone: with 0 there is
    learner = Diffusion(SEEDS, DiffusionSettings(levels=levels, learning_rate=RATES, **SMALL), CPU)
    nets = [Net(learner.generator.body, member, RATES[member]) for member in range(2)]
    beta = np.linspace(0.1 / levels, min(20 / levels, 0.999), levels)
    left = np.append(1.0, np.cumprod(1 - beta))
    np.testing.assert_allclose(signal(levels), left, rtol=1e-6)
    for _ in range(STEPS):
        numbers = drawn(learner, rng)
        learner.learn(numbers)
        for member, net in enumerate(nets):
            n = of(numbers, member)
            level, noise = 1 + np.floor(n["level"] * levels).astype(int), n["noise"].reshape(-1, 2)
            root = np.sqrt(left[level])[:, None]
            noisy = root * points(n["mode"], n["offset"]) + np.sqrt(1 - root**2) * noise
            error = net(np.concatenate([noisy, told(levels + 1, level)], 1)) - noise
            net.step(net.backward(2 * error / error.size)[0])
    for member, net in enumerate(nets):
        agree(learner.generator, member, net)


def test_a_samplers_way_is_the_references() -> None:
    """Equation (12.4), with what lies beyond the data's reach cut off."""
    levels, rng = 5, np.random.default_rng(1)
    learner = Diffusion(SEEDS, DiffusionSettings(levels=levels, **SMALL), CPU)
    start, shown = rng.normal(size=(2, 10, 2)), []
    with torch.no_grad():
        made = learner.sample(learner.generator, torch.tensor(start).float(), watch=shown.append)
    left = signal(levels).double().numpy()
    for member in range(2):
        net, x = Net(learner.generator.body, member, 0.0), start[member]
        for level in range(levels, 0, -1):
            noise = net(np.concatenate([x, told(levels + 1, np.full(10, level))], 1))
            clean = np.clip((x - np.sqrt(1 - left[level]) * noise) / np.sqrt(left[level]), -3, 3)
            x = np.sqrt(left[level - 1]) * clean + np.sqrt(1 - left[level - 1]) * noise
        np.testing.assert_allclose(made[member], x, atol=2e-4)
    assert len(shown) == levels + 1
    torch.testing.assert_close(shown[-1], made)


def test_a_denoiser_of_pictures_is_torchs_convolutions_and_its_steps_are_torchs_adam() -> None:
    """A member of (12.3) with pictures, in float64 and by itself: ``conv2d``, and its gradient by autograd."""
    levels, rng, hidden = 6, np.random.default_rng(6), (4, 5, 5)  # see above for 5
    settings = DiffusionSettings(world="digits", levels=levels, hidden=hidden, batch_size=6, learning_rate=RATES)
    learner = Diffusion(SEEDS, settings, CPU)
    net, left = learner.generator, signal(levels).double()
    alone = [
        [
            [each[member].detach().double().clone().requires_grad_() for each in (w, b)]
            for w, b in zip(net.weights, net.biases, strict=True)
        ]
        for member in range(2)
    ]
    optimizers = [
        torch.optim.Adam([p for layer in layers for p in layer], lr=rate)
        for layers, rate in zip(alone, RATES, strict=True)
    ]
    for _ in range(STEPS):
        numbers = drawn(learner, rng)
        learner.learn(numbers)
        for member, (layers, optimizer) in enumerate(zip(alone, optimizers, strict=True)):
            n = of(numbers, member)
            picture = learner.world.learned[np.floor(n["picture"] * 899).astype(int)].double()
            level, noise = 1 + np.floor(n["level"] * levels).astype(int), torch.from_numpy(n["noise"].reshape(-1, 64))
            share = left[level][:, None]
            noisy = share.sqrt() * picture + (1 - share).sqrt() * noise
            features = torch.from_numpy(told(levels + 1, level))[:, :, None, None].expand(-1, -1, 8, 8)
            y = torch.cat((noisy.view(-1, 1, 8, 8), features), 1)
            for index, (weight, bias) in enumerate(layers):
                new = conv2d(y.relu() if index else y, weight, bias, padding=1)
                y = y + new if index == 2 else new  # the third has as many channels as come in
            optimizer.zero_grad()
            (y.flatten(1) - noise).square().mean().backward()
            optimizer.step()
    for member, layers in enumerate(alone):
        for (weight, bias), got, got_bias in zip(layers, net.weights, net.biases, strict=True):
            torch.testing.assert_close(got[member].double(), weight, atol=5e-5, rtol=0)
            torch.testing.assert_close(got_bias[member].double(), bias, atol=5e-5, rtol=0)


def test_digits_are_learned_from_or_judged_by_and_never_both() -> None:
    pictures = load_digits(return_X_y=True)[0] / 8 - 1
    world = Digits(CPU)
    learned, held_out = world.other(SEEDS, 899).numpy(), world.real(SEEDS, 898).numpy()
    for member in range(2):
        both = np.concatenate([learned[member], held_out[member]])
        np.testing.assert_array_equal(np.unique(both, axis=0), np.unique(pictures.astype(np.float32), axis=0))
    assert not np.array_equal(learned[0], learned[1])
    assert np.abs(pictures).max() <= world.reach


def consistent(net: Net, x: np.ndarray, level: np.ndarray, sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a consistency model says, and how much of it is the network's."""
    s, data = sigma[level][:, None], 2 / np.sqrt(2)
    size = np.sqrt(s**2 + data**2)
    share = data * (s - 0.03) / size
    said = net(np.concatenate([x / size, told(len(sigma), level)], 1))
    return data**2 / ((s - 0.03) ** 2 + data**2) * x + share * said, share


@pytest.mark.parametrize("tau", [1.0, 0.05])
def test_consistency_steps_are_the_references(tau: float) -> None:
    """Equation (12.6): the pseudo-Huber distance to what the slow copy says at less noise, and the copy's own step."""
    levels, rng = 6, np.random.default_rng(2)
    settings = ConsistencySettings(levels=levels, learning_rate=RATES, target_tau=[tau, tau], **SMALL)
    learner = Consistency(SEEDS, settings, CPU)
    nets = [Net(learner.generator.body, member, RATES[member]) for member in range(2)]
    slow = [Net(learner.generator.body, member, 0.0) for member in range(2)]
    sigma = noise_levels(levels).double().numpy()
    for _ in range(STEPS):
        numbers = drawn(learner, rng)
        learner.learn(numbers)
        for member, (net, copy) in enumerate(zip(nets, slow, strict=True)):
            n = of(numbers, member)
            x, noise = points(n["mode"], n["offset"]), n["noise"].reshape(-1, 2)
            lower = np.floor(n["level"] * (levels - 1)).astype(int)
            wanted, _ = consistent(copy, x + sigma[lower][:, None] * noise, lower, sigma)
            said, share = consistent(net, x + sigma[lower + 1][:, None] * noise, lower + 1, sigma)
            error = said - wanted
            root = np.sqrt((error**2).sum(1, keepdims=True) + 0.03**2)
            weight = 1 / (sigma[lower + 1] - sigma[lower])[:, None] / len(x)
            net.step(net.backward(weight * error / root * share)[0])
            for theta, new in zip(copy.parameters, net.parameters, strict=True):
                theta += tau * (new - theta)
    for member in range(2):
        agree(learner.generator, member, nets[member], atol=1e-4)
        agree(learner.target.module, member, slow[member], atol=1e-4)


def test_at_the_lowest_level_a_consistency_model_leaves_a_point_as_it_is() -> None:
    learner = Consistency(SEEDS, ConsistencySettings(**SMALL), CPU)
    x = samples(SEEDS, 20)
    torch.testing.assert_close(learner.point(learner.generator, x, 0), x)


def test_noise_levels_go_from_the_lowest_to_the_highest_and_lie_closer_below() -> None:
    sigma = noise_levels(20)
    assert sigma[0] == pytest.approx(0.03)
    assert sigma[-1] == pytest.approx(8.0)
    assert (sigma.diff().diff() > 0).all()


def test_a_gans_steps_are_the_references() -> None:
    """The critic's step, and then the generator's against the critic that has just learnt."""
    rng = np.random.default_rng(3)
    learner = GAN(SEEDS, GANSettings(learning_rate=RATES, **SMALL), CPU)
    makers, critics = (
        [Net(mlp, member, RATES[member], betas=(0.0, 0.9)) for member in range(2)]
        for mlp in (learner.generator, learner.critic)
    )
    for _ in range(STEPS):
        numbers = drawn(learner, rng)
        learner.learn(numbers)
        for member, (maker, critic) in enumerate(zip(makers, critics, strict=True)):
            n = of(numbers, member)
            batch = len(n["mode"])
            logit = critic(points(n["mode"], n["offset"]))
            on_real, _ = critic.backward(-1 / (1 + np.exp(logit)) / batch)
            logit = critic(maker(n["critic"].reshape(-1, 2)))
            on_made, _ = critic.backward(1 / (1 + np.exp(-logit)) / batch)
            critic.step([a + b for a, b in zip(on_real, on_made, strict=True)])
            made = maker(n["noise"].reshape(-1, 2))
            _, slope = critic.backward(-1 / (1 + np.exp(critic(made))) / batch)
            maker.step(maker.backward(slope)[0])
    for member in range(2):
        agree(learner.generator, member, makers[member], atol=1e-4)
        agree(learner.critic, member, critics[member], atol=1e-4)


def test_the_data_are_eight_gaussians_on_a_ring() -> None:
    x = samples([1, 2], 4_000).double().numpy()
    assert not np.array_equal(x[0], x[1])
    for points_of_one in x:
        place = np.round(np.arctan2(points_of_one[:, 1], points_of_one[:, 0]) / (np.pi / 4)).astype(int) % 8
        assert np.bincount(place, minlength=8) == pytest.approx(500, abs=100)
        centre = 2 * np.stack([np.cos(place * np.pi / 4), np.sin(place * np.pi / 4)], 1)
        offset = points_of_one - centre
        np.testing.assert_allclose(offset.std(0), 0.15, rtol=0.05)
        np.testing.assert_allclose(offset.mean(0), 0, atol=0.01)
