"""One generator's updates in plain float64 NumPy: slow, and by hand."""

import numpy as np
from torch import nn

from companion.members import MLP


class Net:
    """A member of an :class:`~companion.members.MLP`, with its gradients, and with an Adam of its own."""

    def __init__(self, mlp: MLP, member: int, rate: float, betas: tuple[float, float] = (0.9, 0.999)) -> None:
        pairs = zip(mlp.weights, mlp.biases, strict=True)
        self.parameters = [p[member].detach().double().numpy().copy() for pair in pairs for p in pair]
        self.rate, self.betas, self.count = rate, betas, 0
        self.first = [np.zeros_like(p) for p in self.parameters]
        self.second = [np.zeros_like(p) for p in self.parameters]

    def __call__(self, x: np.ndarray) -> np.ndarray:
        self.inputs, self.before = [], []
        layers = len(self.parameters) // 2
        for layer in range(layers):
            self.inputs.append(x)
            x = x @ self.parameters[2 * layer] + self.parameters[2 * layer + 1]
            self.before.append(x)
            if layer < layers - 1:
                x = np.maximum(x, 0)
        return x

    def backward(self, slope: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Gradients of the parameters and of the input, from that of the last output."""
        gradients: list[np.ndarray] = []
        for layer in reversed(range(len(self.parameters) // 2)):
            if layer < len(self.parameters) // 2 - 1:
                slope = slope * (self.before[layer] > 0)
            gradients = [self.inputs[layer].T @ slope, slope.sum(0, keepdims=True), *gradients]
            slope = slope @ self.parameters[2 * layer].T
        return gradients, slope

    def step(self, gradients: list[np.ndarray]) -> None:
        """Kingma and Ba's Algorithm 1."""
        self.count += 1
        for p, g, m, v in zip(self.parameters, gradients, self.first, self.second, strict=True):
            m += (1 - self.betas[0]) * (g - m)
            v += (1 - self.betas[1]) * (g * g - v)
            mean, square = m / (1 - self.betas[0] ** self.count), v / (1 - self.betas[1] ** self.count)
            p -= self.rate * mean / (np.sqrt(square) + 1e-8)


def told(levels: int, level: np.ndarray) -> np.ndarray:
    """How a network is told the noise level."""
    place = np.pi * level[:, None] / (levels - 1) * np.array([1, 2, 4, 8])
    return np.concatenate([np.sin(place), np.cos(place)], 1)


def points(mode: np.ndarray, offset: np.ndarray) -> np.ndarray:
    """Of the ring of eight Gaussians, from the numbers that were drawn."""
    angle = np.floor(mode * 8) * np.pi / 4
    return 2 * np.stack([np.cos(angle), np.sin(angle)], 1) + 0.15 * offset.reshape(-1, 2)


def agree(network: nn.Module, member: int, net: Net, atol: float = 2e-5) -> None:
    mlp = network if isinstance(network, MLP) else network.body
    pairs = zip(mlp.weights, mlp.biases, strict=True)
    for got, want in zip([p for pair in pairs for p in pair], net.parameters, strict=True):
        np.testing.assert_allclose(got[member].detach(), want, atol=atol)
