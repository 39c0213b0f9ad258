"""What the tests of the averaging core share."""

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest


@pytest.fixture(scope="session")
def in_plain_python() -> Callable[..., Any]:
    """Runs a program in a Python of its own, without the type checker that the tests put in front of ``companion``.

    The program gets ``given`` as the variable of that name and prints its answer as JSON.
    """

    def run(program: str, given: object = None) -> Any:
        code = f"import json, sys\ngiven = json.loads(sys.argv[1])\n{program}"
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, json.dumps(given)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run
