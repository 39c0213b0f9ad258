"""Populations of agents for tests to update by hand, and what holds them against their float64 references."""

from itertools import chain
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from companion.members import Streams
from companion.members.networks import NORMALIZATIONS
from companion.rl.algorithms import ALGORITHMS
from companion.rl.loop import Loop
from companion.rl.replay import Batch
from tests.rl.normalized import BatchNormed, LayerNormed
from tests.rl.reference import parameters

OBSERVATION, ACTION, BATCH = 3, 2, 16
CONTINUOUS = ("ddpg", "td3", "sac")
SMALL = {
    "progress": False,
    "steps": 60,
    "learning_starts": 20,
    "batch_size": 8,
    "hidden": (16,),
    "evaluation_episodes": 2,
}
"""Arguments of `rl.train` for a run of a moment."""
EXACTLY = [("none", torch.float32), *((each, torch.float64) for each in NORMALIZATIONS)]
"""What is held against the references. Normalised layers have slopes that cancel to nothing: in float32 Adam, which
divides them by their size, makes of their rounding steps as large as any."""
_float32_uniform = Streams.uniform


def population(algorithm: str, members: int, *, dtype: torch.dtype = torch.float32, **settings: Any):
    """Agents of an algorithm whose settings are one value for all, or a list with one for each member.

    With ``dtype=torch.float64`` all that they hold is float64, from the first weights on.
    """
    settings_type, agents_type = ALGORITHMS[algorithm]
    settings = {"hidden": (32, 16), "batch_size": BATCH, **settings}
    settings["tau"] = settings.get("tau", settings_type().tau.item())
    if not isinstance(settings["tau"], list):
        settings["tau"] = [settings["tau"]] * members
    with pytest.MonkeyPatch.context() as patch:
        if dtype == torch.float64:
            patch.setattr(Streams, "uniform", lambda self, *shape: _float32_uniform(self, *shape).astype(np.float64))
        torch.set_default_dtype(dtype)
        try:
            values = settings_type(**settings)
        finally:
            torch.set_default_dtype(torch.float32)
        return agents_type(values, OBSERVATION, ACTION, list(range(members)), torch.device("cpu"))


def random_batch(seed: int, members: int, *, actions: int | None = None, dtype: torch.dtype = torch.float32) -> Batch:
    """Transitions with rewards of a size of 3 and three terminations in ten; actions are in [-1, 1], or so many."""
    rng = np.random.default_rng(seed)
    shape = (members, BATCH)
    fields = (
        rng.standard_normal((*shape, OBSERVATION)),
        rng.integers(actions, size=(*shape, 1)) if actions else rng.uniform(-1, 1, (*shape, ACTION)),
        3 * rng.standard_normal(shape),
        rng.standard_normal((*shape, OBSERVATION)),
        rng.random(shape) < 0.3,
    )
    return Batch(*(torch.from_numpy(field.astype(np.float32)).to(dtype) for field in fields))


def random_noise(
    agents: Any, seed: int, members: int, *, dtype: torch.dtype = torch.float32
) -> dict[str, torch.Tensor]:
    """Numbers for every purpose of the agents, as the loop would draw them."""
    rng = np.random.default_rng([seed, 1])
    drawn = {name: rng.random((members, width)) for name, width in agents.uniform.items()}
    drawn |= {name: rng.standard_normal((members, width)) for name, width in agents.normal.items()}
    return {name: torch.from_numpy(numbers.astype(np.float32)).to(dtype) for name, numbers in drawn.items()}


def update_once(agents: Any, number: int, members: int, *, actions: int | None = None) -> None:
    """The update of a number, counted from 0, on a batch of its own."""
    batch, noise = random_batch(number, members, actions=actions), random_noise(agents, number, members)
    agents.learn(batch, noise, number % agents.cycle)


def drive(loop: Loop, begin: int, end: int) -> None:
    """Take so many steps, from those that were taken to those that will be."""
    for step in range(begin, end):
        loop.step(step + 1)


def layers(network: Any, member: int) -> Any:
    """A member's weights and biases in float64; of a network with several copies a list of them."""
    rows = range(member * network.copies, (member + 1) * network.copies)
    of_each = [_of_one(network, row) for row in rows]
    return of_each if network.copies > 1 else of_each[0]


def _of_one(network: Any, row: int) -> Any:
    def numbers(tensor: torch.Tensor) -> np.ndarray:
        return tensor[row, 0].detach().double().numpy().copy()

    plain = [
        (w[row].detach().double().numpy().copy(), numbers(b))
        for w, b in zip(network.weights, network.biases, strict=True)
    ]
    norms = [(numbers(norm.scale), numbers(norm.shift)) if hasattr(norm, "scale") else () for norm in network.norms]
    if network.layer_norm:
        return LayerNormed([*(layer + norm for layer, norm in zip(plain[:-1], norms, strict=True)), plain[-1]])
    if network.batch_norm:
        hidden = [layer + norm for layer, norm in zip(plain[:-1], norms[1:], strict=True)]
        averages = ([numbers(getattr(norm, name)) for norm in network.norms] for name in ("mean", "variance"))
        return BatchNormed([norms[0], *hidden, plain[-1]], *averages)
    return plain


def assert_follows(
    reference_type: type,
    algorithm: str,
    own: dict[str, Any],
    noise: tuple[str, ...],
    *,
    dtype: torch.dtype,
    actions: int | None = None,
    names: tuple[str, ...] = ("actor", "critic", "target_actor", "target_critic"),
) -> None:
    """Update a population twelve times, and beside it a reference for each member; all must agree, always.

    In float64 the two differ by the order of their sums alone. In float32 Adam magnifies the rounding: where the parts
    of a gradient nearly cancel, what is left is divided by its own size.
    """
    near = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 5e-5, "atol": 1e-5}
    members = len(own["tau"])
    agents = population(algorithm, members, dtype=dtype, **own)
    for name in names:
        if name.startswith("target"):  # so that online and target differ from the first update
            getattr(agents, f"{name}_weights").mul_(1.5)
    references = [
        reference_type(
            {name: layers(getattr(agents, name), m) for name in names},
            SimpleNamespace(
                **{name: values[m] if isinstance(values, list) else values for name, values in own.items()}
            ),
        )
        for m in range(members)
    ]
    for update in range(12):
        batch = random_batch(update, members, actions=actions, dtype=dtype)
        drawn = random_noise(agents, update, members, dtype=dtype)
        seen = agents.learn(batch, drawn, update)
        assert set(seen) == set(agents.WATCHED)
        for m, reference in enumerate(references):
            fields = (field[m].double().numpy() for field in batch)
            expected = reference.learn(*fields, *(drawn[name][m].double().numpy() for name in noise))
            assert set(expected) == set(seen)
            for name, value in expected.items():
                np.testing.assert_allclose(seen[name][m], value, **near, err_msg=f"{name}, update {update}, {m}")
            for name in names:
                mine, its = layers(getattr(agents, name), m), getattr(reference, name)
                if getattr(agents, name).copies == 1:
                    mine, its = [mine], [its]
                pairs = [*zip(parameters(*mine), parameters(*its), strict=True)]
                for one, other in zip(mine, its, strict=True):
                    pairs += zip(
                        chain(*getattr(one, "averages", ())), chain(*getattr(other, "averages", ())), strict=True
                    )
                for p, q in pairs:
                    np.testing.assert_allclose(p, q, **near, err_msg=f"{name}, update {update}, {m}")
