"""Momentum, Lookahead and schedule-free descent, against float64 NumPy and torch's own."""

import numpy as np
import pytest
import torch

from companion.supervised.optimizers import OPTIMIZERS

MEMBERS, STEPS = 3, 23
RATES, MOMENTA = np.array([0.1, 0.2, 0.05]), np.array([0.9, 0.5, 0.0])
CURVATURE = np.array([1.0, 0.3, 2.0, 0.7])


def gradient(weights: np.ndarray) -> np.ndarray:
    """Of a quadratic."""
    return CURVATURE * (weights - 1)


def momentum(start: np.ndarray, every: int | None = None) -> np.ndarray:
    fast, slow, velocity = start.copy(), start.copy(), np.zeros_like(start)
    for step in range(1, STEPS + 1):
        velocity = MOMENTA[:, None] * velocity + gradient(fast)
        fast = fast - RATES[:, None] * velocity
        if every and step % every == 0:
            slow = slow + 0.5 * (fast - slow)
            fast = slow.copy()
    return slow if every else fast


def schedule_free(start: np.ndarray) -> np.ndarray:
    z, iterates, x = start.copy(), [], start.copy()
    for _ in range(STEPS):
        y = (1 - MOMENTA[:, None]) * z + MOMENTA[:, None] * x
        z = z - RATES[:, None] * gradient(y)
        iterates.append(z)
        x = np.mean(iterates, 0)
    return x


REFERENCES = {
    "sgd": momentum,
    "lookahead": lambda start: momentum(start, every=5),
    "schedule-free": schedule_free,
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_the_answer_is_that_of_a_float64_reference(name: str) -> None:
    start = np.random.default_rng(0).normal(size=(MEMBERS, 4))
    optimizer = OPTIMIZERS[name](torch.from_numpy(start), torch.from_numpy(MOMENTA))
    for step in range(1, STEPS + 1):
        slope = torch.from_numpy(gradient(optimizer.point.numpy()))
        optimizer.step(slope, torch.from_numpy(RATES), step)
    np.testing.assert_allclose(optimizer.answer, REFERENCES[name](start), rtol=1e-12)


def test_momentum_is_torchs() -> None:
    start = torch.arange(4.0, dtype=torch.float64)
    theirs = torch.nn.Parameter(start.clone())
    sgd = torch.optim.SGD([theirs], lr=0.1, momentum=0.9)
    ours = OPTIMIZERS["sgd"](start[None], torch.tensor([0.9], dtype=torch.float64))
    for step in range(1, STEPS + 1):
        theirs.grad = torch.from_numpy(gradient(theirs.detach().numpy()))
        sgd.step()
        slope = torch.from_numpy(gradient(ours.point.numpy()))
        ours.step(slope, torch.tensor([0.1], dtype=torch.float64), step)
    torch.testing.assert_close(ours.answer[0], theirs.detach())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_all_that_it_goes_on_from_is_in_its_state(name: str) -> None:
    start, momenta, rates = torch.ones(MEMBERS, 4), torch.tensor(MOMENTA).float(), torch.tensor(RATES).float()
    whole, again = (OPTIMIZERS[name](start, momenta) for _ in range(2))
    for step in range(1, STEPS + 1):
        whole.step(whole.point * 0.5 + 1, rates, step)
        if step == 8:
            for part, tensor in again.state.items():
                tensor.copy_(whole.state[part])
        if step > 8:
            again.step(again.point * 0.5 + 1, rates, step)
    torch.testing.assert_close(again.answer, whole.answer, rtol=0, atol=0)
