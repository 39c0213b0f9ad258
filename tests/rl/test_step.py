"""A training step is a tensor program: run on fake tensors, which hold no data, any look at data raises."""

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.rl.populations import CONTINUOUS

SHAPES = {"batch_size": 8, "hidden": (8,), "learning_starts": 1}
OWN = {
    "dqn": {"double_q": [False, True]},
    "ddpg": {"target_actor": [False, True]},
    "td3": {"target_actor": [False, True], "clipped_double_q": [False, True], "policy_delay": 2},
    "sac": {"target_actor": [False, True], "clipped_double_q": [False, True], "learn_temperature": [False, True]},
}


def is_holder(thing: object) -> bool:
    """Whether tensors may lie in an object's attributes: the book's own objects, and namespaces."""
    return isinstance(thing, (nn.Module, SimpleNamespace)) or (
        type(thing).__module__.startswith("companion.") and hasattr(thing, "__dict__")
    )


def fake(mode: FakeTensorMode, thing):
    """The same objects with every tensor they hold replaced by a fake one."""
    if isinstance(thing, torch.Tensor):
        return mode.from_tensor(thing)
    if isinstance(thing, nn.Module):
        for module in thing.modules():
            for name, p in module._parameters.items():
                module._parameters[name] = nn.Parameter(mode.from_tensor(p.detach()), requires_grad=p.requires_grad)
    elif isinstance(thing, dict):
        return {name: fake(mode, value) for name, value in thing.items()}
    elif is_holder(thing):
        for name, value in vars(thing).items():
            object.__setattr__(thing, name, fake(mode, value))  # some are frozen
    return thing


def held(thing, path: str = "loop") -> Iterator[tuple[str, torch.Tensor]]:
    """Every lasting tensor, with its path."""
    if isinstance(thing, torch.Tensor):
        yield path, thing
    elif isinstance(thing, nn.Module):
        yield from ((f"{path}.{name}", p) for name, p in thing.named_parameters())
    elif isinstance(thing, dict) or is_holder(thing):
        for name, value in (thing if isinstance(thing, dict) else vars(thing)).items():
            yield from held(value, f"{path}.{name}")


@pytest.fixture
def fake_loop(make_loop, request):
    algorithm = getattr(request, "param", "dqn")
    loop = make_loop(
        "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1",
        algorithm=algorithm,
        tau=[1.0, 0.01],
        period=[1, 7],
        buffer_size=[1, 50],
        **OWN[algorithm],
        **SHAPES,
    )
    loop.noise.refill()
    for update in range(loop.agents.cycle):
        loop.step(update)  # for real, so that whatever is made on first use exists
    mode = FakeTensorMode()
    loop = fake(mode, loop)
    tensors = dict(held(loop))
    # Nothing is left out: the agents' weights, what the world shows, the noise, what is remembered and watched.
    assert {"loop.agents.updates", "loop.world.observation", "loop.noise._block", "loop.replay.rows"} <= set(tensors)
    assert len(tensors) >= 30
    assert all(type(t).__name__ == "FakeTensor" for t in tensors.values() if not isinstance(t, nn.Parameter))
    assert all(type(t.data).__name__ == "FakeTensor" for t in tensors.values())
    return mode, loop


@pytest.mark.parametrize("fake_loop", ["dqn", *CONTINUOUS], indirect=True)
def test_a_whole_step_reads_nothing_back_and_keeps_every_shape(fake_loop):
    mode, loop = fake_loop
    before = {path: (id(t), t.shape) for path, t in held(loop)}
    with mode:
        loop.collect()
        for update in range(3 * loop.agents.cycle):
            loop.step(update % loop.agents.cycle)
    # Every lasting tensor is changed in place: a recorded graph replays on the same memory.
    assert {path: (id(t), t.shape) for path, t in held(loop)} == before


@pytest.mark.parametrize("fake_loop", CONTINUOUS, indirect=True)
def test_a_transition_that_is_none_is_skipped_without_a_look(fake_loop):
    """A world outside the tensor program says which transitions are real; storing them is a part of it again."""
    mode, loop = fake_loop
    with mode:
        observation = loop.world.observation
        action, number = torch.empty(len(observation), 1), torch.empty(len(observation))
        loop.replay.store(observation, action, number, observation, number, number > 0)
        noise = loop.noise.draw()
        loop.agents.learn(loop.replay.sample(noise["replay"]), noise, 0)


@pytest.mark.parametrize(
    "look",
    [
        lambda loop: loop.agents.updates.item(),
        lambda loop: bool((loop.world.elapsed > 3).any()),
        lambda loop: loop.world.now[loop.world.elapsed > 3],
        lambda loop: loop.replay.rows[: int(loop.replay.count[0])],
    ],
)
@pytest.mark.parametrize("fake_loop", ["dqn", "td3"], indirect=True)
def test_the_proof_can_fail(fake_loop, look):
    mode, loop = fake_loop
    learn = loop.agents.learn
    loop.agents.learn = lambda *arguments: (look(loop), learn(*arguments))[1]
    with mode, pytest.raises((DataDependentOutputException, RuntimeError)):
        loop.step(0)
