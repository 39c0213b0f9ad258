"""README.md leads to a first figure: its picture and its sizes are as they are written from what was recorded."""

import re

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import first
import maps
import readme
from chapters import ROOT, written
from companion import study
from generated import PIECES

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True)
def own_style():
    """Matplotlib's defaults stay as they were."""
    with mpl.rc_context():
        yield
    plt.close("all")


@pytest.mark.parametrize("name", readme.PIECES)
def test_its_pieces_are_as_they_are_written(name: str) -> None:
    assert written(TEXT, readme.PIECES[name](), name) == TEXT, "run `make readme`"


def test_the_picture_says_what_the_recording_holds() -> None:
    final = maps.ends(study.recording(readme.PICTURE))
    assert float(final.sel(tau=0).max()) < -1_000, "no agent learns whose target never moves"
    assert float((final.sel(tau=1) < -600).mean()) > 0.5, "most fail that have no slow copy"


@pytest.mark.parametrize("mode", readme.MODES)
def test_the_picture_is_there_and_small(mode: str) -> None:
    picture = ROOT / readme.FILES[mode]
    assert picture.read_text(encoding="utf-8").startswith("<?xml")
    assert picture.stat().st_size < 100_000


def test_both_pictures_are_drawn_alike_in_other_colours() -> None:
    drawn = ((ROOT / name).read_text(encoding="utf-8") for name in readme.FILES.values())
    light, dark = (re.sub(r"\b[a-z][0-9a-f]{10}\b", "id", text) for text in drawn)  # made of what they name
    for colour in ("ink", "grid", "line"):
        light = light.replace(readme.MODES["light"][colour].lower(), readme.MODES["dark"][colour].lower())
    assert light == dark


def test_the_ends_of_a_run_are_the_last_quarter_of_its_evaluations() -> None:
    returns = xr.DataArray(np.arange(16.0).reshape(1, 2, 8), dims=("tau", "seed", "step"), name="return")
    run = returns.assign_coords(tau=[0.5]).to_dataset()
    np.testing.assert_array_equal(maps.ends(run).values, [[6.5, 14.5]])
    np.testing.assert_array_equal(maps.ends(run.isel(step=[3])).values, [[3, 11]])


def test_the_map_says_in_words_what_it_shows() -> None:
    final = xr.DataArray([[-9.0, -9], [-1, -1], [-5, -5]], coords={"tau": [0.1, 0.2, 1.0]}, dims=("tau", "seed"))
    assert maps.facts(final) == ("-1 at tau = 0.2", "-5 at tau = 1 and -9 at tau = 0.1")
    said = maps.alt(final, "sleepy")
    assert said.startswith("Final return of 6 sleepy agents on Pendulum against tau, from 0.1 to 1:")
    study.style()
    axes = maps.draw(final.rename("return")).axes[0]
    assert {tuple(line.get_ydata()) for line in axes.lines} >= {(-9, -1, -5)}


def test_a_first_figure_is_drawn_from_the_call_that_the_reader_sees(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.setattr(first, "FIGURE", tmp_path / "made" / "figure.png")
    monkeypatch.setattr(first, "STEPS", 600)
    for desktop in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(desktop, raising=False)
    first.main()
    said = capsys.readouterr().out
    assert str(first.FIGURE) in said
    assert first.FIGURE.read_bytes().startswith(b"\x89PNG")
    rows = [line.split() for line in said.splitlines() if line[:6].strip().replace(".", "").isdigit()]
    assert [float(tau) for tau, _ in rows] == [1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001]


def test_the_costs_page_has_the_environment_of_each_build() -> None:
    assert "{include} _generated/environment.md\n" in (ROOT / "book" / "costs.md").read_text(encoding="utf-8")
    rows = PIECES["environment"]().splitlines()[2:]
    assert [row.split(" | ")[0] for row in rows] == ["| for the CPU alone", rows[1].split(" | ")[0]]
    assert rows[1].startswith("| for CUDA ")
