"""A second device that every machine has: its tensors have shapes, types and a place, and hold no data.

What runs on it is torch's own (``FakeTensorMode``, device ``meta``: on a CPU build of torch fake ``cuda`` tensors
cannot be indexed from Python), and the CPU stays real beside it. So a whole training call runs there as it would on a
GPU, with ``device=DEVICE``, and raises where a GPU would, or would quietly wait or compute something else:

- an operation on tensors of both devices is refused, whatever torch makes of it: a number that lies on the CPU (torch
  takes it along, and a recorded graph repeats the one it has seen) and a CPU tensor as an index too. A copy is allowed;
- inside of a step a look at data (``.item()``, ``bool(tensor)``, ``.tolist()``, ``.cpu()``) is refused. Elsewhere the
  answer is always 1, which is yes. A shape that depends on data (a mask as an index) is refused everywhere;
- inside of a step that a GPU records, the CPU has no part: no tensor of it, and no copy from it.

``.numpy()`` needs no refusal: as that of any device but the CPU, torch refuses it.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from torch import Tensor
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensor,
    FakeTensorMode,
)
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import keystr, tree_flatten_with_path, tree_leaves, tree_map_only
from torch.utils.weak import WeakTensorKeyDictionary

from companion.averaging import updates
from companion.runs import capture
from companion.vision import augmentation, encoders, training

__all__ = ["DEVICE", "DeviceError", "FakeDevice", "Tracing", "in_slices", "second_device"]

DEVICE = torch.device("meta")
CPU = torch.device("cpu")

_aten = torch.ops.aten
_COPIES = {_aten._to_copy.default, _aten.copy_.default}
_SILENT = {_aten._fused_sgd_.default}
"""What works in place, and which torch cannot call without data."""
_LOOKS = {_aten._local_scalar_dense.default, _aten.equal.default, _aten.is_nonzero.default}


class DeviceError(Exception):
    """What no GPU would take, or none in a recorded step."""


class FakeDevice(TorchDispatchMode):
    """While it is entered, ``meta`` is a device like another, but for the values."""

    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode(allow_non_fake_inputs=True)
        self.answer = 1
        """What a look at data is answered by, where it is allowed."""
        self.inside = ""
        """``"step"`` or ``"recorded step"``, or nothing."""
        self.steps = {"step": 0, "recorded step": 0}
        """How many were taken."""
        self.saved: list[set[torch.device]] = []
        """Where the tensors of the program were, of each checkpoint."""
        self.values = WeakTensorKeyDictionary()
        """Of what was read from a checkpoint: whoever copies it back to the CPU has what it was."""

    @contextlib.contextmanager
    def step(self, kind: str = "step") -> Iterator[None]:
        """What is called in it looks at no data."""
        before, self.inside = self.inside, kind
        self.steps[kind] += 1
        try:
            yield
        finally:
            self.inside = before

    def steps_in(self, function: Callable[..., Any], kind: str = "step") -> Callable[..., Any]:
        """The function, every call of which is a step."""

        def called(*arguments: Any, **named: Any) -> Any:
            with self.step(kind):
                return function(*arguments, **named)

        return called

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        places = {tensor.device for tensor in tensors}
        there = torch.device(kwargs["device"]) if kwargs.get("device") is not None else None
        if there is None and not places and func.namespace == "aten":
            there = CPU  # a factory's default
        if func in _COPIES or func in _LOOKS:
            return self._moved(func, args, kwargs, there)
        if len(places) > 1:
            raise DeviceError(f"{func} has tensors on {' and '.join(sorted(map(str, places)))}")
        if self.inside == "recorded step":
            if CPU in places or there == CPU:
                raise DeviceError(f"{func} is computed on the CPU, inside of a recorded step")
            if any(tensor.device == DEVICE and not isinstance(tensor, FakeTensor) for tensor in tensors):
                raise DeviceError(f"{func} has a tensor made of the host's numbers, inside of a recorded step")
        if DEVICE not in places and there != DEVICE:
            return func(*args, **kwargs)
        return None if func in _SILENT else self._without_data(func, args, kwargs)

    def _without_data(self, func: Any, args: Any, kwargs: Any) -> Any:
        try:
            with self.fake:
                return func(*args, **kwargs)
        except (DataDependentOutputException, DynamicOutputShapeException) as error:
            raise DeviceError(f"{func} looks at data for the shape of what it returns") from error

    def _moved(self, func: Any, args: Any, kwargs: Any, there: torch.device | None) -> Any:
        """What goes from one device to another, or to Python."""
        source = args[1] if func is _aten.copy_.default else args[0]
        target = args[0] if func is _aten.copy_.default else None
        to = target.device if target is not None else there or source.device
        if func in _LOOKS:
            to = CPU
        if self.inside and to == CPU and source.device == DEVICE:
            raise DeviceError(f"{func} looks at data, inside of a {self.inside}")
        if self.inside == "recorded step" and CPU in (to, source.device):
            raise DeviceError(f"{func} needs the CPU, inside of a recorded step")
        if source.device == CPU and to == CPU:
            return func(*args, **kwargs)
        if to == DEVICE:
            return self._without_data(func, args, kwargs)
        if func is _aten.equal.default:
            return bool(self.answer)
        if func in _LOOKS:
            return torch.full((), self.answer, dtype=source.dtype).item()
        if target is not None:
            return target.fill_(self.answer)
        if source in self.values:
            return self.values[source]
        return torch.full(source.shape, self.answer, dtype=kwargs.get("dtype") or source.dtype)


class Recorder:
    """Stands in for a GPU's: what a recorded step may not do is refused from its first call on."""

    def __init__(self, device: FakeDevice) -> None:
        self.device = device

    def run(self, function: Callable[[], object]) -> None:
        with self.device.step("recorded step"):
            function()

    def record(self, function: Callable[[], object]) -> Callable[[], None]:
        return lambda: self.run(function)


