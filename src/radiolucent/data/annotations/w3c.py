"""W3C Web Annotation: fragments (`xywh`, in pixels or percent) and SVG selectors; in and out."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from radiolucent.data.annotations.check import image_shape
from radiolucent.data.annotations.format import Format
from radiolucent.data.annotations.gather import Gatherer, Shape
from radiolucent.data.annotations.shapes import outlined
from radiolucent.data.annotations.source import Source
from radiolucent.data.annotations.svg import svg_regions
from radiolucent.data.annotations.words import denies
from radiolucent.errors import AnnotationError
from radiolucent.files import write_json
from radiolucent.types import Annotation, Region

__all__ = ["FORMAT", "write_w3c"]

_XYWH = re.compile(r"^xywh=(?:(pixel|percent):)?([^,]+),([^,]+),([^,]+),([^,]+)$")
_CONTEXT = "http://www.w3.org/ns/anno.jsonld"
_NO_FINDING = "no finding"


def _items(content: Any) -> list[Any]:
    if isinstance(content, dict):
        first = content.get("first")
        inner = content.get("items", first.get("items") if isinstance(first, dict) else None)
        return [content] if inner is None else list(inner)
    return list(content)


def _sniff(source: Source) -> bool:
    content = source.json
    if not isinstance(content, dict | list):
        return False
    items = _items(content)
    declared = isinstance(content, dict) and _CONTEXT in str(content.get("@context"))
    return declared or (bool(items) and all(isinstance(i, dict) and i.get("type") == "Annotation" for i in items))


def _read(source: Source, g: Gatherer) -> None:
    for number, item in enumerate(_items(source.json)):
        where = f"annotation {item.get('id', number) if isinstance(item, dict) else number}"
        with g.entry(where):
            reader = _creator(item.get("creator")) or g.options.reader
            tags, classes, words = _bodies(item.get("body"))
            targets = item["target"] if isinstance(item["target"], list) else [item["target"]]
            for target in targets:
                image, shape, selectors, remote = _target(target)
                if remote:
                    g.from_server(image)
                with g.entry(where, image, reader):
                    size = shape or g.options.size_of(image)
                    regions = [r for s in selectors for r in _select(s, size)]
                    more: Any = {"reader": reader, "statement": words, "shape": shape}
                    if regions:
                        g.mark(image, regions, tags or classes, diagnoses=classes if tags else (), **more)
                    else:
                        _whole(g, image, tags, classes, more)


def _whole(g: Gatherer, image: str, tags: list[str], classes: list[str], more: Any) -> None:
    """No place: "no finding" beside another label says what that label means, as `write_w3c` puts it."""
    if classes == [_NO_FINDING] and not tags:
        g.state(image, finding=False, **more)
        return
    labels = list(dict.fromkeys([*tags, *classes]))
    named = [x for x in labels if not denies(x)]
    if labels and (len(named) == len(labels) or not named):
        g.whole(image, labels, **more)
    elif labels and not all(x in tags for x in labels):
        for label in named:
            g.state(image, label, finding=False, **more)
    elif labels:
        g.whole(image, labels, **more)
    else:
        g.state(image, finding=True, **more)


def _creator(value: Any) -> str | None:
    if isinstance(value, list):
        value = next(iter(value), None)
    if isinstance(value, dict):
        value = value.get("name") or value.get("nickname") or value.get("id")
    return str(value) if value else None


def _bodies(body: Any) -> tuple[list[str], list[str], str]:
    """Labels of bodies that tag, of bodies that classify, and the reader's words (all other bodies)."""
    kept: dict[str, list[str]] = {"tagging": [], "classifying": [], "": []}
    for one in body if isinstance(body, list) else [] if body is None else [body]:
        if isinstance(one, str):
            kept[""].append(one)
        elif one.get("value") is not None:
            purpose = one.get("purpose")
            kept[purpose if purpose in kept else ""].append(str(one["value"]))
    return kept["tagging"], kept["classifying"], "; ".join(kept[""])


def _target(target: Any) -> tuple[str, Shape | None, list[Any], bool]:
    """(image, (H, W), selectors, whether it is on a server)."""
    if isinstance(target, str):
        base, _, fragment = target.partition("#")
        selectors = [{"type": "FragmentSelector", "value": fragment}] if fragment else []
        return _name(base), None, selectors, _remote(base)
    source = target.get("source", target.get("id"))
    shape = None
    if isinstance(source, dict):
        shape = image_shape(source.get("height"), source.get("width"))
        source = source["id"]
    base, _, fragment = str(source).partition("#")
    selector = target.get("selector")
    found = selector if isinstance(selector, list) else [] if selector is None else [selector]
    found = found or ([{"type": "FragmentSelector", "value": fragment}] if fragment else [])
    return _name(base), shape, found, _remote(base)


def _remote(source: str) -> bool:
    return urlsplit(source).scheme in ("http", "https")


