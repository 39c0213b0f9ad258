"""Networks whose parameters lead with a member axis."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members.normalization import BatchNorm, FixedLayerNorm, LayerNorm, Norm
from companion.members.streams import Streams

__all__ = ["MLP", "NORMALIZATIONS", "flatten", "flatten_gradients"]

NORMALIZATIONS = ("none", "layer", "fixed-layer", "batch")
"""What an MLP may do to its hidden layers."""


class MLP(nn.Module):
    """A multi-layer perceptron for every member, evaluated together.

    Layer i holds ``weights[i]`` of shape ``(member, in, out)`` and ``biases[i]`` of shape ``(member, 1, out)``;
    ``torch.baddbmm(bias, x, weight)`` applies each member's own layer to its own batch.

    The weights start as those of ``torch.nn.Linear`` do, uniform within ±1/√in, drawn from ``Streams(seeds, purpose)``:
    a member's first weights depend on its seed, on ``purpose``, ``sizes`` and ``copies`` alone.

    ``normalization="layer"`` normalises every hidden layer over its units, before the activation, as in DroQ (Hiraoka
    et al. 2022) and PQN (Gallici et al. 2025); ``"fixed-layer"`` does so without the learned scale and shift.
    ``"batch"`` normalises the input, and every hidden layer after the activation, over the batch, as in CrossQ (Bhatt
    et al. 2024): by its own statistics where it is given two batches side by side, else by the averages of those.
    Parameters and averages of all that are in ``norms``.

    Args:
        sizes: width of the input, of each hidden layer and of the output.
        seeds: one integer a member.
        activation: applied after every layer but the last.
        copies: networks that each member has, such as twin critics: alike in shape, each with first weights of its own,
            all fed the same batch. They are more of the same axis: the parameters lead with ``member · copies``, a
            member's copies side by side.
        purpose: name of the random stream of the first weights; networks of one member that must differ have two.
        normalization: ``"none"``, ``"layer"``, ``"fixed-layer"`` or ``"batch"``.

    Raises:
        ValueError: fewer than two sizes, a size or ``copies`` below 1, or an unknown normalisation.
    """

    def __init__(
        self,
        sizes: Sequence[int],
        seeds: Sequence[int],
        *,
        activation: Callable[[Tensor], Tensor] = torch.relu,
        copies: int = 1,
        purpose: str = "init",
        normalization: str = "none",
    ) -> None:
        super().__init__()
        if len(sizes) < 2 or any(size < 1 for size in sizes):
            raise ValueError(
                f"sizes is {tuple(sizes)}; give the input width, hidden widths and output width, each at least 1"
            )
        if copies < 1:
            raise ValueError(f"copies is {copies}; give at least 1")
        if normalization not in NORMALIZATIONS:
            raise ValueError(f"normalization is {normalization!r}; give one of {', '.join(map(repr, NORMALIZATIONS))}")
        self.activation = activation
        self.copies = copies
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        streams = Streams(seeds, purpose)
        for wide_in, wide_out in pairwise(sizes):
            bound = wide_in**-0.5
            layer = (2 * torch.from_numpy(streams.uniform(copies, wide_in + 1, wide_out)) - 1).flatten(0, 1) * bound
            self.weights.append(nn.Parameter(layer[:, :-1].contiguous()))
            self.biases.append(nn.Parameter(layer[:, -1:].contiguous()))
        self.layer_norm, self.batch_norm = normalization.endswith("layer"), normalization == "batch"
        networks, dtype = len(self.weights[0]), self.weights[0].dtype
        self.norms = nn.ModuleList()
        if normalization == "layer":
            self.norms.extend(LayerNorm(networks, width, dtype) for width in sizes[1:-1])
        if normalization == "fixed-layer":
            self.norms.extend(FixedLayerNorm() for _ in sizes[1:-1])
        if self.batch_norm:
            self.norms.extend(BatchNorm(networks, width, dtype) for width in sizes[:-1])

    def forward(
        self, x: Float[Tensor, "member batch in"], beside: Float[Tensor, "member other in"] | None = None
    ) -> Float[Tensor, "member *copies batch out"]:
        """Each member's output for its own batch; an axis ``copies`` follows ``member`` where there are several.

        Args:
            x: a batch of each member.
            beside: another, with which it is normalised together, and the averages of the statistics move. Only batch
                normalisation looks at it, and without it goes by those averages.
        """
        if beside is not None and self.batch_norm:
            return self._all(torch.cat((x, beside), 1), joint=True)[..., : x.shape[1], :]
        return self._all(x, joint=False)

    def first(self, x: Float[Tensor, "member batch in"]) -> Float[Tensor, "member batch out"]:
        """The output of each member's first copy alone."""
        firsts = slice(None, None, self.copies)
        weights, biases = ([p[firsts] for p in parameters] for parameters in self._layers())
        return self._through(x, weights, biases, firsts, joint=False)

    def _all(self, x: Float[Tensor, "member batch in"], *, joint: bool) -> Float[Tensor, "member *copies batch out"]:
        if self.copies == 1:
            return self._through(x, *self._layers(), slice(None), joint=joint)
        copied = x.repeat_interleave(self.copies, 0)
        return self._through(copied, *self._layers(), slice(None), joint=joint).unflatten(0, (-1, self.copies))

    def _layers(self) -> tuple[Iterable[Tensor], Iterable[Tensor]]:
        """All weights, and all biases. To walk through a ParameterList takes a twentieth of one agent's step."""
        return self.weights._parameters.values(), self.biases._parameters.values()  # type: ignore[return-value]

    def _through(
        self,
        x: Float[Tensor, "network batch in"],
        weights: Iterable[Tensor],
        biases: Iterable[Tensor],
        which: slice,
        *,
        joint: bool,
    ) -> Float[Tensor, "network batch out"]:
        *hidden, (last_weight, last_bias) = zip(weights, biases, strict=True)
        norms: Iterator[Norm] = iter(self.norms)  # type: ignore[arg-type]
        if self.batch_norm:
            x = next(norms)(x, which, joint=joint)
        for weight, bias in hidden:
            x = _linear(x, weight, bias)
            if self.layer_norm:
                x = next(norms)(x, which, joint=joint)
            x = self.activation(x)
            if self.batch_norm:
                x = next(norms)(x, which, joint=joint)
        return _linear(x, last_weight, last_bias)


