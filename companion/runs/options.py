"""The options of every run: where it computes, what it leaves on the disk, when it ends."""

import functools
import inspect
import os
import re
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any, ParamSpec, TypeVar

import torch

from companion.runs.modes import plain_modes
from companion.runs.processes import local_device
from companion.runs.settings import a_duration, true_or_false

__all__ = ["Options", "choose_device", "takes_options"]

P = ParamSpec("P")
R = TypeVar("R")


_TEXT = """device: where to train; by default the GPU where there is one, else the CPU.
checkpoint: file that the run is kept in while it trains, and its result afterwards. It is replaced as a whole. Under
    ``torchrun`` every process has its own, with its rank in the name, unless they train every network together.
checkpoint_every: seconds from one writing to the next; 0 is after every step.
minutes: time after which to stop; no limit if None. With a ``checkpoint``, call again to go on.
progress: whether to show a progress bar (never where the environment variable ``COMPANION_PROGRESS`` is 0)."""


@dataclass(frozen=True)
class Options:
    """Options of every run, which change no number of its result but where a device rounds differently.

    Args:
        {options}

    Raises:
        ValueError: a device that torch does not know or find here, or a negative time.
        TypeError: a value of the wrong type.
    """

    device: str | torch.device | None = None
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_every: int | float = 60.0
    minutes: int | float | None = None
    progress: bool = True

    def __post_init__(self) -> None:
        if self.checkpoint is not None and not isinstance(self.checkpoint, (str, os.PathLike)):
            raise TypeError(f"checkpoint={self.checkpoint!r} must be the path of a file, or None")
        a_duration("seconds", checkpoint_every=self.checkpoint_every)
        a_duration("minutes", **({} if self.minutes is None else {"minutes": self.minutes}))
        true_or_false(progress=self.progress)
        object.__setattr__(self, "device", choose_device(self.device))

    @property
    def chosen_device(self) -> torch.device:
        """The device that was chosen."""
        assert isinstance(self.device, torch.device)
        return self.device

    @classmethod
    def among(cls, given: dict[str, Any]) -> "Options":
        """Take the options out of what was given by name, and leave the rest."""
        return cls(**{option.name: given.pop(option.name) for option in fields(cls) if option.name in given})


def takes_options(train: Callable[P, R]) -> Callable[P, R]:
    """Give a training call the options of every run: in its signature, and in its docstring, where ``{options}`` is::

        @takes_options
        def train(dataset, *, seeds=8, **settings):
            options = Options.among(settings)

    While it runs, torch's modes are those that torch starts with.
    """

    def call(*words: P.args, **given: P.kwargs) -> R:
        with plain_modes():
            return train(*words, **given)

    functools.update_wrapper(call, train)
    del call.__wrapped__  # type: ignore[attr-defined]  # its signature is another
    *own, others = inspect.signature(train).parameters.values()
    named = inspect.Parameter.KEYWORD_ONLY
    ours = [inspect.Parameter(o.name, named, default=o.default, annotation=o.type) for o in fields(Options)]
    call.__signature__ = inspect.signature(train).replace(parameters=[*own, *ours, others])  # type: ignore[attr-defined]
    call.__doc__ = _documented(train)
    return call


def _documented(thing: Any) -> str:
    """Its docstring, with the options' in the place for them."""
    text = inspect.getdoc(thing) or ""
    return re.sub(r"^( *)\{options\}$", lambda found: textwrap.indent(_TEXT, found[1]), text, flags=re.M)


Options.__doc__ = _documented(Options)


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """The device asked for; without one the GPU where there is one, else the CPU.

    Where ``torchrun`` started several processes, ``"cuda"`` is for each of them a GPU of its own.

    Raises:
        ValueError: torch knows no such device, or finds none here.
        TypeError: it is neither a name nor a device.
    """
    if device is not None and not isinstance(device, (str, torch.device)):
        raise TypeError(f"device={device!r} must be a name, such as 'cpu' or 'cuda', a torch.device, or None")
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    try:
        chosen = torch.device(device if device is not None else "cuda" if gpus else "cpu")
    except RuntimeError as error:
        raise ValueError(f"device={device!r} is no device that torch knows; give 'cpu' or 'cuda'") from error
    if chosen.type not in ("cpu", "cuda"):
        try:
            torch.empty(0, device=chosen)
        except (RuntimeError, NotImplementedError) as error:
            raise ValueError(f"device={device!r} is not here; give 'cpu' or 'cuda', or None") from error
    if chosen.type == "cuda" and not (chosen.index or 0) < gpus:
        raise ValueError(f"device={device!r} is not here: torch finds {gpus} GPUs. Give 'cpu', or None")
    return chosen if chosen.index is not None else local_device(chosen.type)
