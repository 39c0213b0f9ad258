"""A training step is a tensor program: run on fake tensors, which hold no data, any look at data raises."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode

from tests.rl.populations import CONTINUOUS, drive

SHAPES = {"batch_size": 8, "hidden": (8,), "learning_starts": 1}
OWN = {
    "dqn": {"double_q": [False, True]},
    "ddpg": {"target_actor": [False, True]},
    "td3": {"target_actor": [False, True], "clipped_double_q": [False, True], "policy_delay": 2},
    "sac": {"target_actor": [False, True], "clipped_double_q": [False, True], "learn_temperature": [False, True]},
}


def parts(thing: object) -> dict:
    """Where tensors may lie: entries of dictionaries and lists, and attributes of the book's own objects."""
    if isinstance(thing, (dict, list)):
        return dict(enumerate(thing)) if isinstance(thing, list) else thing
    ours = isinstance(thing, nn.Module) or type(thing).__module__.startswith("companion.")
    return vars(thing) if ours and hasattr(thing, "__dict__") else {}


def fake(mode: FakeTensorMode, thing, made: dict | None = None):
    """The same objects with every tensor they hold replaced by a fake one, and what is one tensor still one."""
    made = {} if made is None else made
    if isinstance(thing, torch.Tensor):
        if id(thing) not in made:
            tensor = mode.from_tensor(thing.detach())
            made[id(thing)] = nn.Parameter(tensor, thing.requires_grad) if isinstance(thing, nn.Parameter) else tensor
        return made[id(thing)]
    if id(thing) not in made:
        made[id(thing)] = thing
        for name, value in parts(thing).items():
            if isinstance(thing, (dict, list)):
                thing[name] = fake(mode, value, made)
            else:
                object.__setattr__(thing, name, fake(mode, value, made))  # some are frozen
    return thing


def held(thing, path: str = "loop", seen: set | None = None) -> Iterator[tuple[str, torch.Tensor]]:
    """Every lasting tensor, with its path."""
    seen = set() if seen is None else seen
    if isinstance(thing, torch.Tensor):
        yield path, thing
    elif id(thing) not in seen:
        seen.add(id(thing))
        for name, value in parts(thing).items():
            yield from held(value, f"{path}.{name}", seen)


@pytest.fixture
def fake_loop(make_loop, request):
    algorithm, _, normalization = getattr(request, "param", "dqn").partition(" ")
    loop = make_loop(
        "Pendulum-v1" if algorithm in CONTINUOUS else "CartPole-v1",
        algorithm=algorithm,
        tau=[1.0, 0.01],
        period=[1, 7],
        buffer_size=[1, 50],
        reset_every=[0, 2],
        average=[1.0, 0.1],
        normalization=normalization or "none",
        **OWN[algorithm],
        **SHAPES,
    )
    drive(loop, 0, 1 + loop.agents.cycle)  # for real, so that whatever is made on first use exists
    mode = FakeTensorMode()
    loop = fake(mode, loop)
    tensors = dict(held(loop))
    assert len(tensors) >= 30, "nothing is left out: weights, clocks, what the world shows, noise, replay, watched"
    assert all(type(t).__name__ == "FakeTensor" for t in tensors.values() if not isinstance(t, nn.Parameter))
    assert all(type(t.data).__name__ == "FakeTensor" for t in tensors.values())
    return mode, loop


NORMALIZED = ["dqn layer", *(f"{algorithm} {each}" for algorithm in CONTINUOUS for each in ("layer", "batch"))]


@pytest.mark.parametrize("fake_loop", ["dqn", *CONTINUOUS, *NORMALIZED], indirect=True)
def test_a_whole_step_reads_nothing_back_and_keeps_every_shape(fake_loop):
    mode, loop = fake_loop
    before = {path: (id(t), t.shape) for path, t in held(loop)}
    with mode:
        loop.collect()
        for update in range(3 * loop.agents.cycle):
            loop.collect()
            loop.learn(update % loop.agents.cycle)
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
        loop.noise.draw()
        loop.learn(0)


@pytest.mark.parametrize(
    "look",
    [
        lambda loop: loop.agents.steps.item(),
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
    with mode:
        loop.collect()
        with pytest.raises((DataDependentOutputException, RuntimeError)):
            loop.learn(0)
