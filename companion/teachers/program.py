"""What both programs of this folder share: students, a slow copy of each, and how they are saved."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from companion.averaging import soft_update
from companion.members import Adam, flatten
from companion.teachers.data import Pictures

__all__ = ["Program"]


class Program:
    """A population of students, each with a teacher that is its slow copy, and the pictures they see.

    Args:
        pictures: of every member.
        student: a network with a member axis. The teacher begins as a copy of it.
        learning_rate: Adam's, of each member.
        tau: weight of the student in its teacher at each update, of each member.
        lasting: by name, what else lasts from a step to the next; it changes in place.
    """

    def __init__(
        self,
        pictures: Pictures,
        student: nn.Module,
        *,
        learning_rate: Float[Tensor, " member"],
        tau: Float[Tensor, " member"],
        lasting: Mapping[str, Tensor],
    ) -> None:
        self.pictures, self.student, self.tau = pictures, student, tau
        self.teacher = deepcopy(student).requires_grad_(False)
        self.optimizer = Adam(student, learning_rate)
        self.followed = flatten(self.teacher)
        self.lasting = lasting

    def update(self, loss: Float[Tensor, " member"]) -> None:
        """One step of Adam for every student, then one of its teacher: (11.1)."""
        self.optimizer.descend(loss.sum())  # the sum over members: no gradient holds anything of another's
        soft_update([self.optimizer.weights], [self.followed], self.tau)

    def state_dict(self) -> dict[str, Any]:
        """Students, teachers, how far Adam and the pictures are, and what else lasts."""
        return {
            "student": self.optimizer.weights,
            "teacher": self.followed,
            "optimizer": self.optimizer.state_dict(),
            "step": torch.tensor(self.pictures.step),
            **self.lasting,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self.optimizer.weights.copy_(state["student"])
        self.followed.copy_(state["teacher"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.pictures.seek(int(state["step"]))
        for name, tensor in self.lasting.items():
            tensor.copy_(state[name])
