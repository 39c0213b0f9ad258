"""Reinforcement learning with slow copies: DQN, DDPG, the labels of TD3 and SAC, SAC's temperature."""

from companion.study.diagrams.kit import Box, Diagram


def dqn() -> Diagram:
    """Mnih et al. (2015): equations (4.1), (4.2) and (4.4)."""
    picture = Diagram(
        "Data flow of DQN. The environment sends states to the online network, orange, which answers with actions; "
        "what happens goes into a replay memory. From a batch of it the online network gets s and a and predicts Q of "
        "s and a; the target network, dashed blue, gets s prime, and its largest value makes the label y, with r and "
        "d. Both meet in the loss. A gradient flows from the loss to the online network alone; towards the label it "
        "stops. A band leads from the online to the target network: a copy, every C updates.",
        406,
        title="DQN",
        caption="Solid orange learns. Dashed blue makes the labels, and is copied from orange every C updates.",
    )
    world = picture.box(84, 32, "environment", width=128)
    memory = picture.box(272, 32, "replay memory\n$s, a, r, s′, d$", width=132)
    online = picture.box(84, 158, "online\n$Q(·,·;θ)$", "online", width=128)
    target = picture.box(272, 158, "target\n$Q(·,·;θ^-)$", "target", width=128)
    predicted = picture.box(88, 266, "$Q(s,a;θ)$", width=92)
    label = picture.box(259, 270, "label $y$\n$r + γ(1 - d)$\n$× max_{a′} Q(s′,a′;θ^-)$", width=152)
    loss = picture.box(174, 366, "loss $h(Q - y)$", "loss", width=132, height=40)
    picture.flow(world, memory)
    picture.flow(online.top(-46), world.bottom(-46), label="$a$")
    picture.flow(world.bottom(-12), online.top(-12), label="$s$")
    picture.flow(memory.bottom(-44), online.top(42), (228, 92), (126, 92), label="$s, a$")
    picture.flow(memory, target, label="$s′$")
    picture.flow(memory.right(), label.right(), (350, 32), (350, 270))
    picture.note(344, 212, "$r, d$", anchor="end")
    picture.copy(online, target, label="")
    picture.note(178, 196, "every\n$C$ updates", size=12.5)
    picture.flow(online.bottom(4), predicted.top())
    picture.flow(target.bottom(-10), label.top(3))
    picture.flow(predicted.bottom(), loss.left(-7), (88, 359))
    picture.flow(label.bottom(), loss.right(-7), (259, 359))
    picture.gradient(loss.left(9), online.bottom(-57), (27, 375))
    picture.gradient(loss.right(9), (292, 330), (292, 375), stops=True)
    return picture


def ddpg() -> Diagram:
    """Lillicrap et al. (2016): equations (5.1) to (5.4)."""
    picture = Diagram(
        "The four networks of DDPG. Left, orange, the actor above the critic; right, dashed blue, a slow copy of "
        "each, with a band marked tau from each network to its copy. A batch from memory feeds both sides. Right, "
        "the copies make the label y from s prime. Left, two losses. One: the critic's prediction of Q of s and a "
        "against the label; its gradient flows into the critic, and stops at the label. Two: the critic's value of "
        "the actor's own action is climbed; this gradient runs through the critic, which it does not change, into "
        "the actor.",
        502,
        title="DDPG",
        caption="① changes the critic. ② runs through the critic, without changing it, and changes the actor.",
    )
    memory = picture.box(180, 32, "a batch of the memory\n$s, a, r, s′, d$", width=190)
    actor = picture.box(100, 132, "actor\n$μ(s;φ)$", "online", width=116)
    slow_actor = picture.box(260, 132, "actor's copy\n$μ(s′;φ^-)$", "target", width=116)
    critic = picture.box(100, 246, "critic\n$Q(s,·;θ)$", "online", width=116)
    slow_critic = picture.box(260, 246, "critic's copy\n$Q(s′,·;θ^-)$", "target", width=116)
    climb = picture.box(64, 356, "② climb\n$Q(s,μ(s))$", "loss", width=96)
    label = picture.box(256, 356, "label $y$\n$r + γ(1 - d)Q(s′,a′)$", width=154)
    loss = picture.box(160, 456, "① loss\n$(Q(s,a) - y)^2$", "loss", width=128)
    picture.flow(memory.bottom(-80), actor, label="$s$")
    picture.flow(memory.bottom(80), slow_actor, label="$s′$")
    picture.flow(memory.left(), critic.left(), (18, 32), (18, 246), label="$s,a$")
    picture.flow(memory.right(), slow_critic.right(), (347, 32), (347, 246), label="$s′$")
    picture.flow((347, 236), label.right(), (347, 356))
    picture.note(341, 312, "$r, d$", anchor="end")
    picture.flow(actor.bottom(10), critic.top(10))
    picture.note(117, 189, "$μ(s)$", anchor="start")
    picture.flow(slow_actor, slow_critic, label="$a′$")
    picture.copy(actor, slow_actor)
    picture.copy(critic, slow_critic)
    picture.flow(slow_critic.bottom(), label.top(4))
    picture.flow(critic.bottom(-30), climb.top(6))
    picture.flow(critic.bottom(22), loss.top(-38))
    picture.gradient(loss.top(-20), critic.bottom(40))
    picture.gradient(climb.top(-10), actor.bottom(-46))
    picture.flow(label.bottom(), loss.right(-8), (256, 448))
    picture.gradient(loss.right(10), (288, 414), (288, 466), stops=True)
    return picture