def _name(source: str) -> str:
    """The image an address names: its path, with what cannot stand in an address (such as "#") decoded."""
    parts = urlsplit(source)
    return unquote(parts.path).lstrip("/") if parts.scheme in ("http", "https", "file") else unquote(source)


def _address(image: str) -> str:
    """The other way, as an IRI: only what would end or change the path is encoded.

    >>> _address("a#1 50%.png"), _name(_address("a#1 50%.png"))
    ('a%231 50%25.png', 'a#1 50%.png')
    """
    return image.replace("%", "%25").replace("#", "%23").replace("?", "%3F")


def _select(selector: Any, size: Shape | None) -> list[Region]:
    if selector.get("refinedBy"):
        raise AnnotationError("a selector that another refines (refinedBy); write the place in the image's pixels")
    if selector["type"] == "SvgSelector":
        return svg_regions(str(selector["value"]), size)
    if selector["type"] != "FragmentSelector":
        raise AnnotationError(f"{selector['type']}; expected FragmentSelector (xywh) or SvgSelector")
    match = _XYWH.match(str(selector["value"]))
    if not match:
        raise AnnotationError(f"fragment {selector['value']!r}; expected xywh=x,y,width,height")
    x, y, width, height = (float(v) for v in match.groups()[1:])
    if match[1] == "percent":
        if size is None:
            raise AnnotationError("a place in percent of an image of unknown size; give the data set with the films")
        sy, sx = size[0] / 100, size[1] / 100
        x, y, width, height = x * sx, y * sy, width * sx, height * sy
    return [Region.box(x, y, width, height)]


def write_w3c(annotations: Sequence[Annotation], path: str | Path) -> None:
    """Write readings as a W3C AnnotationPage: one Annotation a region, or one for the whole image.

    A mask becomes an SVG path of pixel runs, which covers the same pixels. "No finding" is a classifying body.

    Raises:
        AnnotationError: zone scores, for which the standard has no selector; write COCO.
    """
    items: list[dict[str, Any]] = []
    for a in annotations:
        if any(r.kind == "zone" for r in a.regions):
            raise AnnotationError(f"{a.image_id}: W3C has no selector for the zone scores of {a.reader}; write COCO.")
        for region in a.regions or (None,):
            items.append(_as_item(a, region, f"urn:radiolucent:{len(items) + 1}"))
    write_json(path, {"@context": _CONTEXT, "type": "AnnotationPage", "items": items})


def _as_item(a: Annotation, region: Region | None, name: str) -> dict[str, Any]:
    bodies: list[dict[str, str]] = []
    if a.label:
        bodies.append({"type": "TextualBody", "purpose": "tagging", "value": a.label})
    if not a.finding:
        bodies.append({"type": "TextualBody", "purpose": "classifying", "value": _NO_FINDING})
    bodies += [{"type": "TextualBody", "purpose": "classifying", "value": d} for d in a.diagnoses]
    if a.statement:
        bodies.append({"type": "TextualBody", "purpose": "describing", "value": a.statement})
    source: dict[str, Any] = {"id": _address(a.image_id), "type": "Image"}
    if a.image_shape:
        source |= {"height": a.image_shape[0], "width": a.image_shape[1]}
    target: dict[str, Any] = {"type": "SpecificResource", "source": source}
    if region is not None:
        target["selector"] = _selector(region)
    creator = {"type": "Person", "name": a.reader}
    return {"id": name, "type": "Annotation", "creator": creator, "body": bodies, "target": target}


def _selector(region: Region) -> dict[str, str]:
    if region.kind == "box" and region.points is not None:
        (x0, y0), (x1, y1) = region.points.tolist()
        at = ",".join(repr(v) for v in (x0, y0, x1 - x0, y1 - y0))
        return {
            "type": "FragmentSelector",
            "conformsTo": "http://www.w3.org/TR/media-frags/",
            "value": f"xywh=pixel:{at}",
        }
    if region.points is not None:
        corners = " ".join(f"{x!r},{y!r}" for x, y in region.points.tolist())
        inner = f'<polygon points="{corners}"/>'
    else:
        assert region.pixels is not None
        runs = "".join(f"M{x} {y}h{w}v{h}h-{w}z" for x, y, w, h in outlined(region.pixels))
        inner = f'<path d="{runs}"/>'
    return {"type": "SvgSelector", "value": f'<svg xmlns="http://www.w3.org/2000/svg">{inner}</svg>'}


FORMAT = Format(
    "w3c",
    "W3C Web Annotation",
    "json",
    "`xywh` in pixels or percent, SVG polygon, rect, circle, ellipse, straight paths; creator is the reader; bodies "
    "that "
    "tag or classify are labels",
    "percent needs the film's size (`--data`); holes follow the fill rule; names with `#`, `?` or `%` come back; "
    "curves "
    "and transforms are refused",
    _sniff,
    _read,
    units="own",
    write=lambda annotations, path, dataset: write_w3c(annotations, path),
)
