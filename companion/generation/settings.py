"""Settings that every generator has, and those of the averages that ride along."""

from companion.runs.settings import PerMember, Settings, setting

__all__ = ["AverageSettings", "GeneratorSettings"]


class AverageSettings(Settings):
    """Settings of a moving average of a generator, which the training does not know of."""

    tau: PerMember = setting(0.01, least=0, most=1)
    """Weight of the newest weights in the average at each update; 1 is the raw network."""
    warmup: PerMember = setting(False)
    """Whether the weight falls to ``tau`` as 9/(9 + k) does: the decay is then min(1 − tau, k/(9 + k)), as in latent
    diffusion and in diffusers."""


class GeneratorSettings(Settings):
    """Settings of a generator's training."""

    learning_rate: PerMember = setting(2e-3, least=0)
    """Step size of Adam."""
    anneal: PerMember = setting(False)
    """Whether the learning rate falls in a straight line, to zero at the end of the run."""
    batch_size: int = setting(128, least=1, shapes=True)
    """Points in a step."""
    hidden: tuple[int, ...] = setting((96, 96, 96), least=1, shapes=True)
    """Units of each hidden layer, rectified linear."""
