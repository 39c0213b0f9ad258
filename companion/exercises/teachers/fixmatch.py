"""Write `fixmatch_loss(strong, weak, threshold)`, (11.6). You get the student's logits, (picture, class), of the noisy
views and of the weak ones.
"""

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from companion.exercises import Answer, Exercise, differs, expect, matches, normal, returned


def fixmatch_loss(strong: Tensor, weak: Tensor, threshold: float) -> Tensor:
    """Cross-entropy with the weak view's likeliest class, where it is likely enough; mean over all pictures."""
    chance, label = weak.detach().softmax(1).max(1)
    loss = cross_entropy(strong, label, reduction="none")
    return (loss * (chance >= threshold)).mean()


def all_of_them(answer: Answer) -> None:
    """With a threshold of 0 every picture gets the label of its weak view."""
    strong, weak = normal(0)(40, 5), normal(1)(40, 5)
    got = answer(strong, weak, 0.0)
    swapped = fixmatch_loss(weak, strong, 0.0)
    differs(got, swapped, "The label comes from the *weak* view, and the noisy one is what is learned from.")
    hint = "With a threshold of 0 this is the cross-entropy of the strong view's logits with the weak view's argmax."
    matches(got, fixmatch_loss(strong, weak, 0.0), hint)


def only_the_sure(answer: Answer) -> None:
    """Where the weak view is not sure nothing is learned, and the mean is over all pictures all the same."""
    strong, weak = normal(2)(40, 5), 2 * normal(3)(40, 5)
    want = fixmatch_loss(strong, weak, 0.8)
    got = answer(strong, weak, 0.8)
    kept = (weak.softmax(1).amax(1) >= 0.8).double().mean()
    differs(got, want / kept, "Divide by the number of *all* pictures: (11.6) has 1/B, and not one over those kept.")
    of_strong = cross_entropy(strong, weak.argmax(1), reduction="none") * (strong.softmax(1).amax(1) >= 0.8)
    differs(got, of_strong.mean(), "It is the weak view that must be sure.")
    matches(
        got, want, "Count the pictures whose weak view gives its likeliest class a *probability* of threshold or more."
    )


def nobody(answer: Answer) -> None:
    """Where nobody is sure it is 0, and no NaN."""
    got = answer(normal(4)(8, 5), 0 * normal(5)(8, 5), 0.95)
    matches(got, 0.0, "All logits are equal, nobody is sure, and the loss is 0. A mean over none would be NaN.")


def given(answer: Answer) -> None:
    """The label is taken as given."""
    strong, weak = normal(6)(8, 5).requires_grad_(True), normal(7)(8, 5).requires_grad_(True)
    got = returned(answer(strong, weak, 0.0))
    expect(isinstance(got, Tensor) and got.requires_grad, "A gradient must pass to the noisy view: keep to torch.")
    (slope,) = torch.autograd.grad(got, weak, allow_unused=True)
    expect(slope is None or not slope.any(), "A gradient reached the weak view. Its label is taken as given.")


EXERCISE = Exercise(
    place=2,
    title="Only where it is sure",
    difficulty="medium",
    minutes=15,
    expects="a function of (strong, weak, threshold), two logits (picture, class) and a number, that returns a tensor",
    solution=fixmatch_loss,
    why="The mean over all pictures is more than bookkeeping. In the beginning few are sure, and the loss is small by "
    "itself: the threshold is a ramp that nobody has to set. With a mean over those kept a single sure picture would "
    "weigh as much as all labels together.",
    checks=[all_of_them, only_the_sure, nobody, given],
)
