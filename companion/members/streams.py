"""Random numbers with a member axis: one stream a member, keyed by its seed and by what the numbers are for."""

import hashlib
import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from scipy.special import ndtri
from torch import Tensor

from companion.seeds import seed

__all__ = ["Noise", "Streams"]

_PER_COUNTER = 8  # a Philox counter yields 256 bits: eight float32 uniforms of one 32-bit word each


class Streams:
    """One random stream a member, which depends on the member's seed and the purpose alone.

    The numbers come from Philox 4×64 (Salmon, Moraes, Dror and Shaw 2011, "Parallel random numbers: as easy as
    1, 2, 3"), a counter-based generator: a key names the stream, a counter the place in it. The key is the pair
    (seed, purpose), so two members share nothing, and two purposes of one member share nothing either. (In a rehearsal
    every seed is shifted: :func:`companion.study.seed`.)

    Each stream is a single sequence of uniform numbers. Cutting it into blocks of any size gives the same sequence,
    and :attr:`position` says how many have been used: a run that stops needs no more than that to go on.

    Args:
        seeds: one non-negative integer a member.
        purpose: what the numbers are for, such as ``"init"`` or ``"explore"``.

    Raises:
        ValueError: a seed is negative or does not fit in 64 bits, or there are none.
    """

    def __init__(self, seeds: Sequence[int], purpose: str) -> None:
        self.seeds = [int(seed) for seed in seeds]
        self.purpose = purpose
        if not self.seeds:
            raise ValueError("seeds is empty; give at least one seed")
        for number in self.seeds:
            if not 0 <= number < 2**64:
                raise ValueError(f"seeds holds {number}; a seed is an integer from 0 to 2**64 - 1")
        self._purpose_key = int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")
        self._keys = [np.array([seed(number), self._purpose_key], dtype=np.uint64) for number in self.seeds]
        self.position = 0

    @property
    def position(self) -> int:
        """How many uniform numbers each member has used. Setting it moves every stream there."""
        return self._position

    @position.setter
    def position(self, position: int) -> None:
        if position < 0:
            raise ValueError(f"position is {position}; a stream begins at 0")
        self._generators = []
        for key in self._keys:
            bits = np.random.Philox(key=key)
            bits.advance(position // _PER_COUNTER)
            generator = np.random.Generator(bits)
            generator.random(position % _PER_COUNTER, dtype=np.float32)
            self._generators.append(generator)
        self._position = position

    def uniform(self, *shape: int) -> Float32[np.ndarray, "member *shape"]:
        """Uniform numbers in [0, 1), with 24 random bits each; uses one number of the stream for each."""
        numbers = np.empty((len(self.seeds), *shape), dtype=np.float32)
        for generator, row in zip(self._generators, numbers, strict=True):
            generator.random(dtype=np.float32, out=row)
        self._position += int(np.prod(shape))
        return numbers

    def normal(self, *shape: int) -> Float32[np.ndarray, "member *shape"]:
        """Standard normal numbers, by inversion: each takes two numbers of the stream, never more or fewer."""
        return ndtri(self._fine(*shape)).astype(np.float32)

    def integers(self, high: int, *shape: int) -> Int64[np.ndarray, "member *shape"]:
        """Integers from 0 to ``high - 1``; each takes two numbers of the stream.

        Raises:
            ValueError: ``high`` is below 1, or above 2**32 where 48 random bits would begin to favour some integers.
        """
        if not 1 <= high <= 2**32:
            raise ValueError(f"high is {high}; it must lie between 1 and 2**32")
        return (self._fine(*shape) * high).astype(np.int64)

    def _fine(self, *shape: int) -> np.ndarray:
        """Float64 uniforms of 48 random bits, in the open interval (0, 1)."""
        pairs = self.uniform(*shape, 2).astype(np.float64)
        return pairs[..., 0] + (pairs[..., 1] + 2.0**-25) * 2.0**-24


class Noise:
    """Random numbers for a training loop, uniform in [0, 1), drawn ahead in blocks and read on the device by an index.

    The loop calls :meth:`refill` before every :attr:`length`-th step; a step calls :meth:`draw` once, which reads the
    next row and moves on. The index is a tensor, and refills and draws write into the same memory: nothing in a step
    depends on the host.

    Args:
        seeds: one integer a member.
        widths: what the numbers are for, and how many a step needs: ``{"explore": 2, "reset": 4}``. Each purpose is a
            stream of its own.
        device: where the numbers are read.
        normal: purposes whose numbers are standard normal instead, by inversion: one uniform number each, so that none
            lies beyond ±5.4.
        length: steps in a block.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        widths: Mapping[str, int],
        device: torch.device,
        *,
        normal: Collection[str] = (),
        length: int = 256,
    ) -> None:
        self.widths = dict(widths)
        self.normal = frozenset(normal)
        self.length = length
        self._streams = [Streams(seeds, purpose) for purpose in widths]
        self._block = torch.zeros(length, len(seeds), sum(widths.values()), device=device)
        self._row = torch.zeros(1, dtype=torch.int64, device=device)
        self._drawn = torch.zeros_like(self._block[:1])
        self.drawn = self._split(self._drawn.squeeze(0))
        """What was drawn last, by purpose, always in the same memory."""

    def refill(self) -> None:
        """Draw the next block of every stream."""
        numbers = [
            stream.uniform(self.length, width)
            for stream, width in zip(self._streams, self.widths.values(), strict=True)
        ]
        self._block.copy_(torch.from_numpy(np.concatenate(numbers, axis=-1)).transpose(0, 1))
        for purpose, columns in self._split(self._block).items():
            if purpose in self.normal:  # k·2⁻²⁴ becomes the odd multiple 2k + 1 − 2²⁴ of 2⁻²⁴: exact, and never ±1
                columns.mul_(2).add_(2.0**-24 - 1).erfinv_().mul_(math.sqrt(2))
        self._row.zero_()

    def draw(self) -> dict[str, Float[Tensor, "member _"]]:
        """The next step's numbers, by purpose; the next draw overwrites them."""
        torch.index_select(self._block, 0, self._row, out=self._drawn)
        self._row.add_(1)
        return self.drawn

    def seek(self, draws: int) -> None:
        """Go to where so many draws lead. What was drawn last is not restored."""
        blocks, row = divmod(draws, self.length)
        for stream, width in zip(self._streams, self.widths.values(), strict=True):
            stream.position = blocks * self.length * width
        if row:  # else the caller refills
            self.refill()
            self._row.fill_(row)

    def _split(self, numbers: Float[Tensor, "*shape number"]) -> dict[str, Float[Tensor, "*shape _"]]:
        return dict(zip(self.widths, numbers.split(list(self.widths.values()), dim=-1), strict=True))
