"""A deep copy stands by itself, or is refused: with what refers to the original, and what to do."""

import functools
import warnings
import weakref

import pytest
import torch
from torch import Tensor, nn
from torch.ao.quantization import QuantStub, get_default_qat_qconfig, prepare_qat
from torch.nn.utils import parametrizations

from companion import TargetNetwork


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))


class Reader(nn.Module):
    """A network that answers with what a hook saw of a layer in its middle."""

    def __init__(self) -> None:
        super().__init__()
        self.body, self.seen = layers(), {}

    def forward(self, x: Tensor) -> Tensor:
        self.body(x)
        return self.seen["middle"]

    def save(self, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.seen["middle"] = output

    def named(self, name: str, module: nn.Module, inputs: tuple, output: Tensor) -> None:
        self.seen[name] = output


def by_closure(network: Reader) -> None:
    def hook(module: nn.Module, inputs: tuple, output: Tensor) -> None:
        network.seen["middle"] = output

    network.body[0].register_forward_hook(hook)


def by_closure_over_its_dict(network: Reader) -> None:
    seen = network.seen
    network.body[0].register_forward_hook(lambda module, inputs, output: seen.update(middle=output))


def by_default(network: Reader) -> None:
    def hook(module: nn.Module, inputs: tuple, output: Tensor, seen: dict = network.seen) -> None:
        seen["middle"] = output

    network.body[0].register_forward_hook(hook)


def by_a_function_in_a_closure(network: Reader) -> None:
    save = network.save
    network.body[0].register_forward_hook(lambda *given: save(*given))


def by_weak_reference(network: Reader) -> None:
    reference = weakref.ref(network)
    network.body[0].register_forward_hook(lambda module, inputs, output: reference().save(module, inputs, output))


def by_pre_hook(network: Reader) -> None:
    network.body[1].register_forward_pre_hook(lambda module, inputs: network.seen.update(middle=inputs[0]))


def by_forward(network: Reader) -> None:
    """What a library does that wraps ``forward`` of an object."""
    forward = network.forward

    @functools.wraps(forward)
    def wrapped(x: Tensor) -> Tensor:
        return forward(x).float()

    network.body[0].register_forward_hook(network.save)
    network.forward = wrapped


def by_a_wrapper_object(network: Reader) -> None:
    class Wrapper:
        def __init__(self, inner: object) -> None:
            self.inner = inner

    wrapper = Wrapper(network.forward)
    network.body[0].register_forward_hook(network.save)
    network.forward = lambda x: wrapper.inner(x)


def by_attribute(network: Reader) -> None:
    network.body[0].register_forward_hook(network.save)
    network.extra = {"scale": lambda x: network.body[2].bias * x}


GLOBAL: dict[str, Tensor] = {}


def by_global(network: Reader) -> None:
    network.seen = GLOBAL
    network.body[0].register_forward_hook(lambda module, inputs, output: GLOBAL.update(middle=output))


def by_method(network: Reader) -> None:
    network.body[0].register_forward_hook(network.save)


def by_partial(network: Reader) -> None:
    network.body[0].register_forward_hook(functools.partial(network.named, "middle"))


REFUSED = {
    by_closure: "forward hook online.body.0 'network' factory= register",
    by_closure_over_its_dict: "forward hook online.body.0 'seen' factory=",
    by_default: "forward hook online.body.0 'default factory=",
    by_a_function_in_a_closure: "forward hook online.body.0 'save' factory=",
    by_weak_reference: "forward hook online.body.0 'reference' factory=",
    by_pre_hook: "forward pre hook online.body.1 'network' factory=",
    by_forward: "online.forward 'forward' factory=",
    by_a_wrapper_object: "online.forward 'inner' factory=",
    by_attribute: "online.extra 'network' factory=",
    by_global: "forward hook online.body.0 'GLOBAL' factory=",
}


@pytest.mark.parametrize("tie", REFUSED, ids=lambda tie: tie.__name__)
def test_what_still_refers_to_the_original_is_refused_by_name(tie) -> None:
    online = Reader()
    tie(online)
    with pytest.raises(TypeError) as refused:
        TargetNetwork(online)
    for word in REFUSED[tie].split():
        assert word in str(refused.value)


@pytest.mark.parametrize("tie", [by_method, by_partial])
def test_methods_of_the_network_itself_are_copied_with_it(tie) -> None:
    online = Reader()
    tie(online)
    TestItStandsByItself.check(online, TargetNetwork(online, tau=0.25))


class TestItStandsByItself:
    @staticmethod
    def check(online: Reader, target: TargetNetwork) -> None:
        x, weight = torch.ones(1, 3), target.module.body[0].weight.clone()
        with torch.no_grad():
            online.body[0].weight += 1
        expected = online.body[0](x)
        online.seen.clear()
        torch.testing.assert_close(target(x), nn.functional.linear(x, weight, target.module.body[0].bias))
        assert not online.seen, "the copy's hook wrote into the original"
        assert torch.equal(online(x), expected)

    @pytest.mark.parametrize("tie", [by_closure, by_forward])
    def test_one_that_a_factory_built(self, tie) -> None:
        def build() -> Reader:
            network = Reader()
            tie(network)
            return network

        online = build()
        self.check(online, TargetNetwork(online, factory=build))


class TestWatchers:
    """A hook that watches the online network has no business in the copy."""

    def test_it_would_count_both_networks(self) -> None:
        online, seen = layers(), []
        online[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
        with pytest.raises(TypeError, match=r"forward hook of online\.0.*'seen' outside of online.*after the copy"):
            TargetNetwork(online)

    def test_and_registered_afterwards_it_does_not(self) -> None:
        online, seen = layers(), []
        target = TargetNetwork(online)
        online[0].register_forward_hook(lambda module, inputs, output: seen.append(output))
        online(torch.ones(1, 3)), target(torch.ones(1, 3))
        assert len(seen) == 1

    def test_a_counter(self) -> None:
        online, calls = layers(), 0

        def count(module: nn.Module, inputs: tuple) -> None:
            nonlocal calls
            calls += 1

        online[2].register_forward_pre_hook(count)
        with pytest.raises(TypeError, match=r"forward pre hook of online\.2.*'calls' outside of online"):
            TargetNetwork(online)

    def test_a_method_of_a_module_that_holds_the_network(self) -> None:
        holder = Reader()
        holder.body[0].register_forward_hook(holder.save)
        with pytest.raises(TypeError, match=r"forward hook of online\.0.*'Reader' outside of online"):
            TargetNetwork(holder.body)

    def test_in_the_backward_pass(self) -> None:
        online, seen = layers(), []
        online[0].register_full_backward_hook(lambda module, inputs, outputs: seen.append(outputs))
        with pytest.raises(TypeError, match=r"backward hook of online\.0.*'seen'"):
            TargetNetwork(online)


def halve(module: nn.Module, inputs: tuple, output: Tensor) -> Tensor:
    return output / 2


def with_hooks() -> nn.Module:
    online, factor = layers(), 3.0
    online[0].register_forward_hook(halve)
    online[2].register_forward_hook(lambda module, inputs, output: output * factor)
    return online


def quantised() -> nn.Module:
    online = nn.Sequential(QuantStub(), nn.Linear(3, 3))
    online.qconfig = get_default_qat_qconfig("x86")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return prepare_qat(online.train())


def compiled_in_place() -> nn.Module:
    online = layers()
    online.compile(backend="eager")
    online(torch.ones(1, 3))
    return online


@pytest.mark.parametrize(
    "build",
    [
        with_hooks,
        quantised,
        compiled_in_place,
        lambda: nn.LSTM(3, 3),
        lambda: nn.Transformer(4, 2, 1, 1, 8, batch_first=True),
        lambda: torch.fx.symbolic_trace(layers()),
        lambda: nn.Sequential(torch.compile(layers(), backend="eager")),
        lambda: parametrizations.spectral_norm(nn.Linear(3, 3)),
        lambda: parametrizations.weight_norm(nn.Linear(3, 3)),
        lambda: nn.utils.spectral_norm(nn.Linear(3, 3)),
    ],
    ids=["hooks", "quantised", "compiled", "lstm", "transformer", "fx", "inner compiled", "spectral", "weight", "old"],
)
def test_what_stands_by_itself_is_copied(build) -> None:
    online = build()
    target = TargetNetwork(online)
    target.update(online)
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_hooks_that_compute_are_part_of_the_copy() -> None:
    online, x = with_hooks(), torch.ones(1, 3)
    assert torch.equal(TargetNetwork(online)(x), online(x))


def test_a_network_compiled_in_place_is_copied_uncompiled() -> None:
    online, x = compiled_in_place(), torch.ones(1, 3)
    target, answer = TargetNetwork(online), online(torch.ones(1, 3))
    with torch.no_grad():
        online[2].bias += 1
    torch.testing.assert_close(target(x), answer)
