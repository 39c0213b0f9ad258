"""Find settings with which TD3 swings the pendulum up and its critics know what their policies are worth: a dict of
keyword arguments for `rl.train`. The check draws six fresh seeds, trains an agent with each for 10,000 steps at γ =
0.99, and asks for an interquartile mean return of -220 at least, and for critics that are off, either way, by 50 at
most on average: too high in one does not make up for too low in another.
"""

from typing import Any

from companion.exercises import Answer, Exercise, Hint, expect
from companion.exercises.trained import end_of_training, expect_settings, fresh_seeds, typical

STEPS = 10_000
RETURN = -220.0
HONEST = 50.0


def settings() -> dict[str, Any]:
    return {"clipped_double_q": False, "target_noise": 0.2, "policy_delay": 2, "period": 1, "tau": 0.05}


def are_settings(answer: Answer) -> None:
    """These are settings of TD3, one value each."""
    expect_settings(answer, "td3", batch=128)
    expect(
        answer.get("gamma", 0.99) == 0.99, "By (6.4) a smaller γ makes every bias small. It is another task: keep 0.99."
    )


def each_knows_it(answer: Answer) -> None:
    """Six agents you have never met swing up, and their critics are off by little on average, either way."""
    run: dict[str, Any] = {"steps": STEPS, "evaluate_every": STEPS, "horizon": 800, "seeds": fresh_seeds()}
    end = end_of_training("td3", "Pendulum-v1", **run, **answer)
    score, wrong = typical(end["return"]), end["predicted"] - end["discounted_return"]
    size = float(abs(wrong).mean())
    each = ", ".join(f"{float(one):+.0f}" for one in wrong)
    found = f"Six fresh agents return {score:.0f} (interquartile mean); their critics are off by {each}."
    if score < RETURN:
        raise Hint(f"{found} {RETURN:.0f} is asked for. First of all find the tau at which they learn at all.")
    if size > HONEST and wrong.mean() < 0:
        raise Hint(
            f"{found} That is {size:.0f} on average, {HONEST:.0f} are allowed, and most are too low. Which "
            "accounts of the ledger are negative? Two of them are switches."
        )
    if size > HONEST:
        raise Hint(
            f"{found} That is {size:.0f} on average, {HONEST:.0f} are allowed, and most are too high. What keeps a "
            "policy from standing on a narrow bump, without a second critic?"
        )


EXERCISE = Exercise(
    place=5,
    title="Six honest critics",
    difficulty="hard",
    minutes=120,
    expects="a dict of settings, such as {'tau': 0.01}",
    solution=settings,
    why="At 10,000 steps of the recording the settings without the minimum, but with smoothing, lie closest to zero "
    "on average; single seeds need not. The minimum alone gets near only by the end, which is what the figure shows; "
    "at 10,000 steps it is still too low to pass reliably. The minimum subtracts disagreement, whether or not there is "
    "anything too high; smoothing takes away the bumps that a policy climbs. Since the seeds are fresh, a setting near "
    "the line passes one day and fails the next.",
    checks=[are_settings, each_knows_it],
    value=True,
)
