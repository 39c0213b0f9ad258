"""Learning from two views of a picture, one of them seen by a slow copy: MoCo and BYOL."""

from companion.study.diagrams.kit import Box, Diagram

ORIGINAL, RECOLOURED, REPAINTED = ("#E9D8A6", "#6A4C93"), ("#CFE0C3", "#8C3B4A"), ("#3D405B", "#F2CC8F")


def _two_views(picture: Diagram) -> tuple[Box, Box]:
    """One picture, and below it two views of it."""
    whole = picture.tile(180, 32, *ORIGINAL)
    first = picture.tile(96, 70, *RECOLOURED, turn=-18, grow=1.35)
    second = picture.tile(264, 70, *REPAINTED, turn=14, grow=0.8)
    picture.flow(whole, first)
    picture.flow(whole, second)
    picture.note(180, 84, "two views of\none picture", size=12.5)
    return first, second


def moco() -> Diagram:
    """He et al. (2020): equations (8.1) and (8.2)."""
    picture = Diagram(
        "MoCo. Two views of one picture, in other colours. One goes through the online encoder, orange, and becomes "
        "the query q; the other through its slow copy, dashed blue, and becomes the key k plus. A band marked tau "
        "leads from the encoder to the copy. Below the key stands the queue, a column of eight discs that grow paler "
        "with age: a new key enters at the top, the oldest falls out below. The loss asks the query to be near its "
        "key and far from the queue. The gradient flows through the query into the online encoder, and stops before "
        "the keys.",
        494,
        title="MoCo",
        caption="The paler a key, the older: each was made by the copy as it was then.",
    )
    first, second = _two_views(picture)
    online = picture.box(96, 146, "online\nencoder", "online", width=116)
    target = picture.box(264, 146, "target\nencoder", "target", width=116)
    query = picture.box(96, 226, "$q$", "online", width=38, circle=True)
    key = picture.box(264, 226, "$k^+$", "target", width=38, circle=True)
    loss = picture.box(96, 350, "loss\nnear $k^+$,\nfar from all $k_i$", "loss", width=124)
    queue = picture.box(264, 366, "", width=52, height=188)
    for age in range(8):
        picture.box(264, 286 + 23 * age, "", "target", width=16, circle=True, opacity=1 - 0.11 * age)
    picture.flow(first, online)
    picture.flow(second, target)
    picture.copy(online, target)
    picture.flow(online, query)
    picture.flow(target, key)
    picture.flow(key, queue)
    picture.flow(query.bottom(6), loss.top(6))
    picture.gradient(loss.top(-40), online.bottom(-40))
    picture.flow(key, loss.right(-22), (200, 226), (200, 328))
    picture.flow(queue.left(-16), loss.right())
    picture.gradient(loss.right(20), (190, 370), stops=True)
    picture.note(298, 286, "1 step", anchor="start", size=12.5)
    picture.note(298, 447, "8 steps", anchor="start", size=12.5)
    picture.flow(queue.bottom(), (264, 478))
    picture.note(256, 474, "the oldest falls out", anchor="end", size=12.5)
    return picture


def byol() -> Diagram:
    """Grill et al. (2020): equations (9.1) to (9.3)."""
    picture = Diagram(
        "BYOL's two branches. One view of a picture runs down the left branch, orange: encoder, projector, predictor. "
        "Another view runs down the right branch, dashed blue: slow copies of encoder and projector, and no "
        "predictor. The ends are compared. The gradient flows up the left branch and stops before the right one. "
        "Bands marked tau lead from the encoder and projector to their copies.",
        460,
        title="BYOL",
        caption="One half of BYOL; the other half swaps the views. Only orange learns by gradients. Blue follows.",
    )
    first, second = _two_views(picture)
    online = [picture.box(96, y, name, "online", width=116, height=38) for y, name in LAYERS]
    target = [picture.box(264, y, name, "target", width=116, height=38) for y, name in LAYERS[:2]]
    loss = picture.box(180, 428, "how far apart? $2 - 2 cos$", "loss", width=290, height=38)
    for view, layers in ((first, online), (second, target)):
        picture.flow(view, layers[0])
        for lower, upper in zip(layers[1:], layers, strict=False):
            picture.flow(upper.bottom(8), lower.top(8))
    for old, new in zip(target, online, strict=False):
        picture.copy(new, old)
    for lower, upper in zip(online[1:], online, strict=False):
        picture.gradient(lower.top(-30), upper.bottom(-30))
    picture.note(112, 260, "$z$", anchor="start")
    picture.flow(online[2].bottom(8), loss.top(-76), label="$q(z)$")
    picture.gradient(loss.top(-114), online[2].bottom(-30))
    picture.flow(target[1].bottom(8), loss.top(92), label="$z′$")
    picture.gradient(loss.top(64), (244, 366), stops=True)
    return picture


LAYERS = ((144, "encoder"), (226, "projector"), (308, "predictor"))
