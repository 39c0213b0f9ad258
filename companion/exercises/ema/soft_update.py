"""Write the soft update of a dict of arrays, in place, where one array may have two names."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from companion.exercises import Answer, Exercise, Hint, expect, matches


def soft_update(online: Mapping[str, np.ndarray], target: Mapping[str, np.ndarray], tau: float) -> None:
    moved = set()
    for name, array in target.items():
        if id(array) not in moved:  # a tied array stands under two names, and moves once
            array += tau * (online[name] - array)
            moved.add(id(array))


def networks() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    rng = np.random.default_rng(7)
    online = {"weight": rng.normal(size=(3, 2)), "bias": rng.normal(size=2)}
    target = {"bias": rng.normal(size=2), "weight": rng.normal(size=(3, 2))}  # another order: names count
    return online, target


def online_alone(answer: Answer) -> None:
    """`online` is left as it was."""
    online, target = networks()
    before = {name: array.copy() for name, array in online.items()}
    answer(online, target, 0.25)
    expect(
        all(np.array_equal(online[name], before[name]) for name in before),
        "Your update has changed `online`. The order of the arguments is online, target, tau, and only `target` moves.",
    )


def moves_target(answer: Answer) -> None:
    """Every array of `target` has moved the fraction tau of the way to its namesake, in place."""
    online, target = networks()
    held = dict(target)
    before = {name: array.copy() for name, array in target.items()}
    returned = answer(online, target, 0.25)
    want = {name: 0.25 * online[name] + 0.75 * before[name] for name in before}
    mirrored = {name: 0.75 * online[name] + 0.25 * before[name] for name in before}
    new = returned if isinstance(returned, Mapping) else target
    if same(held, before) and (same(new, want) or same(new, mirrored)):
        raise Hint(
            "The numbers are in new arrays, and the arrays that `target` had have not moved: whoever holds one of "
            "them, a layer for instance, is left behind. Write into them, with `+=` or `array[...] =`."
        )
    if same(held, mirrored):
        raise Hint("`tau` weighs the new value, `online`. Yours weighs the old one: it is used as a decay.")
    if same(held, before):
        raise Hint("`target` has not moved at all.")
    for name, array in held.items():
        matches(array, want[name], f"`target[{name!r}]` is not tau · online + (1 − tau) · target.")


def moves_tied_once(answer: Answer) -> None:
    """An array that stands under two names has moved once."""
    rng = np.random.default_rng(8)
    new, old, bias = rng.normal(size=(4, 2)), rng.normal(size=(4, 2)), rng.normal(size=3)
    shared = old.copy()
    target = {"embedding": shared, "bias": bias.copy(), "output": shared}
    answer({"embedding": new, "bias": bias, "output": new}, target, 0.25)
    twice = old + (1 - 0.75**2) * (new - old)
    if np.allclose(shared, twice):
        raise Hint(
            "The tied array has moved twice, 1 − (1 − tau)² of the way. `embedding` and `output` are one array: "
            "`target[a] is target[b]`. Remember which you have moved."
        )
    if np.allclose(shared, old):
        raise Hint("The tied array has not moved at all. It is to move once, like any other.")
    matches(shared, 0.25 * new + 0.75 * old, "The tied array is not tau · online + (1 − tau) · target.")


def same(got: Mapping[str, Any], want: Mapping[str, np.ndarray]) -> bool:
    return got.keys() == want.keys() and all(
        np.shape(got[name]) == array.shape and np.allclose(got[name], array) for name, array in want.items()
    )


EXERCISE = Exercise(
    place=1,
    title="The soft update, and a tied weight",
    difficulty="easy",
    minutes=10,
    expects="a function of (online, target, tau) that changes the arrays of target",
    solution=soft_update,
    why="Written as a correction, the line needs one multiplication, happens in place, and adds exactly nothing "
    "once the target has arrived. Arrays are matched by name, so the order of the dicts does not matter. An output "
    "layer that shares the embedding's matrix is common in language models; a loop over names moves it twice, with "
    "1 − (1 − tau)² in place of tau, and nothing else looks wrong.",
    checks=[online_alone, moves_target, moves_tied_once],
)
