"""The member axis, which every learner of the book with small networks has.

A *population* is many independent learners trained as one batched tensor program. Its tensors lead with an axis
called ``member``; members differ in seed and in any setting that is a tensor.

- :class:`Streams` gives each member its own random numbers, the same whichever others train beside it;
  :class:`Noise` lays them ready for a step.
- :class:`MLP` is a stack of linear layers with a member axis; :func:`flatten` makes its weights one tensor.
- :class:`Adam` steps every member at its own learning rate.
- :class:`Grid` turns settings and seeds into members, and results back into labelled arrays.
"""

from companion.members.grid import Grid
from companion.members.networks import MLP, flatten
from companion.members.optimizers import Adam
from companion.members.streams import Noise, Streams

__all__ = ["MLP", "Adam", "Grid", "Noise", "Streams", "flatten"]
