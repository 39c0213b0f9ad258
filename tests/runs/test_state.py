"""What a module goes on from is in its ``state_dict``, or it is refused by name."""

import re
from collections import deque
from dataclasses import dataclass
from functools import partial
from io import StringIO

import numpy as np
import pytest
import torch
from torch import nn

from companion.averaging import TargetNetwork
from companion.members import MLP
from companion.runs.state import StateGuard


@dataclass(frozen=True)
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
    guard.check()
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.add_(1)
        module.target.update(module.online)
    module.passing = torch.ones(4)
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
        ({"networks": [nn.Linear(1, 1)]}, "own.networks.0.weight"),
        (closing_over(torch.zeros(2)), "own.state"),
    ],
)
def test_a_tensor_that_the_state_dict_does_not_hold_is_refused_by_name(own, place):
    with pytest.raises(ValueError, match=rf"agents\.{re.escape(place)} is a tensor that its state_dict does not hold"):
        StateGuard(Holds(own), "agents").check()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda module: setattr(module, "own", 1), "agents.own was None and is 1"),
        (lambda module: module.sizes.append(5), "agents.sizes.2 was not there and is 5"),
        (lambda module: module.settings.tau.fill_(0.7), "agents.settings.tau was "),
    ],
)
def test_what_has_changed_and_is_no_tensor_of_the_state_dict_is_refused_by_name(change, message):
    module = Holds()
    guard = StateGuard(module, "agents")
    guard.check()
    change(module)
    with pytest.raises(ValueError, match=re.escape(message)):
        guard.check()
