"""What a student is told about pictures without a label, and by whom: every method's loss, as its equation.

Logits are ``(member, batch, class)``; a loss is the mean over the batch, one number a member. What a teacher says is
taken as given: no gradient passes.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn.functional import cross_entropy

__all__ = [
    "Centre",
    "agreed_labels",
    "confident",
    "cross",
    "disagreement",
    "entropy",
    "ramp",
    "recalled",
    "sharpened",
]

Logits = Float[Tensor, "member batch class"]
Chances = Float[Tensor, "member batch class"]


def disagreement(student: Logits, told: Chances) -> Float[Tensor, " member"]:
    """Mean squared difference of two predictions, over classes and pictures: equation (11.2).

    Source: Tarvainen and Valpola 2017, *Mean teachers are better role models*; their code's ``softmax_mse_loss``.
    """
    return (student.softmax(2) - told.detach()).square().mean((1, 2))


def ramp(progress: Float[Tensor, " member"]) -> Float[Tensor, " member"]:
    """How much of the weight counts, from e^(-5) at 0 to 1 at 1 and later: exp(-5 (1 - t)^2), equation (11.4).

    Source: Laine and Aila 2017, *Temporal ensembling for semi-supervised learning*, section 2.1.
    """
    return torch.exp(-5 * (1 - progress.clamp(0, 1)).square())


def recalled(memory: Chances, tau: Float[Tensor, " member"], times: Int64[Tensor, " batch"]) -> Chances:
    """What a memory Z ← tau z + (1 - tau) Z tells of pictures: Z / (1 - (1 - tau)^times), equation (11.5).

    Args:
        memory: Z, which was zero before the first time.
        tau: weight of each new prediction.
        times: how often each picture has been taken up; where it never was, the answer is zero.

    Source: Laine and Aila 2017, Algorithm 2, whose alpha is 1 - tau.
    """
    forgotten = (1 - tau[:, None, None]) ** times[:, None]  # share of the zero at the start
    return memory / (1 - forgotten).clamp(min=1e-12)


def confident(told: Logits, threshold: Float[Tensor, " member"]) -> Bool[Tensor, "member batch"]:
    """Of which pictures the one who tells gives a class at least so much chance."""
    return told.softmax(2).amax(2) >= threshold[:, None]


def agreed_labels(student: Logits, told: Logits, threshold: Float[Tensor, " member"]) -> Float[Tensor, " member"]:
    """Cross-entropy with the class that was told, where that was told with confidence: equation (11.6).

    The mean is over all pictures, those left out counting zero. With a threshold of 0 these are pseudo-labels.

    Source: Sohn et al. 2020, *FixMatch*, equation (4); Lee 2013, *Pseudo-Label*.
    """
    loss = cross_entropy(student.transpose(1, 2), told.detach().argmax(2), reduction="none")
    return (loss * confident(told.detach(), threshold)).mean(1)


class Centre:
    """What a teacher says on average, which is taken off what it says: m ← tau_m mean + (1 - tau_m) m, equation (11.8).

    Source: Caron et al. 2021, *Emerging properties in self-supervised vision transformers* (DINO), equation (4), whose
    momentum is 1 - tau_m.
    """

    def __init__(self, members: int, outputs: int, tau: Float[Tensor, " member"]) -> None:
        self.value = torch.zeros(members, 1, outputs, device=tau.device)
        self.tau = tau[:, None, None]

    def update(self, told: Logits) -> None:
        """Take the mean of a batch up."""
        self.value.lerp_(told.mean(1, keepdim=True), self.tau.expand_as(self.value))


def sharpened(told: Logits, centre: Float[Tensor, "member 1 class"], temperature: Float[Tensor, " member"]) -> Chances:
    """What the teacher tells: softmax((logits - centre) / temperature), equation (11.7)."""
    return ((told - centre) / temperature[:, None, None]).softmax(2)


def cross(told: Chances, student: Logits, temperature: Float[Tensor, " member"]) -> Float[Tensor, " member"]:
    """Cross-entropy of what is told with the student's prediction, in nats: DINO's loss of one pair, (11.7)."""
    return -(told.detach() * (student / temperature[:, None, None]).log_softmax(2)).sum(2).mean(1)


def entropy(chances: Float[Tensor, "member *batch class"]) -> Float[Tensor, "member *batch"]:
    """In nats: 0 where one class has it all, ln(classes) where none stands out."""
    return torch.special.entr(chances).sum(-1)
