"""An average that only watches."""

from companion.study.diagrams.kit import Diagram


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
