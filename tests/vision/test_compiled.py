"""On a GPU the loss is compiled. That it can be, as one graph, and then says the same, is shown without a GPU."""

import subprocess
import sys

from tests.helpers import child_environment

# In a process of its own: the tests' checks of shapes at run time would be traced along.
SCRIPT = """
import torch
from companion import vision

data = vision.shapes(train=96, test=2)
for algorithm, settings in (("byol", {}), ("moco", {"queue_size": 48})):
    views = vision.Views(data.train.images, data.augmentation, batch_size=32, seed=0, shuffle=algorithm == "moco")
    plain, other = (vision.make_learner(algorithm, **settings) for _ in range(2))
    compiled = torch.compile(other, backend="eager", fullgraph=True)  # raises where the graph would break
    for step in (1, 2):
        torch.testing.assert_close(compiled(views(step)), plain(views(step)))
        plain.follow()
        other.follow()
    for name, value in plain.state_dict().items():
        torch.testing.assert_close(other.state_dict()[name], value, msg=name)
    print(algorithm)
"""


def test_the_loss_compiles_to_one_graph_and_the_slow_copy_follows_all_the_same() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], env=child_environment(), capture_output=True, text=True)
    assert done.stdout.split() == ["byol", "moco"], done.stderr
