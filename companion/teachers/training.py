"""Learning from few labels and a teacher: a population of students, each with a slow copy."""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from companion.averaging import soft_update
from companion.members import MLP, Adam, Grid, flatten
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, check, setting, shape_settings
from companion.supervised import DATASETS
from companion.teachers.data import SIDE, Pair, Pictures, parts
from companion.teachers.losses import agreed_labels, disagreement, mean_cross_entropy, ramp, recalled

__all__ = ["METHODS", "Learners", "TeacherSettings", "train"]


class Learners:
    """A population of students, each with a teacher that is its slow copy.

    Args:
        seeds: one integer a member; the first weights depend on it. The teacher begins as a copy of the student.
        hidden: units of each hidden layer, rectified linear.
        classes: how many there are.
        pool: pictures that are learned from, for the memory of what was said of each.
        learning_rate: Adam's, of each member.
        tau: weight of the student in its teacher at each update, or of the new prediction in a memory; of each member.
        threshold: chance from which on a label that was made counts; of each member.
        device: where the tensors live.
    """

    def __init__(
        self,
        seeds: Sequence[int],
        *,
        hidden: Sequence[int],
        classes: int,
        pool: int,
        learning_rate: Float[Tensor, " member"],
        tau: Float[Tensor, " member"],
        threshold: Float[Tensor, " member"],
        device: torch.device,
    ) -> None:
        self.student = MLP((SIDE * SIDE, *hidden, classes), seeds).to(device)
        self.teacher = deepcopy(self.student).requires_grad_(False)
        self.optimizer = Adam(self.student, learning_rate)
        self.followed = flatten(self.teacher)
        self.tau, self.threshold = tau, threshold
        self.memory = torch.zeros(len(seeds), pool, classes, device=device)

    def update(self, loss: Float[Tensor, " member"]) -> None:
        """One step of Adam for every student, then one of its teacher: (11.1)."""
        self.optimizer.descend(loss.sum())  # the sum over members: no gradient holds anything of another's
        soft_update([self.optimizer.weights], [self.followed], self.tau)

    @torch.no_grad()
    def told(self, network: MLP, pictures: Float[Tensor, "member batch pixel"]) -> Float[Tensor, "member batch class"]:
        """What a network says where nothing learns from having said it: logits."""
        return network(pictures)


Logits = Float[Tensor, "member batch class"]


