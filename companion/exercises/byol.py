"""BYOL: learning from your own slow copy.

The exercises of the chapter that learns to see without labels and without negatives. An embedding is a row a picture,
``(picture, embedding)``; networks are ordinary modules.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize

from companion.exercises.core import Exercise, checks_of_a_line, expect, matches, returned


def _rows(seed: int, pictures: int = 12, size: int = 5) -> Float[Tensor, "picture embedding"]:
    return torch.randn(pictures, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# --- byol-loss --------------------------------------------------------------------------------------------------------


def byol_loss(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean over the pictures of 2 − 2 cos."""
    cosine = (normalize(prediction, dim=1) * normalize(target, dim=1)).sum(1)
    return (2 - 2 * cosine).mean()


def _equal_and_opposite(answer: Any) -> None:
    """It is 0 where the two agree, 2 where they are at right angles, and 4 where they are opposite."""
    unit = torch.eye(3, dtype=torch.float64)
    for target, want, what in (
        (unit, 0.0, "equal"),
        (unit.roll(1, 0), 2.0, "at right angles"),
        (-unit, 4.0, "opposite"),
    ):
        matches(
            answer(unit, target),
            want,
            f"Three pictures, whose vectors of length 1 are {what}: the loss is {want:g}. It is the squared distance "
            "of the two, summed over a vector's numbers and averaged over the pictures.",
        )


def _only_directions(answer: Any) -> None:
    """Lengths do not matter, only directions."""
    prediction, target = _rows(0), normalize(_rows(1), dim=1)
    stretch = torch.linspace(0.1, 9, len(target), dtype=torch.float64)[:, None]
    matches(
        answer(stretch * prediction, target),
        byol_loss(prediction, target),
        "Stretch each prediction by a factor of its own, and the loss must stay. Scale every *row* to length 1 first, "
        "predictions and targets.",
    )
    matches(
        answer(prediction, stretch * target),
        byol_loss(prediction, target),
        "Right for predictions of any length, wrong for targets: they are scaled to length 1 too.",
    )


def _slope(answer: Any) -> None:
    """Its slope is at right angles to each prediction: there is nothing to be had from length."""
    prediction = _rows(2).requires_grad_(True)
    got = returned(answer(prediction, _rows(3)))
    hint = "A gradient must pass through it to the prediction: keep to torch, without `.item()`, `.detach()` or NumPy."
    expect(isinstance(got, Tensor) and got.requires_grad, hint)
    (slope,) = torch.autograd.grad(got, prediction)
    along = (slope * prediction).sum(1)
    matches(along, torch.zeros_like(along), "Its slope has a part along the prediction, which ought to be free.")


LOSS = Exercise(
    name="byol-loss",
    title="How far apart are two directions?",
    difficulty="easy",
    minutes=5,
    task="Write (9.1), `byol_loss(prediction, target)`, for a batch: rows are pictures.",
    expects="a function of (prediction, target), each (picture, embedding), that returns a tensor with one number",
    solution=byol_loss,
    why="On the unit sphere $\\lVert p - z\\rVert^2 = 2 - 2\\,p\\cdot z$: distance and angle are the same thing. "
    "`mse_loss` of the two would divide by the number of dimensions, too. Since length is free, no network can lower "
    "this loss by shrinking its outputs. That closes one way to cheat. The other, one "
    "direction for all pictures, stays open.",
    checks=[_equal_and_opposite, _only_directions, _slope],
)

# --- byol-stop-gradient -----------------------------------------------------------------------------------------------


