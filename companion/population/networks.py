"""Networks whose parameters lead with a member axis."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.population.streams import Streams

__all__ = ["MLP", "flatten"]


class MLP(nn.Module):
    """A multi-layer perceptron for every member, evaluated together.

    Layer i holds ``weights[i]`` of shape ``(member, in, out)`` and ``biases[i]`` of shape ``(member, 1, out)``;
    ``torch.baddbmm(bias, x, weight)`` applies each member's own layer to its own batch.

    The weights start as those of ``torch.nn.Linear`` do, uniform within ±1/√in, drawn from ``Streams(seeds,
    "init")``: a member's first weights depend on its seed and on ``sizes`` alone.

    Args:
        sizes: width of the input, of each hidden layer and of the output.
        seeds: one integer a member.
        activation: applied after every layer but the last.

    Raises:
        ValueError: fewer than two sizes, or a size below 1.
    """

    def __init__(
        self, sizes: Sequence[int], seeds: Sequence[int], *, activation: Callable[[Tensor], Tensor] = torch.relu
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise ValueError(f"sizes is {tuple(sizes)}; give the input width, hidden widths and output width, each ≥ 1")
        self.activation = activation
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        streams = Streams(seeds, "init")
        for wide_in, wide_out in pairwise(sizes):
            bound = wide_in**-0.5
            layer = (2 * torch.from_numpy(streams.uniform(wide_in + 1, wide_out)) - 1) * bound
            self.weights.append(nn.Parameter(layer[:, :-1].contiguous()))
            self.biases.append(nn.Parameter(layer[:, -1:].contiguous()))

    def forward(self, x: Float[Tensor, "member batch in"]) -> Float[Tensor, "member batch out"]:
        """Each member's output for its own batch."""
        last = len(self.weights) - 1
        for i, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            x = torch.baddbmm(bias, x, weight)
            if i < last:
                x = self.activation(x)
        return x


def flatten(network: nn.Module) -> tuple[Float[Tensor, "member parameter"], Float[Tensor, "member parameter"]]:
    """Make a network's parameters, and their gradients, slices of two tensors, and return the two.

    Every parameter must lead with the same member axis. The network works as before, but its parameters and their
    ``.grad`` are now views into the returned tensors: zeroing the gradients, an optimizer's step and a soft update
    are one call on one tensor each, however many layers there are. ``backward`` adds into the flat gradient.

    Raises:
        ValueError: the network has no parameters, or they do not share their first axis, dtype and device.
    """
    parameters = list(network.parameters())
    kinds = {(p.shape[:1], p.dtype, p.device) for p in parameters}
    if len(kinds) != 1:
        raise ValueError(
            f"network must have parameters of one member count, dtype and device; it has {len(kinds)} kinds"
        )
    members = parameters[0].shape[0]
    flat = torch.cat([p.detach().reshape(members, -1) for p in parameters], dim=1)
    gradient = torch.zeros_like(flat)
    start = 0
    for p in parameters:
        stop = start + p.numel() // members
        p.data = flat[:, start:stop].view(p.shape)
        p.grad = gradient[:, start:stop].view(p.shape)
        start = stop
    return flat, gradient
