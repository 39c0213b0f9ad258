"""What an environment is here: a few sizes, and three pure functions of tensors."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class Environment:
    """An environment as a tensor program: no hidden state, no branch on data, any number of leading axes.

    The state is an argument and a result, so thousands of environments step in one call, and the randomness comes
    from the caller as uniform noise. The time limit is not part of `step`: running out of time is no property of the
    state, and whoever counts the steps must treat it differently from termination (it does not end the return).
    """

    name: str
    """Name in gymnasium's registry, whose dynamics, rewards and time limit are reproduced."""
    observation_size: int
    """Numbers in an observation."""
    state_size: int
    """Numbers in a state."""
    actions: int | None
    """Number of discrete actions; None where actions are continuous."""
    action_size: int | None
    """Numbers in a continuous action; None where actions are discrete."""
    action_high: float | None
    """Largest magnitude of each number of a continuous action; None where actions are discrete."""
    reset_width: int
    """Uniform numbers that one reset uses up."""
    time_limit: int
    """Steps after which an episode is truncated."""
    reset: Callable[[Float[Tensor, "*batch width"]], Float[Tensor, "*batch state"]]
    """Start states from uniform noise in [0, 1)."""
    observe: Callable[[Float[Tensor, "*batch state"]], Float[Tensor, "*batch observation"]]
    """What the agent sees of a state."""
    step: Callable[
        [Float[Tensor, "*batch state"], Tensor],
        tuple[Float[Tensor, "*batch state"], Float[Tensor, "*batch"], Bool[Tensor, "*batch"]],
    ]
    """(state, action) to (next state, reward, terminated). Actions are integers shaped `*batch` where they are
    discrete, floats shaped `*batch action` where they are continuous (and are clipped to ±action_high)."""
