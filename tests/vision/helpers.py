"""What tests of several learners share."""

import copy

import torch


def states(learner: torch.nn.Module) -> dict:
    return copy.deepcopy(dict(learner.state_dict()))


def assert_same_states(one: dict, other: dict) -> None:
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert torch.equal(value, other[name]) if isinstance(value, torch.Tensor) else value == other[name], name
