"""What waits for a GPU is done part by part: failures are passed over, slices resumed, and the report comes in time."""

import fcntl
import json
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable

import nbformat
import numpy as np
import pytest
import torch

import gpu
import gpu_small
from chapters import all_notebooks
from companion import generation, record, rl, supervised, vision
from gpu import Part
from tests.helpers import child_environment

MACHINE = {"device": "A GPU", "versions": {"torch": "2"}, "absent": [], "recordings": {}, "commit": "abc"}


@pytest.fixture(autouse=True)
def on_a_gpu(monkeypatch):
    monkeypatch.setattr(gpu, "here", lambda: MACHINE)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


@pytest.fixture
def plant(tmp_path) -> Callable[..., Part]:
    """``plant("benchmark", "quick", "print(1)")``: a part whose file holds this; of a chapter, a cell an argument."""

    def planted(kind: str, title: str, *code: str) -> Part:
        file = tmp_path / f"{'test_' * (kind == 'test')}{title}{'.ipynb' if kind == 'chapter' else '.py'}"
        code = tuple(map(textwrap.dedent, code))
        if kind == "chapter":
            cells = [nbformat.v4.new_code_cell(cell) for cell in code]
            nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# Text"), *cells]), file)
        else:
            file.write_text(code[0])
        return Part(kind, title, str(file), gpu.digest([file]))

    return planted


@pytest.fixture
def call(tmp_path, capsys) -> Callable[..., tuple[int, str]]:
    """``call(parts, "--minutes", "9")``: exit status and report; the one on the screen is the one that is kept."""

    def called(parts: list[Part], *words: str) -> tuple[int, str]:
        status = gpu.main(["--into", str(tmp_path / "gpu"), *words], find=lambda machine: parts)
        report = (tmp_path / "gpu" / "report.md").read_text()
        assert capsys.readouterr().out.endswith(f"\n\n{report}\n")
        return status, report

    return called


def stands(report: str) -> dict[str, str]:
    """How each part stands, by its title."""
    rows = re.findall(r"^\| (\S+) \| (.+?) \| .* \|$", report, re.MULTILINE)
    return {title: word for title, word in rows if title != "part"}


def left(report: str) -> list[str]:
    return re.findall("^- (.+)$", report.partition("## Left")[2], re.MULTILINE)


# ---------------------------------------------------------------------------------------------------------------------


def test_a_part_that_fails_is_reported_and_passed_over(plant, call):
    parts = [
        plant("benchmark", "first", "print('| what | 1,234 a second |')"),
        plant("benchmark", "wrong", "print('half of it', flush=True)\nraise ValueError('planted')"),
        plant("benchmark", "killed", "import os\nos.abort()"),
        plant("benchmark", "exits", "raise SystemExit('no')"),
        plant("benchmark", "poor", "import absent_package.part"),
        plant("benchmark", "last", "print('4,321 a second')"),
    ]
    status, report = call(parts)
    assert status == 1
    assert stands(report) == {
        "first": "done",
        "wrong": "failed",
        "killed": "failed",
        "exits": "failed",
        "poor": "needs absent_package",
        "last": "done",
    }
    for said in ("1,234 a second", "half of it", "ValueError: planted", "ended by SIGABRT", "exit status 1", "4,321 a"):
        assert said in report
    assert left(report) == ["benchmark wrong", "benchmark killed", "benchmark exits", "benchmark poor"]
    assert "2 done; 3 failed; 1 not possible without a package." in report


def test_what_is_done_is_not_done_again_until_its_code_changes_and_what_failed_comes_last(plant, call, tmp_path):
    calls = tmp_path / "calls"
    counted = "with open({!r}, 'a') as calls:\n    calls.write('{} ')\n"

    def script(name: str, more: str = "") -> Part:
        return plant("benchmark", name, counted.format(str(calls), name) + more)

    parts = [script("good"), script("bad", "raise ValueError"), script("better")]
    assert call(parts)[0] == 1
    assert calls.read_text() == "good bad better "
    call([*parts, script("new")])
    assert calls.read_text() == "good bad better new bad "
    status, report = call([parts[0], script("bad", "print('mended')"), script("better", "print('other')")])
    assert calls.read_text() == "good bad better new bad bad better "
    assert (status, set(stands(report).values())) == (0, {"done"})


