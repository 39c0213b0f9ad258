"""What the training loop asks of a population of agents."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from companion.rl.environments import Player

__all__ = ["Population", "Watch"]

Watch = Literal["mean", "max"]
"""What becomes of a number that is watched, between two evaluations."""


@runtime_checkable
class Population(Player, Protocol):
    """Agents of one algorithm, all that lasts of which is in their ``state_dict()``."""

    DISCRETE: ClassVar[bool]
    """Whether actions are discrete."""
    WATCHED: ClassVar[Mapping[str, Watch]]
    """What :meth:`learn` returns to be watched."""
    DRAWS: ClassVar[tuple[str, ...]]
    """What :meth:`learn` draws: for each of these a standard normal number for each number of a batch's actions."""
    settings: Any
    """The algorithm's :class:`~companion.runs.settings.Settings`."""

    def __init__(
        self, settings: Any, observation_size: int, action_size: int, seeds: Sequence[int], device: torch.device
    ) -> None: ...

    @property
    def uniform(self) -> Mapping[str, int]:
        """How many uniform numbers in [0, 1) :meth:`act` needs, by purpose."""

    @property
    def normal(self) -> Mapping[str, int]:
        """How many standard normal ones."""

    @property
    def forms(self) -> Sequence[Mapping[str, Any]]:
        """Keyword arguments of :meth:`learn` from one update to the next, over and over. A GPU records each form."""

    def act(self, observation: Float[Tensor, "member observation"], noise: dict[str, Tensor]) -> Tensor:
        """Choose each member's action in training."""

    @property
    def learn(self) -> Any:
        """``learn(batch, **drawn, **form)``: update every network once, and return what is watched, ``(member,)``."""

    def state_dict(self) -> dict[str, Any]:
        """All that lasts of them, by name; it shares their memory."""

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> Any:
        """Go on from a state, in place."""
