"""What every learner of the book shares: the member axis.

A *population* is many independent learners trained as one batched tensor program. Its tensors lead with an axis
called ``member``; members differ in seed and in any setting that is a tensor.

- :class:`Streams` gives each member its own random numbers, the same whichever others train beside it;
  :class:`Noise` lays them ready for a step.
- :class:`MLP` is a stack of linear layers with a member axis; :func:`flatten` makes its weights one tensor.
- :class:`Adam` steps every member at its own learning rate.
- :class:`Grid` turns settings and seeds into members, and results back into labelled arrays.
- :class:`~companion.population.runs.Run` keeps what was measured through all that may befall a long run: it writes
  ``companion.population.checkpoints``, listens to Ctrl-C, finds who diverged, and under ``torchrun`` takes its
  share of the members (``companion.population.shares``).
- :class:`~companion.population.capture.Captured` records a step as a CUDA graph.
"""

from companion.population.grid import Grid
from companion.population.networks import MLP, flatten
from companion.population.optimizers import Adam
from companion.population.streams import Noise, Streams

__all__ = ["MLP", "Adam", "Grid", "Noise", "Streams", "flatten"]