def test_names_choose_parts(plant, call):
    parts = [plant("benchmark", "one", ""), plant("benchmark", "two", "")]
    assert stands(call(parts, "two")[1]) == {"two": "done"}
    with pytest.raises(SystemExit, match=r"no part's name contains \['three'\]; there are \['benchmark one', 'benchm"):
        call(parts, "three")


STUBBORN = """
import fcntl, os, signal, sys, time
signal.signal(signal.SIGINT, signal.SIG_IGN)
signal.signal(signal.SIGTERM, signal.SIG_IGN)
file = open({file!r}, "w")
fcntl.flock(file, fcntl.LOCK_EX)  # held by both, until both have ended
print("one" if os.fork() else "and another", flush=True)
time.sleep(3600)
"""


def test_the_time_limit_ends_a_part_that_would_not_and_leaves_time_for_the_report(plant, call, tmp_path):
    stubborn = STUBBORN.replace("{file!r}", repr(str(tmp_path / "held")))
    parts = [plant("benchmark", "endless", stubborn), plant("benchmark", "later", "print('later')")]
    status, report = call(parts, "--minutes", "0.2")
    assert status == gpu.UNFINISHED
    assert stands(report) == {"endless": "cut short by the time limit", "later": "not begun"}
    assert "and ended since the time was up" in report
    assert "and another" in report
    with (tmp_path / "held").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # what the part had started is ended, too
    status, report = call(parts, "--minutes", "0.2")  # what was cut does not keep the others waiting
    assert stands(report) == {"endless": "cut short by the time limit", "later": "done"}
    assert re.search(r"\| endless \| .* in 2 slices \|", report)


def test_stopped_by_hand_or_by_sigterm_it_reports(plant, call):
    stopper = "import os, signal, time\nos.kill(os.getppid(), signal.{})\ntime.sleep(3600)"
    for name in ("SIGINT", "SIGTERM"):
        parts = [plant("benchmark", name, stopper.format(name)), plant("benchmark", "later", "")]
        status, report = call(parts)
        assert status == gpu.UNFINISHED
        assert stands(report) == {name: "begun, to be gone on with", "later": "not begun"}
        assert "and ended since it was stopped" in report


def test_a_damaged_state_begins_anew_with_a_word(plant, tmp_path, capsys):
    for text in ("{", "[1]", '{"benchmark one": {"unheard": 1}}'):
        (tmp_path / "gpu").mkdir(exist_ok=True)
        (tmp_path / "gpu" / "state.json").write_text(text)
        assert gpu.main(["--into", str(tmp_path / "gpu")], find=lambda _: [plant("benchmark", "one", "")]) == 0
        assert "state.json is damaged" in capsys.readouterr().out


def test_two_calls_do_not_work_in_one_folder(plant, call, tmp_path):
    (tmp_path / "gpu").mkdir()
    with (tmp_path / "gpu" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="another call is at work"):
            call([plant("benchmark", "one", "")])


@pytest.mark.parametrize("minutes", ["0", "-1", "nan"])
def test_a_time_limit_is_more_than_nothing(minutes, capsys):
    with pytest.raises(SystemExit):
        gpu.main(["--minutes", minutes])
    assert f"--minutes is {float(minutes)}; it must be more than 0" in capsys.readouterr().err


# ---------------------------------------------------------------------------------------------------------------------


