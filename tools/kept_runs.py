"""Let every training run of a process be gone on with by a later one, whoever calls it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
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

    def begun(self: Run, label: str, *given: Any, arguments: Mapping[str, Any], **named: Any) -> None:
        *most, own = given
        decides = repr((label, sorted(arguments.items(), key=str)))
        path = folder / f"{hashlib.sha256(decides.encode()).hexdigest()[:24]}.pt"
        own = replace(own, checkpoint=own.checkpoint or path, **options())
        begin(self, label, *most, own, arguments=arguments, **named)

    Run.__init__ = begun  # type: ignore[method-assign]
