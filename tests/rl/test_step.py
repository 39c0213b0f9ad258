"""A training step is a tensor program: run on fake tensors, which hold no data, any look at data raises."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode


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
    elif isinstance(thing, SimpleNamespace) or type(thing).__name__ in {"Loop", "Agents", "Adam", "Replay", "Noise"}:
        for name, value in vars(thing).items():
            setattr(thing, name, fake(mode, value))
    return thing


def tensors(thing) -> list[torch.Tensor]:
    """Every tensor held directly by an object."""
    return [value for value in vars(thing).values() if isinstance(value, torch.Tensor)]


@pytest.fixture
def fake_loop(make_loop):
    loop = make_loop(
        seeds=2, tau=[1.0, 0.01], period=[1, 7], double_q=[False, True], buffer_size=[1, 50], batch_size=8, hidden=(8,)
    )
    loop.noise.refill()
    loop.step()  # for real, so that whatever is made on first use exists
    mode = FakeTensorMode()
    loop = fake(mode, loop)
    held = [t for part in (loop, loop.agents, loop.agents.optimizer, loop.replay, loop.noise) for t in tensors(part)]
    assert len(held) >= 15
    assert all(type(t).__name__ == "FakeTensor" for t in [*held, *loop.agents.online.parameters()])
    return mode, loop


def test_a_whole_step_reads_nothing_back_and_keeps_every_shape(fake_loop):
    mode, loop = fake_loop
    parts = (loop, loop.agents, loop.agents.optimizer, loop.replay, loop.noise)
    before = [id(t) for part in parts for t in tensors(part)]
    with mode:
        loop.collect()
        loop.step()
        loop.step()
    # Every lasting tensor is changed in place: a recorded graph replays on the same memory.
    assert [id(t) for part in parts for t in tensors(part)] == before


@pytest.mark.parametrize(
    "look",
    [
        lambda loop: loop.agents.updates.item(),
        lambda loop: bool((loop.elapsed > 3).any()),
        lambda loop: loop.state[loop.elapsed > 3],
        lambda loop: loop.replay.rows[: int(loop.replay.count)],
    ],
)
def test_the_proof_can_fail(fake_loop, look):
    mode, loop = fake_loop
    learn = loop.agents.learn
    loop.agents.learn = lambda batch: (look(loop), learn(batch))[1]
    with mode, pytest.raises((DataDependentOutputException, RuntimeError)):
        loop.step()