TRAINING = (
    "rl.train('td3', 'Pendulum-v1', seeds=2, tau=[1.0, 0.1], steps=60, learning_starts=10, evaluation_episodes=1)"
)
CHAPTER = [
    "if 1 > 2:\n    %pip install nothing",
    "from pathlib import Path\nimport signal\nimport numpy as np\nfrom companion import rl, study",
    "budget = study.budget('planted')\nstudy.say(budget.name)\nbudget",
    """
    from companion.rl.loop import Loop
    folder, taken, collect = Path({folder!r}), [], Loop.collect

    def counted(loop):
        taken.append(1)
        if len(taken) == 40 and not (folder / "stopped").exists():
            (folder / "stopped").touch()
            signal.raise_signal(signal.SIGINT)
        collect(loop)

    Loop.collect = counted
    """,
    f"run = {TRAINING}",
    """
    np.savez(folder / "run.npz", **{name: run[name].values for name in run.data_vars})
    (folder / "taken").write_text(str(len(taken)))
    study.claim("what was learned is finite", run["loss"].isel(step=-1), above=-1)
    study.claim("it is negative", run["loss"].isel(step=-1), below=0)
    """,
]


def test_a_chapter_goes_on_where_its_training_was_interrupted(plant, call, tmp_path):
    part = plant("chapter", "planted", *(cell.replace("{folder!r}", repr(str(tmp_path))) for cell in CHAPTER))
    status, report = call([part])
    assert (status, stands(report)) == (1, {"planted": "begun, to be gone on with"})
    assert "4 of 6 cells to their end" in report
    assert "and the time was up in cell 6" in report
    assert not (tmp_path / "taken").exists()
    status, report = call([part])
    assert (status, stands(report)) == (0, {"planted": "done"})
    assert "1 of 2 claims hold" in report
    assert "not in this run: it is negative" in report
    assert int((tmp_path / "taken").read_text()) == 20  # of 60
    whole = eval(TRAINING, {"rl": rl})
    with np.load(tmp_path / "run.npz") as resumed:
        for name in whole.data_vars:
            assert resumed[name].tobytes() == whole[name].values.tobytes(), name
    assert not list((tmp_path / "gpu" / "kept").glob("*"))  # a part that is done needs nothing any more


def test_a_chapters_cell_that_fails_or_needs_a_package_is_named_with_what_builds_on_it(plant, call):
    cells = [
        "import math\nimport absent_package as ap\nfrom absent_package import thing",
        "x = ap.f(1)\ny = 2",
        "z = thing + y\nprint(math.pi)",
        "def f():\n    return 1 / 0\na = 1\nb = f()\nc = 3",
        "a + 1",
        "c + 1",
        "d = c",
        "e = d",
        "import warnings\nwarnings.warn('noise')\nx = y",
        "x",
        "undefined",
    ]
    status, report = call([plant("chapter", "planted", *cells)])
    assert (status, stands(report)) == (1, {"planted": "failed"})
    assert "3 of 11 cells to their end" in report
    assert "- 4 statements were passed over: they need absent_package\n" in report
    assert "- cell 5 failed: ZeroDivisionError: division by zero (3 later statements build on it)\n" in report
    assert "- cell 12 failed: NameError: name 'undefined' is not defined\n" in report
    assert "- cell 10 warns, at <cell 10>:2: UserWarning: noise" in report
    assert stands(call([plant("chapter", "poor", *cells[:3])])[1]) == {"poor": "needs absent_package"}


@pytest.fixture
def lack(tmp_path, monkeypatch) -> Callable[..., None]:
    """``lack("matplotlib")``: parts find no such package."""

    def lacked(*names: str) -> None:
        (tmp_path / "poor").mkdir()
        for name in names:
            error = f"raise ModuleNotFoundError({f'No module named {name!r}'!r}, name={name!r})"
            (tmp_path / "poor" / f"{name}.py").write_text(error)
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "poor"))

    return lacked


@pytest.mark.parametrize("absent", [("matplotlib", "IPython", "PIL"), ("IPython", "platformdirs", "gymnasium")])
def test_without_ipython_a_chapter_trains_and_claims_and_without_matplotlib_it_draws_nothing(plant, call, lack, absent):
    lack(*absent)
    cells = [
        "import matplotlib.pyplot as plt\nimport numpy as np\nfrom companion import study\nstudy.style()\n"
        "budget = study.budget('planted')\nbudget",
        "value = np.ones(3)\nfig, ax = plt.subplots()\nax.plot(value)\nstudy.show(fig, alt='three')",
        "study.claim('one is more than nothing', value, above=0)\nstudy.say('words')",
    ]
    status, report = call([plant("chapter", "planted", *cells)])
    assert (status, stands(report)) == (0, {"planted": "done"})
    draws = "matplotlib" not in absent
    assert ("- 4 statements were passed over: they need matplotlib\n" in report) is not draws
    assert f"{3 if draws else 1} of 3 cells to their end" in report
    assert "1 of 1 claims hold" in report


