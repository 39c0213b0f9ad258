"""A captured step is the step: as many calls, as many steps, the same numbers."""

import contextlib
import functools

import pytest
import torch
from torch import Tensor

from companion.averaging import soft_update
from companion.population import MLP, Adam, flatten
from companion.population.capture import Captured
from tests.helpers import needs_cuda


class Program:
    """A small learner with a target that follows slowly: what a captured step is made for."""

    def __init__(self, device: torch.device) -> None:
        seeds = [0, 1, 2]
        self.online, target = MLP((4, 16, 1), seeds).to(device), MLP((4, 16, 1), seeds).to(device)
        self.optimizer = Adam(self.online, torch.tensor([1e-2, 1e-3, 0.0], device=device))
        self.target_weights = flatten(target.requires_grad_(False))
        self.target = target
        self.tau = torch.tensor([1.0, 0.1, 0.01], device=device)
        self.batches = torch.randn(64, 3, 8, 4, generator=torch.Generator().manual_seed(0)).to(device)
        self.index = torch.zeros(1, dtype=torch.int64, device=device)
        self.loss = torch.zeros(3, device=device)

    def step(self, scale: float = 1.0) -> None:
        batch = self.batches.index_select(0, self.index).squeeze(0)
        self.index.add_(1)
        error = self.online(batch) - scale - 0.9 * self.target(batch)
        loss = error.square().mean((1, 2))
        self.optimizer.step(torch.autograd.grad(loss.sum(), list(self.online.parameters())))
        soft_update([self.optimizer.weights], [self.target_weights], self.tau)
        self.loss.add_(loss.detach())

    def state(self) -> list[Tensor]:
        adam = self.optimizer
        return [adam.weights, adam.first, adam.second, adam.count, self.target_weights, self.index, self.loss]


def assert_same(a: Program, b: Program) -> None:
    for x, y in zip(a.state(), b.state(), strict=True):
        assert torch.equal(x, y)


def test_on_a_cpu_it_is_the_function():
    plain, captured = Program(torch.device("cpu")), Program(torch.device("cpu"))
    step = Captured(captured.step, torch.device("cpu"))
    for _ in range(5):
        plain.step()
        assert step() is None
        assert_same(plain, captured)


@needs_cuda
@pytest.mark.parametrize("forms", [1, 2])
def test_a_replay_equals_the_eager_program_bit_for_bit(forms):
    """Also where two forms of a step take turns, each recorded by its own."""
    device = torch.device("cuda")
    plain, captured = Program(device), Program(device)
    steps = [Captured(functools.partial(captured.step, 1.0 + form), device) for form in range(forms)]
    for i in range(50):
        plain.step(1.0 + i % forms)
        steps[i % forms]()
        assert_same(plain, captured)
    assert captured.index.item() == 50


@needs_cuda
def test_what_is_changed_in_place_between_replays_is_seen():
    device = torch.device("cuda")
    plain, captured = Program(device), Program(device)
    step = Captured(captured.step, device)
    for i in range(20):
        if i % 6 == 5:
            for program in (plain, captured):
                program.batches.mul_(0.5)
                program.index.zero_()
        plain.step()
        step()
    assert_same(plain, captured)


@needs_cuda
def test_a_look_at_data_cannot_be_recorded():
    value = torch.zeros((), device="cuda")
    step = Captured(lambda: value.add_(value.item()), torch.device("cuda"))
    for _ in range(3):
        step()
    with pytest.raises(RuntimeError):
        step()


class Graph:
    """Stands in for `torch.cuda.CUDAGraph`: remembers what was called while it was recorded."""

    def __init__(self) -> None:
        self.replays = 0

    def replay(self) -> None:
        self.replays += 1
        calls.append("replay")


class Stream:
    def __init__(self, name: str = "side") -> None:
        self.name = name

    def wait_stream(self, other: "Stream") -> None:
        calls.append(f"{self.name} waits for {other.name}")


calls: list[str] = []


def test_three_calls_as_they_are_then_one_recording_and_a_replay_for_each(monkeypatch):
    """The order of things on a GPU, with stand-ins for what only a GPU has."""
    calls.clear()
    main = Stream("main")

    @contextlib.contextmanager
    def recording(graph, stream):
        calls.append(f"record on {stream.name}")
        yield
        calls.append("recorded")

    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: main)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    step = Captured(lambda: calls.append("function"), torch.device("cuda"))
    for _ in range(6):
        step()
    real = ["side waits for main", "function", "main waits for side"]
    assert calls == [*real * 3, "record on side", "function", "recorded", *["replay"] * 3]
    assert step.calls == 6
