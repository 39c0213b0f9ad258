"""Keep what the last execution of each chapter cost in the package: minutes, memory and device, chapter by chapter.

Run it as ``make costs`` on a machine that does nothing else; a chapter's first lines quote these figures.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime

from chapters import ROOT, all_notebooks, slug
from notebooks import EXECUTED

KEPT = ROOT / "companion" / "study" / "costs.json"


def kept() -> dict[str, dict[str, dict[str, object]]]:
    return json.loads(KEPT.read_text())


def main() -> None:
    costs = kept()
    for notebook in all_notebooks():
        measured = json.loads((EXECUTED / f"{notebook.stem}.json").read_text())
        entry = {k: measured[k] for k in ("seconds", "memory_mb", "device")} | {"date": f"{datetime.now(UTC):%Y-%m-%d}"}
        costs.setdefault(slug(notebook), {})[measured["budget"]] = entry
        print(f"{slug(notebook)}: {entry}")
    KEPT.write_text(json.dumps(costs, indent=1) + "\n")


if __name__ == "__main__":
    main()
