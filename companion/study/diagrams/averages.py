"""An average that only watches; the line itself, unrolled; and the two averages inside Adam."""

from companion.study.diagrams.kit import Diagram, Point


def observer() -> Diagram:
    """Polyak and Juditsky (1992): equations (1.1) and (1.3)."""
    picture = Diagram(
        "SGD and its average. Above, a box, a noisy gradient; below it, orange, the iterate x k. Two arrows make a "
        "loop: the iterate sends its place to the gradient, and the gradient comes back as a step. From the iterate a "
        "band, marked one over k, leads down to a dashed blue box, the mean so far. Nothing returns from there.",
        306,
        title="An average watches",
        caption="Orange searches, blue watches. No arrow leads from blue to anything.",
        key={"online": "iterate: searches", "target": "mean: watches", "copy": "taken in"},
    )
    gradient = picture.box(180, 36, "noisy gradient\n$∇f(x_k) + ξ_k$", width=150)
    iterate = picture.box(180, 150, "iterate\n$x_k$", "online", width=124)
    mean = picture.box(180, 270, "mean so far\n$x̄_k$", "target", width=124)
    picture.flow(iterate.top(-36), gradient.bottom(-36), label="$x_k$")
    picture.flow(gradient.bottom(36), iterate.top(36), label="step")
    picture.copy(iterate, mean, label="$τ_k = 1/k$")
    picture.note(304, 270, "nothing\nreturns", size=12.5)
    return picture


def unrolled() -> Diagram:
    """Equation (2.1), three times: where the weights of (2.2) come from."""
    picture = Diagram(
        "Three orange boxes in a row, the values x of two steps ago, of one step ago and of now. Below them three "
        "dashed blue boxes, the averages y of the same steps. From each value a band labelled tau leads down to its "
        "average, and from each average an arrow labelled 1 minus tau leads right to the next. Below stands what each "
        "value weighs in the newest average: tau times (1 minus tau) squared, tau times (1 minus tau), and tau.",
        242,
        title="The line, unrolled",
        caption="Each step mixes a share τ of the new value into the average. Older values fade by 1 − τ a step.",
        key={"online": "what is seen", "target": "its average", "flow": "keeps 1 − τ", "copy": "takes in τ"},
    )
    weights = ("$τ(1 − τ)^2$", "$τ(1 − τ)$", "$τ$")
    before: Point = (4, 146)
    for number, (back, weight) in enumerate(zip((2, 1, 0), weights, strict=True)):
        x = 76 + 112 * number
        value = picture.box(x, 36, _at("x", back), "online", width=82)
        average = picture.box(x, 146, _at("y", back), "target", width=82)
        picture.copy(value, average)
        picture.flow(before, average)
        if number:
            picture.note(x - 56, 118, "$1 − τ$", size=12)
        picture.note(x, 222, weight)
        before = average.right()
    picture.note(180, 196, "what each value weighs in the newest average:", size=12)
    return picture


def _at(letter: str, back: int) -> str:
    return f"${letter}$, {back} back" if back else f"${letter}$, now"


def adam() -> Diagram:
    """Equation (2.12): two averages between the gradient and the step."""
    picture = Diagram(
        "A loop. At the top the orange weights theta, whose gradient g goes down to the left, and its square to the "
        "right. A band labelled tau m leads from g to a dashed blue box m, the average gradient; a band labelled tau v "
        "from g squared to a dashed blue box v, the average square. Both are sent to the step at the bottom, eta times "
        "m hat over the root of v hat, and an arrow leads from there around the right side back up to the weights.",
        372,
        title="Adam",
        caption="Adam steps by two moving averages. What follows the gradient steers the weights: it is in the loop.",
        key={"online": "learns", "target": "average", "copy": "takes in τ"},
    )
    weights = picture.box(164, 34, "weights\n$θ$", "online", width=100)
    gradient = picture.box(84, 124, "$g$", width=70)
    square = picture.box(244, 124, "$g^2$", width=70)
    first = picture.box(84, 238, "mean of $g$\n$m$", "target", width=116)
    second = picture.box(244, 238, "mean of $g^2$\n$v$", "target", width=116)
    step = picture.box(164, 336, "step $−η · m̂ / √v̂$", "loss", width=150, height=34)
    picture.flow(weights.bottom(-24), gradient)
    picture.flow(weights.bottom(24), square)
    picture.copy(gradient, first, label="$τ_m$")
    picture.copy(square, second, label="$τ_v$")
    picture.flow(first, step.top(-34))
    picture.flow(second, step.top(34))
    picture.flow(step.right(), weights.right(), (338, 336), (338, 34))
    return picture