def labels_only(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Nothing is learned from pictures without a label."""
    return torch.zeros(len(said), device=said.device)


def mean_teacher(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Agree with what the slow copy says of another view: (11.2). With tau = 1 this is the Pi-model, without the
    gradient through its second branch, and with tau = 0 the teacher never learns anything."""
    return disagreement(said, learners.told(learners.teacher, pair.second).softmax(2))


def temporal_ensembling(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Agree with the average of what one has said of this picture before: (11.5); the first time there is none."""
    memory, tau = learners.memory[:, pair.samples], learners.tau
    now = said.detach().softmax(2)
    learners.memory[:, pair.samples] = memory.lerp(now, tau[:, None, None].expand_as(memory))
    return disagreement(said, torch.where(pair.times[:, None] > 0, recalled(memory, tau, pair.times), now))


def pseudo_labels(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """Take the likeliest class for the true one: (11.6), of the same view and without a threshold."""
    return agreed_labels(said, said, torch.zeros_like(learners.threshold))


def fixmatch(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """The student's own label of a weak view, where it is sure, for a noisy one: (11.6)."""
    return agreed_labels(said, learners.told(learners.student, pair.weak), learners.threshold)


def fixmatch_teacher(learners: Learners, said: Logits, pair: Pair) -> Float[Tensor, " member"]:
    """The same, with the label made by the slow copy."""
    return agreed_labels(said, learners.told(learners.teacher, pair.weak), learners.threshold)


METHODS: dict[str, Callable[[Learners, Logits, Pair], Float[Tensor, " member"]]] = {
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

    method: str = setting("mean-teacher", among=list(METHODS), shapes=True)
    """What is learned from pictures without a label: a name in :data:`METHODS`."""
    tau: PerMember = setting(0.01, least=0, most=1)
    """Weight of the student in its teacher at each update; in temporal ensembling also of the new prediction in the
    memory of a picture."""
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


class Training:
    """A population in training: the program of a run.

    Args:
        seeds: one integer a member.
        settings: the members' own.
        steps: of the whole run.
        device: where it runs.
    """

    def __init__(self, seeds: Sequence[int], settings: TeacherSettings, steps: int, device: torch.device) -> None:
        s = self.settings = settings
        self.pictures = Pictures(
            seeds,
            known=s.labels,
            batch=s.batch_size,
            with_labels=s.with_labels,
            noise=s.noise,
            shift=s.shift,
            device=device,
        )
        self.learners = Learners(
            seeds,
            hidden=s.hidden,
            classes=int(DATASETS["digits"]()[1].max()) + 1,
            pool=self.pictures.pool.shape[1],
            learning_rate=s.learning_rate,
            tau=s.tau,
            threshold=s.threshold,
            device=device,
        )
        self.ramp_steps = s.ramp_up * steps

    def step(self, step: int) -> None:
        """Every student learns from a few labels and from what it is told, and its teacher follows."""
        labelled, labels, pair = self.pictures.draw(step)
        said = self.learners.student(torch.cat([labelled, pair.first], 1))
        known, unknown = said.split([labelled.shape[1], pair.first.shape[1]], 1)
        told = METHODS[self.settings.method](self.learners, unknown, pair)
        weight = self.settings.weight * ramp(step / self.ramp_steps)
        self.learners.update(mean_cross_entropy(known, labels) + weight * told)

    @torch.no_grad()
    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """``error`` of both networks, and how far the student's mistakes are ``shared`` by its teacher."""
        learners, pictures = self.learners, self.pictures
        shown, labels = pictures.plain(pictures.test), pictures.labels[pictures.test]
        student, teacher = (network(shown).argmax(2) for network in (learners.student, learners.teacher))
        wrong = student != labels
        error = torch.stack([wrong, teacher != labels], 1).float().mean(2)
        shared = (wrong & (student == teacher)).sum(1) / wrong.sum(1).clamp(min=1)
        return {"error": error.cpu().numpy(), "shared": shared.cpu().numpy()}

    def state_dict(self) -> dict[str, Any]:
        """Students, teachers, memories, and how far Adam is."""
        learners = self.learners
        return {
            "student": learners.optimizer.weights,
            "teacher": learners.followed,
            "optimizer": learners.optimizer.state_dict(),
            "memory": learners.memory,
            "step": torch.tensor(self.pictures.step),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        learners = self.learners
        learners.optimizer.weights.copy_(state["student"])
        learners.followed.copy_(state["teacher"])
        learners.optimizer.load_state_dict(state["optimizer"])
        learners.memory.copy_(state["memory"])
        self.pictures.seek(int(state["step"]))


@takes_options
def train(
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 1_000,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train a population of students from few labels of scikit-learn's digits, each with a teacher.

    Killed and called again it goes on from its ``checkpoint``; Ctrl-C returns what was measured so far; and
    ``torchrun`` splits the members over processes: all as in :func:`companion.rl.train`.

    Args:
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves. A seed fixes a member's first weights,
            which pictures it learns from, which labels it is told, the order of its pictures and their noise,
            whichever others train beside it.
        steps: updates of each student.
        evaluate_every: steps from one measurement to the next; by default a twentieth of ``steps``. The first is
            before training, the last after it.
        {options}
        settings: fields of :class:`TeacherSettings`.

    Returns:
        ``error``, the share of mistakes on 899 pictures that nobody learned from, with dimensions (swept settings,
        ``seed``, ``which``, ``step``), where ``which`` is ``"online"`` for the student and ``"target"`` for its
        teacher; and ``shared``, over (swept settings, ``seed``, ``step``), the share of the student's mistakes there
        that its teacher makes, too: with the same wrong answer. The attributes hold every argument that the numbers
        depend on, the device, versions, the date and the wall time in seconds.

    Raises:
        ValueError: an unknown setting (the nearest known one is named), a value out of range, more labels than there
            are pictures, or a checkpoint that cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    every = interval(evaluate_every, 20, steps=steps)
    checked = check(TeacherSettings, settings, train)
    for known in np.atleast_1d(checked["labels"]).tolist():
        parts(DATASETS["digits"]()[1], [0], known)  # to be refused before any training, if it must be
    grid = Grid(checked, seeds)
    return experiment(
        "teachers",
        grid,
        partial(_program, grid, steps, options.chosen_device),
        {"error": ("which", "step"), "shared": ("step",)},
        sizes={"which": ["online", "target"]},
        steps=steps,
        marks=marks_every(every, steps, first=True),
        apart=shape_settings(TeacherSettings),
        arguments={**checked, "seeds": grid.seed_values, "steps": steps, "evaluate_every": every},
        options=options,
    )


def _program(grid: Grid, steps: int, device: torch.device, own: np.ndarray, fixed: dict[str, Any]) -> Training:
    """The program of some members, who agree on the settings that decide shapes."""
    return Training(grid.seeds[own].tolist(), TeacherSettings.of(grid, own, fixed, device), steps, device)
