"""Faults planted in the package are told from luck: a chapter's claims, held against their rehearsals, raise an alarm.

The chapter is run once with each fault, as a rehearsal is. Its assertions see some of the faults, too; cells that fail
are passed over, for what is shown is that the claims alone would do.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import claims
from chapters import ROOT, slug
from companion.study.rehearsals import rehearsed
from tests.helpers import child_environment

PLANTS = {
    "a target that never moves": (
        "05_ddpg_and_the_soft_update",
        "from companion.rl import ddpg\nddpg.soft_update = lambda online, target, tau: None",
    ),
    "a learning rate ten times too small": (
        "04_dqn_and_hard_updates",
        "from companion.members import optimizers\n"
        "begin = optimizers.Adam.__init__\n"
        "def slow(self, network, learning_rate, **more):\n"
        "    begin(self, network, learning_rate / 10, **more)\n"
        "optimizers.Adam.__init__ = slow",
    ),
    "a forgotten stop-gradient": (
        "09_byol_without_negatives",
        "from companion.vision import byol\n"
        "begin = byol.Learner.__init__\n"
        "def forgetful(self, settings, updates):\n"
        "    settings = type(settings)(**vars(settings) | {'stop_gradient': False})\n"
        "    begin(self, settings, updates)\n"
        "byol.Learner.__init__ = forgetful",
    ),
}

PERFORM = """
import json, sys
from pathlib import Path
sys.path.insert(0, {tools!r})
import rehearse
{plant}
found = rehearse.perform(Path({notebook!r}), forgiving=True)
Path({out!r}).write_text(json.dumps(found))
"""


@pytest.mark.parametrize("fault", PLANTS)
def test_a_planted_fault_is_an_alarm(fault: str, tmp_path: Path) -> None:
    chapter, plant = PLANTS[fault]
    notebook, out = ROOT / "notebooks" / f"{chapter}.ipynb", tmp_path / "claims.json"
    script = PERFORM.format(tools=str(ROOT / "tools"), plant=plant, notebook=str(notebook), out=str(out))
    environment = {**child_environment(), "COMPANION_PROGRESS": "0", "COMPANION_BUDGET": "quick", "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    past, far = rehearsed(slug(notebook)), claims.limit()
    run = [claims.as_measured(data) for data in json.loads(out.read_text())]
    rehearsed_ones = [c for c in run if not c.frozen and c.words in past]
    assert len(rehearsed_ones) >= 5
    alarms = [c.words for c in rehearsed_ones if past[c.words].surprise(c.bound, c.values) > far]
    assert len(alarms) >= 2, f"no alarm: {fault} passes for luck"
