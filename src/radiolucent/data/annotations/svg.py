"""The part of SVG that marks places: polygon, rect, circle, ellipse, and paths of straight lines."""

import re
from xml.etree.ElementTree import Element

from radiolucent.data.annotations.shapes import corners_box, ellipse
from radiolucent.data.annotations.xml import parse_xml
from radiolucent.errors import AnnotationError
from radiolucent.types import Region

__all__ = ["svg_regions"]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_TOKEN = re.compile(rf"[A-Za-z]|{_NUMBER}")
_TAKES = {"M": 2, "L": 2, "H": 1, "V": 1, "Z": 0}


def svg_regions(text: str) -> list[Region]:
    """Every shape of an SVG document as a region; groups are entered, transforms refused.

    >>> svg_regions('<svg><rect x="1" y="2" width="3" height="4"/></svg>')[0].points.tolist()
    [[1.0, 2.0], [4.0, 6.0]]
    """
    found = _inside(parse_xml(text.encode()))
    if not found:
        raise AnnotationError("an SVG without polygon, rect, circle, ellipse or path")
    return found


def _inside(element: Element) -> list[Region]:
    tag = element.tag.rsplit("}", 1)[-1].rsplit(":", 1)[-1]
    if element.get("transform"):
        raise AnnotationError(f"an SVG {tag} with a transform; write its coordinates out")
    if tag in ("svg", "g"):
        return [region for child in element for region in _inside(child)]
    if tag == "path":
        return _path(element.get("d", ""))
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
