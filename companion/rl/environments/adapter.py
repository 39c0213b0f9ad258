"""Environments that are no tensor programs, such as MuJoCo's: all that gymnasium knows, through one adapter.

What an algorithm must not get wrong is the same as in :class:`~companion.rl.environments.TensorWorld`: the next
observation that is remembered is what was really seen last, never a reset state; and time running out
(gymnasium's *truncation*) is told apart from the episode's end (*termination*).

The environments are stepped one after another, in the process that learns. That is a measured choice, see
``benchmarks/environments.py``: on two cores no other way was faster with 8 environments, nor much with 32. Gymnasium's
vector of processes costs the learner about as much time in messages as MuJoCo's small robots cost to step, on however
many cores; and threads wait for Python's lock, although MuJoCo releases it while it integrates.
"""

import contextlib
import importlib
import importlib.metadata
import re
import warnings
import weakref
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Discrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from companion.members import Streams
from companion.names import nearest
from companion.rl import environments
from companion.rl.environments.worlds import Player, Transition
from companion.runs.described import described

__all__ = ["GymnasiumWorld"]


class GymnasiumWorld:
    """One of gymnasium's environments for every member; a :class:`~companion.rl.environments.World`.

    An episode begins with ``reset(seed=s)``, where s is drawn from the member's own stream, so that a member lives
    through the same episodes whichever others train beside it. (That is so with ``AutoresetMode.DISABLED``, the
    default. In the other two modes an environment resets itself, and all its episodes follow from the first's seed.)

    An action that is not a number, as of a member whose training has diverged, never reaches the environment: the
    middle of the range goes in its place.

    A checkpoint holds no simulator. It holds the episode's seed and the actions since: resetting with the seed and
    acting the same again leads to the same state, of MuJoCo's environments bit for bit. This needs an environment that
    is deterministic but for its seed. One that is not is found out when the checkpoint is loaded.

    Args:
        name: as in ``gymnasium.registry``, or ``"module:Name-v0"`` for one that the module registers.
        seeds: one integer a member.
        device: where observations and rewards go; the environments themselves are on the CPU.
        autoreset_mode: what becomes of an environment whose episode is over.

    Raises:
        ValueError: an unknown name, or an environment without a time limit, or whose observations are no vectors, or
            whose actions are neither discrete nor vectors of floats with finite bounds.
        ImportError: the environment needs a package that is not installed.
    """

    captured = False
    reset_width = 2  # numbers of 24 random bits each; seeds of 48 bits meet no seed twice

    def __init__(
        self,
        name: str,
        seeds: Sequence[int],
        device: torch.device,
        *,
        autoreset_mode: AutoresetMode = AutoresetMode.DISABLED,
    ) -> None:
        self.name = name
        self.seeds = seeds
        self.device = device
        self.autoreset_mode = autoreset_mode
        self.time_limit = _time_limit(name)
        self.environments: dict[str, VectorEnv] = {}
        self._closing = weakref.finalize(self, _close, self.environments)
        self._training = self._made("training", autoreset_mode)
        self.simulator = f"gymnasium {gymnasium.__version__}"
        if _is_mujoco(name):
            self.simulator += f", mujoco {importlib.metadata.version('mujoco')}"
        self.registered = described(vars(_registered(name)))

        sight, reach = self._training.single_observation_space, self._training.single_action_space
        if not isinstance(sight, Box) or len(sight.shape) != 1 or sight.shape[0] == 0:
            raise ValueError(
                f"environment={name!r} shows {sight}; the adapter takes vectors only, a Box of shape (n,). "
                "gymnasium.wrappers.FlattenObservation makes one of most spaces"
            )
        self.observation_size = sight.shape[0]
        self._dtype = reach.dtype
        self.actions: int | None = None
        self.action_size = 1
        if isinstance(reach, Discrete):
            self.actions, self._first_action = int(reach.n), reach.start
        elif isinstance(reach, Box) and not _trouble(reach):
            self.action_size, self._bounds = reach.shape[0], (reach.low, reach.high)
            self._middle, self._half = _middle_and_half(reach)
        else:
            raise ValueError(
                f"environment={name!r} acts by {reach}, {_trouble(reach)}; the adapter takes Discrete, or a Box of "
                "floats: a vector, each number of it with bounds, finite and low < high"
            )

        members = len(seeds)
        self._seed = _integers(Streams(seeds, "start").uniform(self.reset_width))
        self._elapsed = np.zeros(members, dtype=np.int64)
        self._actions = np.zeros((members, self.time_limit, self.action_size), dtype=np.float32)
        self._resets_next = np.zeros(members, dtype=bool)
        self.observation = self._tensor(self._training.reset(seed=self._seed.tolist())[0])

    def step(self, action: Tensor, noise: Float[Tensor, "member width"]) -> Transition:
        """Act once; where an episode is over, the next one starts."""
        given = _rows(action)
        observation, reward, terminated, truncated, info = self._training.step(self.sent(given))
        over = terminated | truncated
        seen, real = observation, None
        if self.autoreset_mode is AutoresetMode.DISABLED:
            self._actions[np.arange(len(over)), self._elapsed] = given
            self._elapsed += 1
            if over.any():
                self._seed[over] = _integers(noise.cpu().numpy())[over]
                self._elapsed[over] = 0
                observation = _reset(self._training, self._seed, over)
        elif self.autoreset_mode is AutoresetMode.SAME_STEP:
            if over.any():  # they show the next episode already, and tell beside it what was seen last
                seen = observation.copy()
                seen[over] = np.stack(info["final_obs"][over])
        else:
            real = torch.from_numpy(~self._resets_next).to(self.device)
            self._resets_next = over
        self.observation.copy_(torch.from_numpy(observation))
        return Transition(self._tensor(seen), self._tensor(reward), self._tensor(terminated), real)

    @torch.no_grad()
    def play(
        self,
        agents: Player,
        gamma: Float[Tensor, "member"],
        *,
        episodes: int,
        horizon: int,
        film: bool = False,
        look: Callable[[], None] = lambda: None,
    ) -> dict[str, np.ndarray]:
        """Play greedy episodes, see :meth:`World.play`, in environments kept for nothing else, one a member.

        The episodes begin with the seeds of the members' streams for evaluation, or for the film. The returns of a
        member whose actions are not numbers are NaN.
        """
        purpose, episodes = ("film", 1) if film else ("evaluation", episodes)
        limit = self.time_limit if film else max(self.time_limit, horizon)
        seeds = _integers(Streams(self.seeds, purpose).uniform(episodes, self.reset_width))
        discount = gamma.double().cpu().numpy()
        member = np.arange(len(seeds))
        episode, elapsed = np.zeros_like(member), np.zeros_like(member)  # which one is played, and its steps so far
        playing = np.ones(len(member), dtype=bool)
        total, discounted = np.zeros(seeds.shape), np.zeros(seeds.shape)
        starts = np.zeros((*seeds.shape, self.observation_size), dtype=np.float32)

        stage = self._made("evaluation", AutoresetMode.DISABLED, max_episode_steps=-1)  # the limit is counted here
        observation, _ = stage.reset(seed=seeds[:, 0].tolist())
        starts[:, 0] = observation
        if film:
            frames = np.full((len(member), self.time_limit + 1, self.observation_size), np.nan, dtype=np.float32)
            frames[:, 0] = observation
        while playing.any():
            look()
            given = _rows(agents.policy(self._tensor(observation)[:, None]).squeeze(1))
            observation, reward, terminated, truncated, _ = stage.step(self.sent(given))
            reward = np.where(np.isnan(given).any(-1), np.nan, reward)
            total[member, episode] += np.where(playing & (elapsed < self.time_limit), reward, 0)
            discounted[member, episode] += np.where(playing & (elapsed < horizon), discount**elapsed * reward, 0)
            elapsed += 1
            if film:
                frames[playing, elapsed[playing]] = observation[playing]
            over = terminated | truncated | (elapsed >= limit)
            if over.any():
                playing &= ~over | (episode < episodes - 1)
                episode[over & playing] += 1  # whoever has played all plays the last one again, and it does not count
                elapsed[over] = 0
                observation = _reset(stage, seeds[member, episode], over)
                starts[over, episode[over]] = observation[over]
        measured = {
            "return": total.mean(-1).astype(np.float32),
            "discounted_return": discounted.mean(-1).astype(np.float32),
            "predicted": agents.predict(self._tensor(starts)).mean(-1).cpu().numpy(),
        }
        return {**measured, "episode": frames} if film else measured

    def state_dict(self) -> dict[str, Tensor]:
        """The episode of every member: its seed, its actions so far, and what they led to.

        Raises:
            ValueError: the environments reset themselves, with seeds that nobody is told.
        """
        if self.autoreset_mode is not AutoresetMode.DISABLED:
            raise ValueError(f"a checkpoint needs AutoresetMode.DISABLED; with {self.autoreset_mode} there is no seed")
        actions = self._actions[:, : self._elapsed.max()]  # there is room for the longest episode
        episode = {"seed": self._seed, "elapsed": self._elapsed, "actions": actions}
        return {**{name: torch.from_numpy(array) for name, array in episode.items()}, "observation": self.observation}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from where `state` was taken, by living through every member's episode again.

        Raises:
            RuntimeError: the same seed and actions lead elsewhere.
        """
        self._elapsed[:] = state["elapsed"].cpu().numpy()
        for name, tensor in self.state_dict().items():
            tensor.copy_(state[name])
        steps = int(self._elapsed.max())
        begin = steps - self._elapsed  # all arrive together, so who has fewer steps behind it idles first
        observation, _ = self._training.reset(seed=self._seed.tolist())
        for t in range(steps):
            alive = np.flatnonzero(begin <= t)
            given = np.zeros((len(begin), self.action_size), dtype=np.float32)
            given[alive] = self._actions[alive, t - begin[alive]]
            observation, _, terminated, truncated, _ = self._training.step(self.sent(given))
            again = terminated | truncated | (begin == t + 1)
            if again.any():
                observation = _reset(self._training, self._seed, again)
        if not torch.equal(self._tensor(observation).nan_to_num(), self.observation.nan_to_num()):
            raise RuntimeError(
                f"environment={self.name!r} cannot be resumed here: the same seed and the same actions lead elsewhere "
                "than when the checkpoint was written. Resume with the versions and on the kind of machine that wrote "
                "it; an environment that draws random numbers beyond its seed cannot be resumed at all."
            )

    def close(self) -> None:
        """Close the environments; this also happens when nothing refers to this object any more."""
        self._closing()

    def _made(self, purpose: str, autoreset_mode: AutoresetMode, **arguments: Any) -> VectorEnv:
        """The environments for a purpose, one a member, made when they are first asked for."""
        if purpose not in self.environments:
            members, how = len(self.seeds), {"autoreset_mode": autoreset_mode}
            with _explained(self.name), quietly() if _is_mujoco(self.name) else contextlib.nullcontext():
                self.environments[purpose] = gymnasium.make_vec(
                    self.name, members, "sync", vector_kwargs=how, disable_env_checker=True, **arguments
                )
        return self.environments[purpose]

    def sent(self, given: Float32[np.ndarray, "member action"]) -> np.ndarray:
        """Actions as the environment takes them."""
        if self.actions is not None:
            return given[:, 0].astype(self._dtype) + self._first_action
        reached = self._middle + self._half * np.nan_to_num(np.clip(given, -1, 1))
        return np.clip(reached.astype(self._dtype), *self._bounds)  # rounding may lead out

    def _tensor(self, array: np.ndarray) -> Tensor:
        return torch.from_numpy(array.astype(np.float32)).to(self.device)


def _rows(action: Tensor) -> Float32[np.ndarray, "member action"]:
    return action.reshape(len(action), -1).float().cpu().numpy()


def _middle_and_half(reach: Box) -> tuple[np.ndarray, np.ndarray]:
    """The middle of a box, and half its width, in float32 at least."""
    low, high = (bound.astype(np.result_type(bound, np.float32)) for bound in (reach.low, reach.high))
    with np.errstate(over="ignore", invalid="ignore"):
        return (high + low) / 2, (high - low) / 2


def _trouble(reach: Space[Any]) -> str:
    """Why actions from -1 to 1 cannot be scaled to a space, if they cannot."""
    if not isinstance(reach, Box):
        return "which is neither discrete nor a box"
    if reach.dtype.kind != "f":
        return "which holds whole numbers, and an actor puts out others"
    if len(reach.shape) != 1 or reach.shape[0] == 0:
        return "which is no vector"
    half = _middle_and_half(reach)[1]
    if not np.isfinite(half).all():
        return "which is not a space with bounds"
    return "" if (half > 0).all() else "which leaves nothing to choose where low = high"


def _integers(noise: Float32[np.ndarray, "*shape 2"]) -> Int64[np.ndarray, "*shape"]:
    """Integers of 48 bits from pairs of uniform numbers, which have 24 bits each."""
    high, low = np.moveaxis(noise.astype(np.float64) * 2**24, -1, 0).astype(np.int64)
    return high * 2**24 + low


def _reset(
    environments: VectorEnv, seeds: Int64[np.ndarray, "member"], where: Bool[np.ndarray, "member"]
) -> np.ndarray:
    """Begin some members' next episodes; returns what everyone sees now."""
    return environments.reset(seed=seeds.tolist(), options={"reset_mask": where.copy()})[0]


