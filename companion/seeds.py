"""Where every random number of the book begins: a seed, shifted for a rehearsal.

A chapter is rehearsed by running it again with other seeds. Not to renumber what it shows, the numbers that it names
stay, and what they lead to is moved: the environment variable ``COMPANION_SEED_SHIFT`` is added to each. The package's
streams and the chapters' own generators both come through :func:`seed`.
"""

import os

__all__ = ["SHIFT", "seed", "shift"]

SHIFT = "COMPANION_SEED_SHIFT"
"""The environment variable; 0 where it is not set."""


def shift() -> int:
    """What is added to every seed.

    Raises:
        ValueError: ``COMPANION_SEED_SHIFT`` is no integer, or negative.
    """
    text = os.environ.get(SHIFT, "") or "0"
    if not text.isascii() or not text.isdigit():
        raise ValueError(f"{SHIFT} is {text!r}; set it to an integer from 0 on, or unset it")
    return int(text)


def seed(number: int) -> int:
    """The seed to begin with where a chapter says ``number``: the same, but in a rehearsal.

        draw = torch.Generator().manual_seed(study.seed(6))

    Args:
        number: 0 or more.

    Returns:
        ``number`` plus the shift, within 63 bits, which torch, NumPy and gymnasium all take.

    Raises:
        ValueError: ``number`` is negative, or ``COMPANION_SEED_SHIFT`` is no integer from 0 on.
    """
    if number < 0:
        raise ValueError(f"number is {number}; a seed is an integer from 0 on")
    moved = shift()
    return (int(number) + moved) % 2**63 if moved else int(number)
