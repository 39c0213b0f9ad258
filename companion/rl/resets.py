"""Periodic resets of agents (Nikishin et al. 2022), as a part of the module that they are."""

from collections.abc import Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from companion.averaging import soft_update
from companion.rl.clock import MemberClock

__all__ = ["Resets"]


class Resets(nn.Module):
    """Takes weights back to what they were at first, at every so manieth update: weights ← 1 · first + 0 · weights.

    What is learned is forgotten, and learned again from the replay, which is kept. Whole networks are reset, as the
    authors do with SAC on states (with networks on pixels they reset the last layers). They draw new first weights and
    begin with new moments of Adam's; here the first weights are the same ones at every reset, and the moments are kept,
    since all members share the count of steps by which Adam corrects them. A run that ends with a reset is evaluated
    with first weights: let ``every`` be no divisor of its updates.

    Args:
        every: each member's updates from one reset to the next; 0 is none.
        weights: what is reset, a row a member, networks and slow copies as they are at first.
    """

    def __init__(self, every: Int[Tensor, "member"], weights: Sequence[Float[Tensor, "member _"]]) -> None:
        super().__init__()
        self.any = bool((every > 0).any())  # read once, here: a step may look at no data
        self.weights = list(weights) if self.any else []
        for number, each in enumerate(self.weights):
            self.register_buffer(f"first_{number}", each.detach().clone(), persistent=False)
        self.clock = MemberClock((every > 0).to(weights[0].dtype), every.clamp(min=1))

    def tick(self) -> None:
        """Count an update, and reset the members whose turn it is."""
        if self.any:
            first = [self.get_buffer(f"first_{number}") for number in range(len(self.weights))]
            soft_update(first, self.weights, self.clock.tick())
