"""Case panels of a folder: the same contents as `case_panel`, composed from pixels, many a second.

Pictures are made at the size they are shown, texts are measured before they are placed, and rows are three pictures
wide, so that the smallest print is 8 points high where a panel is as wide as a page's text.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

from radiolucent.explainers import lime_view
from radiolucent.figures.case import Case
from radiolucent.figures.case_text import (
    DOCTOR,
    broke_or_failed,
    method_name,
    of_target,
    readers_colours,
    readers_words,
    said_below,
    to_film,
)
from radiolucent.figures.display import AGAINST, FOR, blend, display_map, key_colours, tint
from radiolucent.figures.palette import GREEN, GREY, INK, RED, font_file, plain
from radiolucent.images import map_to_source
from radiolucent.types import Annotation, Explanation, Geometry

__all__ = ["panel"]

DPI = 130
SIDE, GAP, MARGIN = 403, 18, 16  # pixels: a picture's width, between pictures, around all
ACROSS = 3
PAGE = 6.9  # inches of text width on a page of A4
DARK = "#111827"
LEVELS = 128  # of a map's colours on either side of nothing
GREYS = np.linspace(0, 1, 256, dtype=np.float32)


@dataclass(frozen=True)
class _Type:
    """Sizes of print in a panel some pixels wide.

    Attributes:
        scale: by which a panel is shrunk to fit a page, 1 or more.
    """

    scale: float

    def font(self, points: float, *, bold: bool = False) -> ImageFont.FreeTypeFont:
        return _font(ceil(points * self.scale * DPI / 72), bold)

    @property
    def small(self) -> ImageFont.FreeTypeFont:
        return self.font(8)

    @property
    def line(self) -> int:
        """From one line of small print to the next, in pixels."""
        return round(8 * self.scale * DPI / 72 * 1.28)


@cache
def _font(pixels: int, bold: bool) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(font_file(bold=bold), pixels)


def fitted(text: str, font: ImageFont.FreeTypeFont, width: float, *, end: bool = False) -> str:
    """A text in one line, cut with an ellipsis where it is wider than some pixels; `end`: keep its end instead."""
    whole = " ".join(plain(text)[-400 if end else 0 :][:400].split())
    if font.getlength(whole) <= width:
        return whole
    low, high = 0, len(whole)
    while low < high:
        kept = (low + high + 1) // 2
        tried = f"…{whole[len(whole) - kept :].lstrip()}" if end else f"{whole[:kept].rstrip()}…"
        low, high = (kept, high) if font.getlength(tried) <= width else (low, kept - 1)
    return f"…{whole[len(whole) - low :].lstrip()}" if end else f"{whole[:low].rstrip()}…"


def wrapped(text: str, font: ImageFont.FreeTypeFont, width: float, lines: int) -> list[str]:
    """A text in at most some lines of some pixels, broken between words, or within one that is wider than a line."""
    words, found = plain(" ".join(text.split()))[:2000].split(" "), list[str]()
    while words and len(found) < lines - 1:
        count = 1
        while count < len(words) and font.getlength(" ".join(words[: count + 1])) <= width:
            count += 1
        taken = " ".join(words[:count])
        if font.getlength(taken) > width:  # one long word
            part = fitted(taken, font, width)[:-1] or taken[:1]
            found.append(part)
            words[0] = words[0][len(part) :]
        else:
            found.append(taken)
            del words[:count]
    return [*found, fitted(" ".join(words), font, width)] if words else found


@dataclass(frozen=True, eq=False)
class _Cell:
    """A picture with its title's lines, what stands below it, and a warning across its top."""

    title: list[str]
    picture: Image.Image
    below: Image.Image | None = None
    warning: str = ""


