"""Freed memory is used again: no page is mapped anew for a block as large as one freed before."""

import platform
import subprocess
import sys

import pytest

SCRIPT = """
import resource, sys
import torch
from companion.population.memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults(blocks=50):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        [torch.zeros(2**19) for _ in range(20)]  # 2 MB each, all freed together
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / blocks
faults()
print(faults())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep freed memory")
def test_a_block_of_megabytes_is_used_again():
    kept, given_back = (
        float(subprocess.run([sys.executable, "-c", SCRIPT, how], check=True, capture_output=True, text=True).stdout)
        for how in ("keep", "as it is")
    )
    assert kept < 10
    assert given_back > 100  # else there is nothing to gain, and the function can go
