"""Write `consistency(student, teacher)`: the mean of (11.2) over a batch, from the logits of both, (picture, class)."""

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, differs, expect, matches, normal, returned


def consistency(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of two predictions; what the teacher says is taken as given."""
    told = teacher.detach().softmax(1)
    return (student.softmax(1) - told).square().mean()


def agreement(answer: Answer) -> None:
    """It is 0 where the two predict the same, whatever constant their logits differ by."""
    said = normal(0)(6, 4)
    hint = "Logits that differ by a constant are one prediction: put both through a softmax, over the classes, first."
    matches(answer(said, said + 3), 0.0, hint, atol=1e-12)


def mean(answer: Answer) -> None:
    """It is a mean over pictures and over classes."""
    said, told = normal(1)(6, 4), normal(2)(6, 4)
    got, want = answer(said, told), consistency(said, told)
    differs(got, 4 * want, "That is the sum over the classes; (11.2) divides by how many there are.")
    differs(got, 24 * want, "That is a sum; take the mean over pictures and classes.")
    matches(got, want, "The mean over the pictures of (11.2): squares of differences of *probabilities*.")


def given(answer: Answer) -> None:
    """A gradient reaches the student, and none the teacher."""
    said, told = normal(3)(6, 4).requires_grad_(True), normal(4)(6, 4).requires_grad_(True)
    got = returned(answer(said, told))
    expect(isinstance(got, Tensor) and got.requires_grad, "A gradient must pass to the student: keep to torch.")
    student, teacher = torch.autograd.grad(got, (said, told), allow_unused=True)
    expect(student is not None, "No gradient reached the student, who is the one to learn: detach the other side.")
    hint = "A gradient reached the teacher. What it says is taken as given: `.detach()` it."
    expect(teacher is None or not teacher.any(), hint)


EXERCISE = Exercise(
    place=1,
    title="Agree with a teacher",
    difficulty="easy",
    minutes=10,
    expects="a function of (student, teacher), logits (picture, class) each, that returns a tensor with one number",
    solution=consistency,
    why="Probabilities and not logits, since only they are predictions. Their squared difference is at most $2/C$: no "
    "picture costs more. Its pull on the logits fades where the student is sure, right or wrong; that of a "
    "cross-entropy is largest where the student is sure and is contradicted. "
    "The gradient goes to the student alone: the teacher follows by (11.1) and by nothing else.",
    checks=[agreement, mean, given],
)
