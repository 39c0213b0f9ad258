"""What the training loop asks of a population of agents."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members import Adam
from companion.rl.environments import Player
from companion.rl.replay import Batch

__all__ = ["Population", "Settled", "Watch"]

Watch = Literal["mean", "max"]
"""What becomes of a number that is watched, between two evaluations."""


@runtime_checkable
class Population(Player, Protocol):
    """Agents of one algorithm, all that lasts of which is in their ``state_dict()``."""

    DISCRETE: ClassVar[bool]
    """Whether actions are discrete."""
    WATCHED: ClassVar[Mapping[str, Watch]]
    """What :meth:`learn` returns to be watched."""
    settings: Any
    """The algorithm's :class:`~companion.runs.settings.Settings`."""

    def __init__(
        self, settings: Any, observation_size: int, action_size: int, seeds: Sequence[int], device: torch.device
    ) -> None: ...

    @property
    def uniform(self) -> Mapping[str, int]:
        """How many uniform numbers in [0, 1) a step needs, by purpose."""

    @property
    def normal(self) -> Mapping[str, int]:
        """How many standard normal ones."""

    @property
    def cycle(self) -> int:
        """Updates after which they are alike again. A GPU records each of them."""

    def act(self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]) -> Tensor:
        """Choose each member's action in training."""

    def learn(self, batch: Batch, noise: dict[str, Tensor], update: int) -> dict[str, Float[Tensor, "member"]]:
        """Update all networks once.

        Args:
            batch: transitions of every member.
            noise: random numbers by purpose, ``(member, number)``; those that the algorithm asks for.
            update: how many updates came before, or that modulo :attr:`cycle`.

        Returns:
            What to watch, a number a member.
        """

    def state_dict(self) -> dict[str, Any]:
        """All that lasts of them, by name; it shares their memory."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Go on from a state, in place."""


class Settled(nn.Module):
    """A module with Adams in it, which stays where it was made: it refuses to be moved before a part of it has been."""

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Settled":
        for part in self.modules():
            if isinstance(part, Adam):
                part.refuse_to_move(fn)
        return super()._apply(fn, recurse)