TESTS = """
import pytest
import torch

torch.cuda.is_available = lambda: True  # as if there were one
from tests.helpers import needs_cuda

def test_of_the_cpu():
    raise RuntimeError("is not for us")

@needs_cuda
def test_that_passes(calls):
    pass

@needs_cuda
@pytest.mark.parametrize("number", [1, 2])
def test_that_fails_once(number, calls):
    assert number == 1

@pytest.fixture
def calls(request):
    with open({file!r}, "a") as calls:
        calls.write(request.node.name + "\\n")
"""


def test_tests_that_need_cuda_are_run_and_those_that_passed_not_again(plant, call, tmp_path, lack):
    lack("beartype", "platformdirs", "IPython", "gymnasium")
    part = plant("test", "planted", TESTS.replace("{file!r}", repr(str(tmp_path / "calls"))))
    status, report = call([part])
    assert (status, stands(report)) == (1, {"planted": "failed"})
    assert "2 passed, 1 failed" in report
    assert "- failed: ::test_that_fails_once[2]" in report
    assert "is not for us" not in report
    assert "2 passed, 1 failed" in call([part])[1]
    ran = (tmp_path / "calls").read_text().split()
    assert ran == ["test_that_passes", "test_that_fails_once[1]", *["test_that_fails_once[2]"] * 2]


def test_tests_that_cannot_be_imported_name_the_package(plant, call):
    parts = [plant("test", "poor", "import absent_package"), plant("test", "broken", "1 / 0")]
    assert stands(call(parts)[1]) == {"poor": "needs absent_package", "broken": "failed"}


def test_a_test_that_the_time_did_not_reach_waits_for_the_next_slice(plant, tmp_path):
    part = plant("test", "planted", TESTS.replace("{file!r}", repr(str(tmp_path / "calls"))))
    command = [sys.executable, str(gpu.ROOT / "tools" / "gpu_parts.py"), "test", part.what, "--keep", str(tmp_path)]
    late = subprocess.run([*command, "--until", "1"], env=child_environment(), capture_output=True, text=True)
    assert (late.returncode, late.stdout) == (gpu.UNFINISHED, "no test was run\n")
    assert not (tmp_path / "calls").exists()


# ---------------------------------------------------------------------------------------------------------------------


def test_there_is_no_gpu_here_and_it_says_what_can_be_done():
    command = [sys.executable, str(gpu.ROOT / "tools" / "gpu.py")]
    told = subprocess.run(command, env=child_environment(), capture_output=True, text=True)
    assert told.returncode == 1
    assert "torch sees no GPU here; --small tries everything on the CPU" in told.stderr


def test_the_target_asks_for_no_environment_of_the_book():
    command = ["make", "--no-print-directory", "-n", "gpu", "PYTHON=some-python", "MINUTES=9", "SMALL=1"]
    planned = subprocess.run(command, cwd=gpu.ROOT, capture_output=True, text=True, check=True).stdout
    assert planned == "some-python tools/gpu.py --minutes 9 --small\n"


