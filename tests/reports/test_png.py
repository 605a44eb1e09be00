"""Figures as PNG: the size asked for, the same bytes, whatever the user has set for figures of their own."""

import io

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from radiolucent.figures import drawn, encoded, to_png
from radiolucent.figures.style import figure, tidy


def chart() -> Figure:
    made, axes = figure(3, 2)
    axes[0, 0].plot([1, 3, 2])
    tidy(axes[0, 0], "Three points", "x", "y")
    return made


def test_size_and_bytes_do_not_depend_on_what_the_user_has_set() -> None:
    plain = to_png(chart())
    with mpl.rc_context({"savefig.bbox": "tight", "savefig.dpi": 40, "figure.dpi": 50, "savefig.facecolor": "red"}):
        assert to_png(chart()) == plain
    picture = Image.open(io.BytesIO(plain))
    assert (picture.size, picture.mode, picture.info["Software"]) == ((390, 260), "RGB", "radiolucent")
    assert [round(side) for side in picture.info["dpi"]] == [130, 130]


def test_drawing_and_compressing_apart_are_the_same_and_nothing_is_lost() -> None:
    picture = drawn(chart(), dpi=71)
    assert encoded(picture, 71) == to_png(chart(), dpi=71)
    again = np.asarray(Image.open(io.BytesIO(encoded(picture))))
    np.testing.assert_array_equal(again, np.asarray(picture))
    assert again.std() > 0
