"""What an answer is held against, and the hint where it is not right yet."""

import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np


class Hint(Exception):  # noqa: N818 - not an error of the program but a word to the reader
    """What is not right yet in an answer, and a nudge in the right direction."""


def expect(condition: object, hint: str) -> None:
    """Raise ``Hint(hint)`` unless ``condition`` holds."""
    if not condition:
        raise Hint(hint)


def returned(got: Any) -> Any:
    """What an answer returned, or a ``Hint`` if that is nothing."""
    expect(got is not None, "It returned None. Is a `return` missing?")
    return got


def several(got: Any, count: int, hint: str) -> Sequence[Any]:
    """What an answer returned, or a ``Hint`` if that is not a tuple or a list of so many things."""
    expect(isinstance(returned(got), tuple | list) and len(got) == count, hint)
    return got


def number(got: Any, hint: str) -> float:
    """What was handed in, as a float; a ``Hint`` if that is not one number, of whichever library."""
    numbers = _numbers(got)
    if numbers is None or numbers.ndim:
        raise Hint(hint)
    return float(numbers)


def matches(got: Any, want: Any, hint: str, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Raise a ``Hint`` unless ``got`` equals ``want`` to within the tolerances.

    A missing ``return``, a value that is no number and a wrong shape have hints of their own; a wrong value gives
    ``hint``. NumPy arrays, torch tensors and plain numbers all do.
    """
    numbers, wanted = _numbers(returned(got)), _numbers(want)
    if numbers is None:
        raise Hint(f"It returned {brief(got)}, a {type(got).__name__}, where numbers are expected.")
    assert wanted is not None
    if numbers.shape != wanted.shape:
        raise Hint(f"The shape is {numbers.shape}, and {wanted.shape} is expected. {hint}")
    if not np.allclose(numbers, wanted, rtol=rtol, atol=atol):
        raise Hint(hint)


def matches_each(got: Iterable[Any], want: Iterable[Any], hint: str, *, rtol: float = 1e-6, atol: float = 1e-9) -> None:
    """Raise a ``Hint`` unless each of several things equals its own, as :func:`matches` compares them."""
    for one, its_own in zip(got, want, strict=True):
        matches(one, its_own, hint, rtol=rtol, atol=atol)


def agrees(
    answer: Any, right: Callable[..., Any], given: tuple[Any, ...], hint: str, *, rtol: float = 1e-6, atol: float = 1e-9
) -> None:
    """Raise a ``Hint`` unless an answer returns what the right function does, as :func:`matches` compares them.

    Args:
        answer: the reader's function.
        right: one that is right, most often the solution.
        given: the arguments of both.
        hint: what to say where they differ.
        rtol: relative tolerance.
        atol: absolute tolerance.
    """
    want = right(*given)
    matches(answer(*given), want, hint, rtol=rtol, atol=atol)


def differs(got: Any, wrong: Any, hint: str, *, rtol: float = 1e-5, atol: float = 1e-8) -> None:
    """Raise a ``Hint`` if ``got`` equals ``wrong``, which is what a well-known mistake gives.

    What is of another shape, or is no number at all, differs.
    """
    numbers, mistaken = _numbers(got), _numbers(wrong)
    assert mistaken is not None
    if numbers is not None and numbers.shape == mistaken.shape:
        expect(not np.allclose(numbers, mistaken, rtol=rtol, atol=atol), hint)


def brief(value: object) -> str:
    """A value in a few words, to be quoted in Markdown."""
    return textwrap.shorten(str(value).replace("`", "'"), 160, placeholder=" …")


def _numbers(value: Any) -> np.ndarray | None:
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    try:
        array = np.asarray(value)
    except (TypeError, ValueError):  # lists of unequal lengths
        return None
    return array if array.dtype.kind in "biufc" else None
