"""The program of a step, recorded once on a GPU and played back: a CUDA graph.

A step of small networks is some hundred operations of a few microseconds each, and on a GPU the host spends longer on
launching them than the GPU on computing. A CUDA graph is all these launches recorded, and launched as one.
"""

import warnings
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import torch

__all__ = ["RECORDERS", "Captured", "CudaGraphs", "Recorder", "warn_unrecorded"]


@runtime_checkable
class Recorder(Protocol):
    """How a device records a function."""

    def run(self, function: Callable[[], object]) -> None:
        """Call it as it is, in the way that has to come before a recording."""

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        """Record it, which computes nothing, and return what replays it. What is raised is why that cannot be."""


class CudaGraphs:
    """Records as a CUDA graph; a :class:`Recorder`.

    Args:
        device: a GPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        # One stream for the first calls and for the recording: the workspaces of its matrix products are made once.
        self._stream = torch.cuda.Stream(device)

    def run(self, function: Callable[[], object]) -> None:
        """Call it on a stream of its own."""
        with torch.cuda.device(self.device):
            current = torch.cuda.current_stream()
            self._stream.wait_stream(current)  # begins after all before,
            with torch.cuda.stream(self._stream):
                function()
            current.wait_stream(self._stream)  # and all later waits for it

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        """Record it on the same stream."""
        # By torch 2.13's source its allocator may go on asking a graph that was never finished, so that is kept; and
        # `torch.cuda.graph` does not leave the stream where a recording fails, so that is entered here, too.
        self._graph = graph = torch.cuda.CUDAGraph()
        device, stream = torch.cuda.device(self.device), torch.cuda.stream(self._stream)
        with device, stream, torch.cuda.graph(graph, stream=self._stream):
            function()

        def replay() -> None:
            with torch.cuda.device(self.device):
                graph.replay()

        return replay


RECORDERS: dict[str, Callable[[torch.device], Recorder]] = {"cuda": CudaGraphs}
"""Type of a device to what records on it. On every other a function is simply called."""


def warn_unrecorded(reason: str, name: str = "a step") -> None:
    """Say that something runs as it is instead of recorded."""
    warnings.warn(
        f"{name} could not be recorded as a graph; it goes on unrecorded, with the same numbers but more slowly. The "
        f"reason: {reason}",
        RuntimeWarning,
        stacklevel=2,
    )


class Captured:
    """A function that a GPU records and replays, and that elsewhere is simply called.

        step = Captured(functools.partial(loop.step, 0), device)
        for _ in range(1_000):
            step()

    On CUDA the first three calls run as they are, on a stream of their own, as PyTorch asks before a recording: by then
    what is made on first use (handles, workspaces, gradients' buffers) exists. They are real calls: nothing is done
    twice, and nothing is undone. The fourth call records the function, which computes nothing, and replays the
    recording; every later call replays it. So n calls are n steps, on any device.

    Where the recording fails, that is reported, and this call and all later ones run as on a CPU. A recording computes
    nothing, so nothing is lost or done twice: n calls are n steps then, too.

    A replay repeats the same operations *on the same memory*. That is the function again if and only if it

    - keeps all that lasts in tensors that exist before the first call, and changes them in place;
    - has fixed shapes, and takes no branch on data: no ``.item()``, no ``.cpu()``, no boolean mask as an index;
    - reads no number of the host that changes: the arguments that it is called with are fixed, here by
      ``functools.partial``, and a counter is a tensor. Its forms that differ are recorded each by its own;
    - makes random numbers elsewhere: see :class:`~companion.members.Noise`;
    - leaves its results in those tensors. What it returns is dropped.

    The memory that a recording needs in passing stays reserved as long as the object lives.

    Source: PyTorch, "CUDA semantics", section "CUDA Graphs", https://docs.pytorch.org/docs/stable/notes/cuda.html.

    Args:
        function: takes no arguments.
        device: where its tensors live.
        report: is told why the recording failed, if it did.
    """

    WARM_UP = 3
    """Calls before the recording, as many as ``torch.cuda.make_graphed_callables`` makes."""

    def __init__(
        self,
        function: Callable[[], object],
        device: torch.device,
        report: Callable[[str], object] = warn_unrecorded,
    ) -> None:
        self.function = function
        self.report = report
        self.calls = 0
        make = RECORDERS.get(device.type)
        self._recorder = make(device) if make else None
        self._call: Callable[[], object] = partial(self._recorder.run, function) if self._recorder else function

    def __call__(self) -> None:
        """Take the step."""
        if self._recorder and self.calls == self.WARM_UP:
            self._record(self._recorder)
        self._call()
        self.calls += 1

    def _record(self, recorder: Recorder) -> None:
        self._call = self.function
        try:
            self._call = recorder.record(self.function)
        except Exception as error:  # any: if the function itself is at fault, the call that comes now says so
            first = error.__context__ or error  # what was amiss, and not that the recording could not be ended
            reason, _, _ = str(first).strip().partition("\n")
            self.report(f"{type(first).__name__}: {reason}")
