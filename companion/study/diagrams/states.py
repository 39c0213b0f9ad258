"""Values that are learned from values: two old counterexamples, and what a label is one copy later."""

import math

from companion.study.diagrams.kit import Box, Diagram, Length

KEY = {"online": "a state's value", "flow": "leads to"}


def two_states() -> Diagram:
    """Tsitsiklis and Van Roy (1996): two states, one weight."""
    picture = Diagram(
        "Two states as circles. The left one is valued w, the right one 2 w. An arrow leads from the left to the "
        "right, and one from the right back to itself; both pay nothing. Below, a dashed blue box, the label, gamma "
        "times 2 w bar, which is the right state's discounted value by the target weight; from it a dotted arrow "
        "leads up to either state: both values are pulled to it.",
        234,
        title="w to 2w",
        caption="Two states, one weight. Both values are pulled to one label, made from the larger of them.",
        key=KEY | {"gradient": "pulls"},
    )
    first = picture.box(86, 64, "$w$", "online", width=76, circle=True)
    second = picture.box(226, 64, "$2w$", "online", width=76, circle=True)
    label = picture.box(156, 190, "label\n$γ · 2w̄$", "target", width=110)
    picture.flow(first, second)
    picture.note(156, 52, "pays 0")
    _loop(picture, second, 2.3, 0.8, "0")
    picture.gradient(label.top(-28), first)
    picture.gradient(label.top(28), second)
    return picture


def star() -> Diagram:
    """Baird (1995), as in Sutton and Barto (2018), section 11.2."""
    picture = Diagram(
        "A star. Six circles stand around a seventh. The six are valued 2 w 1 plus w 8 to 2 w 6 plus w 8, the one in "
        "the middle w 7 plus 2 w 8. From each of the six an arrow leads to the middle, and from the middle one back "
        "to itself.",
        382,
        title="Baird's star",
        caption="Seven states, eight weights; the eighth is in every value, and twice in the middle. Nothing is paid.",
        key=KEY,
    )
    middle = picture.box(180, 188, "$w_7 + 2w_8$", "online", width=92, circle=True)
    for number in range(6):
        angle = math.radians(60 * number - 90)
        x, y = 180 + 140 * math.cos(angle), 188 + 140 * math.sin(angle)
        outer = picture.box(x, y, f"$2w_{number + 1} + w_8$", "online", width=84, circle=True)
        picture.flow(outer, middle)
    _loop(picture, middle, 1.9, 0.4)
    return picture


def _loop(picture: Diagram, state: Box, reach: Length, spread: Length, label: str = "") -> None:
    """An arrow from a state to itself, on its right: how far out and how wide, in its radii."""
    radius = state.width / 2
    corners = [(1.4, -spread), (reach, -spread), (reach, spread), (1.4, spread)]
    first, *via, last = [(state.x + radius * along, state.y + radius * down) for along, down in corners]
    picture.flow(state.edge(first), state.edge(last), first, *via, last, label=label, round=0.6 * radius)


def one_copy_later() -> Diagram:
    """What each regression on fixed labels adds: equation (4.5), unrolled."""
    picture = Diagram(
        "A ladder, read from the top. Right, the first target network, dashed blue, values a state at 0. It sends the "
        "label 1 plus gamma times 0 to the left, where the online network, orange, learns the value 1. A copy leads "
        "down to the second target network, which now says 1, and labels 1 plus gamma; the second regression learns "
        "that. One copy later the label is 1 plus gamma plus gamma squared.",
        386,
        title="One copy later",
        caption="A state that pays 1 a step. Between two copies labels stand still; each copy adds one reward.",
        key={"flow": "labels", "copy": "copied"},
    )
    rungs = (
        ("first target\n$0$", "$1 + γ · 0$", "learns\n$1$"),
        ("1 copy later\n$1$", "$1 + γ · 1$", "learns\n$1 + γ$"),
        ("2 copies later\n$1 + γ$", "$1 + γ(1 + γ)$", "learns\n$1 + γ + γ^2$"),
    )
    above = None
    for number, (old, label, new) in enumerate(rungs):
        y = 36 + 126 * number
        target = picture.box(290, y, old, "target", width=122)
        online = picture.box(64, y, new, "online", width=108)
        picture.flow(target, online)
        picture.note(174, y - 14, label)
        if above:
            picture.copy(above.bottom(), target.top(), (64, y - 63), (290, y - 63), label="copy")
        above = online
    picture.copy(online.bottom(), (176, 351), (64, 351), label="")
    picture.note(188, 351, "and so on", anchor="start")
    return picture