def panel(case: Case) -> Image.Image:
    """X-ray, doctor's marking and words, and one picture a method, under the calibrated call; see `case_panel`."""
    lead = 2 if case.annotations or case.known else 1
    columns = min(ACROSS, lead + len(case.explanations))
    across = 2 * MARGIN + columns * SIDE + (columns - 1) * GAP
    kind = _Type(max(1.0, across / DPI / PAGE))
    frame = _Frame.of(case)
    cells = [_Cell(["X-ray"], Image.fromarray(frame.grey).convert("RGB"))]
    if lead > 1:
        title = DOCTOR[bool(case.annotations), any(a.regions for a in case.annotations)]
        marked = frame.outlined(cells[0].picture, case.annotations, 1.5)
        cells.append(_Cell(wrapped(title, kind.font(9), SIDE, 2), marked, _readings(case.annotations, kind)))
    cells += [_method_cell(frame, e, kind) for e in case.explanations]
    rows = [cells[i : i + columns] for i in range(0, len(cells), columns)]
    head = _headline(case, across, kind)
    title_line = round(9 * kind.scale * DPI / 72 * 1.25)
    heights = [
        (max(len(c.title) for c in row) * title_line + 6, max(0 if c.below is None else c.below.height for c in row))
        for row in rows
    ]
    tall = head.height + sum(t + frame.size[0] + b + 14 for t, b in heights) + MARGIN
    sheet = Image.new("RGB", (across, tall), "white")
    sheet.paste(head, (0, 0))
    draw, top = ImageDraw.Draw(sheet), head.height
    for row, (titles, below) in zip(rows, heights, strict=True):
        for i, cell in enumerate(row):
            left = MARGIN + i * (SIDE + GAP)
            for n, line in enumerate(reversed(cell.title)):
                draw.text((left, top + titles - 8 - n * title_line), line, INK, kind.font(9), anchor="ls")
            inset = (SIDE - cell.picture.width) // 2, (frame.size[0] - cell.picture.height) // 2
            sheet.paste(cell.picture, (left + inset[0], top + titles + inset[1]))
            if cell.warning:
                _warn(draw, (left + 16, top + titles + 14), cell.warning, kind.font(8, bold=True))
            if cell.below is not None:
                sheet.paste(cell.below, (left, top + titles + frame.size[0]))
        top += titles + frame.size[0] + below + 14
    return sheet


def _warn(draw: ImageDraw.ImageDraw, at: tuple[int, int], warning: str, font: ImageFont.FreeTypeFont) -> None:
    words = fitted(warning, font, SIDE - 32)
    left, top, right, bottom = draw.textbbox(at, words, font)
    draw.rectangle((left - 7, top - 6, right + 7, bottom + 6), fill=RED)
    draw.text(at, words, "white", font)


@dataclass(frozen=True, eq=False)
class _Frame:
    """A film at the size it is shown.

    Attributes:
        case: of the film. size: (height of the row, width) in pixels. grey: uint8 (h, w), not larger.
        drawn: outlines, by their width and readings.
    """

    case: Case
    size: tuple[int, int]
    grey: NDArray[np.uint8]
    drawn: dict[Any, Image.Image] = field(default_factory=dict[Any, Image.Image])

    @classmethod
    def of(cls, case: Case) -> "_Frame":
        height, width = case.film.shape
        tall = round(SIDE * min(max(height / width, 0.5), 1.35))
        shrink = min(SIDE / width, tall / height)
        shown = max(1, round(width * shrink)), max(1, round(height * shrink))
        whole = Image.fromarray(np.rint(np.clip(case.film.pixels, 0, 1) * 255).astype(np.uint8))
        return cls(case, (tall, SIDE), np.asarray(whole.resize(shown, Image.Resampling.BILINEAR, reducing_gap=3.0)))

    @property
    def stretch(self) -> tuple[float, float]:
        """Pixels shown a source pixel, down and across."""
        return self.grey.shape[0] / self.case.film.shape[0], self.grey.shape[1] / self.case.film.shape[1]

    def geometry(self, e: Explanation) -> Geometry:
        """From the model's frame to what is shown."""
        down, across = self.stretch
        scale = e.geometry.scale[0] / down, e.geometry.scale[1] / across
        shape = int(self.grey.shape[0]), int(self.grey.shape[1])
        return dataclasses.replace(e.geometry, scale=scale, source_shape=shape)

    def outlined(self, picture: Image.Image, annotations: Sequence[Annotation], points: float) -> Image.Image:
        """The picture with readers' regions as outlines, one colour a reader, on a dark casing."""
        if not any(a.regions for a in annotations):
            return picture
        what = points, tuple(map(id, annotations))
        if what not in self.drawn:
            self.drawn[what] = self._layer(picture.size, annotations, points * DPI / 72)
        lines = self.drawn[what]
        marked = picture.copy()
        marked.paste(lines.convert("RGB"), (0, 0), lines.getchannel("A"))
        return marked

    def _layer(self, size: tuple[int, int], annotations: Sequence[Annotation], width: float) -> Image.Image:
        """All outlines on nothing, smooth."""
        colours = readers_colours(self.case.annotations)  # the same on every picture
        layer = Image.new("RGBA", (2 * size[0], 2 * size[1]), (17, 24, 39, 0))
        draw = ImageDraw.Draw(layer)
        for extra, dark in ((1.4 * DPI / 72, True), (0.0, False)):
            for a in annotations:
                for line in self._lines(a):
                    colour = DARK if dark else colours[a.reader]
                    draw.line([*line, *line[:2]], fill=colour, width=round(2 * (width + extra)), joint="curve")
        return layer.resize(size, Image.Resampling.BOX)

    def _lines(self, a: Annotation) -> list[list[tuple[float, float]]]:
        """A reading's outlines, in half pixels."""
        down, across = self.stretch
        found: list[NDArray[np.float64]] = []
        for region in a.regions:
            if region.points is not None:
                points = np.asarray(region.points, np.float64)
                (x0, y0), (x1, y1) = points[0], points[-1]
                box = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
                found.append(box if region.kind == "box" else points)
            elif region.pixels is not None and region.pixels.any():
                from skimage.measure import find_contours

                padded = np.pad(region.pixels.astype(np.float32), 1)
                found += [line[:, ::-1] - 0.5 for line in find_contours(padded, 0.5)]
        return [[(2 * x * across, 2 * y * down) for x, y in line.tolist()] for line in found if len(line) > 1]