def td3_label() -> Diagram:
    """Fujimoto, van Hoof and Meger (2018): equation (6.5)."""
    picture = Diagram(
        "How TD3 makes a label. From s prime the slow copy of the actor, dashed blue, names an action; clipped noise "
        "is added to it. The slow copies of two critics, dashed blue, value s prime and that action, and the smaller "
        f"of the two values makes the label y. {_TAUGHT}",
        622,
        title="TD3's label",
        caption="One label for two critics: the smaller of two values, at a blurred action.",
    )
    after = picture.box(180, 24, "$s′$", width=56, height=30)
    actor = picture.box(180, 92, "actor's copy\n$μ(s′;φ^-)$", "target", width=124)
    plus = picture.box(180, 158, "+", "loss", width=30, circle=True)
    noise = picture.box(86, 158, "clipped noise", width=106)
    action = picture.box(180, 204, "clipped: $ã$", width=92, height=30)
    picture.flow(after, actor)
    picture.flow(actor, plus)
    picture.flow(noise, plus)
    picture.flow(plus, action)
    smaller = _copies(picture, after, action, "ã")
    _taught(picture, smaller, "$y = r + γ(1 - d) min$")
    return picture


def sac_label() -> Diagram:
    """Haarnoja et al. (2018b): equation (7.9)."""
    picture = Diagram(
        "How SAC makes a label. From s prime the actor itself, orange, draws an action; there is no copy of it. The "
        "slow copies of two critics, dashed blue, value s prime and that action; from the smaller of the two values "
        f"alpha times the action's log-probability is taken, which makes the label y. {_TAUGHT}",
        622,
        title="SAC's label",
        caption="The action in the label is drawn by the actor that learns: critics have slow copies, the actor none.",
    )
    after = picture.box(180, 24, "$s′$", width=56, height=30)
    actor = picture.box(180, 98, "actor\n$π(·|s′)$", "online", width=124)
    action = picture.box(180, 196, "$a′$", width=56, height=30)
    picture.flow(after, actor)
    picture.flow(actor, action, label="draws")
    smaller = _copies(picture, after, action, "a′")
    _taught(picture, smaller, "$y = r + γ(1 - d)$\n$× (min - α log π(a′|s′))$")
    return picture


_TAUGHT = (
    "Both critics, orange, learn that one label, each by its own loss; the gradients flow into the critics and stop "
    "at the label. Bands marked tau lead from each critic up to its copy."
)


def _copies(picture: Diagram, after: Box, action: Box, name: str) -> Box:
    """The copies of two critics, what they are asked, and the smaller of their answers."""
    smaller = picture.box(180, 344, "min", "loss", width=46, circle=True)
    for x, side, number in ((98, -1, 1), (262, 1, 2)):
        copy = picture.box(x, 270, f"copy {number}\n$Q_{number}(s′,{name};θ_{number}^-)$", "target", width=128)
        out = Box.left if side < 0 else Box.right
        edge = 180 + 164 * side
        picture.flow(out(action), copy.top(), (x, action.y))
        picture.flow(out(after), out(copy, -10), (edge, 24), (edge, 260), label="$s′$")
        picture.flow(copy.bottom(), out(smaller), (x, 344))
        critic = out(Box(x, 580, 120, 50))
        picture.copy(critic, out(copy, 12), (edge, 580), (edge, 282))
    return smaller


