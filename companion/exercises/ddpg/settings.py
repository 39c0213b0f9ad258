"""Find settings with which DDPG learns Pendulum fast: a dict of keyword arguments for `rl.train`. The check draws six
fresh seeds, trains an agent with each for 2,000 steps, and asks for an interquartile mean return of -350 at the end.
Sweep on seeds of your own, many settings at once.
"""

from typing import Any

from companion.exercises import Answer, Exercise, Hint
from companion.exercises.trained import end_of_training, expect_settings, fresh_seeds, typical

STEPS = 2_000
GOAL = -350.0


def settings() -> dict[str, Any]:
    return {
        "tau": 0.05,
        "gamma": 0.97,
        "critic_learning_rate": 3e-3,
        "actor_learning_rate": 2e-3,
        "batch_size": 128,
        "exploration_noise": 0.4,
        "learning_starts": 250,
    }


def are_settings(answer: Answer) -> None:
    """These are settings of DDPG, one value each."""
    expect_settings(answer, "ddpg", batch=256)


def swings_up(answer: Answer) -> None:
    """Six agents you have never met swing up, most of them."""
    end = end_of_training("ddpg", "Pendulum-v1", steps=STEPS, seeds=fresh_seeds(), **answer)
    score = typical(end["return"])
    if score >= GOAL:
        return
    tau, period = float(end.attrs["tau"]), int(end.attrs["period"])
    sight = tau * (STEPS - int(end.attrs["learning_starts"])) / period
    if sight < 20:
        why = (
            f"Their targets see about {sight:.0f} steps ahead by the end, and your map's slow edge stood at 10 to 16: "
            "a larger τ."
        )
    elif tau / period > 0.15:
        why = "Their targets are so quick that the labels tremble: a smaller τ."
    else:
        why = (
            "Their targets see far enough. How fast do both networks learn, from how large a batch, for which γ, and "
            "how noisy are their actions?"
        )
    raise Hint(f"Six fresh agents reach {score:.0f} (interquartile mean), and {GOAL:.0f} is asked. {why}")


EXERCISE = Exercise(
    place=5,
    title="Six pendulums you have never met",
    difficulty="hard",
    minutes=120,
    expects="a dict of settings, such as {'tau': 0.02}",
    solution=settings,
    why="Found on seeds of its own, in a sweep of 24 settings and a second one of five. With τ = 0.05 the targets see "
    "some 90 steps ahead by the end, which is more than enough; a γ of 0.97 asks for no more. The rest is haste: "
    "learning rates two and three times the defaults, larger batches to bear them, and an earlier start. Last came the "
    "noise. With 0.2 one agent in ten was late; with 0.4 none of 24 was: in the few steps there are, it is the noise "
    "that shows the critic other actions. Yours may be better.",
    checks=[are_settings, swings_up],
    value=True,
)