def _readings(annotations: Sequence[Annotation], kind: _Type) -> Image.Image:
    """Readers' words, each beside a line in the colour of the reader's outlines."""
    said, colours, font = readers_words(annotations), readers_colours(annotations), kind.small
    left = round(14 * kind.scale)
    kept = [
        (colours[reader], wrapped(f"{reader}: {words}", font, SIDE - left, 3 if len(said) < 3 else 2))
        for reader, words in said[:5]
    ]
    more = [("", [f"and {len(said) - 5} more readers"])] if len(said) > 5 else []
    texts = kept + more or [("", ["not read by a doctor"])]
    below = Image.new("RGB", (SIDE, 8 + sum(len(lines) * kind.line + 4 for _, lines in texts)), "white")
    draw, y = ImageDraw.Draw(below), 8
    for colour, lines in texts:
        if colour:
            draw.rectangle((0, y + kind.line * 0.35, left - 6, y + kind.line * 0.35 + 4), fill=colour)
        for line in lines:
            draw.text((left if colour else 0, y), line, INK if colour else GREY, font)
            y += kind.line
        y += 4
    return below


@cache
def _blended() -> NDArray[np.uint8]:
    """RGB by a map's level, from against to for, and by grey level."""
    shown = np.linspace(-1, 1, 2 * LEVELS + 1, dtype=np.float32)
    return np.rint(blend(GREYS[None], shown[:, None]) * 255).astype(np.uint8)


@cache
def _tinted() -> NDArray[np.uint8]:
    """RGB by a superpixel's sign, −1, 0 or 1, and by grey level."""
    return np.stack([np.rint(tint(GREYS[None], np.full((1, 256), s)) * 255)[0] for s in (-1, 0, 1)]).astype(np.uint8)


def _method_cell(frame: _Frame, e: Explanation, kind: _Type) -> _Cell:
    title = wrapped(f"{e.title or method_name(e.method)}: what speaks for {e.target_name}", kind.font(9), SIDE, 2)
    if "segments" in e.details:
        picture, key = _superpixels(frame, e, kind), _lime_key(e, kind)
    else:
        values = map_to_source(e.map, frame.geometry(e))
        level = np.rint((display_map(values, signed=e.signed) + 1) * LEVELS).astype(np.intp)
        picture, key = Image.fromarray(_blended()[level, frame.grey]), _colour_key(e, kind)
    picture = frame.outlined(picture, of_target(frame.case, e), 0.9)
    words = said_below(e)
    lines = wrapped(words, kind.small, SIDE, 3) if words else []
    below = Image.new("RGB", (SIDE, key.height + len(lines) * kind.line + (8 if lines else 0)), "white")
    below.paste(key, (0, 0))
    draw = ImageDraw.Draw(below)
    colour = RED if broke_or_failed(e) else GREEN if e.trust.get("verdict") == "pass" else GREY
    for i, line in enumerate(lines):
        draw.text((0, key.height + 4 + i * kind.line), line, colour, kind.small)
    return _Cell(title, picture, below, "do not rely on this map" if broke_or_failed(e) else "")