def one_step_later() -> Diagram:
    """What a soft target sees, update by update: the recursion before equation (5.6), unrolled."""
    picture = Diagram(
        "A lattice. Its rows are the target after 0, 1 and 2 updates. Its columns are rewards: one that is already "
        "there, of weight 1 in every row, and those 0, 1 and 2 steps ahead. Their weights are 0, 0, 0 in the first "
        "row, tau, 0, 0 in the second, and 2 tau minus tau squared, tau squared, 0 in the third. Into every weight "
        "two arrows lead: one straight down from the same column, times 1 minus tau, and one from the column on the "
        "left, times tau.",
        318,
        title="One step later",
        caption="Rewards' weights after k updates. Each keeps 1 − τ of the old target, and puts τ one step later.",
        key={"target": "weight in the target", "flow": "times"},
    )
    columns = (40, 138, 228, 318)
    names = ("there\nalready", "0 steps\nahead", "1 step\nahead", "2 steps\nahead")
    rows = (("$1$", "$0$", "$0$", "$0$"), ("$1$", "$τ$", "$0$", "$0$"), ("$1$", "$2τ - τ^2$", "$τ^2$", "$0$"))
    for x, name in zip(columns, names, strict=True):
        picture.note(x, 18, name)
    above: list[Box] = []
    for number, weights in enumerate(rows):
        row: list[Box] = []
        for x, weight in zip(columns, weights, strict=True):
            wide = 78 if "-" in weight else 40
            row.append(picture.box(x, 70 + 100 * number, weight, "target" if row else "value", width=wide))
        picture.note(31, 101 + 100 * number, f"$k = {number}$")
        for left, same, new in zip(above, above[1:], row[1:], strict=False):
            picture.flow(left, new.top(-12), label="$τ$")
            picture.flow(same, new, label="$1 - τ$")
        above = row
    return picture


def four_states() -> Diagram:
    """Two weights: two states that the data visit, and two that are only looked at."""
    picture = Diagram(
        "Two states, one above the other, as orange circles at the left: the data visit both equally often. They are "
        "valued w 1 and 2 w 2. An arrow leads from each to a dashed blue circle at the right, a state whose value is "
        "only looked at: minus 6 w 2 bar from the upper, w 1 bar plus 6 w 2 bar from the lower. A dotted arrow leads "
        "back from each: half of that value is the label that the left one is pulled to.",
        250,
        title="Four states, two weights",
        caption="The discount is ½, so half of the value at the right is the label of the state at the left.",
        key={
            "online": "in the data",
            "target": "only looked at",
            "flow": "leads to",
            "gradient": "label: pulls",
        },
    )
    for y, seen, looked_at in ((62, "$w_1$", "$-6w̄_2$"), (186, "$2w_2$", "$w̄_1 + 6w̄_2$")):
        left = picture.box(68, y, seen, "online", width=84, circle=True)
        right = picture.box(290, y, looked_at, "target", width=104, circle=True)
        picture.flow((left.x + 40, y - 14), (right.x - 50, y - 14))
        picture.note(174, y - 28, "pays 0")
        picture.gradient((right.x - 51, y + 14), (left.x + 41, y + 14))
        picture.note(174, y + 32, "$½$ of it")
    return picture