def _linear(
    x: Float[Tensor, "network batch in"], weight: Float[Tensor, "network in out"], bias: Float[Tensor, "network 1 out"]
) -> Float[Tensor, "network batch out"]:
    if weight.shape[-1] == 1:  # a product with one column; as a matrix product it takes four times as long
        return (x * weight.mT).sum(-1, keepdim=True) + bias
    return torch.baddbmm(bias, x, weight)


def flatten(network: nn.Module) -> Float[Tensor, "member number"]:
    """Move a network's parameters into one tensor, a row a member, and return it.

    The network works as before, but its parameters are now slices of that tensor: an optimizer's step or a soft update
    is one call on one tensor, however many layers there are. Every slice starts at a multiple of 64 bytes, with zeros
    between: matrix kernels round differently on unaligned memory, and a member's place among the others would show.
    Members' slices interleave in memory, so move a flattened target by its tensor:
    ``soft_update([weights], [target_weights], tau)``.

    Raises:
        ValueError: the network has no parameters, or they do not share their first axis, dtype and device.
    """
    parameters = list(network.parameters())
    kinds = {(p.shape[:1], p.dtype, p.device) for p in parameters}
    if len(kinds) != 1:
        raise ValueError(
            f"network's parameters must share member count, dtype and device; they are {sorted(map(str, kinds))}"
        )
    members = len(parameters[0])
    rows = [_padded(p.detach().reshape(members, -1)) for p in parameters]
    flat = torch.cat(rows, dim=1)
    slots = flat.split([row.shape[1] for row in rows], dim=1)
    for p, slot in zip(parameters, slots, strict=True):
        p.data = slot[:, : p[0].numel()].view(p.shape)
    return flat


def flatten_gradients(gradients: Sequence[Float[Tensor, "member ..."]]) -> Float[Tensor, "member number"]:
    """Lay gradients out as :func:`flatten` lays out their parameters, zeros between."""
    return torch.cat([_padded(g.flatten(1)) for g in gradients], dim=1)


def _padded(row: Float[Tensor, "member number"]) -> Float[Tensor, "member padded"]:
    missing = -row.shape[1] * row.element_size() % 64 // row.element_size()
    return nn.functional.pad(row, (0, missing)) if missing else row
