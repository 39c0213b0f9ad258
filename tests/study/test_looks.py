"""One look for a role, and looks that can be told apart without colour."""

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib import pyplot as plt

from companion.study import ONLINE, TARGET, looks, style


def luminance(colour):
    """Relative luminance (WCAG 2.1), which is what is left of a colour in grey."""
    linear = np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in mpl.colors.to_rgb(colour)])
    return linear @ [0.2126, 0.7152, 0.0722]


def contrast_with_white(colour):
    return 1.05 / (luminance(colour) + 0.05)


def test_roles_differ_in_grey_too_and_show_on_white():
    assert contrast_with_white(ONLINE) > 3
    assert contrast_with_white(TARGET) > 3
    assert abs(luminance(ONLINE) - luminance(TARGET)) > 0.04
    red, _, blue = mpl.colors.to_rgb(ONLINE)
    assert red > blue, "online is orange"
    red, _, blue = mpl.colors.to_rgb(TARGET)
    assert blue > red, "target is blue"


@pytest.mark.parametrize("n", [1, 2, 5, 8, 12, 35])
def test_looks_are_in_order_of_lightness_and_differ_in_line_and_marker(n):
    dressed = looks(n)
    assert len(dressed) == n
    grey = [luminance(look["color"]) for look in dressed]
    assert grey == sorted(grey)
    assert len({(str(look["linestyle"]), look["marker"]) for look in dressed}) == n
    assert all(contrast_with_white(look["color"]) > 1.6 for look in dressed)
    assert not {look["color"] for look in dressed} & {ONLINE.lower(), TARGET.lower()}
    if n <= 8:
        assert np.diff([np.cbrt(g) for g in grey]).min(initial=1) > 0.03


def test_looks_can_be_plotted():
    fig, ax = plt.subplots()
    for look in looks(35):
        ax.plot([0, 1], [0, 1], **look)
    fig.canvas.draw()
    plt.close(fig)


def test_no_looks_and_fewer():
    assert looks(0) == []
    with pytest.raises(ValueError, match="n is -1"):
        looks(-1)


def test_style_sets_a_white_card_and_the_role_colours_first():
    with mpl.rc_context():
        style()
        fig, ax = plt.subplots()
        assert fig.get_facecolor() == (1, 1, 1, 1)
        assert tuple(fig.get_size_inches()) == (7.2, 4.0)
        assert [line.get_color() for line in ax.plot([0, 1], np.eye(2))] == [ONLINE, TARGET]
        assert not ax.spines["top"].get_visible()
        plt.close(fig)
