"""The version of this package, and of what a result depends on beside it."""

import platform

import numpy as np
import torch

__version__ = "0.3.0"


def versions() -> str:
    """Package and version of all that decides numbers, as ``"companion 0.3.0, torch 2.13.0, …"``."""
    return (
        f"companion {__version__}, torch {torch.__version__}, numpy {np.__version__}, "
        f"Python {platform.python_version()}"
    )