def _superpixels(frame: _Frame, e: Explanation, kind: _Type) -> Image.Image:
    """Superpixels that speak for the class in green with a "+", against it in red, dashed, with a "−"."""
    view, geometry = (
        lime_view(e, np.zeros(e.map.shape, np.float32), positive_only=False, num_features=8),
        frame.geometry(e),
    )
    signs = to_film(view.mask, geometry)
    rgb = _tinted()[signs.astype(np.intp) + 1, frame.grey]
    dash = (np.add.outer(np.arange(len(signs)), np.arange(signs.shape[1])) // 6) % 2 == 0
    for sign, colour in ((1, "#00b87f"), (-1, "#e34600")):
        mask = signs == sign
        edge = np.zeros_like(mask)
        edge[:-1] |= mask[:-1] != mask[1:]
        edge[:, :-1] |= mask[:, :-1] != mask[:, 1:]
        edge[1:] |= edge[:-1].copy()
        rgb[edge & dash if sign < 0 else edge] = ImageColor.getrgb(colour)
    picture = Image.fromarray(rgb)
    draw, labels, font = ImageDraw.Draw(picture), np.asarray(e.details["segments"]), kind.font(9)
    for piece, weight in zip(view.chosen, view.weights, strict=True):
        rows, columns = np.nonzero(labels == piece)
        middle = int(np.argmin((rows - rows.mean()) ** 2 + (columns - columns.mean()) ** 2))
        x, y = geometry.to_source(np.array([[columns[middle] + 0.5, rows[middle] + 0.5]]))[0].tolist()
        if 0 <= x < picture.width and 0 <= y < picture.height:
            sign = "+" if weight > 0 else "−"
            draw.text((x, y), sign, "white", font, anchor="mm", stroke_width=2, stroke_fill=DARK)
    return picture


def _colour_key(e: Explanation, kind: _Type) -> Image.Image:
    """What the colours of a map mean, in words."""
    key = Image.new("RGB", (SIDE, 26 + kind.line), "white")
    bar = Image.fromarray(np.rint(key_colours(e.signed)[None] * 255).astype(np.uint8))
    key.paste(bar.resize((SIDE, 13), Image.Resampling.BILINEAR), (0, 10))
    draw, font = ImageDraw.Draw(key), kind.small
    start, end = ("against", "for ") if e.signed else ("nothing", "strongest for ")
    room = SIDE - font.getlength(start + end) - 16
    draw.text((0, 25), start, INK, font)
    draw.text((SIDE, 25), end + fitted(e.target_name, font, room), INK, font, anchor="ra")
    return key


def _lime_key(e: Explanation, kind: _Type) -> Image.Image:
    r2 = float(e.details.get("r2", 1.0))  # KernelSHAP fits no line: its values add up by construction
    fit = f"R² {r2:.2f}" + (", weak" if r2 < 0.5 else "") if "r2" in e.details else ""
    key = Image.new("RGB", (SIDE, 14 + kind.line), "white")
    draw, font, x = ImageDraw.Draw(key), kind.small, 0.0
    for colour, text in ((FOR, "+ for"), (AGAINST, "− against")):
        r, g, b = (round(255 * part) for part in colour)
        draw.rectangle((x, 12, x + 14, 10 + kind.line * 0.75), fill=(r, g, b))
        draw.text((x + 19, 8), text, INK, font)
        x += 19 + font.getlength(text) + 12
    draw.text((SIDE, 8), fitted(fit, font, SIDE - x), RED if r2 < 0.5 else INK, font, anchor="ra")
    return key


def _headline(case: Case, across: int, kind: _Type) -> Image.Image:
    colour = {None: GREY, True: GREEN, False: RED}[case.right]
    width = across - 2 * MARGIN
    big, bold, small = kind.font(14, bold=True), kind.font(9, bold=True), kind.small
    first, line = round(14 * kind.scale * DPI / 72 * 1.3), kind.line + 4
    calls, facts, name = (
        wrapped(case.headline, big, width, 2),
        wrapped(case.verdict, bold, width, 2),
        case.film.image_id,
    )
    use = f"research use, not for diagnosis{case.chance and f' · {case.chance}'}"
    room = width - bold.getlength(facts[0]) - 20 - small.getlength(f"{use} · ")
    beside = len(facts) == 1 and room >= small.getlength("…" + name[-12:])
    below = [] if beside else [*wrapped(use, small, width, 2), fitted(name, small, width, end=True)]
    tall = MARGIN + len(calls) * first + (len(facts) + len(below)) * line + 8
    head = Image.new("RGB", (across, tall), "white")
    draw, y = ImageDraw.Draw(head), MARGIN
    for text in calls:
        y += first
        draw.text((MARGIN, y - 8), text, INK, big, anchor="ls")
    for text, ink, font in [(f, colour, bold) for f in facts] + [(b, GREY, small) for b in below]:
        y += line
        draw.text((MARGIN, y - 7), text, ink, font, anchor="ls")
    if beside:
        ended = f"{use} · {fitted(name, small, room, end=True)}"
        draw.text((across - MARGIN, y - 7), ended, GREY, small, anchor="rs")
    return head
