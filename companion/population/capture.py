"""The program of a step, recorded once on a GPU and played back: a CUDA graph.

A step of small networks is some hundred operations of a few microseconds each, and on a GPU the host spends longer on
launching them than the GPU on computing. A CUDA graph is all these launches recorded, and launched as one.
"""

from collections.abc import Callable

import torch

__all__ = ["Captured"]


class Captured:
    """A function that a GPU records and replays, and that elsewhere is simply called.

        step = Captured(functools.partial(loop.step, 0), device)
        for _ in range(1_000):
            step()

    On CUDA the first three calls run as they are, on a stream of their own, as PyTorch asks before a recording: by then
    what is made on first use (handles, workspaces, gradients' buffers) exists. They are real calls: nothing is done
    twice, and nothing is undone. The fourth call records the function, which computes nothing, and replays the
    recording; every later call replays it. So n calls are n steps, on any device.

    A replay repeats the same operations *on the same memory*. That is the function again if and only if it

    - keeps all that lasts in tensors that exist before the first call, and changes them in place;
    - has fixed shapes, and takes no branch on data: no ``.item()``, no ``.cpu()``, no boolean mask as an index;
    - reads no number of the host that changes: the arguments that it is called with are fixed, here by
      ``functools.partial``, and a counter is a tensor. Its forms that differ are recorded each by its own;
    - makes random numbers elsewhere: see :class:`~companion.population.Noise`;
    - leaves its results in those tensors. What it returns is dropped.

    The memory that a recording needs in passing stays reserved as long as the object lives.

    Source: PyTorch, "CUDA semantics", section "CUDA Graphs", https://docs.pytorch.org/docs/stable/notes/cuda.html.

    Args:
        function: takes no arguments.
        device: where its tensors live.
    """

    WARM_UP = 3
    """Calls before the recording, as many as ``torch.cuda.make_graphed_callables`` makes."""

    def __init__(self, function: Callable[[], object], device: torch.device) -> None:
        self.function = function
        self.device = device
        self.calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None
        # One stream for the first calls and for the recording: the workspaces of its matrix products are made once.
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None

    def __call__(self) -> None:
        """Take the step."""
        stream = self._stream
        if stream is None:
            self.function()
            return
        with torch.cuda.device(self.device):
            if self.calls < self.WARM_UP:
                current = torch.cuda.current_stream()
                stream.wait_stream(current)  # begins after all before,
                with torch.cuda.stream(stream):
                    self.function()
                current.wait_stream(stream)  # and all later waits for it
            else:
                if self._graph is None:
                    graph = torch.cuda.CUDAGraph()
                    with torch.cuda.graph(graph, stream=stream):
                        self.function()
                    self._graph = graph
                self._graph.replay()
        self.calls += 1
