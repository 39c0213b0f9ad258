"""Learning from few labels and a teacher: a population of students, each with a slow copy."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn

from companion.members import MLP, Grid
from companion.runs.described import fingerprint
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, check, one_of, setting, shape_settings
from companion.supervised import DATASETS, split
from companion.supervised.training import mean_cross_entropy
from companion.teachers.data import Pair, Pictures, moved, parts
from companion.teachers.losses import agreed_labels, disagreement, ramp, recalled
from companion.teachers.program import Program

__all__ = ["ALGORITHMS", "TeacherSettings", "Training", "train"]

Logits = Float[Tensor, "member batch class"]


def labels_only(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Nothing is learned from pictures without a label."""
    return torch.zeros(len(said), device=said.device)


def mean_teacher(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Agree with what the slow copy says of another view: (11.2). With tau = 1 this is the Pi-model, without the
    gradient through its second branch, and with tau = 0 the teacher never learns anything."""
    return disagreement(said, training.told(training.teacher, pair.second).softmax(2))


def temporal_ensembling(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Agree with the average of what one has said of this picture before: (11.5); the first time there is none."""
    memory, tau = training.memory[:, pair.samples], training.settings.memory_tau
    now = said.detach().softmax(2)
    training.memory[:, pair.samples] = memory.lerp(now, tau[:, None, None].expand_as(memory))
    return disagreement(said, torch.where(pair.times[:, None] > 0, recalled(memory, tau, pair.times), now))


def pseudo_labels(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Take the likeliest class for the true one: (11.6), of the same view and without a threshold."""
    return agreed_labels(said, said, torch.zeros_like(training.settings.threshold))


def fixmatch(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """The student's own label of a weak view, where it is sure, for a noisy one: (11.6)."""
    return agreed_labels(said, training.told(training.student, pair.weak), training.settings.threshold)


def fixmatch_teacher(training: "Training", said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """The same, with the label made by the slow copy."""
    return agreed_labels(said, training.told(training.teacher, pair.weak), training.settings.threshold)


ALGORITHMS: dict[str, Callable[["Training", Logits, Pair], Float[Tensor, " member"]]] = {
    "labels-only": labels_only,
    "mean-teacher": mean_teacher,
    "temporal-ensembling": temporal_ensembling,
    "pseudo-labels": pseudo_labels,
    "fixmatch": fixmatch,
    "fixmatch-teacher": fixmatch_teacher,
}
"""Name to the loss of pictures without a label, given the student's logits of their first view."""


class TeacherSettings(Settings):
    """Settings of :func:`train`, each of which may be swept."""

    algorithm: str = setting("mean-teacher", among=list(ALGORITHMS), shapes=True)
    """What is learned from pictures without a label: a name in :data:`ALGORITHMS`."""
    tau: PerMember = setting(0.01, least=0, most=1)
    """Weight of the student in its teacher at each update."""
    memory_tau: PerMember = setting(0.4, least=0, most=1)
    """In temporal ensembling, weight of a new prediction in the memory of its picture."""
    weight: PerMember = setting(50.0, least=0)
    """Of the loss without labels beside that with labels, when the ramp is over."""
    ramp_up: PerMember = setting(0.3, least=0, most=1)
    """Share of the run in which that weight rises, as :func:`companion.teachers.losses.ramp`; 0 is from the start."""
    threshold: PerMember = setting(0.95, least=0, most=1)
    """Chance from which on FixMatch trusts a label that it made."""
    noise: PerMember = setting(0.3, least=0)
    """Standard deviation of the noise of every pixel, which lies between 0 and 1."""
    shift: PerMember = setting(True)
    """Whether views are moved by up to a pixel."""
    learning_rate: PerMember = setting(0.005, least=0)
    """Adam's."""
    labels: int = setting(20, least=1, shapes=True)
    """How many pictures have a label."""
    batch_size: int = setting(32, least=1, shapes=True)
    """Pictures in a step whose labels are not looked at; the next ones in turn."""
    with_labels: int = setting(16, least=1, shapes=True)
    """Pictures with a label in a step, drawn with replacement."""
    hidden: tuple[int, ...] = setting((128, 128), least=1, shapes=True)
    """Units of each hidden layer, rectified linear."""


class Training(Program):
    """A population in training on pictures of which a few have labels: the program of a run.

    Args:
        dataset: a name in ``supervised.DATASETS``.
        seeds: one integer a member.
        settings: the members' own.
        steps: of the whole run.
        device: where it runs.
    """

    def __init__(
        self, dataset: str, seeds: Sequence[int], settings: TeacherSettings, steps: int, device: torch.device
    ) -> None:
        s = self.settings = settings
        pictures = Pictures(
            seeds,
            dataset=dataset,
            known=s.labels,
            batch=s.batch_size,
            with_labels=s.with_labels,
            noise=s.noise,
            shift=s.shift,
            device=device,
        )
        student = MLP((pictures.pixels, *s.hidden, pictures.classes), seeds).to(device)
        self.memory = torch.zeros(len(seeds), pictures.pool.shape[1], pictures.classes, device=device)
        super().__init__(pictures, student, learning_rate=s.learning_rate, tau=s.tau, lasting={"memory": self.memory})
        self.ramp_steps = s.ramp_up * steps

    def step(self, step: int) -> None:
        """Every student learns from a few labels and from what it is told, and its teacher follows."""
        labelled, labels, pair = self.pictures.draw(step)
        said = self.student(torch.cat([labelled, pair.first], 1))
        known, unknown = said.split([labelled.shape[1], pair.first.shape[1]], 1)
        told = ALGORITHMS[self.settings.algorithm](self, unknown, pair)
        weight = self.settings.weight * ramp(step / self.ramp_steps)
        self.update(mean_cross_entropy(known, labels) + weight * told)

    @torch.no_grad()
    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """``error`` of both networks, and how far the student's mistakes are ``shared`` by its teacher."""
        pictures = self.pictures
        shown, labels = pictures.plain(pictures.test), pictures.labels[pictures.test]
        student, teacher = (network(shown).argmax(2) for network in (self.student, self.teacher))
        wrong = student != labels
        error = torch.stack([wrong, teacher != labels], 1).float().mean(2)
        shared = (wrong & (student == teacher)).sum(1) / wrong.sum(1).clamp(min=1)
        return {"error": error.cpu().numpy(), "shared": shared.cpu().numpy()}

    @torch.no_grad()
    def told(
        self, network: nn.Module, pictures: Float[Tensor, "member batch pixel"]
    ) -> Float[Tensor, "member batch class"]:
        """What a network says where nothing learns from having said it: logits."""
        return network(pictures)


@takes_options
def train(
    dataset: str = "digits",
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 1_000,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of students from few labels and many pictures without, each with a teacher.

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; and
    ``torchrun`` splits the members over processes: all as in :func:`companion.rl.train`.

    Args:
        dataset: a name in ``supervised.DATASETS``, of square pictures.
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's first weights,
            which pictures it learns from, which labels it is told, the order of its pictures and their noise,
            whichever others train beside it.
        steps: updates of each student.
        evaluate_every: steps from one measurement to the next; by default a twentieth of ``steps``. The first is
            before training, the last after it.
        {options}
        settings: fields of :class:`TeacherSettings`.

    Returns:
        ``error``, the share of mistakes on the half of the pictures that was not learned from, with dimensions (swept
        settings, ``seed``, ``which``, ``step``), where ``which`` is ``"online"`` for the student and ``"target"`` for
        its teacher; and ``shared``, over (swept settings, ``seed``, ``step``), the share of the student's mistakes
        there that its teacher makes, too: with the same wrong answer. The attributes hold every argument that the
        numbers depend on, the device, versions, the date and the wall time in seconds.

    Raises:
        ValueError: an unknown setting (the nearest known one is named), a value out of range, more labels than there
            are pictures, or a checkpoint that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    inputs, labels = one_of(DATASETS, "dataset", dataset)()
    every = interval(evaluate_every, 20, steps=steps)
    checked = check(TeacherSettings, settings, train)
    split(dataset, [0])  # to be refused before any training, if it must be
    moved(inputs[:1])
    for known in np.atleast_1d(checked["labels"]).tolist():
        parts(labels, [0], known)
    grid = Grid(checked, seeds)
    data = {"dataset": dataset, "samples": fingerprint(inputs, labels)}
    return experiment(
        "teachers",
        grid,
        partial(_program, dataset, grid, steps, options.chosen_device),
        {"error": ("which", "step"), "shared": ("step",)},
        sizes={"which": ["online", "target"]},
        steps=steps,
        marks=marks_every(every, steps, first=True),
        apart=shape_settings(TeacherSettings),
        arguments={**data, **checked, "seeds": grid.seed_values, "steps": steps, "evaluate_every": every},
        options=options,
    )


def _program(
    dataset: str, grid: Grid, steps: int, device: torch.device, own: np.ndarray, fixed: dict[str, Any]
) -> Training:
    """The program of some members, who agree on the settings that decide shapes."""
    settings = TeacherSettings.of(grid, own, fixed, device)
    return Training(dataset, grid.seeds[own].tolist(), settings, steps, device)
