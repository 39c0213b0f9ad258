"""Adam with a member axis."""

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.members.networks import flatten, flatten_gradients
from companion.members.subnormal import forget

__all__ = ["Adam"]

_FIRST, _SECOND = 1e-30, 1e-36
"""Moments nearer to zero than this are taken for zero; see :func:`~companion.members.subnormal.forget`."""

_REMEDY = "Make the agents (or the network and its Adam) anew, where they are to live, and load_state_dict into them."


class Adam(nn.Module):
    """Adam (Kingma and Ba 2015, Algorithm 1) with a learning rate for each member.

    ``torch.optim.Adam`` takes one learning rate for a whole tensor, so a sweep over learning rates would need an
    optimizer for each. Adam is elementwise: here :func:`fused_step`, which is :func:`plain_step` in torch's own fused
    kernel, makes the step of rate 1, and the rates are a column beside the members' rows. Its moments and count are its
    ``state_dict()``; the weights are the network's, and the rates a setting.

    It can be neither copied nor moved: the network's parameters are slices of its weights, and a copy's would be none.
    Make the network and it anew, where they are to live, and ``load_state_dict``.

    Args:
        network: its parameters are moved into one tensor by :func:`~companion.members.flatten`; :attr:`weights` is
            a view of it with a row a member, all copies of a network that has several in the row of their member.
        learning_rate: step size, one number a member.
        betas: decay of the two moments' averages. In this book's words they are EMAs with tau = 1 − beta.
        eps: added to the root of the second moment.
    """

    learning_rate: Float[Tensor, "member 1"]
    first: Float[Tensor, "member number"]
    second: Float[Tensor, "member number"]
    count: Float[Tensor, ""]

    def __init__(
        self,
        network: nn.Module,
        learning_rate: Float[Tensor, "member"],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        super().__init__()
        self.weights = flatten(network).view(len(learning_rate), -1)
        self.slices = list(network.parameters())  # in a list, since they belong to the network's state
        self.betas = betas
        self.eps = eps
        self.register_buffer("learning_rate", learning_rate[:, None].clone(), persistent=False)
        self.register_buffer("first", torch.zeros_like(self.weights))
        self.register_buffer("second", torch.zeros_like(self.weights))
        count = torch.zeros((), device=self.weights.device)  # float32 is what the kernel counts in
        self.register_buffer("count", count)

    def refuse_to_move(self, change: Callable[[Tensor], Tensor]) -> None:
        """Raise if this, which ``nn.Module.to`` and its like do to every tensor, would put the weights elsewhere.

        Raises:
            TypeError: it would move them to another device, or cast them.
        """
        none = self.weights[:0]
        if change(none) is not none:
            raise TypeError(
                f"an Adam and its network stay on {self.weights.device} and in {self.weights.dtype}: "
                f"the parameters are slices of one tensor, and would be no more. {_REMEDY}"
            )

    def __deepcopy__(self, memo: dict[int, Any]) -> NoReturn:
        raise TypeError(
            "an Adam cannot be copied: its network's parameters are slices of one tensor, and the copy's would be "
            f"none, so that it learnt nothing. {_REMEDY}"
        )

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Adam":
        self.refuse_to_move(fn)
        return super()._apply(fn, recurse)

    def descend(self, loss: Float[Tensor, ""]) -> None:
        """Take one step down the slope of a loss, which is a sum over members of what is each one's own."""
        self.step(torch.autograd.grad(loss, self.slices))

    @torch.no_grad()
    def step(self, gradients: Sequence[Float[Tensor, "member ..."]]) -> None:
        """Change the weights by one step; ``gradients`` in the order of the network's parameters."""
        gradient = flatten_gradients(gradients).view_as(self.weights)
        self.count.add_(1)
        step = fused_step(gradient, self.first, self.second, self.count, self.betas, self.eps)
        forget(self.first, _FIRST)
        forget(self.second, _SECOND)
        self.weights.addcmul_(step, self.learning_rate)


def plain_step(
    gradient: Float[Tensor, "..."],
    first: Float[Tensor, "..."],
    second: Float[Tensor, "..."],
    count: Float[Tensor, ""],
    betas: tuple[float, float],
    eps: float,
) -> Float[Tensor, "..."]:
    """Adam's step of rate 1, as it is written: two of this book's averages, of the gradient and of its square.

    Args:
        gradient: what both averages take up.
        first: the average of gradients, changed in place.
        second: the average of their squares, changed in place.
        count: how many steps there are, this one included.
        betas: decay of the two averages.
        eps: added to the root of the second.

    Returns:
        What to add to the weights.

    Source: Kingma and Ba 2015, Algorithm 1.
    """
    first.lerp_(gradient, 1 - betas[0])
    second.lerp_(gradient.square(), 1 - betas[1])
    # What the start, zero, still weighs in each is taken out again.
    mean, square = (
        average / (1 - beta ** count.double()) for average, beta in zip((first, second), betas, strict=True)
    )
    return (-mean / (square.sqrt() + eps)).to(gradient.dtype)


def fused_step(
    gradient: Float[Tensor, "..."],
    first: Float[Tensor, "..."],
    second: Float[Tensor, "..."],
    count: Float[Tensor, ""],
    betas: tuple[float, float],
    eps: float,
) -> Float[Tensor, "..."]:
    """:func:`plain_step` in one pass over the memory: the kernel that ``torch.optim.Adam(fused=True)`` calls."""
    step = torch.zeros_like(gradient)
    torch._fused_adam_(
        [step],
        [gradient],
        [first],
        [second],
        [],
        [count],
        lr=1.0,
        beta1=betas[0],
        beta2=betas[1],
        weight_decay=0.0,
        eps=eps,
        amsgrad=False,
        maximize=False,
    )
    return step
