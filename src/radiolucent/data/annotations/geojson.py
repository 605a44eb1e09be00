"""GeoJSON as QuPath exports it, one file an image: polygons with holes in pixels of the image."""

from typing import Any

from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Mark, NoArea
from radiolucent.data.annotations.names import stem
from radiolucent.data.annotations.shapes import even_odd, four_corners
from radiolucent.data.annotations.source import Source
from radiolucent.types import Region

__all__ = ["FORMAT"]

_EXPECTED = "Polygon or MultiPolygon"
_MACHINE = ("detection", "cell", "tile")  # objects that QuPath finds by itself


def _features(content: Any) -> list[Any] | None:
    if isinstance(content, dict) and content.get("type") == "FeatureCollection":
        return content["features"]
    found = content if isinstance(content, list) else [content]
    return found if all(isinstance(f, dict) and f.get("type") == "Feature" for f in found) else None


def _sniff(source: Source) -> bool:
    content = source.json
    return bool(content) and isinstance(_features(content), list)


def _read(source: Source, g: Gatherer) -> None:
    image = source.path.name.removesuffix(".json").removesuffix(".geojson")
    image = stem(image) if stem(image) else image
    shape = g.options.size_of(image)
    marks: list[Mark] = []
    seen = False
    for number, item in enumerate(_features(source.json) or ()):
        about = item.get("properties") or {}
        kind = str(about.get("objectType") or about.get("object_type") or "annotation").lower()
        if kind in _MACHINE:
            g.pass_over(f"object that no reader drew ({kind})")
            continue
        seen = True
        with g.entry(f"feature {item.get('id', number)}", image):
            label = (about.get("classification") or {}).get("name") or about.get("name")
            if str(label or "").endswith("*"):
                g.pass_over(f"mark of a class that QuPath ignores ({label})")
                continue
            marks += [Mark(region, label) for region in _regions(item.get("geometry") or {}, shape)]
    with g.entry(f"image {image}", image):
        g.reading(image, marks, shape=shape, empty="not read" if seen and not marks else None)


def _regions(geometry: Any, shape: tuple[int, int] | None) -> list[Region]:
    kind = str(geometry.get("type"))
    if kind not in ("Polygon", "MultiPolygon"):
        passed = {"LineString": "line", "MultiLineString": "lines", "Point": "point", "MultiPoint": "multipoint"}
        raise NoArea(f"a {kind}", passed.get(kind, kind), _EXPECTED)
    held = geometry["coordinates"]
    polygons = [held] if kind == "Polygon" else held
    return [_outline([ring[:-1] if ring[0] == ring[-1] else ring for ring in rings], shape) for rings in polygons]


def _outline(rings: list[Any], shape: tuple[int, int] | None) -> Region:
    """The first ring is the outline, the others are holes."""
    return four_corners(rings[0]) if len(rings) == 1 and len(rings[0]) == 4 else even_odd(rings, shape)


FORMAT = Format(
    "geojson",
    "GeoJSON of QuPath",
    "json",
    "one file an image, named like it: polygons and their holes; the classification is the label",
    "in pixels of the full image; a ring ends where it began; detections and cells, which the program finds, are "
    "passed over, and so are classes that end in *, such as Region* and Ignore*",
    _sniff,
    _read,
    per_image=True,
)