def _close(environments: dict[str, VectorEnv]) -> None:
    for each in environments.values():
        each.close()


def _registered(name: str) -> EnvSpec:
    """What gymnasium knows by this name; a module that stands before it, ``"module:Name-v0"``, is imported first."""
    module, colon, own = str(name).rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except (ImportError, ValueError) as error:
            raise ImportError(
                f"environment={name!r}: its module {module!r} cannot be imported ({error}); install the package that "
                "has it, or put its folder on sys.path"
            ) from error
    known = gymnasium.registry
    if own in known:
        return known[own]
    space = own.rpartition("/")[0]
    if space in {spec.namespace or "" for spec in known.values()}:
        near = _newest(own) or _newest(nearest(own, known))
        hint = f"did you mean {near!r}? Known: {', '.join(environments.KNOWN)}, and all in gymnasium.registry"
    else:
        hint = f"nothing is known as {space + '/'!r}"
    other = f"importing {module!r} registered no such name" if colon else f"one of a package is {'package:' + own!r}"
    raise ValueError(f"unknown environment {name!r}: {hint}; {other}")


def _newest(name: str) -> str | None:
    """The newest version of this environment."""
    every = [spec for spec in gymnasium.registry.values() if _unversioned(spec.id) == _unversioned(name)]
    return max(every, key=lambda spec: spec.version or 0).id if every else None


