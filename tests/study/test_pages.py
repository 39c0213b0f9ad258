"""What is printed can be printed: by any console, and into a pipe of any code page."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import companion
from companion.study.pages import SPELT
from tests.helpers import child_environment

PACKAGE = Path(companion.__file__).parent

PRINTED = """
import xarray as xr
import companion
from companion import study
from companion.exercises import find, topics

print(companion.convert(decay=0.995))
print([companion.convert(tau=0.0)])
print(study.budget("dqn-and-hard-updates"))
print(study.provenance(xr.Dataset(coords={"seed": [0, 1, 2]}, attrs={"device": "cpu"})))

def wrong(*given):
    raise ValueError("∞ ≠ τ, 平均")

for name in [exercise.name for exercises in topics().values() for exercise in exercises]:
    companion.solution(name)
    companion.check(name, wrong)
companion.check("soft-update", find("soft-update").right_answer())
companion.progress()
list(study.progress(range(3), label="τ"))
study.say("α ← τ·θ, 10⁻³ ± ½, é ✓ Φ")
study.claim("τ = 0.005 is ahead", 3.5, above=0)
study.tally()
"""


def printed(code_page: str, tmp_path: Path, *words: str, **more: str) -> str:
    """What a Python of this code page prints into a pipe."""
    own = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "PYTHONIOENCODING": code_page}
    command = [sys.executable, *words]
    done = subprocess.run(command, env={**child_environment(), **own, **more}, capture_output=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    return done.stdout.decode(code_page)


@pytest.mark.parametrize("code_page", ["cp1252", "cp437", "ascii"])
def test_all_that_is_printed_suits_a_console_of_any_code_page(code_page: str, tmp_path: Path) -> None:
    out = printed(code_page, tmp_path, "-c", PRINTED)
    assert "weight of the old value, 1 - tau\n" in out
    assert "Made on a CPU with seeds 0 to 2.\n" in out
    assert out.count("!= ") > 40
    assert out.count("!= ") == out.count("\\u5e73\\u5747")  # for which there is no spelling
    assert "  ok online is left as it was" in out
    assert "| ok 20" in out
    assert " = 0.005 is ahead (measured 3.5" in out
    assert "1 of 1 claims hold here" in out


@pytest.mark.parametrize(
    ("code_page", "spelling"),
    [
        ("utf-8", "α ← τ·θ, 10⁻³ ± ½, é ✓ Φ ≢"),
        ("cp437", "α <- τ·theta, 10^-3 ± ½, é ok Φ \\u2262"),
        ("cp1252", "alpha <- tau·theta, 10^-³ ± ½, é ok Phi \\u2262"),
        ("ascii", "alpha <- tau*theta, 10^-3 +/- 1/2, e ok Phi \\u2262"),
    ],
)
def test_only_what_the_code_page_lacks_is_spelt_out(code_page: str, spelling: str) -> None:
    assert "α ← τ·θ, 10⁻³ ± ½, é ✓ Φ ≢".encode(code_page, SPELT).decode(code_page) == spelling


def test_a_path_that_the_code_page_lacks_can_be_printed(tmp_path: Path) -> None:
    home = tmp_path / "Łukasz"
    home.mkdir()
    (home / "companion").symlink_to(PACKAGE)
    out = printed("cp437", tmp_path, "-m", "companion.record", "--help", PYTHONPATH=str(home), COLUMNS="1000")
    assert f"{tmp_path}/\\u0141ukasz/companion/study/recordings" in out
    assert "dqn-tau-map" in printed("ascii", tmp_path, "-m", "companion.record", "--list")


def test_errors_and_tables_are_ascii_wherever_they_are_printed() -> None:
    """Nobody knows where a reader prints them. (A hint of an exercise is shown by the package, which spells it out.)"""
    raised = []
    for path in PACKAGE.rglob("*.py"):
        if "exercises" in path.relative_to(PACKAGE).parts:
            continue
        module = ast.parse(path.read_text(encoding="utf-8"))
        raising = [statement for statement in ast.walk(module) if isinstance(statement, ast.Raise)]
        named = {name.id for statement in raising for name in ast.walk(statement) if isinstance(name, ast.Name)}
        for statement in module.body:  # and a text that stands at the head of the module
            if isinstance(statement, ast.Assign) and named & {getattr(each, "id", None) for each in statement.targets}:
                raising.append(statement)
        constants = [constant for statement in raising for constant in ast.walk(statement)]
        raised += [each for each in constants if isinstance(each, ast.Constant) and isinstance(each.value, str)]
    assert len(raised) > 300
    assert [text.value for text in raised if not text.value.isascii()] == []
    for amount in (0.0, 0.005, 1.0):
        assert str(companion.convert(tau=amount)).isascii()
    assert "1 − tau" in companion.convert(tau=0.5)._repr_markdown_()
