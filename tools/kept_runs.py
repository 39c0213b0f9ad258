"""Let every training run of a process be gone on with by a later one, whoever calls it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any


def keep_runs(folder: Path, options: Callable[[], dict[str, Any]]) -> None:
    """Give every training run of this process a checkpoint in a folder, named by what decides the run.

    Args:
        folder: where.
        options: of the run, asked when it begins.
    """
    from companion.runs.run import Run

    begin = Run.__init__

    def begun(self: Run, *arguments: Any, **given: Any) -> None:
        decides = repr((arguments[:1], sorted(given["arguments"].items(), key=str)))
        if given.get("checkpoint") is None:
            given["checkpoint"] = folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:24]}.pt"
        begin(self, *arguments, **given | options())

    Run.__init__ = begun  # type: ignore[method-assign]
