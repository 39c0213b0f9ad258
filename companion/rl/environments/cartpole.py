"""CartPole-v1: a pole on a cart, pushed left or right (Barto, Sutton & Anderson 1983), as gymnasium computes it."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import ArrayLike
from torch import Tensor

from companion.rl.environments.environment import Environment

if TYPE_CHECKING:
    import matplotlib.axes

GRAVITY = 9.8  # m/s²
POLE_MASS = 0.1  # kg
TOTAL_MASS = 1.0 + POLE_MASS  # kg
HALF_LENGTH = 0.5  # m, half of the pole
FORCE = 10.0  # N
SECONDS = 0.02  # between two states
TRACK = 2.4  # m, from the middle to either end
TOPPLED = math.radians(12)  # rad, from upright


def reset(noise: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """Start with each of the four numbers uniform in [-0.05, 0.05)."""
    return 0.1 * noise - 0.05


def observe(state: Float[Tensor, "*batch 4"]) -> Float[Tensor, "*batch 4"]:
    """See the whole state: position (m), velocity (m/s), angle from upright (rad), angular velocity (rad/s)."""
    return state


def step(
    state: Float[Tensor, "*batch 4"], action: Int[Tensor, "*batch"]
) -> tuple[Float[Tensor, "*batch 4"], Float[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
    """Push with 10 N to the left (0) or to the right (1) for 0.02 s, by one explicit Euler step.

    The reward is 1 for every step, the last one included. The episode terminates where the pole leans more than 12°
    or the cart is more than 2.4 m from the middle. The equations of motion are Florian's (2007, "Correct equations for
    the dynamics of the cart-pole system").
    """
    position, velocity, angle, spin = state.unbind(-1)
    force = (2 * FORCE) * action - FORCE
    cosine, sine = angle.cos(), angle.sin()
    push = (force + POLE_MASS * HALF_LENGTH * spin.square() * sine) / TOTAL_MASS
    spin_rate = (GRAVITY * sine - cosine * push) / (HALF_LENGTH * (4 / 3 - POLE_MASS * cosine.square() / TOTAL_MASS))
    acceleration = push - POLE_MASS * HALF_LENGTH * spin_rate * cosine / TOTAL_MASS
    rates = torch.stack((velocity, acceleration, spin, spin_rate), -1)
    after = state + SECONDS * rates
    terminated = (after[..., 0].abs() > TRACK) | (after[..., 2].abs() > TOPPLED)
    return after, torch.ones_like(position), terminated


CARTPOLE = Environment(
    name="CartPole-v1",
    observation_size=4,
    state_size=4,
    actions=2,
    action_size=None,
    action_high=None,
    reset_width=4,
    time_limit=500,
    reset=reset,
    observe=observe,
    step=step,
)


def draw_cartpole(ax: "matplotlib.axes.Axes", observation: ArrayLike) -> Callable[[ArrayLike], None]:
    """Draw the cart and its pole on `ax`, and return the function that moves the drawing to another observation.

        move = draw_cartpole(ax, episode[0])
        study.animate(fig, lambda frame: move(episode[frame]), len(episode), alt="…")

    Args:
        ax: empty axes, whose limits become the track's.
        observation: four numbers as `observe` gives them; a NaN hides the drawing, as at the end of an episode.
    """
    from matplotlib.patches import Circle, Rectangle

    cart, axle = Rectangle((0, 0), 0.5, 0.3, facecolor="#4d4d4d"), Circle((0, 0), 0.05, facecolor="white", zorder=3)
    ax.add_patch(cart)
    ax.add_patch(axle)
    (pole,) = ax.plot([], [], color="#b5651d", linewidth=6, solid_capstyle="round")
    ax.axhline(0, color="#999999", linewidth=1, zorder=0)
    ax.grid(visible=False)
    ax.spines["left"].set_visible(False)
    ax.set(xlim=(-TRACK - 0.4, TRACK + 0.4), ylim=(-0.15, 1.5), aspect="equal", yticks=[], xticks=[-TRACK, 0, TRACK])

    def move(observation: ArrayLike) -> None:
        x, _, angle, _ = (float(number) for number in np.asarray(observation, dtype=float))
        seen = not math.isnan(x + angle)
        for artist in (cart, pole, axle):
            artist.set_visible(seen)
        if seen:
            cart.set_xy((x - 0.25, 0))
            pole.set_data([x, x + 2 * HALF_LENGTH * math.sin(angle)], [0.3, 0.3 + 2 * HALF_LENGTH * math.cos(angle)])
            axle.set_center((x, 0.3))

    move(observation)
    return move
