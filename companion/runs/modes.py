"""Torch's modes while a training call runs: its own, whatever the caller's are."""

import contextlib
from collections.abc import Iterator

import torch

__all__ = ["plain_modes"]

_AUTOCAST = ("cpu", "cuda", "mps", "xpu")


@contextlib.contextmanager
def plain_modes() -> Iterator[None]:
    """Torch as it starts, and afterwards again as the caller had it; also a function's decorator.

        with torch.inference_mode():
            rl.train("dqn", "CartPole-v1")  # decorated, it trains and gives the numbers that it gives outside

    While it lasts, autocast and inference mode are off, gradients are on, and tensors are made in float32 on the CPU
    unless it is said otherwise. What decides the speed of a kernel or whether it is deterministic stays the caller's.
    """
    dtype = torch.get_default_dtype()
    with contextlib.ExitStack() as modes:
        modes.enter_context(torch.inference_mode(False))
        modes.enter_context(torch.enable_grad())
        for kind in filter(torch.is_autocast_enabled, _AUTOCAST):
            modes.enter_context(torch.autocast(kind, enabled=False))
        if torch.get_default_device().type != "cpu":  # not always: it costs each call of torch a little
            modes.enter_context(torch.device("cpu"))
        modes.callback(torch.set_default_dtype, dtype)
        torch.set_default_dtype(torch.float32)
        yield
