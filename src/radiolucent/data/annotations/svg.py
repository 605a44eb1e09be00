"""The part of SVG that marks places: polygon, rect, circle, ellipse, and paths of straight lines."""

import re
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from radiolucent.data.annotations.shapes import corners_box, ellipse, filled
from radiolucent.data.annotations.xml import parse_xml
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["svg_regions"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"[A-Za-z]|{_NUMBER}")
_RULE = re.compile(r"fill-rule\s*:\s*(\w+)")
_TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "Z": 0}


def svg_regions(text: str, shape: tuple[int, int] | None = None) -> list[Region]:
    """Every shape of an SVG document as a region; groups are entered, transforms refused.

    Parts of one path that overlap are filled by its `fill-rule` (nonzero unless given), so that holes stay holes; this
    takes the image's `shape` (H, W).

    >>> svg_regions('<svg><rect x="1" y="2" width="3" height="4"/></svg>')[0].points.tolist()
    [[1.0, 2.0], [4.0, 6.0]]
    """
    found = _inside(parse_xml(text.encode()), shape, "nonzero")
    if not found:
        raise AnnotationError("an SVG without polygon, rect, circle, ellipse or path")
    return found


def _inside(element: Element, shape: tuple[int, int] | None, rule: str) -> list[Region]:
    tag = element.tag.rsplit("}", 1)[-1].rsplit(":", 1)[-1]
    if element.get("transform"):
        raise AnnotationError(f"an SVG {tag} with a transform; write its coordinates out")
    if box := element.get("viewBox"):
        _check_units(element, [float(v) for v in re.findall(_NUMBER, box)], shape)
    styled = _RULE.search(element.get("style", ""))
    rule = styled[1] if styled else element.get("fill-rule", rule)
    if tag in ("svg", "g"):
        return [region for child in element for region in _inside(child, shape, rule)]
    if tag == "path":
        return _filled(_path(element.get("d", "")), shape, rule)
    if tag in ("polygon", "polyline"):
        numbers = [float(v) for v in re.findall(_NUMBER, element.get("points", ""))]
        return [Region.polygon(list(zip(numbers[::2], numbers[1::2], strict=True)))]
    if tag in ("title", "desc", "defs", "style", "metadata"):
        return []

    def at(name: str, default: str | None = None) -> float:
        value = element.get(name, default)
        if value is None:
            raise AnnotationError(f"an SVG {tag} without {name}")
        return float(value.removesuffix("px"))

    if tag == "rect":
        x, y = at("x", "0"), at("y", "0")
        return [corners_box(x, y, x + at("width"), y + at("height"))]
    if tag == "circle":
        return [ellipse(at("cx", "0"), at("cy", "0"), at("r"), at("r"))]
    if tag == "ellipse":
        return [ellipse(at("cx", "0"), at("cy", "0"), at("rx"), at("ry"))]
    raise AnnotationError(f"an SVG {tag}; expected polygon, rect, circle, ellipse or path")


def _check_units(element: Element, box: list[float], shape: tuple[int, int] | None) -> None:
    """Refuse a viewBox whose units are not the pixels of the image."""
    sides = [element.get(name, "").removesuffix("px") for name in ("width", "height")]
    stated = [float(v) for v in sides] if all(re.fullmatch(_NUMBER, v) for v in sides) else None
    whole = [float(shape[1]), float(shape[0])] if shape else stated
    if len(box) != 4 or box[:2] != [0, 0] or box[2:] != whole or stated not in (None, whole):
        raise AnnotationError(
            f"an SVG whose viewBox ({element.get('viewBox')}) is not the size of the image; write its coordinates in "
            "the image's pixels, without a viewBox"
        )


def _filled(parts: list[Region], shape: tuple[int, int] | None, rule: str) -> list[Region]:
    """Parts that lie apart as they are; others as the pixels that the rule fills, by how often they are gone around."""
    corners = [part.points for part in parts if part.points is not None]
    boxes = np.array([[*c.min(0), *c.max(0)] for c in corners]).reshape(-1, 4)
    if all(_apart(box, boxes[i + 1 :]) for i, box in enumerate(boxes)):
        return parts
    if shape is None:
        raise AnnotationError("an SVG path with parts in each other, of an image of unknown size; give the data set")
    turns = np.zeros(shape, np.int32)
    for c in corners:
        x, y = (c - c.mean(0)).T
        way = 1 if x @ np.roll(y, -1) - y @ np.roll(x, -1) > 0 else -1
        turns += way * filled(c, shape).astype(np.int32)  # a pixel counts by its centre
    inside = turns % 2 == 1 if rule == "evenodd" else turns != 0
    if not inside.any():
        raise AnnotationError("an SVG path that encloses no pixel")
    return [Region.mask(inside)]


def _apart(box: NDArray[np.float64], others: NDArray[np.float64]) -> bool:
    """Whether a box (left, top, right, bottom) shares no area with any of others (N, 4)."""
    over = (np.minimum(box[2:], others[:, 2:]) > np.maximum(box[:2], others[:, :2])).all(1)
    return not bool(over.any())


def _path(text: str) -> list[Region]:
    """Each closed part of a path, as drawn; curves are refused."""
    tokens = _TOKEN.findall(text)
    parts: list[list[tuple[float, float]]] = []
    x = y = 0.0
    command, at = "", 0
    while at < len(tokens):
        if tokens[at].isalpha():
            command, at = tokens[at], at + 1
        kind = command.upper()
        if kind not in _TAKES:
            raise AnnotationError(f"an SVG path with {command or 'no command'!r}; expected straight lines (M L H V Z)")
        if kind == "Z":
            if not parts:
                raise AnnotationError("an SVG path that closes before it begins")
            x, y = parts[-1][0]
            command = ""
            continue
        values = [float(v) for v in tokens[at : at + _TAKES[kind]]]
        if len(values) < _TAKES[kind]:
            raise AnnotationError(f"an SVG path that ends within {command!r}")
        at += len(values)
        base = (x, y) if command.islower() else (0.0, 0.0)
        if kind == "H":
            x = base[0] + values[0]
        elif kind == "V":
            y = base[1] + values[0]
        else:
            x, y = base[0] + values[0], base[1] + values[1]
        if kind == "M":
            parts.append([])
            command = "l" if command == "m" else "L"  # further pairs are lines
        if not parts:
            raise AnnotationError("an SVG path that does not begin with M")
        parts[-1].append((x, y))
    return [Region.polygon(part) for part in parts]