def _taught(picture: Diagram, smaller: Box, formula: str) -> None:
    """The label, and two critics that learn it."""
    label = picture.box(180, 412, f"label {formula}", width=224)
    picture.flow(smaller, label)
    for x, side, number in ((98, -1, 1), (262, 1, 2)):
        loss = picture.box(x, 494, f"$(Q_{number} - y)^2$", "loss", width=100, height=36)
        critic = picture.box(x, 580, f"critic {number}\n$Q_{number}(s,a;θ_{number})$", "online", width=120)
        picture.flow(label.bottom(72 * side), loss.top(-10 * side))
        picture.gradient(loss.top(12 * side), (x + 12 * side, 456), stops=True)
        picture.flow(critic.top(-10 * side), loss.bottom(-10 * side))
        picture.gradient(loss.bottom(12 * side), critic.top(12 * side))


def sac_temperature() -> Diagram:
    """Haarnoja et al. (2018b): equations (7.8) and (7.10)."""
    picture = Diagram(
        "SAC's temperature as a loop of two learners and two losses. Left the temperature alpha, right the actor, both "
        "orange. Above, the actor's loss, alpha log pi minus Q: its gradient flows to the actor and stops before the "
        "temperature. Below, the temperature's loss, log alpha times the entropy H less the entropy that is asked "
        "for: its gradient flows to the temperature and stops before the actor. In the middle: H too high, alpha "
        "falls; H too low, alpha rises.",
        386,
        title="SAC's temperature",
        caption="Two learners, two losses: each loss teaches one of them, and takes the other as given.",
    )
    loss = picture.box(180, 34, "the actor's loss\n$α log π(a|s) - min Q(s,a)$", "loss", width=196)
    temperature = picture.box(76, 164, "temperature\n$α$", "online", width=120)
    actor = picture.box(284, 164, "actor\n$π(a|s)$", "online", width=120)
    other = picture.box(180, 294, "the temperature's loss\n$log α · (H - H̄)$", "loss", width=196)
    asked = picture.box(180, 358, "entropy asked for: $H̄$", width=184, height=30)
    picture.flow(temperature.top(-26), loss.left(-8), (50, 26), label="$α$")
    picture.gradient(loss.bottom(-80), (100, 92), stops=True)
    picture.flow(actor.top(26), loss.right(-8), (310, 26), label="$a, log π$")
    picture.gradient(loss.bottom(74), actor.top(-30))
    picture.flow(actor.bottom(26), other.right(8), (310, 302), label="$H$")
    picture.gradient(other.top(74), (254, 236), stops=True)
    picture.flow(temperature.bottom(-26), other.left(8), (50, 302), label="$log α$")
    picture.gradient(other.top(-80), temperature.bottom(24))
    picture.flow(asked, other)
    picture.note(180, 140, "$H > H̄$:\n$α$ falls")
    picture.note(180, 188, "$H < H̄$:\n$α$ rises")
    return picture


def five_places() -> Diagram:
    """Where one can step into a loop that learns from its own labels."""
    picture = Diagram(
        "The orange online network is copied or blended, place 1, into the dashed blue slow copy, which makes the "
        "label, place 2; a gradient leads from the label back to the online network, and stops before the slow copy. "
        "The online network can be normalised inside, place 3, or reset, place 4. A band leads from it to an average, "
        "dashed blue, place 5, from which nothing returns.",
        344,
        title="Five places to intervene",
        caption="Nothing returns from place 5: an average there is an observer.",
    )
    online = picture.box(180, 50, "online network\n③ normalised inside\n④ reset", "online", width=176)
    average = picture.box(68, 200, "average\n⑤ observed", "target", width=112)
    slow = picture.box(270, 200, "slow copy\n① copied, or blended", "target", width=172)
    label = picture.box(154, 302, "label\n② double, smaller", "loss", width=148)
    picture.copy(online.bottom(-70), average.top(42), label="$τ$")
    picture.copy(online.bottom(70), slow.top(-20), label="$τ$")
    picture.flow(slow.bottom(32), label.right(-8), (302, 294))
    picture.gradient(label.top(), online.bottom(-26))
    picture.gradient(label.right(12), (322, 254), (322, 314), stops=True)
    return picture
