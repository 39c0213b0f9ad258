"""Figures in the page: what the HTML holds, and that nothing else is left there."""

import base64
import io
import re

import nbformat
import numpy as np
import pytest
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image

from companion import study
from companion.study import figures, pages


@pytest.fixture
def page(monkeypatch):
    """What a notebook would be sent."""
    sent = []
    monkeypatch.setattr(pages.InteractiveShell, "initialized", lambda: True)
    monkeypatch.setattr(pages, "display", lambda bundle, raw: sent.append(bundle))
    return sent


def line():
    fig, ax = plt.subplots(figsize=(4.0, 2.0))
    (artist,) = ax.plot([0, 1], [0, 1], color=study.ONLINE)
    return fig, artist


def attribute(html, tag, name):
    return re.search(rf'<{tag}[^>]* {name}="([^"]*)"', html).group(1)


def picture(uri):
    kind, data = uri.removeprefix("data:image/").split(";base64,")
    image = Image.open(io.BytesIO(base64.b64decode(data)))
    assert image.format.lower() == kind
    return image


def test_show_sends_one_figure_with_picture_description_and_caption(page):
    fig, _ = line()
    study.show(fig, alt='A line\n  that "rises" & <stays>', caption="It rises: τ < 1")
    (bundle,) = page
    html = bundle["text/html"]
    assert html.startswith('<figure class="study"')
    assert attribute(html, "img", "alt") == "A line that &quot;rises&quot; &amp; &lt;stays&gt;"
    assert attribute(html, "img", "class") == "dark-light"
    assert "max-width: 100%" in attribute(html, "img", "style")
    assert "background: #fff; color: #333a44" in attribute(html, "figure", "style"), "dark words on a white card"
    assert "It rises: τ &lt; 1</figcaption>" in html
    drawn = picture(attribute(html, "img", "src"))
    assert abs(drawn.width - 2 * int(attribute(html, "img", "width"))) <= 1, "two pixels for each that is shown"
    assert 700 < drawn.width < 900
    assert bundle["text/plain"].endswith("It rises: τ < 1")
    assert not plt.get_fignums(), "closed, so that the notebook does not show it again"


def test_without_caption_there_is_no_empty_one(page):
    fig, _ = line()
    study.show(fig, "A line")
    assert "figcaption" not in page[0]["text/html"]
    assert page[0]["text/plain"] == "[figure: A line]"


def test_animate_moves_and_has_a_still_for_those_who_want_none(page):
    fig, artist = line()
    study.animate(fig, lambda i: artist.set_ydata([0, i]), [0.2, 0.5, 1.0], alt="A line rises", caption="Up", fps=10)
    html = page[0]["text/html"]
    moving = picture(attribute(html, "img", "src"))
    assert moving.format == "WEBP"
    assert moving.n_frames == 3
    moving.load()
    assert moving.info["duration"] == 100
    assert moving.info["loop"] == 0
    assert attribute(html, "source", "media") == "(prefers-reduced-motion: reduce)"
    still = picture(attribute(html, "source", "srcset")).convert("RGB")
    assert still.size == moving.size
    moving.seek(2)
    last = np.asarray(moving.convert("RGB"), dtype=int)
    assert np.abs(last - np.asarray(still, dtype=int)).mean() < 1, "the still is the last frame"
    moving.seek(0)
    assert np.abs(np.asarray(moving.convert("RGB"), dtype=int) - last).mean() > 1, "and the first is another"
    assert abs(int(attribute(html, "img", "width")) - moving.width * 100 / figures.MOVING_DPI) <= 1
    assert not plt.get_fignums()


def test_an_animation_of_lines_is_small_and_one_of_noise_is_held_down(page, monkeypatch):
    fig, artist = line()
    study.animate(fig, lambda i: artist.set_ydata([0, i / 40]), 40, alt="A line rises")
    assert len(page[0]["text/html"]) < 150_000
    noise = np.random.default_rng(0)
    pictures = [Image.fromarray(noise.integers(0, 256, (200, 300, 3), dtype=np.uint8)) for _ in range(4)]
    monkeypatch.setattr(figures, "LARGE", 10**9)
    without_loss = figures.webp(pictures, 50)
    first = np.asarray(Image.open(io.BytesIO(without_loss)).convert("RGB"))
    np.testing.assert_array_equal(first, np.asarray(pictures[0]))
    monkeypatch.setattr(figures, "LARGE", 10_000)
    assert len(figures.webp(pictures, 50)) < 0.7 * len(without_loss)


