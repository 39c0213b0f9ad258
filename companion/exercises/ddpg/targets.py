"""`BrokenTargets` above has two bugs, each from published teaching code, and neither raises an error. Write
`Targets(actor, critic, tau)` that is right: both begin as copies, and `.update(actor, critic, tau=None)` moves both by
(5.4), with another weight where one is given.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from companion.exercises import Answer, Exercise, differs, matches_each, normal


class Targets:
    def __init__(self, actor: Sequence[Tensor], critic: Sequence[Tensor], tau: float) -> None:
        self.tau = tau
        self.actor = [torch.zeros_like(weight) for weight in actor]
        self.critic = [torch.zeros_like(weight) for weight in critic]
        self.update(actor, critic, tau=1.0)  # begin as copies

    def update(self, actor: Sequence[Tensor], critic: Sequence[Tensor], tau: float | None = None) -> None:
        tau = self.tau if tau is None else tau
        for slow, new in zip([*self.actor, *self.critic], [*actor, *critic], strict=True):
            slow.copy_(tau * new + (1 - tau) * slow)


def weights(seed: int) -> list[Tensor]:
    draw = normal(seed)
    return [draw(3, 2), draw(2)]


def moved(start: int, online: int) -> list[Tensor]:
    """Where weights are after an update with tau = 0.1."""
    return [0.1 * new + 0.9 * was for new, was in zip(weights(online), weights(start), strict=True)]


def begin_as_copies(answer: Answer) -> None:
    """Both targets begin as equal copies with storage of their own."""
    actor, critic = weights(0), weights(1)
    targets = answer(actor, critic, 0.1)
    for name, slow, online in (("actor", targets.actor, actor), ("critic", targets.critic, critic)):
        hint = (
            f"Right after the start the target {name} is not the {name}. Which weight does that first update really "
            "use?"
        )
        matches_each(slow, online, hint)
        for ours, theirs in zip(slow, online, strict=True):
            hint = f"When the {name} moves, its target moves with it: it holds the same tensors."
            differs(ours, theirs.add_(1), hint)


def both_follow(answer: Answer) -> None:
    """Each update takes both a tenth of the way, when tau is a tenth."""
    targets = answer(weights(0), weights(1), 0.1)
    targets.update(weights(2), weights(3))
    for name, slow, start, online in (("critic", targets.critic, 1, 3), ("actor", targets.actor, 0, 2)):
        hint = f"After an update the target {name} is where it was. What is it averaged with?"
        differs(slow[0], weights(start)[0], hint)
        matches_each(slow, moved(start, online), f"The target {name} has moved, but not by (5.4).")


def asked_for_another(answer: Answer) -> None:
    """A tau that is given for one update is the one used, for both."""
    targets = answer(weights(0), weights(1), 0.1)
    targets.update(weights(2), weights(3), tau=1.0)
    for name, slow, online in (("actor", targets.actor, 2), ("critic", targets.critic, 3)):
        matches_each(slow, weights(online), f"`update(…, tau=1.0)` must copy, and the target {name} is elsewhere.")
    targets.update(weights(0), weights(1))
    hint = "After an update with another tau, the next one has its own tau again."
    matches_each(targets.critic, moved(3, 1), hint)


def online_untouched(answer: Answer) -> None:
    """The online networks are left alone."""
    online = [*weights(2), *weights(3)]
    answer(weights(0), weights(1), 0.1).update(online[:2], online[2:])
    hint = "An update changed the online weights: only the slow ones may move."
    matches_each(online, [*weights(2), *weights(3)], hint)


EXERCISE = Exercise(
    place=2,
    title="Two slips in print",
    difficulty="medium",
    minutes=15,
    expects="a class with `__init__(actor, critic, tau)`, `update(actor, critic, tau=None)`, `actor` and `critic`",
    solution=Targets,
    why="In *Grokking Deep Reinforcement Learning* an argument `tau=1.0`, meant for the first copy, was accepted and "
    "ignored, so that the targets began as other random networks. In a notebook of *Hands-On Machine Learning* a soft "
    "update, commented out, averaged the target with itself: switched on, it would never have moved. Readers reported "
    "both. One loop over all tensors leaves no room for either.",
    checks=[begin_as_copies, both_follow, asked_for_another, online_untouched],
)
