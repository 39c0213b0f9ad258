"""What a representation is worth, and whether it has collapsed: measured without changing it."""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64, Shaped
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize

from companion.runs.modes import plain_modes

__all__ = ["alignment", "effective_rank", "features", "knn", "linear_probe", "spread", "uniformity"]

_CHUNK = 1_000  # pictures at a time


@torch.no_grad()
def features(
    network: nn.Module,
    images: Shaped[Tensor, "picture 3 height width"],
    *,
    look: Callable[[], None] = lambda: None,
) -> Float[Tensor, "picture feature"]:
    """What a network says of pictures, as bytes or from 0 to 1, in eval mode; every part's mode is left as it was.

    Args:
        network: from pictures to features.
        images: the pictures.
        look: called before every part of them; what it raises ends the reading.
    """
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    read = []
    try:
        for chunk in images.split(_CHUNK):
            look()
            read.append(network(chunk if chunk.is_floating_point() else chunk / 255).float())
        return torch.cat(read)
    finally:
        for module, mode in modes:
            module.training = mode


@torch.no_grad()
def knn(
    bank: Float[Tensor, "picture feature"],
    labels: Int64[Tensor, " picture"],
    queries: Float[Tensor, "query feature"],
    *,
    classes: int,
    neighbours: int = 200,
    temperature: float = 0.1,
) -> Int64[Tensor, " query"]:
    """The class of each query by vote of its nearest neighbours, each with the weight exp(cos / temperature).

    Source: Wu et al. 2018, "Unsupervised Feature Learning via Non-Parametric Instance Discrimination"
    (arXiv:1805.01978), section 3.4, with lightly's temperature.

    Args:
        bank: features of pictures whose class is known.
        labels: their classes.
        queries: features of others.
        classes: how many there are.
        neighbours: how many vote; all of the bank where it is smaller.
        temperature: of the weights.
    """
    bank = normalize(bank, dim=1)
    voted = []
    for chunk in queries.split(_CHUNK):
        near, index = (normalize(chunk, dim=1) @ bank.T).topk(min(neighbours, len(bank)), dim=1)
        votes = torch.zeros(len(chunk), classes, dtype=bank.dtype, device=bank.device)
        voted.append(votes.scatter_add_(1, labels[index], (near / temperature).exp()).argmax(1))
    return torch.cat(voted)


@plain_modes()
def linear_probe(
    train: Float[Tensor, "picture feature"],
    labels: Int64[Tensor, " picture"],
    test: Float[Tensor, "query feature"],
    *,
    classes: int,
    decay: float = 1e-4,
) -> Int64[Tensor, " query"]:
    """The class of each query by a linear classifier of frozen features, which L-BFGS fits to the training features.

    Args:
        train: features to fit to; they are standardised, and ``test`` with the same means and deviations.
        labels: their classes.
        test: features of others.
        classes: how many there are.
        decay: weight of half the squared weights beside the mean cross-entropy.
    """
    mean, deviation = train.mean(0), train.std(0).clamp(min=1e-6)
    x, y = (train - mean) / deviation, (test - mean) / deviation
    labels = labels.clone()  # what was made in inference mode cannot be saved for the way back
    weight = torch.zeros(x.shape[1], classes, dtype=x.dtype, device=x.device, requires_grad=True)
    bias = torch.zeros(classes, dtype=x.dtype, device=x.device, requires_grad=True)
    optimizer = torch.optim.LBFGS([weight, bias], max_iter=100, line_search_fn="strong_wolfe")

    def objective() -> Tensor:
        optimizer.zero_grad()
        loss = cross_entropy(x @ weight + bias, labels) + 0.5 * decay * weight.square().sum()
        loss.backward()
        return loss

    optimizer.step(objective)
    return (y @ weight + bias).argmax(1).detach()


def spread(embeddings: Float[Tensor, "picture embedding"]) -> Float[Tensor, ""]:
    """Standard deviation of embeddings of length 1, relative to that of points all over the sphere: 0 is collapse.

    On a sphere in d dimensions that is 1/√d in each (Chen and He 2021, arXiv:2011.10566, figure 2).
    """
    return embeddings.std(0).mean() * math.sqrt(embeddings.shape[1])


def effective_rank(embeddings: Float[Tensor, "picture embedding"]) -> Float[Tensor, ""]:
    """In how many directions embeddings vary: exp of the entropy of their singular values, as shares of the sum.

    From 1, all on a line, to the number of dimensions. Embeddings are centred first, so that a common part does not
    count as a direction. Source: Roy and Vetterli 2007; for self-supervision Garrido et al. 2023 (arXiv:2210.02885),
    who do not centre.
    """
    values = torch.linalg.svdvals(embeddings - embeddings.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    return torch.special.entr(shares).sum().exp()


def alignment(
    first: Float[Tensor, "picture embedding"], second: Float[Tensor, "picture embedding"]
) -> Float[Tensor, ""]:
    """Mean squared distance of two views' embeddings of length 1: 0 where views do not matter.

    Source: Wang and Isola 2020, "Understanding Contrastive Representation Learning" (arXiv:2005.10242), section 4.1.
    """
    return (first - second).square().sum(1).mean()


def uniformity(embeddings: Float[Tensor, "picture embedding"]) -> Float[Tensor, ""]:
    """Log of the mean of exp(−2·squared distance) over pairs: 0 at one point, towards −4 all over the sphere.

    Source: Wang and Isola 2020, section 4.1.
    """
    return torch.pdist(embeddings).square().mul(-2).exp().mean().log()
