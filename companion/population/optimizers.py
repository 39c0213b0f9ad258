"""Adam with a member axis."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.population.networks import flatten, flatten_gradients

__all__ = ["Adam"]


class Adam:
    """Adam (Kingma and Ba 2015, Algorithm 1) with a learning rate for each member.

    ``torch.optim.Adam`` takes one learning rate for a whole tensor, so a sweep over learning rates would need an
    optimizer for each. Adam is elementwise: here the rate is a column beside the members' rows, and every step is the
    same few operations on one tensor. It computes what ``torch.optim.Adam`` does, to rounding.

    Args:
        network: its parameters are moved into one tensor by :func:`~companion.population.flatten`; :attr:`weights` is
            a view of it with a row a member, all copies of a network that has several in the row of their member.
        learning_rate: step size, one number a member.
        betas: decay of the two moments' averages. In this book's words they are EMAs with tau = 1 − beta.
        eps: added to the root of the second moment.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: Float[Tensor, "member"],
        *,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        self.weights = flatten(network).view(len(learning_rate), -1)
        self.learning_rate = learning_rate[:, None]
        self.betas = betas
        self.eps = eps
        self.first = torch.zeros_like(self.weights)
        self.second = torch.zeros_like(self.weights)
        self.count = self.weights.new_zeros(())

    @torch.no_grad()
    def step(self, gradients: Sequence[Float[Tensor, "member ..."]]) -> None:
        """Change the weights by one step; ``gradients`` in the order of the network's parameters."""
        gradient = flatten_gradients(gradients).view_as(self.weights)
        beta1, beta2 = self.betas
        self.count.add_(1)
        self.first.lerp_(gradient, 1 - beta1)
        self.second.mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
        # The bias corrections 1 − βᵗ are two numbers, not two tensors of weights: the first joins the learning rate,
        # and the root of the second is taken out of the denominator √(v/(1 − β₂ᵗ)) + ε.
        correction1 = -torch.expm1(self.count * math.log(beta1))
        correction2 = (-torch.expm1(self.count * math.log(beta2))).sqrt()
        root = self.second.rsqrt().reciprocal_()  # √v; MKL's own root is ten times slower where v is 0
        step = torch.div(self.first, root.add_(self.eps * correction2), out=root)
        self.weights.addcmul_(step, self.learning_rate * correction2 / correction1, value=-1)
