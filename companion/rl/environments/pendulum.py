"""Pendulum-v1: swing a pendulum up and hold it there with too weak a motor, as gymnasium computes it."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import ArrayLike
from torch import Tensor

from companion.rl.environments.environment import Environment

if TYPE_CHECKING:
    import matplotlib.axes

GRAVITY = 10.0  # m/s²; mass and length are 1
TORQUE = 2.0  # N·m, at most
SPEED = 8.0  # rad/s, at most
SECONDS = 0.05  # between two states


def reset(noise: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 2"]:
    """Start at any angle in [-π, π), with a speed in [-1, 1) rad/s."""
    angle, speed = (2 * noise - 1).unbind(-1)
    return torch.stack((math.pi * angle, speed), -1)


def observe(state: Float[Tensor, "*batch 2"]) -> Float[Tensor, "*batch 3"]:
    """See the cosine and the sine of the angle (0 is upright), and the speed in rad/s."""
    angle, speed = state.unbind(-1)
    return torch.stack((angle.cos(), angle.sin(), speed), -1)


def step(
    state: Float[Tensor, "*batch 2"], action: Float[Tensor, "*batch 1"]
) -> tuple[Float[Tensor, "*batch 2"], Float[Tensor, "*batch"], Bool[Tensor, "*batch"]]:
    """Apply a torque, clipped to ±2 N·m, for 0.05 s. It never terminates.

    The reward is −(angle² + 0.1 speed² + 0.001 torque²), of the state before the step and of the clipped torque.
    The angle is brought back to [-π, π) first: gymnasium lets it grow, which float32 would pay for in precision.
    """
    angle, speed = state.unbind(-1)
    angle = torch.remainder(angle + math.pi, 2 * math.pi) - math.pi
    torque = action.squeeze(-1).clamp(-TORQUE, TORQUE)
    reward = -(angle.square() + 0.1 * speed.square() + 0.001 * torque.square())
    speed = (speed + SECONDS * (1.5 * GRAVITY * angle.sin() + 3 * torque)).clamp(-SPEED, SPEED)
    after = torch.stack((angle + SECONDS * speed, speed), -1)
    return after, reward, torch.zeros_like(reward, dtype=torch.bool)


PENDULUM = Environment(
    name="Pendulum-v1",
    observation_size=3,
    state_size=2,
    actions=None,
    action_size=1,
    action_high=TORQUE,
    reset_width=2,
    time_limit=200,
    reset=reset,
    observe=observe,
    step=step,
)


def draw_pendulum(ax: "matplotlib.axes.Axes", observation: ArrayLike) -> Callable[[ArrayLike], None]:
    """Draw the pendulum on `ax`, and return the function that moves the drawing to another observation.

        move = draw_pendulum(ax, episode[0])
        study.animate(fig, lambda frame: move(episode[frame]), len(episode), alt="…")

    Upright is up, and a positive angle leans to the left: gymnasium counts angles, and torques, counter-clockwise.

    Args:
        ax: empty axes, whose limits become the pendulum's reach.
        observation: three numbers as `observe` gives them; a NaN hides the drawing, as at the end of an episode.
    """
    from matplotlib.patches import Circle

    bob, axle = Circle((0, 1), 0.12, facecolor="#b5651d", zorder=3), Circle((0, 0), 0.05, facecolor="#4d4d4d", zorder=3)
    ax.add_patch(Circle((0, 0), 1, fill=False, edgecolor="#999999", linewidth=1, linestyle=":", zorder=0))
    ax.add_patch(bob)
    ax.add_patch(axle)
    (rod,) = ax.plot([], [], color="#b5651d", linewidth=6, solid_capstyle="round")
    ax.grid(visible=False)
    for spine in ax.spines.values():
        spine.set_visible(False)
    ax.set(xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", xticks=[], yticks=[])

    def move(observation: ArrayLike) -> None:
        cosine, sine, speed = (float(number) for number in np.asarray(observation, dtype=float))
        seen = not math.isnan(cosine + sine + speed)
        for artist in (rod, bob, axle):
            artist.set_visible(seen)
        if seen:
            rod.set_data([0, -sine], [0, cosine])
            bob.set_center((-sine, cosine))

    move(observation)
    return move