def symmetric_loss(online: nn.Module, predictor: nn.Module, target: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Each view's prediction against what the target says of the other."""
    with torch.no_grad():
        of_first, of_second = target(first), target(second)
    return byol_loss(predictor(online(first)), of_second) + byol_loss(predictor(online(second)), of_first)


def _trio(seed: int) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """Online network, predictor and target; the target would take gradients, if one let it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        online, predictor, target = (nn.Sequential(nn.Linear(5, 5), nn.Tanh()).double() for _ in range(3))
    return online, predictor, target


def _one_way(answer: Any) -> None:
    """Where both views are the same picture it is twice the loss of one."""
    networks, view = _trio(0), _rows(4)
    matches(
        answer(*networks, view, view),
        symmetric_loss(*networks, view, view).detach(),
        "Both views were the same, so crossing them does not matter, and the number is off. It is the *sum* of two "
        "losses (9.1), each of a prediction, `predictor(online(view))`, against `target(view)` without a predictor.",
    )


def _crossed(answer: Any) -> None:
    """Each view's prediction faces the other view's target."""
    networks, first, second = _trio(1), _rows(5), _rows(6)
    matches(
        answer(*networks, first, second),
        symmetric_loss(*networks, first, second).detach(),
        "Right when both views are the same, wrong when they differ. The prediction from the first view is held "
        "against the target's word on the *second*, and the other way round, both counted.",
    )


def _target_is_given(answer: Any) -> None:
    """No gradient reaches the target network."""
    networks = _trio(2)
    loss = answer(*networks, _rows(7), _rows(8))
    expect(loss.requires_grad, "Nothing can be learned from it: no gradient passes. What stands under `no_grad`?")
    loss.backward()
    expect(
        all(weight.grad is None for weight in networks[2].parameters()),
        "After `backward` the target's weights have gradients: it was pulled towards the prediction. Ask it under "
        "`torch.no_grad()`, or detach what it says.",
    )


def _online_learns(answer: Any) -> None:
    """Online network and predictor have the right gradients, from both views."""
    networks, same = _trio(3), _trio(3)
    views = _rows(9), _rows(10)
    answer(*networks, *views).backward()
    symmetric_loss(*same, *views).backward()
    for name, network, reference in zip(("online network", "predictor"), networks, same, strict=False):
        for weight, wanted in zip(network.parameters(), reference.parameters(), strict=True):
            expect(
                weight.grad is not None,
                f"No gradient reached the {name}: the prediction was stopped instead of the target, or both.",
            )
            matches(
                weight.grad,
                wanted.grad,
                f"The loss is right and the {name}'s gradient is not: part of the prediction was detached.",
            )


STOP = Exercise(
    name="byol-stop-gradient",
    title="Where the gradient stops",
    difficulty="easy",
    minutes=10,
    task="Write (9.2), `symmetric_loss(online, predictor, target, first, second)`: two predictions, two targets, "
    "crossed, and a gradient that stops where it should. The target handed in is an ordinary module: it would learn if "
    "you let it.",
    expects="a function of (online, predictor, target, first, second) that returns a tensor with one number",
    solution=symmetric_loss,
    why="The value of the loss does not tell where a gradient runs, so a wrong stop shows in no log until the "
    "embeddings have collapsed. `torch.no_grad()` around the target's two lines also saves the memory of its graph. In "
    "code with a `TargetNetwork` the weights are frozen anyway; the stop matters most where target and online network "
    "are one, as in SimSiam.",
    checks=[_one_way, _crossed, _target_is_given, _online_learns],
)

# --- byol-collapse ----------------------------------------------------------------------------------------------------


def health(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """Spread and effective rank of embeddings, which are scaled to length 1 first."""
    unit = normalize(embeddings, dim=1)
    spread = unit.std(0).mean() * unit.shape[1] ** 0.5
    values = torch.linalg.svdvals(unit - unit.mean(0))
    shares = values / values.sum().clamp(min=1e-12)
    return spread, torch.special.entr(shares).sum().exp()


def _both(answer: Any, embeddings: Tensor) -> tuple[Any, Any]:
    got = returned(answer(embeddings))
    expect(isinstance(got, tuple | list) and len(got) == 2, "Return two numbers: the spread, then the effective rank.")
    return got[0], got[1]


def _all_over_the_sphere(answer: Any) -> None:
    """Points all over the sphere have a spread of 1, in any number of dimensions."""
    for size in (4, 64):
        points = _rows(11, 4_000, size)
        spread, _ = _both(answer, points)
        matches(
            spread,
            health(points)[0],
            f"Random directions in {size} dimensions have the spread 1. Scale rows to length 1, take the standard "
            "deviation of each dimension over the pictures, average, and multiply by √d.",
            rtol=2e-3,
        )


def _one_point(answer: Any) -> None:
    """One point for all pictures has no spread."""
    spread, _ = _both(answer, _rows(12, 1, 8).expand(50, -1) * torch.linspace(1, 2, 50, dtype=torch.float64)[:, None])
    matches(
        spread,
        0.0,
        "Fifty embeddings of one direction and different lengths: that is collapse, and the spread must be 0. Scale "
        "rows to length 1 before anything else.",
        atol=1e-6,
    )


def _directions(answer: Any) -> None:
    """The rank counts directions: 1 on a circle's diameter, k where k directions share the variance."""
    for directions in (1, 3, 6):
        signed = torch.cat((torch.eye(8, dtype=torch.float64), -torch.eye(8, dtype=torch.float64)))
        points = torch.cat((signed[:directions], signed[8 : 8 + directions])).repeat(10, 1)
        _, rank = _both(answer, points)
        matches(
            rank,
            float(directions),
            f"Embeddings that vary along {directions} direction{'s' * (directions > 1)}, equally, have effective rank "
            f"{directions}. It is exp of the entropy of the singular values, as shares of their *sum*.",
            rtol=1e-4,
        )


def _centred(answer: Any) -> None:
    """A part that all pictures have in common does not count as a direction."""
    points = _rows(13, 400, 8) + 6 * torch.ones(8, dtype=torch.float64)
    _, rank = _both(answer, points)
    matches(
        rank,
        health(points)[1],
        "Right where the mean is 0; wrong where all embeddings share a part. Subtract the mean before the singular "
        "values (after the scaling to length 1).",
        rtol=1e-4,
    )


COLLAPSE = Exercise(
    name="byol-collapse",
    title="Two ways to have nothing to say",
    difficulty="medium",
    minutes=15,
    task="Write `health(embeddings)` that returns (9.6) and (9.7): spread and effective rank, of embeddings of any "
    "length. `torch.linalg.svdvals` and `torch.special.entr` help.",
    expects="a function of (embeddings), (picture, embedding), that returns two numbers: (spread, effective rank)",
    solution=health,
    why="They see different things, and you want both. A collapse to a *point* has spread 0, and what is left around "
    "the point is dust, whose effective rank may be high. A collapse to a *line* has a healthy spread and effective "
    "rank 1: *dimensional* collapse. The loss only looks better for either.",
    checks=[_all_over_the_sphere, _one_point, _directions, _centred],
)

# --- byol-shares ------------------------------------------------------------------------------------------------------


def shares(taus: Sequence[float]) -> np.ndarray:
    """How much of the first copy, then of the online network after each update, is in the slow copy at the end."""
    tau = np.asarray(taus, dtype=float)
    kept = np.cumprod((1 - tau)[::-1])[::-1]  # of what was there before update k, at the end
    return np.append(kept[0], tau * np.append(kept[1:], 1.0))


def _one_update(answer: Any) -> None:
    """After one update: 1 − τ of the start, τ of the new network."""
    matches(
        answer([0.3]),
        [0.7, 0.3],
        "One update with τ = 0.3 leaves 0.7 of the first copy and 0.3 of the new network: two numbers, start first.",
    )


def _sum_to_one(answer: Any) -> None:
    """They add up to 1."""
    for taus in ([0.2, 0.9, 0.1], [0.0, 0.5, 0.0], [1.0, 0.25, 1.0, 0.25]):
        got = np.asarray(returned(answer(taus)), dtype=float)
        expect(got.shape == (len(taus) + 1,), f"{len(taus)} updates, {len(taus) + 1} shares, the start's among them.")
        expect(
            abs(got.sum() - 1) < 1e-9,
            f"For τ = {taus} your shares add up to {got.sum():.3f}. Each update shrinks *all* that was there before it "
            "by its own 1 − τ, and adds τ of the new.",
        )


def _constant(answer: Any) -> None:
    """With a constant τ they are chapter 2's weights."""
    tau, updates = 0.1, 30
    want = np.append((1 - tau) ** updates, tau * (1 - tau) ** np.arange(updates - 1, -1, -1))
    matches(
        answer([tau] * updates),
        want,
        "With a constant τ, the network of update k has the weight τ(1 − τ)^(K − k): the last the most, the first the "
        "least.",
    )


def _annealed(answer: Any) -> None:
    """With a schedule each network was shrunk by the updates *after* it."""
    from companion.averaging import cosine

    for tau, total in ((0.2, 50), (0.02, 400)):
        schedule = cosine(tau, total)
        taus = [schedule(k) for k in range(1, total + 1)]
        matches(
            answer(taus),
            shares(taus),
            "Right for a constant τ, wrong for one that changes. The share of network k is τ_k times the product of "
            "1 − τ_i over the updates i *after* k, each with its own τ.",
        )


SHARES = Exercise(
    name="byol-shares",
    title="Who is in the slow copy?",
    difficulty="medium",
    minutes=20,
    task="A slow copy was updated with weights τ₁, τ₂, …, τ_K. Write `shares(taus)`: how much of the first copy and of "
    "the online network after each update is in it at the end, K + 1 numbers. Then plot them for the cosine schedule.",
    expects="a function of (taus), a sequence of K numbers, that returns K + 1 numbers",
    solution=shares,
    why="With a constant τ the newest network has the largest share. With a τ that falls to 0 it has none: the copy "
    "comes to rest on networks from some time before the end, and takes ever longer exposures on the way there.",
    checks=[_one_update, _sum_to_one, _constant, _annealed],
)

# --- byol-find-the-line -----------------------------------------------------------------------------------------------


def suspect(online: Any, predictor: Any, optimizer: Any, first: Tensor, second: Tensor) -> Tensor:
    def distance(p: Tensor, z: Tensor) -> Tensor:
        p = p.detach()
        p = normalize(p, dim=1)
        z = normalize(z, dim=1)
        return (2 - 2 * (p * z).sum(1)).mean()

    z1 = online(first)
    z2 = online(second)
    p1 = predictor(z1)
    p2 = predictor(z2)
    loss = distance(p1, z2) + distance(p2, z1)

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


LISTING = inspect.getsource(suspect).rstrip()
"""The suspect's source, as the reader sees it."""

_INNOCENT = {
    "def suspect": "That line only names what comes in. There is no slow copy among it: this is the corner τ = 1.",
    "def distance": "A prediction and a target: which is which matters in the lines below it.",
    "p = normalize": "The prediction is scaled to length 1, as (9.1) wants it.",
    "z = normalize": "The target is scaled to length 1, as (9.1) wants it.",
    "return (2 - 2": "2 − 2 cos, the mean over the pictures: (9.1).",
    "z1 = ": "The online network on the first view. With τ = 1 the target is the same network, so once will do.",
    "z2 = ": "The online network on the second view. With τ = 1 the target is the same network, so once will do.",
    "p1 = ": "A prediction from the first view. Ask what becomes of it further up.",
    "p2 = ": "A prediction from the second view. Ask what becomes of it further up.",
    "loss = ": "Crossed and symmetric: (9.2).",
    "optimizer.zero_grad": "Cleared right before `backward`, and nobody else leaves gradients here.",
    "loss.backward": "That line is right. But whose weights does this gradient reach, and whose does it not?",
    "optimizer.step": "It steps along the gradient that it finds. Ask which weights have one.",
    "return loss": "What is returned is only looked at.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "p = p.detach()" in line)


FIND = Exercise(
    name="byol-find-the-line",
    title="Find the line",
    difficulty="medium",
    minutes=15,
    task="The curves above come from the numbered listing, a step of SimSiam: BYOL with τ = 1. It runs without a "
    "murmur, and its loss is lower than a healthy one. One line does the harm. Hand in its number.",
    expects="the number of a line, such as 5",
    solution=guilty_line,
    why="It should read `z = z.detach()`. The stop-gradient stands on the wrong side: the *prediction* is taken as "
    "given, and the target is pulled towards it. The predictor never learns, so it is a fixed random map; and what "
    "moves is exactly the side that must hold still. There is a `detach` in the code, the shapes are right, and the "
    "loss is low. Only the embeddings could have told.",
    checks=checks_of_a_line(LISTING, _INNOCENT),
    value=True,
)

# --- byol-best-predictor ----------------------------------------------------------------------------------------------


def best_prediction(online: Tensor, target: Tensor) -> Tensor:
    """What a linear map with a bias, fitted to this batch by least squares, makes of the online embeddings."""
    x = torch.cat((online, torch.ones_like(online[:, :1])), 1)
    with torch.no_grad():
        weight = torch.linalg.lstsq(x, target).solution
    return x @ weight


def _fits(answer: Any) -> None:
    """Where targets are an affine function of the embeddings, it finds them exactly."""
    x, map_, offset = _rows(14, 40, 5), _rows(15, 5, 5), _rows(16, 1, 5)
    matches(
        answer(x, x @ map_),
        x @ map_,
        "The targets are a linear function of these embeddings, x W, and least squares must find it: "
        "`torch.linalg.lstsq(x, target).solution` is the W.",
        rtol=1e-5,
        atol=1e-7,
    )
    matches(
        answer(x, x @ map_ + offset),
        x @ map_ + offset,
        "It finds a linear map, and misses a constant that is added to all targets. Give the embeddings one more "
        "column, of ones.",
        rtol=1e-5,
        atol=1e-7,
    )


def _projects(answer: Any) -> None:
    """Where they are not, what it misses is at right angles to all that it could have used."""
    x, target = _rows(17, 60, 5), _rows(18, 60, 5)
    got = returned(answer(x, target))
    matches(got, best_prediction(x, target), "The targets have noise in them now. Fit by least squares, not exactly.")


def _gradient_to_the_embeddings(answer: Any) -> None:
    """A gradient passes through the prediction to the embeddings, with the map as given, and none to the targets."""
    x, target = _rows(19, 30, 4).requires_grad_(True), _rows(20, 30, 4).requires_grad_(True)
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


def _no_collapse(answer: Any) -> None:
    """With it in the predictor's place, and without any slow copy, nothing collapses in sixty steps."""
    spread = _spread_with(answer)
    expect(
        spread > LEAST_SPREAD,
        f"Trained with it for {STEPS} steps at τ = 1, the embeddings have a spread of {spread:.2f}: they collapse.",
    )


def _spread_with(predict: Any) -> float:
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


BEST = Exercise(
    name="byol-best-predictor",
    title="A predictor without training",
    difficulty="hard",
    minutes=90,
    task="Is it the *learning* of the predictor that matters, or that it is good? Write `best_prediction(online, "
    "target)`: fit a linear map with a bias from a batch's online embeddings to its targets by least squares, and "
    "return what it makes of them. Gradients pass to the embeddings; the map is taken as given. The check trains with "
    "it for sixty steps, without a slow copy. Then put it into the chapter's own `step`, "
    "train for twenty epochs, and compare.",
    expects="a function of (online, target), each (picture, embedding), that returns predictions of that shape",
    solution=best_prediction,
    why="The BYOL paper has this experiment: an optimal linear predictor, no target network, 52.5 % on ImageNet where "
    "the whole of BYOL has 72.5 % and BYOL without a target network 0.3 %. What holds the embeddings apart is that the "
    "predictor is *near its optimum*, and the paper's guess is that a slow copy helps it to stay there. But a batch of "
    "128 pictures cannot tell 65 numbers for each output well: much of such a fit is noise. Add a little of the "
    "identity before solving (a ridge), or average the matrices of the fit over batches, by the line of this book.",
    checks=[_fits, _projects, _gradient_to_the_embeddings, _no_collapse],
)

EXERCISES = [LOSS, STOP, COLLAPSE, SHARES, FIND, BEST]
