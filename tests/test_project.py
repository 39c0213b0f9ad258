"""The repository holds together: one address, one version, arrows that point one way, a lock that meets the floors."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

import companion

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGE = ROOT / "companion"
ADDRESS = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]["url"]

# What each folder of the package may import of the others (arrows point one way), beside the modules that lie there.
MAY_IMPORT: dict[str, set[str]] = {
    "averaging": set(),
    "members": {"averaging"},
    "runs": {"averaging", "members"},
    "rl": {"averaging", "members", "runs"},
    "supervised": {"averaging", "members", "runs"},
    "vision": {"averaging", "members", "runs"},
    "teachers": {"averaging", "members", "runs", "supervised"},
    "generation": {"averaging", "members", "runs"},
    "preference": {"averaging", "members", "runs"},
    "study": set(),
    "exercises": {
        *{"averaging", "members", "runs", "study"},
        *{"rl", "supervised", "vision", "teachers", "generation", "preference"},
    },
    "record": {"study"},
}
MODULES = {file.stem for file in PACKAGE.glob("[!_]*.py")}


def tracked(*suffixes: str) -> list[Path]:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\n")
    return [ROOT / n for n in names if n and n.endswith(suffixes) and (ROOT / n).exists()]


def imported_parts(file: Path) -> set[str]:
    """Parts of ``companion`` that a module imports, wherever in its text the import stands."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "companion":
            parts = node.module.split(".")[1:]
            found |= {parts[0]} if parts else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {a.name.split(".")[1] for a in node.names if a.name.startswith("companion.")}
        assert not (isinstance(node, ast.ImportFrom) and node.level > 1), f"{file}: write the import out in full"
    return found


def test_arrows_point_one_way() -> None:
    assert set(MAY_IMPORT) == {file.parent.name for file in PACKAGE.glob("*/__init__.py")}
    for part, others in MAY_IMPORT.items():
        for file in (PACKAGE / part).rglob("*.py"):
            wrong = imported_parts(file) - {part} - others - MODULES
            assert not wrong, f"{file.relative_to(ROOT)} imports {wrong}"
    for module in MODULES:
        assert imported_parts(PACKAGE / f"{module}.py") <= MODULES, f"{module}.py lies beneath the folders"
    assert imported_parts(PACKAGE / "__init__.py") == {"averaging", "exercises", "version"}, "the front door"


def test_no_module_is_long() -> None:
    modules = [*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")]
    lines = {str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines()) for file in modules}
    assert {name: count for name, count in lines.items() if count > 400} == {}


def private(name: str) -> bool:
    """``_so``, and neither ``__so__`` nor ``_so_``, which Python and IPython call."""
    return name.startswith("_") and not name.endswith("_")


def private_names() -> set[str]:
    """Whatever the package and the tools define for themselves."""
    found: set[str] = set()
    for file in (*PACKAGE.rglob("*.py"), *(ROOT / "tools").glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            match node:
                case (
                    ast.FunctionDef(name=name)
                    | ast.ClassDef(name=name)
                    | ast.Name(id=name, ctx=ast.Store())
                    | ast.Attribute(attr=name, ctx=ast.Store())
                ) if private(name):
                    found.add(name)
    return found


PRIVATE = private_names() - vars(torch.nn.Module()).keys()  # some are called as torch's are


@pytest.mark.parametrize("file", sorted((ROOT / "tests").rglob("*.py")), ids=lambda file: str(file.relative_to(ROOT)))
def test_tests_reach_into_no_private_names(file: Path) -> None:
    reached = []
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        match node:
            case ast.ImportFrom(names=names):
                reached += [alias.name for alias in names if alias.name in PRIVATE]
            case ast.Attribute(value=ast.Name(id="self" | "cls")):
                continue  # the test's own
            case ast.Attribute(attr=name) if name in PRIVATE:
                reached.append(name)
            case ast.Call(
                func=ast.Attribute(attr="setattr" | "delattr") | ast.Name(id="getattr" | "setattr"), args=args
            ):
                texts = [each.value for each in args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
                reached += [text for text in texts if text.rpartition(".")[2] in PRIVATE]
    assert reached == []


def test_the_front_door_is_light() -> None:
    """``import companion`` brings torch and NumPy; what only chapters need is imported where it is used.

    ``import companion.rl`` brings xarray too, but no simulator.
    """
    heavy = {"xarray", "pandas", "gymnasium", "matplotlib", "sklearn", "IPython", "scipy.stats", "pooch"}
    code = f"import sys, companion; print(sorted({heavy!r} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert out.strip() == "[]"
    code = "import sys, companion.rl; print('gymnasium' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"


def test_one_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert PROJECT["version"] == companion.__version__ == str(citation["version"])
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text().replace("[", "").replace("]", "")


def test_dependencies_are_floors_and_the_lock_meets_them() -> None:
    lock = {
        (r := Requirement(line.split("#")[0])).name.lower(): Version(str(r.specifier).removeprefix("=="))
        for line in (ROOT / "requirements.txt").read_text().splitlines()
        if line.strip() and not line.lstrip().startswith("#")
    }
    for text in PROJECT["dependencies"]:
        floor = Requirement(text)
        assert {s.operator for s in floor.specifier} == {">="}, f"{text} is not a floor"
        assert lock[floor.name.lower()] in floor.specifier
    for extra in ("book", "test"):
        for text in PROJECT["optional-dependencies"][extra]:
            assert lock[(wanted := Requirement(text)).name.lower()] in wanted.specifier
    assert lock["jupyter-book"] < Version("2")


def test_one_address() -> None:
    """Every GitHub address of this repository, in whatever file, is the one in ``_config.yml``."""
    name = ADDRESS.rsplit("/", 1)[1]
    found = set()
    for file in tracked(".md", ".ipynb", ".yml", ".cff", ".toml", ".py", ".bib"):
        for owner in re.findall(rf"github\.com/([\w.-]+)/{re.escape(name)}(?![\w-])", file.read_text()):
            if owner not in {"you"}:  # the usage line of `make address`
                found.add(f"https://github.com/{owner}/{name}")
    assert found == {ADDRESS}


def test_address_changes_everywhere(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", "--no-hardlinks", ROOT, clone], check=True)
    new = "https://github.com/somebody-else/another-name"
    subprocess.run([sys.executable, clone / "tools" / "address.py", new], check=True, capture_output=True)
    old = ADDRESS.removeprefix("https://github.com/")
    for form in (old, old.replace("/", ".github.io/")):
        assert subprocess.run(["git", "grep", "-l", "-F", form], cwd=clone, capture_output=True, text=True).stdout == ""
    assert yaml.safe_load((clone / "_config.yml").read_text())["repository"]["url"] == new
    for notebook in (clone / "notebooks").glob("*.ipynb"):
        assert f"git+{new}" in notebook.read_text()


@pytest.mark.parametrize("bad", ["", "github.com/a/b", "https://example.org/a/b", "https://github.com/a"])
def test_a_wrong_address_changes_nothing(bad: str) -> None:
    before = (ROOT / "_config.yml").read_bytes()
    done = subprocess.run([sys.executable, ROOT / "tools" / "address.py", bad], capture_output=True, text=True)
    assert done.returncode != 0
    assert "https://github.com/you/slow-copy" in done.stderr
    assert (ROOT / "_config.yml").read_bytes() == before


def test_the_lock_names_no_host() -> None:
    assert not re.search(r"https?://|--index|--find-links|\+cpu|file:/", (ROOT / "requirements.txt").read_text())
