"""What a policy climbs: REINFORCE on a penalised reward, or DPO on comparisons."""

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import logsigmoid

__all__ = ["dpo", "reinforce"]


def reinforce(
    chances: Float[Tensor, "member prompt answer"],
    anchored: Float[Tensor, "member prompt answer"],
    rewards: Float[Tensor, "member prompt answer"],
    beta: Float[Tensor, " member"],
) -> Float[Tensor, ""]:
    """The loss whose slope is REINFORCE's with a KL penalty, (13.5).

    The return of an answer is its reward less β times how much likelier the policy makes it than the anchor does. Its
    baseline is the mean return of the other answers to the same prompt, so that the slope stays unbiased.

    Args:
        chances: logarithm of each answer's chance under the policy, which drew it.
        anchored: the same under the anchor.
        rewards: by the proxy.
        beta: price of one nat.

    Returns:
        The mean over prompts and answers, and the sum over members.

    Source: Williams 1992; Kool, van Hoof and Welling 2019 and Ahmadian et al. 2024 (arXiv:2402.14740) for the baseline.
    """
    returns = (rewards - beta[:, None, None] * (chances - anchored)).detach()
    answers = returns.shape[-1]
    advantage = (returns - returns.mean(-1, keepdim=True)) * (answers / (answers - 1))  # less the mean of the others
    return -(advantage * chances).mean((1, 2)).sum()


def dpo(
    chances: Float[Tensor, "member prompt pair 2"],
    anchored: Float[Tensor, "member prompt pair 2"],
    outcomes: Float[Tensor, "member prompt pair"],
    beta: Float[Tensor, " member"],
) -> Float[Tensor, ""]:
    """The loss of direct preference optimisation, (13.6): Bradley and Terry's, with the reward β log π/π_anchor.

    Args:
        chances: logarithm of the chances of both answers of a pair under the policy.
        anchored: the same under the anchor.
        outcomes: 1 where the first was preferred, 0 where the second was.
        beta: price of one nat.

    Returns:
        The mean over prompts and pairs, and the sum over members.

    Source: Rafailov et al. 2023 (arXiv:2305.18290), equation (7).
    """
    first, second = (chances - anchored).unbind(-1)
    sign = 2 * outcomes - 1
    margin = beta[:, None, None] * (first - second) * sign
    return -logsigmoid(margin).mean((1, 2)).sum()
