"""Making the environment: a torch that is there, and new enough, is left alone, and the lock is installed around it."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import environment

LOCK = environment.LOCK.read_text(encoding="utf-8")


def with_torch(folder: Path, version: str) -> Path:
    """An environment that has nothing but a torch of this version, as far as pip can see; its Python."""
    venv.create(folder, symlinks=True)
    python = environment.python_of(folder)
    about = environment.packages_of(python) / f"torch-{version}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: torch\nVersion: {version}\n")
    return python


def prepared_by(python: Path, folder: Path) -> str:
    """What `prepare` says of a folder when this Python runs it."""
    code = f"import sys; sys.path.insert(0, {str(environment.ROOT / 'tools')!r}); import environment, pathlib\n"
    code += f"print(environment.prepare(pathlib.Path({str(folder)!r})))"
    return subprocess.run([python, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize(("version", "kept"), [("2.6.0", True), ("2.14.1+cpu", True), ("10.0", True), ("2.5.1", False)])
def test_a_torch_is_new_enough_from_the_projects_floor_on(version: str, kept: bool, tmp_path: Path) -> None:
    found = environment.torch_of(with_torch(tmp_path / "env", version))
    assert (found is not None) == kept
    if found:
        assert found[0] == version
        assert Path(found[1]).is_relative_to(tmp_path)


def test_no_python_has_no_torch(tmp_path: Path) -> None:
    assert environment.torch_of(tmp_path / "python") is None


def test_an_environment_that_the_reader_put_torch_into_is_not_cleared(tmp_path: Path) -> None:
    with_torch(tmp_path / ".venv", "2.7.1+cpu")
    (tmp_path / ".venv" / "theirs").touch()
    assert environment.prepare(tmp_path / ".venv") == "2.7.1+cpu"
    assert (tmp_path / ".venv" / "theirs").exists()


def test_the_torch_of_the_lock_goes_when_the_lock_has_changed(tmp_path: Path) -> None:
    python = with_torch(tmp_path / "bare", "1.0")  # too old to be seen
    with_torch(tmp_path / ".venv", "2.7.1")
    (tmp_path / ".venv" / environment.OURS).touch()
    assert prepared_by(python, tmp_path / ".venv") == "None"
    assert environment.torch_of(environment.python_of(tmp_path / ".venv")) is None
    assert (tmp_path / ".venv" / environment.OURS).exists()


def test_the_torch_of_the_lock_is_not_looked_for_where_it_was_cleared(tmp_path: Path) -> None:
    python = with_torch(tmp_path / ".venv", "2.7.1")
    (tmp_path / ".venv" / environment.OURS).touch()
    assert prepared_by(python, tmp_path / ".venv") == "None"
    assert environment.torch_of(environment.python_of(tmp_path / ".venv")) is None


def test_a_torch_that_python_finds_is_found_in_the_environment_too_and_not_copied(tmp_path: Path) -> None:
    python = with_torch(tmp_path / "readers", "2.9.0+cu128")
    assert prepared_by(python, tmp_path / ".venv") == "2.9.0+cu128"
    found = environment.torch_of(environment.python_of(tmp_path / ".venv"))
    assert found is not None
    assert Path(found[1]).is_relative_to(tmp_path / "readers")
    assert prepared_by(python, tmp_path / ".venv") == "2.9.0+cu128", "again, when the lock has changed"


def test_pip_takes_the_torch_that_is_there_for_what_the_lock_wants(tmp_path: Path) -> None:
    python = with_torch(tmp_path / "readers", "2.9.0+cpu")
    prepared_by(python, tmp_path / ".venv")
    wanted = tmp_path / "wanted.txt"
    line = next(r for r in environment.requirements(LOCK, "2.9.0+cpu").splitlines() if r.startswith("torch=="))
    wanted.write_text(line)
    pip = [environment.python_of(tmp_path / ".venv"), "-m", "pip", "install", "--no-index", "-r", wanted]
    done = subprocess.run(pip, check=True, capture_output=True, text=True)
    assert "already satisfied" in done.stdout


def test_the_lock_is_as_it_is_where_there_is_no_torch() -> None:
    assert environment.requirements(LOCK, None) == LOCK


def test_around_a_torch_that_is_there_its_own_needs_are_free_and_all_else_is_locked() -> None:
    def names(text: str) -> dict[str, str]:
        lines = [Requirement(line.split("#")[0]) for line in text.splitlines() if line.strip() and line[0] != "#"]
        return {wanted.name: str(wanted.specifier) for wanted in lines}

    before, after = names(LOCK), names(environment.requirements(LOCK, "2.9.0+cpu"))
    assert after["torch"] == "==2.9.0+cpu"
    assert {"sympy", "networkx", "fsspec"} == before.keys() - after.keys()
    assert {name: pin for name, pin in after.items() if before[name] != pin}.keys() == {"torch"}


def test_an_argument_that_is_not_known_changes_nothing() -> None:
    tool = environment.ROOT / "tools" / "environment.py"
    done = subprocess.run([sys.executable, tool, "--mesure"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "--measure" in done.stderr


def test_what_was_measured_has_a_build_for_the_cpu_and_one_for_cuda() -> None:
    measured = environment.sizes()
    assert "cpu" in measured
    assert any(build.startswith("cu") for build in measured)
    cpu = measured["cpu"]
    assert all(size["disk_mb"] > size["download_mb"] > 0 for size in measured.values())
    assert all(size["disk_mb"] > cpu["disk_mb"] for build, size in measured.items() if build != "cpu")