def _unversioned(name: str) -> str:
    return re.sub(r"-v\d+$", "", name)


def _time_limit(name: str) -> int:
    """Steps after which an episode is cut, as registered."""
    spec = _registered(name)
    if spec.max_episode_steps is None:
        newest = _newest(spec.id)
        # Gymnasium keeps the names of what it has removed, without a limit, to say so to those who make one.
        with _explained(name, f"; or take {newest!r}" if newest != spec.id else ""):
            gymnasium.make(spec, disable_env_checker=True).close()
        raise ValueError(f"environment={name!r} has no time limit; register it with max_episode_steps")
    return spec.max_episode_steps


def _is_mujoco(name: str) -> bool:
    return "mujoco" in str(_registered(name).entry_point)


@contextlib.contextmanager
def _explained(name: str, instead: str = "") -> Iterator[None]:
    """Say how to install what an environment lacks, or what there is instead."""
    try:
        yield
    except (ImportError, gymnasium.error.DependencyNotInstalled) as error:
        mujoco = getattr(error, "name", None) == "mujoco"
        remedy = 'pip install "slow-copy[mujoco]"' if mujoco else str(error).rstrip(".") + instead
        raise ImportError(
            f"environment={name!r} needs a package, or a version of one, that is not installed: {remedy}"
        ) from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """Leave out what MuJoCo has to say about deprecated words in gymnasium's own models.

    It would say so on stderr, and in a file MUJOCO_LOG.TXT in the working directory, at every single environment. All
    else that it has to say becomes an ordinary warning.
    """
    import mujoco

    said: list[str] = []
    before = mujoco.get_mju_user_warning()
    mujoco.set_mju_user_warning(said.append)
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(before)
    for message in dict.fromkeys(said):
        if "deprecated" not in message:
            warnings.warn(message, RuntimeWarning, stacklevel=2)
