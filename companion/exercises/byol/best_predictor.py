"""Is it the *learning* of the predictor that matters, or that it is good? Write `best_prediction(online, target)`: fit
a linear map with a bias from a batch's online embeddings to its targets by least squares, and return what it makes of
them. Gradients pass to the embeddings; the map is taken as given. The check trains with it for sixty steps, without a
slow copy. Then put it into the chapter's own `step`, train for twenty epochs, and compare.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from companion.exercises import Answer, Exercise, expect, matches, normal, returned
from companion.exercises.byol import byol_loss


def best_prediction(online: Tensor, target: Tensor) -> Tensor:
    """What a linear map with a bias, fitted to this batch by least squares, makes of the online embeddings."""
    x = torch.cat((online, torch.ones_like(online[:, :1])), 1)
    with torch.no_grad():
        weight = torch.linalg.lstsq(x, target).solution
    return x @ weight


def fits(answer: Answer) -> None:
    """Where targets are an affine function of the embeddings, it finds them exactly."""
    x, map_, offset = normal(14)(40, 5), normal(15)(5, 5), normal(16)(1, 5)
    hint = (
        "The targets are a linear function of these embeddings, x W, and least squares must find it: "
        "`torch.linalg.lstsq(x, target).solution` is the W."
    )
    matches(answer(x, x @ map_), x @ map_, hint, rtol=1e-5, atol=1e-7)
    hint = (
        "It finds a linear map, and misses a constant that is added to all targets. Give the embeddings one more "
        "column, of ones."
    )
    matches(answer(x, x @ map_ + offset), x @ map_ + offset, hint, rtol=1e-5, atol=1e-7)


def projects(answer: Answer) -> None:
    """Where they are not, what it misses is at right angles to all that it could have used."""
    x, target = normal(17)(60, 5), normal(18)(60, 5)
    got = returned(answer(x, target))
    matches(got, best_prediction(x, target), "The targets have noise in them now. Fit by least squares, not exactly.")


def gradient_to_the_embeddings(answer: Answer) -> None:
    """A gradient passes through the prediction to the embeddings, with the map as given, and none to the targets."""
    x, target = normal(19)(30, 4).requires_grad_(True), normal(20)(30, 4).requires_grad_(True)
    got = answer(x, target)
    expect(got.requires_grad, "No gradient passes: the encoder learns nothing. Only the fit belongs under `no_grad`.")
    slopes = torch.autograd.grad(got[:, 0].square().sum(), (x, target), allow_unused=True)
    expect(slopes[1] is None, "A gradient reaches the targets, through the fitted map. Fit it under `torch.no_grad()`.")
    same = x.detach().requires_grad_(True)
    (wanted,) = torch.autograd.grad(best_prediction(same, target.detach())[:, 0].square().sum(), same)
    matches(
        slopes[0], wanted, "The gradient runs through the fit as well. Take the fitted map as given: `torch.no_grad()`."
    )


STEPS, LEAST_SPREAD = 60, 0.35


def no_collapse(answer: Answer) -> None:
    """With it in the predictor's place, and without any slow copy, nothing collapses in sixty steps."""
    spread = spread_with(answer)
    hint = f"Trained with it for {STEPS} steps at τ = 1, the embeddings have a spread of {spread:.2f}: they collapse."
    expect(spread > LEAST_SPREAD, hint)


def spread_with(predict: Any) -> float:
    """Train with a function in the predictor's place, and without a slow copy."""
    from companion.vision import Views, make_learner, probes, shapes

    data = shapes(1_280, 400)
    learner = make_learner("byol", seed=1_000)
    views = Views(data.train.images, data.augmentation, batch_size=128, seed=1_000)
    optimizer = torch.optim.AdamW(learner.online.parameters(), lr=2e-3, weight_decay=0.0)
    for step in range(1, STEPS + 1):
        pair = views(step)
        first, second = learner.online(pair.first), learner.online(pair.second)
        of_first, of_second = (normalize(one.detach(), dim=1) for one in (first, second))
        loss = byol_loss(predict(first, of_second), of_second) + byol_loss(predict(second, of_first), of_first)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(probes.spread(normalize(probes.features(learner.online, data.test.images), dim=1)))


EXERCISE = Exercise(
    place=4,
    title="A predictor without training",
    difficulty="hard",
    minutes=90,
    expects="a function of (online, target), each (picture, embedding), that returns predictions of that shape",
    solution=best_prediction,
    why="The BYOL paper has this experiment: an optimal linear predictor, no target network, 52.5 % on ImageNet where "
    "the whole of BYOL has 72.5 % and BYOL without a target network 0.3 %. What holds the embeddings apart, in theory, "
    "is that the predictor is *near its optimum*, and the paper guesses that a slow copy helps it to stay there. But a "
    "batch of 128 pictures cannot tell 65 numbers for each output well: much of such a fit is noise. Add a little of "
    "the identity before solving (a ridge), or average the matrices of the fit over batches, by the line of this book.",
    checks=[fits, projects, gradient_to_the_embeddings, no_collapse],
)
