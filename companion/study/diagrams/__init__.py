"""The book's diagrams: each mechanism before its formula. ``Diagram`` draws more of them."""

from collections.abc import Callable

from companion.study.diagrams import agents, averages, states, views
from companion.study.diagrams.kit import Diagram

__all__ = ["DIAGRAMS", "Diagram", "diagram"]

DIAGRAMS: dict[str, Callable[[], Diagram]] = {
    "observer": averages.observer,
    "unrolled": averages.unrolled,
    "adam": averages.adam,
    "two-states": states.two_states,
    "four-states": states.four_states,
    "star": states.star,
    "one-copy-later": states.one_copy_later,
    "dqn": agents.dqn,
    "ddpg": agents.ddpg,
    "one-step-later": states.one_step_later,
    "td3-label": agents.td3_label,
    "sac-temperature": agents.sac_temperature,
    "sac-label": agents.sac_label,
    "moco": views.moco,
    "byol": views.byol,
    "five-places": agents.five_places,
}
"""Name to what draws it, in the order of the chapters."""


def diagram(name: str) -> None:
    """Show one of the book's diagrams in the page.

    Raises:
        ValueError: there is none of that name.
    """
    if name not in DIAGRAMS:
        raise ValueError(f"name is {name!r}; the diagrams are {', '.join(DIAGRAMS)}")
    DIAGRAMS[name]().show()
