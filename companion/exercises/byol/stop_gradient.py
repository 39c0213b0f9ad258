"""Write (9.2), `symmetric_loss(online, predictor, target, first, second)`: two predictions, two targets, crossed, and a
gradient that stops where it should. The target handed in is an ordinary module: it would learn if you let it.
"""

import torch
from torch import Tensor, nn

from companion.exercises import Answer, Exercise, agrees, expect, matches, normal
from companion.exercises.byol import byol_loss


def symmetric_loss(online: nn.Module, predictor: nn.Module, target: nn.Module, first: Tensor, second: Tensor) -> Tensor:
    """Each view's prediction against what the target says of the other."""
    with torch.no_grad():
        of_first, of_second = target(first), target(second)
    return byol_loss(predictor(online(first)), of_second) + byol_loss(predictor(online(second)), of_first)


def trio(seed: int) -> tuple[nn.Sequential, nn.Sequential, nn.Sequential]:
    """Online network, predictor and target; the target would take gradients, if one let it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        online, predictor, target = (nn.Sequential(nn.Linear(5, 5), nn.Tanh()).double() for _ in range(3))
    return online, predictor, target


def one_way(answer: Answer) -> None:
    """Where both views are the same picture it is twice the loss of one."""
    networks, view = trio(0), normal(4)(12, 5)
    hint = (
        "Both views were the same, so crossing them does not matter, and the number is off. It is the *sum* of two "
        "losses (9.1), each of a prediction, `predictor(online(view))`, against `target(view)` without a predictor."
    )
    agrees(answer, symmetric_loss, (*networks, view, view), hint)


def crossed(answer: Answer) -> None:
    """Each view's prediction faces the other view's target."""
    networks, first, second = trio(1), normal(5)(12, 5), normal(6)(12, 5)
    hint = (
        "Right when both views are the same, wrong when they differ. The prediction from the first view is held "
        "against the target's word on the *second*, and the other way round, both counted."
    )
    agrees(answer, symmetric_loss, (*networks, first, second), hint)


def target_is_given(answer: Answer) -> None:
    """No gradient reaches the target network."""
    networks = trio(2)
    loss = answer(*networks, normal(7)(12, 5), normal(8)(12, 5))
    expect(loss.requires_grad, "Nothing can be learned from it: no gradient passes. What stands under `no_grad`?")
    loss.backward()
    expect(
        all(weight.grad is None for weight in networks[2].parameters()),
        "After `backward` the target's weights have gradients: it was pulled towards the prediction. Ask it under "
        "`torch.no_grad()`, or detach what it says.",
    )


def online_learns(answer: Answer) -> None:
    """Online network and predictor have the right gradients, from both views."""
    networks, same = trio(3), trio(3)
    views = normal(9)(12, 5), normal(10)(12, 5)
    answer(*networks, *views).backward()
    symmetric_loss(*same, *views).backward()
    for name, network, reference in zip(("online network", "predictor"), networks, same, strict=False):
        for weight, wanted in zip(network.parameters(), reference.parameters(), strict=True):
            hint = f"No gradient reached the {name}: the prediction was stopped instead of the target, or both."
            expect(weight.grad is not None, hint)
            hint = f"The loss is right and the {name}'s gradient is not: part of the prediction was detached."
            matches(weight.grad, wanted.grad, hint)


EXERCISE = Exercise(
    place=1,
    title="Where the gradient stops",
    difficulty="easy",
    minutes=10,
    expects="a function of (online, predictor, target, first, second) that returns a tensor with one number",
    solution=symmetric_loss,
    why="The value of the loss does not tell where a gradient runs, so a wrong stop shows in no log until the "
    "embeddings have collapsed. `torch.no_grad()` around the target's two lines also saves the memory of its graph. In "
    "code with a `TargetNetwork` the weights are frozen anyway; the stop matters most where target and online network "
    "are one, as in SimSiam.",
    checks=[one_way, crossed, target_is_given, online_learns],
)
