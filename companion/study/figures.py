"""Figures as HTML that carries its own picture, description and caption, and looks alike wherever it is read."""

import base64
import html
import io
import math
from collections.abc import Callable, Iterable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image, ImageChops, ImageStat

from companion.study.pages import send

# A figure is drawn at twice the pixels it is shown with, for dense screens; an animation at one and a half times.
SHOWN_DPI = 100
STILL_DPI = 200
MOVING_DPI = 150
LARGE = 700_000
"""Bytes of an animation above which a smaller encoding is tried, at the cost of some loss."""

# A white card with dark words, so that the same picture reads right on a dark page; styled in place, since JupyterLab,
# VS Code and Colab know no style sheet of ours. `dark-light` tells the book's theme not to dim the picture.
_FIGURE = (
    '<figure class="study" style="background: #fff; color: #333a44; padding: 0.8em; border-radius: 8px; '
    'margin: 1em 0; text-align: center;">{picture}{caption}</figure>'
)
_IMG = '<img class="dark-light" src="{src}" alt="{alt}" width="{width}" style="max-width: 100%; height: auto;">'
_PICTURE = '<picture><source media="(prefers-reduced-motion: reduce)" srcset="{still}">{img}</picture>'
_CAPTION = '<figcaption style="color: #333a44; margin: 0.6em auto 0; max-width: 45em;">{text}</figcaption>'


def show(fig: Figure, alt: str, caption: str = "") -> None:
    """Show ``fig`` in the page, with its description and caption, and close it.

    Args:
        fig: a matplotlib figure.
        alt: what the picture shows, for those who cannot see it.
        caption: a line below the picture.

    Raises:
        ValueError: ``alt`` is empty.
    """
    send_html(figure_html(fig, alt, caption), alt, caption)


def show_svg(svg: str, width: int, alt: str, caption: str = "") -> None:
    """Show a drawing that is SVG already, ``width`` pixels wide where there is room.

    Raises:
        ValueError: ``alt`` is empty.
    """
    send_html(drawing_html(svg.encode(), width, alt, caption), alt, caption)


def drawing_html(svg: bytes, width: int, alt: str, caption: str = "") -> str:
    """A drawing that is SVG already as the HTML that :func:`show_svg` puts into the page.

    Raises:
        ValueError: ``alt`` is empty.
    """
    check_alt(alt)
    return _html(_IMG.format(src=_uri(svg, "svg+xml"), alt=_escape(alt), width=width), caption)


def figure_html(fig: Figure, alt: str, caption: str = "") -> str:
    """``fig`` as the HTML that :func:`show` puts into the page; for pages that no notebook makes.

    Raises:
        ValueError: ``alt`` is empty.
    """
    return _html(_still_picture(fig, alt), caption)


def animate(
    fig: Figure,
    draw: Callable[[Any], object],
    frames: int | Iterable[Any],
    *,
    alt: str,
    caption: str = "",
    fps: int = 20,
) -> None:
    """Show ``fig`` moving in the page, and close it; a reader who asked for less motion sees its last frame.

    Layout is settled at the first frame. A hundred frames take about five seconds to draw.

    Args:
        fig: a matplotlib figure.
        draw: ``draw(i)`` changes the figure's artists into frame ``i``.
        frames: how many, counted from 0, or what to hand to ``draw`` for each.
        alt: what the animation shows, for those who cannot see it.
        caption: a line below the picture.
        fps: frames a second.

    Raises:
        ValueError: ``alt`` is empty, there is no frame, or ``fps`` is not positive.
    """
    check_alt(alt)
    if fps <= 0:
        raise ValueError(f"fps is {fps}; it must be positive")
    fig.set_dpi(MOVING_DPI)
    canvas = FigureCanvasAgg(fig)
    pictures: list[Image.Image] = []
    for number in range(frames) if isinstance(frames, int) else frames:
        draw(number)
        if not pictures:  # settle the layout once: axes that breathe with their tick labels would shake
            fig.draw_without_rendering()
            fig.set_layout_engine("none")
        canvas.draw()
        pictures.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    plt.close(fig)
    if not pictures:
        raise ValueError(f"frames is {frames!r}; an animation needs one at least")
    still, width = _uri(png(pictures[-1]), "png"), _width(pictures[-1], MOVING_DPI)
    img = _IMG.format(src=_uri(webp(pictures, round(1000 / fps)), "webp"), alt=_escape(alt), width=width)
    send_html(_html(_PICTURE.format(still=still, img=img), caption), alt, caption)


def webp(pictures: list[Image.Image], milliseconds: int) -> bytes:
    """An animated WebP that loops: without loss, as suits lines; where that is large, with loss if that is smaller."""
    best = b""
    for how in ({"lossless": True, "quality": 30, "method": 1, "minimize_size": True}, {"quality": 70, "method": 4}):
        buffer = io.BytesIO()
        pictures[0].save(
            buffer, "WEBP", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, **how
        )
        best = min(best or buffer.getvalue(), buffer.getvalue(), key=len)
        if len(best) < LARGE:
            break
    return best


def png(picture: Image.Image) -> bytes:
    """``picture`` as PNG, in 256 colours where the eye cannot tell (error below 1 % of the range, root mean square)."""
    few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    error = ImageStat.Stat(ImageChops.difference(picture, few.convert("RGB"))).rms
    buffer = io.BytesIO()
    best = few if math.hypot(*error) / math.sqrt(3) < 2.5 else picture
    best.save(buffer, "PNG")  # optimize=True makes it a tenth smaller, and takes six times as long
    return buffer.getvalue()


def _still_picture(fig: Figure, alt: str) -> str:
    """``fig`` as an ``<img>``; closes it."""
    check_alt(alt)
    buffer = io.BytesIO()
    in_passing = {"compress_level": 0}  # it is taken apart at once
    fig.savefig(buffer, format="png", dpi=STILL_DPI, bbox_inches="tight", pad_inches=0.05, pil_kwargs=in_passing)
    picture = Image.open(buffer).convert("RGB")
    plt.close(fig)
    return _IMG.format(src=_uri(png(picture), "png"), alt=_escape(alt), width=_width(picture, STILL_DPI))


def send_html(page: str, alt: str, caption: str) -> None:
    """Put HTML into the page, and for a plain script what it shows, in words."""
    send({"text/html": page, "text/plain": f"[figure: {alt}]" + (f"\n{caption}" if caption else "")})


def _html(picture: str, caption: str) -> str:
    below = _CAPTION.format(text=_escape(caption)) if caption else ""
    return _FIGURE.format(picture=picture, caption=below)


def check_alt(alt: str) -> None:
    """Refuse a picture without a text that says what it shows."""
    if not alt.strip():
        raise ValueError("alt is empty; describe what the picture shows, for those who cannot see it")


def _escape(text: str) -> str:
    return html.escape(" ".join(text.split()), quote=True)


def _uri(data: bytes, kind: str) -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _width(picture: Image.Image, dpi: int) -> int:
    return round(picture.width * SHOWN_DPI / dpi)
