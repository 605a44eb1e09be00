"""Panels of a folder: what they show, where texts stand, and that print stays legible on a page."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

import radiolucent as rl
from radiolucent.figures import Case, case_panel, overlay, panel
from radiolucent.figures.panels import DPI, PAGE
from radiolucent.types import Annotation, Explanation, Region

Box = tuple[float, float, float, float]


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, str, Box, float]]]:
    """Every text that is drawn: on which picture, its words, the box of its ink, and its size in pixels."""
    seen: list[tuple[Any, str, Box, float]] = []
    plain = ImageDraw.ImageDraw.text

    def noting(self: Any, xy: Any, text: str, *args: Any, **kwargs: Any) -> None:
        font = kwargs.get("font", args[1] if len(args) > 1 else None)
        box = self.textbbox(xy, text, font, anchor=kwargs.get("anchor"))
        seen.append((self._image, text, box, font.size))
        plain(self, xy, text, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", noting)
    yield seen


def film(height: int, width: int, name: str = "film.png") -> rl.Radiograph:
    y, x = np.mgrid[0:height, 0:width]
    return rl.from_array(((y / height + x / width) / 2).astype(np.float32), image_id=name)


def explained(of: rl.Radiograph, title: str = "Grad-CAM", target: str = "PNEUMONIA", **details: Any) -> Explanation:
    values = np.zeros((32, 32), np.float32)
    values[4:12, 4:12], values[20:28, 20:28] = 1.0, -0.5
    return Explanation(
        map=values, image_id=of.image_id, target=1, target_name=target, score=1.0, score_kind="logit", method="gradcam",
        title=title, signed=True, parameters={}, seed=0, model_hash="0", geometry=rl.Preprocess(32).geometry_of(of),
        details=details,
    )  # fmt: skip


def superpixels(of: rl.Radiograph) -> Explanation:
    rows, columns = np.indices((32, 32)) // 8
    coefficients = np.linspace(-1, 1, 16)
    return explained(of, "LIME", segments=rows * 4 + columns, coefficients=coefficients, r2=0.31)


LONG = "PARAPNEUMONIC EFFUSION WITH CONSOLIDATION OF THE WHOLE LOWER LOBE " * 3
SHAPES = [(80, 80), (300, 90), (60, 700), (12, 9)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("methods", [1, 2, 7])
def test_texts_neither_overlap_nor_leave_their_place(shape: Any, methods: int, texts: Any) -> None:
    x = film(*shape, name="a/very/long/path/" * 12 + "film.png")
    height, width = shape
    region = Region.box(width * 0.2, height * 0.2, width * 0.3, height * 0.4)
    readings = tuple(Annotation(x.image_id, (region,), label=LONG, reader=f"Dr {'W' * 40} {i}") for i in range(7))
    broken = explained(x, "Σ" * 90, LONG, broken_promise="does not add up: " + LONG)
    many = (broken, superpixels(x), *[explained(x, target=LONG)] * 5)[:methods]
    for case in (
        Case(x, LONG, 0.31, "NORMAL", readings, many),
        Case(x, "PNEUMONIA", 0.99999, None, (), many[-1:]),
    ):
        texts.clear()
        made = panel(case)
        columns = min(3, (2 if case.truth else 1) + len(case.explanations))
        assert made.width == 2 * 16 + columns * 403 + (columns - 1) * 18
        pictures = {id(image): image for image, *_ in texts}
        for key, image in pictures.items():
            boxes = [(text, box) for of, text, box, _ in texts if id(of) == key and text not in ("+", "−")]
            for text, (left, top, right, bottom) in boxes:
                assert left >= -1 and top >= -1 and right <= image.width + 2 and bottom <= image.height + 1, text
            for i, (text, a) in enumerate(boxes):
                for other, b in boxes[i + 1 :]:
                    apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] + 2 or b[3] <= a[1] + 2
                    assert apart, (text, other)
        # shrunk to a page's width, nothing is smaller than 8 points
        shrunk = min(1.0, PAGE / (made.width / DPI))
        assert min(size for *_, size in texts) * 72 / DPI * shrunk >= 7.9


def test_it_says_what_the_figure_says(texts: Any) -> None:
    x = film(90, 80)
    reading = Annotation(x.image_id, (), label="NORMAL", reader="A", statement="nothing to see")
    for broken in ({}, {"broken_promise": "does not add up: the map's sum misses 83 % of the score's change"}):
        for truth, readings in ((None, ()), ("PNEUMONIA", ()), ("NORMAL", (reading,))):
            case = Case(x, "PNEUMONIA", 0.93, truth, readings, (explained(x, **broken), superpixels(x)))
            texts.clear()
            panel(case)
            found = " ".join(text for _, text, *_ in texts).split()
            figure = case_panel(case)
            expected = [t.get_text() for t in figure.texts]
            expected += [t.get_text() for ax in figure.axes for t in (*ax.texts, ax.title, ax._left_title)]
            for word in " ".join(expected).replace("weak: take care", "weak").split():
                assert word in found or word.startswith("PNEUMO"), (word, found)


def test_colours_and_places_are_the_figures() -> None:
    x = film(403, 403)
    e = explained(x)
    case = Case(x, "PNEUMONIA", 0.93, None, (), (e,))
    made = np.asarray(panel(case)).astype(float) / 255
    top = next(r for r in range(made.shape[0] - 403) if np.abs(made[r : r + 403, 16:419, 0] - x.pixels).max() < 0.01)
    from radiolucent.images import map_to_source

    expected = overlay(x.pixels, map_to_source(e.map, e.geometry), signed=True)
    found = made[top : top + 403, 16 + 403 + 18 : 16 + 403 + 18 + 403]
    assert np.abs(found - expected).mean() < 0.004 and np.abs(found - expected).max() < 0.03


def test_outlines_stand_where_the_region_is() -> None:
    x = rl.from_array(np.zeros((403, 403), np.float32), image_id="a.png")
    mask = np.zeros((403, 403), bool)
    mask[100:200, 50:150] = True
    square = [[50, 100], [150, 100], [150, 200], [50, 200]]
    found: list[Any] = []
    for region in (Region.box(50, 100, 100, 100), Region.polygon(square), Region("mask", pixels=mask)):
        case = Case(x, "PNEUMONIA", 0.9, None, (Annotation("a.png", (region,), label="x", reader="A"),))
        made = np.asarray(panel(case).convert("L"))
        top = int(np.argmax((made[:, 16:419] < 5).all(1)))
        picture = made[top : top + 403, 16 + 421 : 16 + 421 + 403]
        rows, columns = np.nonzero(picture > 100)
        found.append((rows.min(), rows.max() + 1, columns.min(), columns.max() + 1))
        for got, wanted in zip(found[-1], (100, 200, 50, 150), strict=True):
            assert abs(got - wanted) <= 3, (region.kind, found[-1])
    assert isinstance(panel(Case(x, "A", 0.9)), Image.Image)
