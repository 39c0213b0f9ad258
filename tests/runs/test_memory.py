"""Freed memory is used again: no page is mapped anew for a block as large as one freed before."""

import os
import platform
import subprocess
import sys

import pytest

from companion.runs import memory

SCRIPT = """
import ctypes, resource, sys
import torch
from companion.runs.memory import keep_freed_memory
if sys.platform == "linux":
    ctypes.CDLL(None).prctl(41, 1, 0, 0, 0)  # no huge pages, which would hide how much is mapped anew
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults(blocks=50):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(blocks):
        [torch.zeros(2**19) for _ in range(20)]  # 2 MiB each, all freed together
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / blocks
faults()
print(faults() * resource.getpagesize() / (20 * 2**21))
"""


def test_a_block_of_megabytes_is_used_again():
    # glibc moves its threshold as it goes, so that chance decides which blocks it gives back; here it is held still.
    still = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "131072"}

    def share_mapped_anew(how: str) -> float:
        command = [sys.executable, "-c", SCRIPT, how]
        return float(subprocess.run(command, env=still, check=True, capture_output=True, text=True).stdout)

    kept, given_back = share_mapped_anew("keep"), share_mapped_anew("as it is")
    if platform.libc_ver()[0] == "glibc":  # nothing is promised of another C library but that it is left alone
        assert kept < 0.0009  # of 10,240 pages nine
        assert given_back > 0.1


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda *_: pytest.fail("looked into another C library"))
    memory.keep_freed_memory()
