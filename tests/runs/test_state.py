"""What a module goes on from is in its ``state_dict``, or it is refused by name."""

import logging
import re
from collections import deque
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from companion.averaging import TargetNetwork
from companion.members import MLP, Adam
from companion.runs.state import StateGuard


@dataclass(frozen=True, slots=True)
class Settings:
    tau: torch.Tensor
    name: str = "td3"


class Holds(nn.Module):
    """A module with something beside its networks."""

    def __init__(self, own=None) -> None:
        super().__init__()
        self.online = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
        self.target = TargetNetwork(self.online)
        self.members = MLP((3, 4, 2), [0, 1], activation=torch.relu_)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))
        self.register_buffer("passing", torch.zeros(3), persistent=False)
        self.view = self.members.weights[0].data[0]
        self.settings, self.sizes = Settings(torch.tensor([0.5, 0.6])), [2, (3, 4)]
        self.own = own


def closing_over(state):
    return lambda: state


def test_what_the_state_dict_names_may_change_and_constants_may_lie_beside_it():
    module = Holds(closing_over(torch.float32))
    guard = StateGuard(module, "agents")
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.add_(1)
        module.target.update(module.online)
    module.count = module.count + 1
    guard.check()


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (torch.optim.SGD([torch.zeros(1, requires_grad=True)]), "agents.own is a torch.optim.sgd.SGD"),
        (torch.Generator(), "agents.own is a torch._C.Generator"),
        (np.random.default_rng(0), "agents.own is a numpy.random._generator.Generator"),
        (np.zeros(3), "agents.own is a numpy.ndarray"),
        ({"recent": [deque(maxlen=3)]}, "agents.own.recent.0 is a collections.deque"),
        (closing_over(deque()), "agents.own.state is a collections.deque"),
        (partial(print, file=StringIO()), "agents.own.keywords.file is a _io.StringIO"),
        (deque().append, "agents.own.__self__ is a collections.deque"),
    ],
)
def test_what_may_have_a_state_is_refused_by_name(own, message):
    with pytest.raises(TypeError, match=f"{re.escape(message)}, whose state a checkpoint would not hold"):
        StateGuard(Holds(own), "agents").check()


@pytest.mark.parametrize(
    ("own", "place"),
    [
        (torch.zeros(2), "own"),
        ([torch.zeros(2)], "own.0"),
        ({"last": (1, torch.zeros(2))}, "own.last.1"),
        (closing_over(torch.zeros(2)), "own.state"),
    ],
)
def test_a_tensor_that_the_state_dict_does_not_hold_is_refused_by_name(own, place):
    with pytest.raises(ValueError, match=rf"agents\.{re.escape(place)} is a tensor that its state_dict does not hold"):
        StateGuard(Holds(own), "agents").check()


@pytest.mark.parametrize("hidden", [nn.Linear(1, 1), nn.BatchNorm1d(2, affine=False), nn.Module()])
def test_a_module_that_the_state_dict_does_not_hold_is_refused_by_name(hidden):
    """Also one whose weights it holds: an Adam has moments, which it does not."""
    with pytest.raises(ValueError, match=r"agents\.own\.0 is a module that its state_dict does not hold"):
        StateGuard(Holds([hidden]), "agents").check()
    module = Holds()
    del module.view
    module.own = {"optimizer": Adam(module.members, torch.tensor([0.1, 0.2]))}
    with pytest.raises(ValueError, match=r"agents\.own\.optimizer is a module that its state_dict does not hold"):
        StateGuard(module, "agents").check()
    module.own = nn.ModuleList(module.own.values())
    StateGuard(module, "agents").check()


@pytest.mark.parametrize(
    "own", [Path("here"), frozenset({"a"}), logging.getLogger("x"), np.tanh, slice(3), torch.channels_last]
)
def test_what_is_harmless_is_let_pass(own):
    StateGuard(Holds(own), "agents").check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda module: setattr(module, "own", 1), "agents.own was None and is 1"),
        (lambda module: module.sizes.append(5), "agents.sizes.2 was not there and is 5"),
        (lambda module: module.settings.tau.fill_(0.7), "agents.settings.tau was "),
        (lambda module: module.passing.add_(1), "agents.passing was (3,) "),
        (lambda module: setattr(module, "own", torch.relu), "agents.own was None and is "),
        (lambda module: module.online[1].eval(), "agents.online.1.training was True and is False"),
        (lambda module: setattr(module.online[0], "calls", 1), "agents.online.0.calls was not there and is 1"),
    ],
)
def test_what_has_changed_and_is_no_tensor_of_the_state_dict_is_refused_by_name(change, message):
    module = Holds()
    guard = StateGuard(module, "agents")
    change(module)
    with pytest.raises(ValueError, match=re.escape(message)):
        guard.check()
