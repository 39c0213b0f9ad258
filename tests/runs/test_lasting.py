"""What lasts is found wherever it lies, once, and put back in place."""

from types import SimpleNamespace

import pytest
import torch

from companion.members import MLP, Adam
from companion.runs.lasting import put_back, tensors


def make_thing() -> dict:
    network = MLP((3, 4, 2), [0, 1])
    adam = Adam(network, torch.tensor([0.1, 0.2]))
    thing = {"network": network, "adam": adam, "clocks": [torch.tensor(3), (torch.zeros(0), "word", 4.0)]}
    thing["settings"] = SimpleNamespace(tau=torch.tensor([0.5, 0.6]), name="td3")
    return thing


def test_every_memory_is_found_once_under_the_first_of_its_names():
    thing = make_thing()
    found = tensors(thing)
    first, *_ = thing["network"].parameters()
    assert first.data_ptr() == thing["adam"].weights.data_ptr(), "the network's weights are slices of the optimizer's"
    names = {"adam.learning_rate", "adam.first", "adam.second", "adam.count", "clocks.0", "settings.tau"}
    assert set(found) == {"network.weights.0", *names}
    assert torch.equal(found["network.weights.0"], thing["adam"].weights.flatten())
    found["settings.tau"].fill_(1.0)
    assert thing["settings"].tau.tolist() == [1.0, 1.0], "the memory is the object's own"


def test_what_was_told_can_be_put_back_in_place():
    thing, other = make_thing(), make_thing()
    saved = {name: tensor.clone() for name, tensor in tensors(thing).items()}
    places = [tensor.data_ptr() for tensor in tensors(other).values()]
    for tensor in tensors(other).values():
        tensor.zero_()
    put_back(other, saved)
    assert [tensor.data_ptr() for tensor in tensors(other).values()] == places
    x = torch.randn(2, 5, 3)
    assert torch.equal(other["network"](x), thing["network"](x))


@pytest.mark.parametrize("spoil", ["size", "missing", "more"])
def test_what_is_of_another_program_is_refused_and_changes_nothing(spoil):
    thing = make_thing()
    saved = {name: tensor + 1 for name, tensor in tensors(thing).items()}
    if spoil == "size":
        saved["adam.first"] = torch.zeros(3)
    elif spoil == "missing":
        del saved["adam.first"]
    else:
        thing = {name: part for name, part in thing.items() if name != "adam"} | {"network": thing["network"]}
    before = {name: tensor.clone() for name, tensor in tensors(thing).items()}
    with pytest.raises(ValueError, match=r"not of this program: .*adam\.first"):
        put_back(thing, saved)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(thing).items())


def test_objects_that_know_each_other_are_looked_at_once():
    a, b = SimpleNamespace(x=torch.ones(1)), SimpleNamespace(y=torch.ones(2))
    a.other, b.other = b, a
    assert set(tensors(a)) == {"x", "other.y"}
