"""Self-distillation without labels, in the way of DINO: a student says of one view what its teacher says of another.

Departures from Caron et al. 2021: two views of a size and no small crops, a perceptron on digits, a last layer of plain
weights that trains from the start, Adam without weight decay, and constant temperatures, tau and learning rate.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from companion.members import MLP, Grid
from companion.runs.experiment import experiment, interval, marks_every
from companion.runs.options import Options, takes_options
from companion.runs.settings import PerMember, Settings, check, setting, shape_settings
from companion.teachers.data import Pictures
from companion.teachers.losses import Centre, cross, entropy, sharpened
from companion.teachers.program import Program

__all__ = ["DistillationSettings", "distil"]


class DistillationSettings(Settings):
    """Settings of :func:`distil`, each of which may be swept."""

    tau: PerMember = setting(0.01, least=0, most=1)
    """Weight of the student in its teacher at each update."""
    centre_tau: PerMember = setting(0.1, least=0, most=1)
    """Weight of a batch's mean in the centre that is taken off what the teacher says; 0 is no centring."""
    teacher_temperature: PerMember = setting(0.02, least=0.001)
    """By which the teacher's logits are divided; the lower, the sharper what it tells."""
    student_temperature: PerMember = setting(0.1, least=0.001)
    """By which the student's are."""
    noise: PerMember = setting(0.3, least=0)
    """Standard deviation of the noise of every pixel."""
    shift: PerMember = setting(True)
    """Whether views are moved by up to a pixel."""
    learning_rate: PerMember = setting(0.003, least=0)
    """Adam's."""
    batch_size: int = setting(64, least=1, shapes=True)
    """Pictures in a step."""
    hidden: tuple[int, ...] = setting((128, 64), least=1, shapes=True)
    """Units of each layer of the encoder; the last one's are the features."""
    outputs: int = setting(32, least=2, shapes=True)
    """Among how many classes of its own making the network chooses."""


class Describer(nn.Module):
    """An encoder, and a layer that says of its features, scaled to length 1, which of the outputs they are."""

    def __init__(self, widths: Sequence[int], outputs: int, seeds: Sequence[int]) -> None:
        super().__init__()
        self.encoder = MLP(widths, seeds)
        self.head = MLP((widths[-1], outputs), seeds, purpose="head")

    def forward(self, pictures: Float[Tensor, "member batch pixel"]) -> Float[Tensor, "member batch output"]:
        """Logits."""
        return self.head(normalize(self.encoder(pictures), dim=2))


class Distillation(Program):
    """A population that distils itself: the program of a run.

    Args:
        seeds: one integer a member.
        settings: the members' own.
        device: where it runs.
    """

    def __init__(self, seeds: Sequence[int], settings: DistillationSettings, device: torch.device) -> None:
        s = self.settings = settings
        pictures = Pictures(
            seeds, known=1, batch=s.batch_size, with_labels=0, noise=s.noise, shift=s.shift, device=device
        )
        student = Describer((pictures.pixels, *s.hidden), s.outputs, seeds).to(device)
        self.centre = Centre(len(seeds), s.outputs, s.centre_tau)
        super().__init__(
            pictures, student, learning_rate=s.learning_rate, tau=s.tau, lasting={"centre": self.centre.value}
        )

    def step(self, step: int) -> None:
        """One step of every student, then its teacher and its centre follow."""
        s = self.settings
        _, _, pair = self.pictures.draw(step)
        both = torch.cat([pair.first, pair.second], 1)
        said = self.teacher(both)
        told = sharpened(said, self.centre.value, s.teacher_temperature)
        swapped = torch.cat(told.chunk(2, 1)[::-1], 1)
        self.update(cross(swapped, self.student(both), s.student_temperature))
        self.centre.update(said)

    @torch.no_grad()
    def measure(self, step: int, look: Callable[[], None]) -> dict[str, np.ndarray]:
        """On the test pictures: loss, entropies, KL divergence, and whether an output is one digit's."""
        s, pictures = self.settings, self.pictures
        shown = pictures.plain(pictures.test)
        told = sharpened(self.teacher(shown), self.centre.value, s.teacher_temperature)
        loss = cross(told, self.student(shown), s.student_temperature)
        each = entropy(told).mean(1)
        whole = entropy(told.mean(1))
        error = torch.stack([self._misnamed(network) for network in (self.student, self.teacher)], 1)
        measured = {"loss": loss, "entropy": each, "kl": loss - each, "spread": whole, "error": error}
        return {name: values.cpu().numpy() for name, values in measured.items()}

    def _misnamed(self, network: nn.Module) -> Float[Tensor, " member"]:
        """Call an output by the digit of which it gets the most pictures; the share of test pictures called wrong."""
        pictures = self.pictures
        chosen, asked = (network(pictures.plain(part)).argmax(2) for part in (pictures.pool, pictures.test))
        digits = one_hot(pictures.labels[pictures.pool]).float()
        counts = one_hot(chosen, self.settings.outputs).float().mT @ digits
        names = counts.argmax(2)
        return (names.gather(1, asked) != pictures.labels[pictures.test]).float().mean(1)


@takes_options
def distil(
    *,
    seeds: int | Sequence[int] = 8,
    steps: int = 600,
    evaluate_every: int | None = None,
    **settings: Any,
) -> xr.Dataset:
    """Train a population on scikit-learn's digits without any label, each member to agree with its own slow copy.

    Args:
        seeds: a count n, which means seeds 0 … n − 1, or the seeds themselves, each of which fixes all that is random
            in a member.
        steps: updates of each student.
        evaluate_every: steps from one measurement to the next; by default a twentieth of ``steps``. The first is
            before training, the last after it.
        {options}
        settings: fields of :class:`DistillationSettings`.

    Returns:
        Over (swept settings, ``seed``, ``step``), on pictures that nobody learned from and in nats: ``loss``, the
        student's cross-entropy with its teacher; ``entropy``, the mean entropy of what the teacher tells of a picture,
        0 where it is sure of one output and ln(outputs) where none stands out; ``kl``, how far the student is from it,
        the difference of the two; and ``spread``, the entropy of the mean of what is told, which is 0 where all
        pictures get one output. And, with ``which`` (``"online"``, ``"target"``) before ``step``, ``error``: the
        share of pictures whose likeliest output is mostly another digit's, among those learned from; here alone
        labels are used.

    Raises:
        ValueError: an unknown setting (the nearest known one is named), a value out of range, or a checkpoint that
            cannot be written or gone on from; all before any training.
        TypeError: a value of the wrong type.
    """
    options = Options.among(settings)
    every = interval(evaluate_every, 20, steps=steps)
    checked = check(DistillationSettings, settings, distil)
    grid = Grid(checked, seeds)
    alone: tuple[str, ...] = ("step",)
    return experiment(
        "distillation",
        grid,
        partial(_program, grid, options.chosen_device),
        {"loss": alone, "entropy": alone, "kl": alone, "spread": alone, "error": ("which", "step")},
        sizes={"which": ["online", "target"]},
        steps=steps,
        marks=marks_every(every, steps, first=True),
        apart=shape_settings(DistillationSettings),
        arguments={**checked, "seeds": grid.seed_values, "steps": steps, "evaluate_every": every},
        options=options,
    )


def _program(grid: Grid, device: torch.device, own: np.ndarray, fixed: dict[str, Any]) -> Distillation:
    """The program of some members, who agree on the settings that decide shapes."""
    return Distillation(grid.seeds[own].tolist(), DistillationSettings.of(grid, own, fixed, device), device)