class Tracing:
    """Stands in for a GPU's recorder, on the CPU: to record a function it is called on tensors without data. So nothing
    is computed, and a look at data fails. What was recorded is the function."""

    def __init__(self, device: torch.device) -> None:
        self.recorded = 0

    def run(self, function: Callable[[], object]) -> None:
        function()

    def record(self, function: Callable[[], object]) -> Callable[[], object]:
        with pytest.MonkeyPatch.context() as patch, _WithoutData():
            patch.setattr(updates, "readable", lambda tau: False)  # as on a GPU
            function()
        self.recorded += 1
        return function


class _WithoutData(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.fake = FakeTensorMode()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        def without(tensor: Tensor) -> Tensor:
            return tensor if isinstance(tensor, FakeTensor) else self.fake.from_tensor(tensor)

        args, kwargs = tree_map_only(Tensor, without, (args, kwargs or {}))
        with self.fake:
            return func(*args, **kwargs)


def in_slices(train: Callable[..., xr.Dataset], path: Path) -> int:
    """Train a step at a time, each time from the checkpoint of the one before; returns how often.

    An evaluation is broken off at once, and has a call of its own.
    """
    calls = 1
    while "interrupted" in train(checkpoint=path, minutes=0).attrs:
        calls += 1
    return calls


@contextlib.contextmanager
def second_device() -> Iterator[FakeDevice]:
    """The fake device, entered, with what the package asks of a device beyond its tensors."""
    forget = augmentation.colour_space.cache_clear
    save, load, autocast, address = torch.save, torch.load, torch.autocast, torch.UntypedStorage.data_ptr

    def saved(content: Any, *arguments: Any, **named: Any) -> None:
        if isinstance(content, dict) and "state" in content:
            kept, _ = tree_flatten_with_path(content["state"]["program"])
            # A clock's count is the host's.
            kept = [part for place, part in kept if not re.search("clock|_extra_state", keystr(place))]
            device.saved.append({tensor.device for tensor in kept if isinstance(tensor, Tensor)})
        save(tree_map_only(FakeTensor, Tensor.cpu, content), *arguments, **named)

    def loaded(file: Any, map_location: Any = "cpu", **named: Any) -> Any:
        content = load(file, "cpu", **named)
        return tree_map_only(Tensor, lambda tensor: arrived(tensor, tensor.to(map_location)), content)

    def arrived(tensor: Tensor, there: Tensor) -> Tensor:
        device.values[there] = tensor
        return there

    def placed(storage: torch.UntypedStorage) -> int:
        return storage._cdata if storage.device == DEVICE else address(storage)

    def cast(kind: str, *arguments: Any, **named: Any) -> torch.autocast:
        return autocast("cpu" if kind == DEVICE.type else kind, *arguments, **named)

    def on_the_cpu(name: str) -> encoders.Encoder:
        with CPU:
            return encoders.make_encoder(name)

    device = FakeDevice()
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setitem(capture.RECORDERS, DEVICE.type, lambda _: Recorder(device))
        patch.setattr(torch, "save", saved)
        patch.setattr(torch, "load", loaded)
        patch.setattr(torch, "autocast", cast)
        patch.setattr(torch.UntypedStorage, "data_ptr", placed)
        kernels = import_module("torch.optim.optimizer")  # which `torch.optim` does not show
        patch.setattr(kernels, "_get_fused_kernels_supported_devices", lambda: ["cpu", DEVICE.type])
        patch.setattr(training, "make_encoder", on_the_cpu)
        forget()
        yield device
    forget()
