"""`broken` puts the average into the network to evaluate it, and leaves it there: training goes on from the average.
Write `with_average(model, average, evaluate)` that is right: it returns `evaluate(model)` with the average's parameters
in the model, and afterwards both are as they were, whatever happens in between.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from companion.exercises import Answer, Exercise, expect, matches_each


def with_average(model: nn.Module, average: nn.Module, evaluate: Callable[[nn.Module], Any]) -> Any:
    """What ``evaluate(model)`` returns while the average's parameters are in the model."""
    stored = [parameter.detach().clone() for parameter in model.parameters()]
    copy(average.parameters(), model.parameters())
    try:
        return evaluate(model)
    finally:  # also if it was stopped
        copy(stored, model.parameters())


@torch.no_grad()
def copy(source: Any, target: Any) -> None:
    """Write tensors into others, in place: the optimizer holds these."""
    for new, parameter in zip(source, target, strict=True):
        parameter.copy_(new)


def network(seed: int) -> nn.Module:
    """A small network with weights of its own."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    draw = torch.Generator().manual_seed(seed)
    copy([torch.randn(p.shape, generator=draw) for p in model.parameters()], model.parameters())
    return model


def sees_the_average(answer: Answer) -> None:
    """It is the average that is evaluated, in the model, and the result is returned."""
    model, average = network(0), network(1)
    seen: list[torch.Tensor] = []

    def evaluate(given: nn.Module) -> str:
        expect(given is model, "Hand the model itself to `evaluate`, with the average's parameters in it.")
        seen.extend(p.detach().clone() for p in given.parameters())
        return "result"

    got = answer(model, average, evaluate)
    expect(seen, "`evaluate` was not called.")
    matches_each(seen, average.parameters(), "While it was evaluated the model did not hold the average's parameters.")
    expect(got == "result", "What `evaluate` returned is to be returned.")


def is_taken_out_again(answer: Answer) -> None:
    """Afterwards the model is what it was, in the memory that the optimizer knows."""
    model, average = network(0), network(1)
    places = [p.data_ptr() for p in model.parameters()]
    answer(model, average, lambda given: None)
    hint = (
        "After the evaluation the model is not what it was before, and training would go on from there. Is what you "
        "stored a copy, or the parameters themselves?"
    )
    matches_each(model.parameters(), network(0).parameters(), hint)
    expect(
        [p.data_ptr() for p in model.parameters()] == places,
        "The parameters lie in another memory than before: whoever holds the old one, such as a flat optimizer, is "
        "left behind. Write into them, by `copy_`.",
    )


def leaves_the_average_alone(answer: Answer) -> None:
    """The average is left alone."""
    model, average = network(0), network(1)
    answer(model, average, lambda given: copy([torch.zeros_like(p) for p in given.parameters()], given.parameters()))
    hint = "The average has changed: what happens to the model in between must not reach it."
    matches_each(average.parameters(), network(1).parameters(), hint)


def survives_an_error(answer: Answer) -> None:
    """Also if the evaluation fails or is stopped, which is passed on."""
    for error in (RuntimeError, KeyboardInterrupt):
        model = network(0)

        def stopped(given: nn.Module, error: type[BaseException] = error) -> None:
            raise error

        arrived = False
        try:
            answer(model, network(1), stopped)
        except error:
            arrived = True
        hint = (
            f"The evaluation was stopped in between, by a {error.__name__}, and the average has stayed in the model. "
            "`try` and `finally`."
        )
        matches_each(model.parameters(), network(0).parameters(), hint)
        expect(arrived, f"The {error.__name__} of the evaluation was swallowed: put the weights back, and let it pass.")


EXERCISE = Exercise(
    place=3,
    title="Never taken out again",
    difficulty="medium",
    minutes=15,
    expects="a function of (model, average, evaluate) that returns what `evaluate` does",
    solution=with_average,
    why="Store, copy, **restore**: the third was missing in several training scripts for diffusion models, and the "
    "more often they saved or validated, the more the training was another one. Nothing fails, and samples may even "
    "look better for a while. An evaluation on a copy of the model avoids it all, at the price of the memory. "
    "Buffers, such as batch norm's statistics, are left alone here; chapter 10 says what they need.",
    checks=[sees_the_average, is_taken_out_again, leaves_the_average_alone, survives_an_error],
)