def test_all_that_waits_is_there_tests_first_and_the_most_important_recordings_before_others():
    names = dict.fromkeys(record.RECORDINGS, "recipe")
    found = gpu.parts({**MACHINE, "recordings": names})
    kinds = [part.kind for part in found]
    assert list(dict.fromkeys(kinds)) == list(gpu.SECTIONS)
    assert kinds == sorted(kinds, key=list(gpu.SECTIONS).index)
    titles = {kind: [part.title for part in found if part.kind == kind] for kind in gpu.SECTIONS}
    assert {"runs/test_capture.py", "rl/test_survival.py", "vision/test_precision.py"} <= set(titles["test"])
    assert "test_gpu.py" not in titles["test"]  # which only speaks of such tests
    with_section = [f.stem for f in (gpu.ROOT / "benchmarks").glob("*.py") if "def on_gpu(" in f.read_text()]
    assert set(titles["benchmark"]) == set(with_section)
    assert titles["chapter"] == [notebook.stem for notebook in all_notebooks()]
    assert set(titles["recording"]) == set(names)
    assert titles["recording"][: len(gpu.FIRST)] == list(gpu.FIRST)
    assert {name for name in names if name.startswith("mujoco")} == set(titles["recording"][-6:])
    assert len({part.name for part in found}) == len(found)


def test_where_recordings_cannot_be_listed_that_is_said(call, lack):
    lack("xarray")
    (part,) = [part for part in gpu.parts({**MACHINE, "recordings": None}) if part.kind == "recording"]
    assert stands(call([part])[1]) == {"all": "needs xarray"}


def test_what_this_machine_is(monkeypatch):
    command = [sys.executable, str(gpu.ROOT / "tools" / "gpu_parts.py"), "here"]
    told = subprocess.run(command, env=child_environment(), capture_output=True, text=True, check=True)
    found = json.loads(told.stdout)
    assert found["device"] == "cpu"
    assert found["absent"] == []
    assert found["recordings"]["td3-tau-map"] == record.RECORDINGS["td3-tau-map"].recipe


# ---------------------------------------------------------------------------------------------------------------------


def shape(run) -> dict[str, list]:
    return {name: run[name].values.tolist() for name in run.coords}


def test_small_training_calls_return_the_shape_that_was_asked_for(monkeypatch):
    """Of which the coordinates are as many and the same as those of the whole run."""
    small = gpu_small.smaller(rl.train)("dqn", "CartPole-v1", tau=[1.0, 0.1], seeds=2, steps=20_000)
    assert shape(small) == {"tau": [1.0, 0.1], "seed": [0, 1], "step": list(range(1_250, 20_001, 1_250))}
    assert small.attrs["steps"] == 20_000
    assert np.isfinite(small["loss"]).all()

    small = gpu_small.smaller(supervised.train)("digits", seeds=1, steps=5_000, evaluate_every=2_000)
    assert shape(small)["step"] == [0, 2_000, 4_000, 5_000]

    images, labels = torch.zeros(500, 1, 4, 4, dtype=torch.uint8), torch.zeros(500, dtype=torch.int64)
    few = gpu_small.few(supervised.Pictures)
    assert len(few(images, labels, images, labels, 1).labels) == len(few.digits().labels) == 128
    large = {"residual": True, "widths": (2, 3), "epochs": 40, "evaluate_every": 16, "seeds": 1}
    small = gpu_small.shorter(supervised.trajectories)(few.digits(), {"EMA": 0.1}, keep_networks=False, **large)
    assert shape(small)["epoch"] == [16, 32, 40]
    small = gpu_small.halved(generation.train)("gan", seeds=1, steps=5_000, halvings=2)
    assert shape(small)["step"] == [1_250, 2_500, 5_000]

    monkeypatch.setitem(vision.training.DATASETS, "cifar10", gpu_small.noise)
    queue = {"queue_size": 128, "batch_size": 64, "parts": 8, "warmup": 970}
    small = gpu_small.smaller(vision.train)("moco", "cifar10", seeds=1, epochs=40, evaluate_every=30, **queue)
    assert shape(small) == {"seed": [0], "epoch": [0, 30, 40], "age": [1, 2]}
    assert np.isfinite(small["drift"].isel(epoch=slice(1, None))).all()
    small = gpu_small.smaller(vision.train)("byol", "cifar10", seeds=1, keep_features=True)
    assert shape(small)["epoch"] == [0, 2, 4, 6, 8, 10]
    assert small["features"].sizes["picture"] == len(gpu_small.noise().test)
