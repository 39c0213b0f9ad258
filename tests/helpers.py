"""What tests of several parts share."""

import os
from pathlib import Path

import pytest
import torch

needs_cuda = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="records CUDA graphs, and there is no CUDA device"
)


def child_environment() -> dict[str, str]:
    """Environment variables of a process with this checkout's package, one thread and no GPU."""
    root = str(Path(__file__).parents[1])
    return {**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
