"""A captured step is the step: as many calls, as many steps, the same numbers."""

import contextlib
import functools

import pytest
import torch
from torch import Tensor

from companion.averaging import soft_update
from companion.members import MLP, Adam, flatten
from companion.runs import capture
from companion.runs.capture import Captured
from tests.fake_device import Tracing
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


def looking(program: Program) -> None:
    """A step that cannot be recorded."""
    program.step(1.0 + program.index.item())


@needs_cuda
def test_where_a_gpu_cannot_record_it_says_why_and_goes_on_with_the_same_numbers():
    device = torch.device("cuda")
    plain, captured = Program(device), Program(device)
    step, stream = Captured(functools.partial(looking, captured), device), torch.cuda.current_stream()
    for call in range(10):
        with pytest.warns(RuntimeWarning, match="goes on unrecorded") if call == 3 else contextlib.nullcontext():
            step()
        looking(plain)
        assert_same(plain, captured)
        assert torch.cuda.current_stream() == stream
    recorded = Captured(captured.step, device)  # another program is none the worse for it
    for _ in range(6):
        recorded()
        plain.step()
        assert_same(plain, captured)


class Watching(Tracing):
    """Looks at the program before and after a recording."""

    program: Program
    fails_at: str = ""

    def record(self, function):
        before = [tensor.clone() for tensor in self.program.state()]
        try:
            if self.fails_at == "begin":
                raise RuntimeError("out of memory")
            try:
                return super().record(function)
            finally:
                if self.fails_at == "end":
                    raise RuntimeError("capture was invalidated\n  and much more")
        finally:
            assert all(torch.equal(a, b) for a, b in zip(before, self.program.state(), strict=True))


@pytest.mark.parametrize(
    ("step", "fails_at", "reason"),
    [
        (looking, "", "DataDependentOutputException: aten._local_scalar_dense.default"),
        (looking, "end", "DataDependentOutputException: aten._local_scalar_dense.default"),  # not that it ended badly
        (Program.step, "end", "RuntimeError: capture was invalidated"),
        (Program.step, "begin", "RuntimeError: out of memory"),
    ],
)
def test_a_recording_that_fails_is_reported_and_changes_nothing(step, fails_at, reason, monkeypatch):
    cpu = torch.device("cpu")
    plain, captured = Program(cpu), Program(cpu)
    monkeypatch.setattr(Watching, "program", captured, raising=False)
    monkeypatch.setattr(Watching, "fails_at", fails_at)
    monkeypatch.setitem(capture.RECORDERS, "cpu", Watching)
    said: list[str] = []
    call = Captured(functools.partial(step, captured), cpu, said.append)
    for number in range(10):
        call()
        step(plain)
        assert_same(plain, captured)
        assert said == ([] if number < 3 else [reason])


def test_one_that_works_is_replayed_and_nothing_is_said(monkeypatch):
    cpu = torch.device("cpu")
    tracing = Tracing(cpu)
    monkeypatch.setitem(capture.RECORDERS, "cpu", lambda device: tracing)
    plain, captured = Program(cpu), Program(cpu)
    step = Captured(captured.step, cpu)
    for _ in range(10):
        step()
        plain.step()
        assert_same(plain, captured)
    assert tracing.recorded == 1


def test_a_function_at_fault_says_so_itself_when_it_is_called_unrecorded(monkeypatch):
    monkeypatch.setitem(capture.RECORDERS, "cpu", Tracing)
    answers = iter([1, 2, 3])
    step = Captured(lambda: next(answers), torch.device("cpu"))
    for _ in range(3):
        step()
    with pytest.warns(RuntimeWarning, match="StopIteration"), pytest.raises(StopIteration):
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


class Left(contextlib.AbstractContextManager):
    """A stream that tells when it is left."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __exit__(self, *error: object) -> None:
        calls.append(f"left {self.stream.name}")


@pytest.fixture
def gpu(monkeypatch):
    """Stand-ins for what only a GPU has, which tell `calls` of the order of things. Called with False they record no
    more."""
    calls.clear()
    main, works = Stream("main"), [True]

    @contextlib.contextmanager
    def recording(graph, stream):
        calls.append(f"record on {stream.name}")
        yield
        if not works[-1]:
            raise RuntimeError("capture was invalidated")
        calls.append("recorded")

    monkeypatch.setattr(torch.cuda, "device", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "stream", contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda: main)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    return works.append


def test_three_calls_as_they_are_then_one_recording_and_a_replay_for_each(gpu):
    step = Captured(lambda: calls.append("function"), torch.device("cuda"))
    for _ in range(6):
        step()
    real = ["side waits for main", "function", "main waits for side"]
    assert calls == [*real * 3, "record on side", "function", "recorded", *["replay"] * 3]
    assert step.calls == 6


def test_after_a_recording_that_failed_there_are_only_plain_calls(gpu, monkeypatch):
    step = Captured(lambda: calls.append("function"), torch.device("cuda"))
    for _ in range(3):
        step()
    calls.clear()
    gpu(False)
    monkeypatch.setattr(torch.cuda, "stream", Left)
    with pytest.warns(RuntimeWarning, match="RuntimeError: capture was invalidated"):
        step()
    step()
    assert calls == ["record on side", "function", "left side", "function", "function"]
    assert step.calls == 5
