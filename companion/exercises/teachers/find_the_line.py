"""The numbered listing is a step of Mean Teacher. It runs without a murmur, every shape is right, and its teacher is
strangely unsure of everything. One line does the harm. Hand in its number.
"""

import inspect
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from companion.exercises import Exercise, checks_of_a_line


def suspect(student: Any, teacher: Any, optimizer: Any, batch: Any, t: float) -> None:
    labelled, labels, first, second = batch
    known = cross_entropy(student(labelled), labels)
    with torch.no_grad():
        told = teacher(second).softmax(1)
    said = student(first).softmax(1)
    apart = (said - told.softmax(1)).square().mean()
    ramp = torch.tensor(-5 * (1 - t) ** 2).exp()
    loss = known + 50 * ramp * apart

    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    teacher.update(student)


LISTING = inspect.getsource(suspect).rstrip()  # as the reader sees it


INNOCENT = {
    "def suspect": "That line only names what comes in; t is the share of the ramp that has passed.",
    "labelled, labels": "It takes the batch apart: pictures with labels, and two views of those without.",
    "known = ": "The cross-entropy of the labelled pictures. It takes logits, and gets them.",
    "with torch.no_grad": "The teacher's prediction is taken as given: that is what it is for.",
    "told = teacher": "The teacher's prediction of the other view, as probabilities. Follow `told` from here on.",
    "said = student": "The student's prediction of the first view, as probabilities.",
    "ramp = ": "exp(−5(1 − t)²): (11.4).",
    "loss = known": "(11.3), with a weight of 50.",
    "optimizer.zero_grad": "Cleared right before `backward`, and nobody else leaves gradients here.",
    "loss.backward": "The gradient reaches the student alone.",
    "optimizer.step": "It steps along the gradient that it finds.",
    "teacher.update": "(11.1), after the optimizer's step, where it belongs.",
}


def guilty_line() -> int:
    lines = LISTING.splitlines()
    return 1 + next(number for number, line in enumerate(lines) if "told.softmax" in line)


EXERCISE = Exercise(
    place=5,
    title="Find the line",
    difficulty="medium",
    minutes=15,
    expects="the number of a line, a whole number",
    solution=guilty_line,
    why="`told` is a prediction already, and goes through a second softmax. Of numbers between 0 and 1 that makes "
    "something nearly uniform: a class that was certain, among ten, is left with a chance of 0.23. So the teacher "
    "tells the student to be sure of nothing, on every picture, and with weight 50. The line should read "
    "`apart = (said - told).square().mean()`.",
    checks=checks_of_a_line(LISTING, INNOCENT),
    value=True,
)
