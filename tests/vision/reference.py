"""BYOL and MoCo in plain float64, written from the papers' equations as functions of a list of weights.

Forward passes, optimizers, schedules and the queue are spelt out here and share no code with the package; what is
taken from PyTorch is the derivative of the loss. Weights stand in the order of a network's parameters.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor
from torch.nn.functional import pad

from companion import vision
from companion.runs.processes import ALONE, Processes
from companion.vision.loop import Training
from companion.vision.momentum import MomentumLearner

Statistics = list[tuple[Tensor, Tensor]]
"""Mean and unbiased variance of every batch normalisation of one pass, means over the parts."""


def convolution(x: Tensor, kernel: Tensor) -> Tensor:
    """With a border of one zero and a stride of 2."""
    side, places = kernel.shape[-1], (x.shape[-1] + 2 - kernel.shape[-1]) // 2 + 1
    x, reach = pad(x, (1, 1, 1, 1)), 2 * places - 1
    return sum(
        torch.einsum("bchw,oc->bohw", x[:, :, i : i + reach : 2, j : j + reach : 2], kernel[:, :, i, j])
        for i in range(side)
        for j in range(side)
    )


def normalisation(x: Tensor, scale: Tensor, shift: Tensor, parts: int, seen: Statistics) -> Tensor:
    shape = (1, -1, *[1] * (x.ndim - 2))
    normalised, means, variances = [], [], []
    for start in range(0, len(x), len(x) // parts):
        part = x[start : start + len(x) // parts]
        rows = part.transpose(0, 1).flatten(1)
        mean = rows.sum(1) / rows.shape[1]
        squares = (rows - mean[:, None]).square().sum(1)
        deviation = (squares / rows.shape[1] + 1e-5).sqrt()
        normalised.append((part - mean.view(shape)) / deviation.view(shape) * scale.view(shape) + shift.view(shape))
        means.append(mean)
        variances.append(squares / (rows.shape[1] - 1))
    seen.append((sum(means) / parts, sum(variances) / parts))
    return torch.cat(normalised)


def perceptron(weights: Iterator[Tensor], x: Tensor, parts: int, normalized: bool, seen: Statistics) -> Tensor:
    x = x @ next(weights).T
    x = normalisation(x, next(weights), next(weights), parts, seen) if normalized else x + next(weights)
    return (x * (x > 0)) @ next(weights).T + next(weights)


def network(
    weights: list[Tensor], images: Tensor, *, parts: int = 1, normalized: bool = True
) -> tuple[Tensor, Statistics]:
    """The small encoder and its projector: embeddings, and what batch normalisation saw."""
    rest, x, seen = iter(weights), 4 * images - 2, []
    for _ in range(3):
        x = normalisation(convolution(x, next(rest)), next(rest), next(rest), parts, seen)
        x = x * (x > 0)
    return perceptron(rest, x.mean((2, 3)), parts, normalized, seen), seen


def direction(rows: Tensor) -> Tensor:
    return rows / rows.square().sum(1, keepdim=True).sqrt()


def copies(tensors: Iterator[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone() for tensor in tensors]


class Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019), or SGD with momentum 0.9; in place."""

    def __init__(self, kind: str, weights: list[Tensor], decay: float) -> None:
        self.kind, self.weights, self.decay, self.count = kind, weights, decay, 0
        self.first, self.second = ([torch.zeros_like(w) for w in weights] for _ in range(2))

    def step(self, gradient: list[Tensor], rates: list[float]) -> None:
        self.count += 1
        for w, g, m, v, rate in zip(self.weights, gradient, self.first, self.second, rates, strict=True):
            if self.kind == "sgd":
                m.copy_(0.9 * m + g + self.decay * w)
                w -= rate * m
                continue
            m.copy_(0.9 * m + 0.1 * g)
            v.copy_(0.999 * v + 0.001 * g**2)
            unbiased = m / (1 - 0.9**self.count), v / (1 - 0.999**self.count)
            w.copy_(w - rate * self.decay * w - rate * unbiased[0] / (unbiased[1].sqrt() + 1e-8))


def follow_statistics(running: list[Tensor], seen: Statistics) -> None:
    """``running`` alternates means and variances."""
    for average, value in zip(running, [number for pair in seen for number in pair], strict=True):
        average.copy_(0.9 * average + 0.1 * value)


class Reference:
    """What both share. It begins with a learner's weights and goes on by itself."""

    def __init__(self, learner: MomentumLearner, steps: int) -> None:
        self.settings, self.steps = learner.settings, steps
        self.online, self.target = copies(learner.online.parameters()), copies(learner.target.parameters())
        self.running, self.target_running = copies(learner.online.buffers()), copies(learner.target.buffers())
        self.predictor: list[Tensor] = []

    def rate(self, step: int) -> float:
        s = self.settings
        if step <= s.warmup:
            return s.learning_rate * step / s.warmup
        return s.learning_rate * (1 + math.cos(math.pi * (step - 1 - s.warmup) / (self.steps - s.warmup))) / 2

    def learn(self, loss: Tensor, step: int, factors: list[float], tau: float) -> None:
        weights = [*self.online, *self.predictor]
        gradient = torch.autograd.grad(loss, weights)
        for weight in weights:
            weight.requires_grad_(False)
        if step == 1:
            self.optimizer = Optimizer(self.settings.optimizer, weights, self.settings.weight_decay)
        self.optimizer.step(list(gradient), [self.rate(step) * factor for factor in factors])
        for slow, fast in zip(self.target, self.online, strict=True):
            slow.copy_((1 - tau) * slow + tau * fast)


