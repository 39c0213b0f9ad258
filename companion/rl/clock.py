"""The clock of a population's slow copies, as a part of the module that the agents are."""

from collections.abc import Mapping
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.averaging import Clock

__all__ = ["MemberClock"]


class MemberClock(nn.Module):
    """A :class:`companion.averaging.Clock` with a tau and a period for each member, whose count is in ``state_dict()``.

    Args:
        tau: each member's weight of the online network.
        period: each member's updates from one move of its slow copies to the next.
    """

    def __init__(self, tau: Float[Tensor, "member"], period: Int[Tensor, "member"]) -> None:
        super().__init__()
        self.clock = Clock(tau, period)

    def tick(self) -> Any:
        """Count an update; each member's tau where its period is over, else 0, which leaves its slow copies alone."""
        return self.clock.tick()

    def get_extra_state(self) -> Mapping[str, Tensor]:
        """The count."""
        return self.clock.state_dict()

    def set_extra_state(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a count."""
        self.clock.load_state_dict(state)