def test_a_drawing_keeps_its_colours_in_few_and_a_photograph_keeps_its_many():
    fig, _ = line()
    buffer = io.BytesIO()
    fig.savefig(buffer, dpi=200)
    plt.close(fig)
    drawing = Image.open(buffer).convert("RGB")
    kept = Image.open(io.BytesIO(figures.png(drawing)))
    assert kept.mode == "P"
    assert np.abs(np.asarray(kept.convert("RGB"), dtype=int) - np.asarray(drawing, dtype=int)).max() <= 24
    rainbow = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    kept = Image.open(io.BytesIO(figures.png(Image.fromarray(rainbow))))
    np.testing.assert_array_equal(np.asarray(kept.convert("RGB")), rainbow)


@pytest.mark.parametrize("alt", ["", " \n"])
def test_a_figure_without_description_is_refused(alt, page):
    fig, _ = line()
    with pytest.raises(ValueError, match="alt is empty; describe what the picture shows"):
        study.show(fig, alt)
    with pytest.raises(ValueError, match="alt is empty"):
        study.animate(fig, print, 3, alt=alt)
    assert not page
    plt.close(fig)


@pytest.mark.parametrize(("words", "message"), [({"frames": 0}, "frames is 0"), ({"frames": 2, "fps": 0}, "fps is 0")])
def test_an_animation_that_cannot_be_is_refused(words, message, page):
    fig, _ = line()
    with pytest.raises(ValueError, match=message):
        study.animate(fig, lambda i: None, alt="Nothing", **words)
    assert not page
    plt.close(fig)


def test_a_plain_script_prints_the_description(capsys):
    fig, _ = line()
    study.show(fig, "A line", "It rises")
    study.say("**bold**")
    assert capsys.readouterr().out == "[figure: A line]\nIt rises\n**bold**\n"


CELLS = """
from matplotlib import pyplot as plt
from companion import study
import companion
study.style()
study.budget("numpy-ema")
---
fig, ax = plt.subplots()
(line,) = ax.plot([0, 1])
study.show(fig, alt="A line")
---
fig, ax = plt.subplots()
(line,) = ax.plot([0, 1])
study.animate(fig, lambda i: line.set_ydata([0, i]), 3, alt="A line rises")
---
study.say(f"The mean is **{1 / 2}**.")
---
for _ in study.progress(range(3)):
    pass
---
def soft_update(online, target, tau):
    ...
try:
    companion.check("no-such-exercise", soft_update)
except ValueError as error:
    print(error)
---
companion.progress()
"""


def test_in_a_real_notebook_each_cell_leaves_what_it_should_and_no_debris(tmp_path, monkeypatch):
    monkeypatch.setenv("COMPANION_PROGRESS", "0")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(source.strip()) for source in CELLS.split("---\n")]
    NotebookClient(notebook, kernel_name="python3", timeout=120, resources={"metadata": {"path": tmp_path}}).execute()
    outputs = [cell.outputs for cell in notebook.cells]
    assert [len(output) for output in outputs] == [1, 1, 1, 1, 0, 1, 1], outputs
    kinds = [next(iter(output)).output_type if output else None for output in outputs]
    assert kinds == ["execute_result", *["display_data"] * 3, None, "stream", "display_data"]
    budget, still, moving, said, _, refused, table = [output[0] if output else None for output in outputs]
    assert budget.data["text/markdown"].startswith("**Budget: ")
    for shown in (still, moving):
        assert shown.data["text/html"].startswith('<figure class="study"')
        assert shown.data["text/plain"].startswith("[figure: A line")
    assert said.data["text/markdown"] == "The mean is **0.5**."
    assert refused.name == "stdout"
    assert "no such exercise" in refused.text
    assert "text/markdown" in table.data