class BYOL(Reference):
    def __init__(self, learner: MomentumLearner, steps: int) -> None:
        super().__init__(learner, steps)
        self.predictor = copies(learner.predictor.parameters())
        self.predictor_running = copies(learner.predictor.buffers())

    def predict(self, embedding: Tensor) -> Tensor:
        if not self.settings.predictor:
            return embedding
        seen: Statistics = []
        prediction = perceptron(iter(self.predictor), embedding, 1, True, seen)
        follow_statistics(self.predictor_running, [(mean.detach(), variance.detach()) for mean, variance in seen])
        return prediction

    def step(self, step: int, first: Tensor, second: Tensor) -> float:
        for weight in [*self.online, *self.predictor]:
            weight.requires_grad_(True)
        online, targets = [], []
        for view in (first, second):
            embedding, seen = network(self.online, view)
            online.append(embedding)
            follow_statistics(self.running, [(mean.detach(), variance.detach()) for mean, variance in seen])
            if self.settings.stop_gradient:
                embedding, seen = network(self.target, view)
                follow_statistics(self.target_running, seen)
            targets.append(direction(embedding))
        loss = torch.zeros((), dtype=torch.float64)
        for embedding, target in zip(online, reversed(targets), strict=True):
            distance = (direction(self.predict(embedding)) - target).square().sum(1)  # equation 2
            loss = loss + distance.mean()
        factors = [1.0] * len(self.online) + [self.settings.predictor_rate] * len(self.predictor)
        tau = self.settings.tau
        if self.settings.anneal:
            tau *= (math.cos(math.pi * step / self.steps) + 1) / 2
        self.learn(loss, step, factors, tau)
        return loss.item()


class MoCo(Reference):
    def __init__(self, learner: MomentumLearner, steps: int) -> None:
        super().__init__(learner, steps)
        self.queue, self.oldest = list(learner.queue.clone()), 0

    def step(self, step: int, first: Tensor, second: Tensor, order: list[int]) -> float:
        """``second`` in the order of ``first``; ``order`` is that in which the slow copy sees it."""
        s = self.settings
        for weight in self.online:
            weight.requires_grad_(True)
        query, seen = network(self.online, first, parts=s.parts, normalized=s.normalized)
        follow_statistics(self.running, [(mean.detach(), variance.detach()) for mean, variance in seen])
        shuffled, seen = network(self.target, second[order], parts=s.parts, normalized=s.normalized)
        follow_statistics(self.target_running, seen)
        keys: list[Tensor] = [query] * len(order)
        for row, picture in enumerate(order):
            keys[picture] = direction(shuffled)[row]
        losses = []
        for q, positive in zip(direction(query), keys, strict=True):
            similar = torch.stack([q @ positive, *(q @ negative for negative in self.queue)]) / s.temperature
            losses.append(-(similar[0].exp() / similar.exp().sum()).log())  # equation 1
        loss = sum(losses) / len(losses)
        self.learn(loss, step, [1.0] * len(self.online), s.tau)
        for key in keys:
            self.queue[self.oldest] = key
            self.oldest = (self.oldest + 1) % len(self.queue)
        return loss.item()


class InDouble(vision.Views):
    """Views whose numbers are in double precision."""

    def __call__(self, step: int) -> vision.Pair:
        pair = super().__call__(step)
        return vision.Pair(pair.first.double(), pair.second.double(), pair.order)


PICTURES = vision.shapes(train=256, test=64)
SMALL = {"batch_size": 32, "hidden": 16, "embedding": 8, "warmup": 2}


def in_double(algorithm: str, *, steps: int, seed: int = 0, processes: Processes = ALONE, **settings) -> Training:
    """A learner in training, in double precision, as `vision.train` would make it."""
    learner = vision.make_learner(algorithm, updates=steps, seed=seed, **{**SMALL, **settings}).double()
    given = {"batch_size": learner.settings.batch_size, "seed": seed, "shuffle": learner.shuffle}
    views = InDouble(PICTURES.train.images, PICTURES.augmentation, **given, processes=processes)
    return Training(learner, views, steps)


def assert_close(ours, theirs, atol: float = 1e-10) -> None:
    """Weights are of the order of 1, and so are the statistics."""
    ours, theirs = list(ours), list(theirs)
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one.detach(), other.detach(), rtol=0, atol=atol)
