"""Temporal-difference learning with linear values as a matrix: will it converge, with and without a target network?

The expected semi-gradient update and the target's update are linear, so the errors of the online weights `w` and of
the target weights `w̄`, stacked, are multiplied by one matrix at every update. Its spectral radius decides. Everything
is float64, and any number of problems and of settings are handled at once on leading axes.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int

import companion.seeds

Setting = float | int | Float[np.ndarray, "..."]
"""One value for all, or an array that broadcasts against the stack of problems."""


@dataclass(frozen=True)
class LinearTD:
    """Policy evaluation with values `features @ w`, from states drawn with `weights`: one problem or a stack of them.

    The names are those of the expected update, Sutton & Barto (2018), section 9.4, with a separate target `w̄`:

        w ← w + η (b + γ K w̄ − C w),    C = ΦᵀDΦ,    K = ΦᵀDPΦ,    b = ΦᵀDr.

    Attributes:
        features: Φ, one row of features a state.
        transitions: P, the probabilities of the next state under the policy that is evaluated. A row may sum to less
            than 1: with the rest of the probability the episode terminates.
        rewards: r, the expected reward on leaving each state.
        weights: the diagonal of D, how often each state is updated; they sum to 1. On-policy means the distribution
            of states that `transitions` itself settles into, off-policy any other.
        gamma: γ, the discount.

    Raises:
        ValueError: if shapes do not fit, or probabilities are none.
    """

    features: Float[np.ndarray, "*problem state feature"]
    transitions: Float[np.ndarray, "*problem state state"]
    rewards: Float[np.ndarray, "*problem state"]
    weights: Float[np.ndarray, "*problem state"]
    gamma: float

    def __post_init__(self) -> None:
        for name in ("features", "transitions", "rewards", "weights"):
            object.__setattr__(self, name, np.asarray(getattr(self, name), dtype=np.float64))
        if self.features.ndim < 2:
            raise ValueError(f"features has shape {self.features.shape}; it needs at least (state, feature)")
        *problems, states, _ = self.features.shape
        wanted = {"transitions": (*problems, states, states), "rewards": (*problems, states)}
        for name, shape in (wanted | {"weights": (*problems, states)}).items():
            if getattr(self, name).shape != shape:
                raise ValueError(
                    f"{name} has shape {getattr(self, name).shape}; features of {states} states ask {shape}"
                )
        rows = self.transitions.sum(-1)
        if not (np.all(self.transitions >= 0) and np.all(rows <= 1 + 1e-9)):
            raise ValueError(
                f"transitions must be non-negative with rows that sum to 1 at most; one sums to {rows.max()}"
            )
        if not (np.all(self.weights >= 0) and np.allclose(self.weights.sum(-1), 1)):
            raise ValueError("weights must be non-negative and sum to 1: divide them by their sum")
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma={self.gamma} is not a discount; it lies between 0 and 1")

    def __getitem__(self, index: int | Int[np.ndarray, "chosen"]) -> "LinearTD":
        """Problem number `index` of a stack, or the stack of several."""
        return LinearTD(
            self.features[index], self.transitions[index], self.rewards[index], self.weights[index], self.gamma
        )

    @cached_property
    def covariance(self) -> Float[np.ndarray, "*problem feature feature"]:
        """C = ΦᵀDΦ: how the features go together in the data."""
        return self._weighted @ self.features

    @cached_property
    def lookahead(self) -> Float[np.ndarray, "*problem feature feature"]:
        """K = ΦᵀDPΦ: how the features go together with those of the next state."""
        return self._weighted @ self.transitions @ self.features

    @cached_property
    def reward_vector(self) -> Float[np.ndarray, "*problem feature"]:
        """b = ΦᵀDr."""
        return (self._weighted @ self.rewards[..., None])[..., 0]

    @cached_property
    def td_matrix(self) -> Float[np.ndarray, "*problem feature feature"]:
        """A = C − γK. Without a target network the error is multiplied by I − ηA at every update."""
        return self.covariance - self.gamma * self.lookahead

    @cached_property
    def fitted_matrix(self) -> Float[np.ndarray, "*problem feature feature"]:
        """F = γ C⁻¹K, fitted value iteration: the error after solving the regression on a frozen target to its end.

        Raises:
            numpy.linalg.LinAlgError: if C is singular, so that the regression has many solutions.
        """
        return self.gamma * np.linalg.solve(self.covariance, self.lookahead)

    @cached_property
    def solution(self) -> Float[np.ndarray, "*problem feature"]:
        """A⁻¹b, where TD learning stands still, whatever the target network does."""
        return np.linalg.solve(self.td_matrix, self.reward_vector[..., None])[..., 0]

    @property
    def _weighted(self) -> Float[np.ndarray, "*problem feature state"]:
        return np.swapaxes(self.features * self.weights[..., None], -1, -2)


def joint_matrix(
    problem: LinearTD, step_size: Setting, tau: Setting = 1.0, period: int = 1
) -> Float[np.ndarray, "*setting twice twice"]:
    """The matrix that takes the stacked errors of (online, target) over one period of `period` updates.

    One update is the semi-gradient step w ← w + η(b + γK w̄ − Cw); after the last of the period, the target moves:
    w̄ ← τw + (1 − τ)w̄. So `tau=1, period=1` is no target network, `period=1` a soft and `tau=1` a hard one.

    Args:
        problem: one problem, or a stack that broadcasts against the settings.
        step_size: η.
        tau: weight of the online weights in the target's update.
        period: updates from one update of the target to the next.

    Raises:
        ValueError: if tau lies outside [0, 1] or period below 1.
    """
    eta, mixing = (setting[..., None, None] for setting in _checked(step_size, tau, period))
    size = problem.covariance.shape[-1]
    eye = np.eye(size)
    online = np.concatenate(
        np.broadcast_arrays(eye - eta * problem.covariance, eta * problem.gamma * problem.lookahead), -1
    )
    target = np.broadcast_to(np.concatenate((np.zeros((size, size)), eye), -1), online.shape)
    frozen = np.concatenate((online, target), -2)
    last = np.concatenate(np.broadcast_arrays(online, mixing * online + (1 - mixing) * target), -2)
    return last @ np.linalg.matrix_power(frozen, period - 1)


def spectral_radius(matrix: Float[np.ndarray, "*stack n n"]) -> np.float64 | Float[np.ndarray, "*stack"]:
    """The largest magnitude of an eigenvalue: below 1, repeated multiplication dies out; above 1, it grows."""
    return np.abs(np.linalg.eigvals(matrix)).max(-1)


def spectral_abscissa(matrix: Float[np.ndarray, "*stack n n"]) -> np.float64 | Float[np.ndarray, "*stack"]:
    """The largest real part of an eigenvalue: below 0, the flow ẋ = matrix·x dies out; above 0, it grows."""
    return np.linalg.eigvals(matrix).real.max(-1)


def growth(
    problem: LinearTD, step_size: Setting, tau: Setting = 1.0, period: int = 1
) -> np.float64 | Float[np.ndarray, "*setting"]:
    """The factor by which the error grows in one update, in the long run; arguments as for `joint_matrix`."""
    return spectral_radius(joint_matrix(problem, step_size, tau, period)) ** (1 / period)


def simulate(
    problem: LinearTD,
    step_size: Setting,
    steps: int,
    tau: Setting = 1.0,
    period: int | Int[np.ndarray, "..."] = 1,
    start: Setting = 1.0,
) -> tuple[Float[np.ndarray, "time *setting feature"], Float[np.ndarray, "time *setting feature"]]:
    """Run the expected update state by state, with no matrix of the whole: `(online, target)` at times 0 to `steps`.

    Semi-gradient TD(0) (Sutton & Barto 2018, eq. 9.7 and section 11.1) in expectation over the data, its bootstrapped
    values read from the target weights, which follow w̄ ← τw + (1 − τ)w̄ after every `period`-th update.

    Args:
        problem, step_size, tau: as for `joint_matrix`.
        steps: gradient updates.
        period: as for `joint_matrix`, or an array of them.
        start: both networks' first weights, broadcast against `(*setting, feature)`.
    """
    eta, mixing = (setting[..., None] for setting in _checked(step_size, tau, period))
    every = np.asarray(period)[..., None]
    shape = np.broadcast_shapes(eta.shape, mixing.shape, every.shape, np.shape(start), problem.reward_vector.shape)
    online, target = (np.empty((steps + 1, *shape)) for _ in range(2))
    online[0] = target[0] = start
    for k in range(steps):
        bootstrap = _times(problem.transitions, _times(problem.features, target[k]))
        error = problem.rewards + problem.gamma * bootstrap - _times(problem.features, online[k])
        online[k + 1] = online[k] + eta * _times(np.swapaxes(problem.features, -1, -2), problem.weights * error)
        weight = np.where((k + 1) % every == 0, mixing, 0.0)
        target[k + 1] = weight * online[k + 1] + (1 - weight) * target[k]
    return online, target


def whiten(problem: LinearTD) -> LinearTD:
    """The same values written in other coordinates: features Φ C^(−1/2), whose covariance is the identity.

    Every function that the old features can represent the new ones can too, and no other. Fitted iteration does not
    notice (its eigenvalues are the same); TD without a target network does.

    Raises:
        ValueError: if the covariance is singular.
    """
    values, vectors = np.linalg.eigh(problem.covariance)
    if np.any(values <= 1e-12 * values[..., -1:]):
        raise ValueError("features have a singular covariance: drop those that are combinations of others first")
    root = vectors / np.sqrt(values)[..., None, :] @ np.swapaxes(vectors, -1, -2)
    return LinearTD(problem.features @ root, problem.transitions, problem.rewards, problem.weights, problem.gamma)


def two_state(gamma: float = 0.99, second: float = 0.5, termination: float = 0.0) -> LinearTD:
    """w → 2w: one weight, two states valued w and 2w; each leads to the second; no rewards, so the solution is 0.

    Source: Tsitsiklis & Van Roy (1996), "Feature-based methods for large scale dynamic programming"; told
    again by Sutton & Barto (2018), section 11.2 and example 11.1.

    Args:
        gamma: the discount.
        second: the share of updates made in the second state; 0.5 is the paper's sweep over both states.
        termination: the probability of the episode's end in the second state.
    """
    stay = 1 - termination
    return LinearTD(
        np.array([[1.0], [2.0]]),
        np.array([[0.0, 1.0], [0.0, stay]]),
        np.zeros(2),
        np.array([1 - second, second]),
        gamma,
    )


def baird(gamma: float = 0.99) -> LinearTD:
    """Baird's star (1995), as in Sutton & Barto (2018), section 11.2: seven states, eight weights, no rewards.

    Six states have the value 2wᵢ + w₈, the seventh w₇ + 2w₈. The policy evaluated always goes to the seventh; the
    data visit all seven equally often.
    """
    features = np.zeros((7, 8))
    features[np.arange(6), np.arange(6)] = 2
    features[:6, 7] = 1
    features[6, 6:] = 1, 2
    transitions = np.zeros((7, 7))
    transitions[:, 6] = 1
    return LinearTD(features, transitions, np.zeros(7), np.full(7, 1 / 7), gamma)


def without_null_space(problem: LinearTD) -> LinearTD:
    """The same values with as many weights as the features have rank, by an orthonormal basis of their row space.

    Directions of weight space that change no value are left out: no update moves along them, and each would add an
    eigenvalue that is exactly 1. For a single problem.
    """
    _, values, rows = np.linalg.svd(problem.features)
    rank = int((values > 1e-10 * values[0]).sum())
    features = problem.features @ rows[:rank].T
    return LinearTD(features, problem.transitions, problem.rewards, problem.weights, problem.gamma)


def random_problems(
    seed: int,
    count: int,
    *,
    states: int = 5,
    features: int = 2,
    gamma: float = 0.99,
    on_policy: bool = False,
) -> LinearTD:
    """A stack of `count` random problems, most of them off-policy: the data need not come from the policy evaluated.

    Features are standard normal, each state's next-state probabilities and the data weights are Dirichlet (with
    concentration 0.1, so that a few successors dominate, and 1, uniform on the simplex), rewards standard normal.

    Args:
        seed: of all of them together.
        count: how many.
        states, features: sizes of each.
        gamma: the discount.
        on_policy: weigh the states by the transitions' stationary distribution instead.
    """
    rng = np.random.default_rng(companion.seeds.seed(seed))
    phi = rng.standard_normal((count, states, features))
    transitions = rng.dirichlet(np.full(states, 0.1), (count, states))
    weights = rng.dirichlet(np.ones(states), count)
    rewards = rng.standard_normal((count, states))
    if on_policy:
        weights = _stationary(transitions)
    return LinearTD(phi, transitions, rewards, weights, gamma)


def _stationary(transitions: Float[np.ndarray, "*problem state state"]) -> Float[np.ndarray, "*problem state"]:
    """The long-run share of each state, by repeated squaring of a chain made aperiodic."""
    lazy = (transitions + np.eye(transitions.shape[-1])) / 2
    for _ in range(40):
        lazy = lazy @ lazy
        lazy /= lazy.sum(-1, keepdims=True)
    share = lazy.mean(-2)
    return share / share.sum(-1, keepdims=True)


def _checked(step_size: Setting, tau: Setting, period: int | Int[np.ndarray, "..."]) -> tuple[np.ndarray, np.ndarray]:
    steps, taus = np.asarray(step_size, dtype=np.float64), np.asarray(tau, dtype=np.float64)
    if not np.all((taus >= 0) & (taus <= 1)):
        raise ValueError(f"tau={tau} is no weight; every value lies between 0 and 1")
    if not (np.issubdtype(np.asarray(period).dtype, np.integer) and np.all(np.asarray(period) >= 1)):
        raise ValueError(f"period={period!r} is no count of updates; give an integer of 1 or more")
    if not np.all(steps > 0):
        raise ValueError(f"step_size={step_size} does not step; give positive values")
    return steps, taus


def _times(matrix: np.ndarray, vector: np.ndarray) -> np.ndarray:
    return (matrix @ vector[..., None])[..., 0]
