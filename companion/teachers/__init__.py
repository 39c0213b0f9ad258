"""Teachers: students who learn from few labels, or none, and from what a slow copy of themselves tells them.

:func:`train` is semi-supervised: Mean Teacher, temporal ensembling, pseudo-labels and FixMatch are settings of one
program. :func:`distil` has no labels at all: self-distillation in the way of DINO.
"""

from companion.teachers.distillation import DistillationSettings, distil
from companion.teachers.training import ALGORITHMS, TeacherSettings, train

__all__ = ["ALGORITHMS", "DistillationSettings", "TeacherSettings", "distil", "train"]
