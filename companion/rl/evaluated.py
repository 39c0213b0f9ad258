"""The network that is evaluated: the one that learns, or an average of it that nothing learns from."""

from copy import deepcopy

from jaxtyping import Float
from torch import Tensor, nn

from companion.averaging import soft_update
from companion.members import MLP, flatten

__all__ = ["Evaluated"]


class Evaluated(nn.Module):
    """An average of a network, average ← tau · online + (1 − tau) · average after every update: an observer.

    Nikishin et al. (2018) evaluate averages of an agent's weights, uniform ones, against the unsteadiness of returns.

    Args:
        online: the network, as it is at first.
        tau: each member's weight of the network; 1 is the network itself.
    """

    tau: Float[Tensor, "member"]

    def __init__(self, online: MLP, tau: Float[Tensor, "member"]) -> None:
        super().__init__()
        self.average: MLP | None = None
        self.weights: list[Tensor] = []
        self.register_buffer("tau", tau, persistent=False)
        if (tau < 1).any():  # looked at once, here: a step may look at no data
            self.average = deepcopy(online).requires_grad_(False)
            self.weights = [flatten(self.average)]

    def update(self, online: Float[Tensor, "member number"]) -> None:
        """Follow the network's weights."""
        if self.average is not None:
            soft_update([online], self.weights, self.tau)

    def of(self, online: MLP) -> MLP:
        """What is evaluated: the network, or if any member has an average of it, the averages."""
        return online if self.average is None else self.average
